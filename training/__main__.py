"""All steps from Debian's and PyPI's packages to the shipped checkpoint: ``python -m training WORK --esc10 FOLDER``.

Each step leaves its result in WORK and is skipped where that is there, so that a stopped run goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from pe_audio_cli.model.registry import SHIPPED
from training import calibrate, card, choose, codec, evaluate, events, export, familiar, going_on, hear, sources
from training import strangers, text_tower, train
from training.calibrate import Calibration
from training.features import Recordings, read
from training.fit_codec import fit_codec
from training.logarithm import LogNetwork
from training.student import Student
from training.teacher import Teacher, class_names
from training.texts import PhraseBook

MINI = SHIPPED / "mini"
FITTED_ON = 20  # recordings


def main() -> None:
    """Run what is not done yet; prints the figures of the checkpoint, which ends up in WORK/mini."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("work", type=Path, help="folder for everything that is made on the way, about 15 GB")
    parser.add_argument("--esc10", type=Path, required=True, help="ESC-10, a folder a class")
    parser.add_argument("--pool", type=Path, help="recordings from public repositories, with sources.csv")
    parser.add_argument("--teacher", type=Path, required=True, help="with yamnet.tflite and yamnet_class_map.csv")
    parser.add_argument("--strangers", type=Path, required=True, help="recordings to measure on, with labels.csv")
    parser.add_argument("--start", type=Path, default=MINI, metavar="CHECKPOINT", help="go on from it: the shipped one")
    parser.add_argument("--from-scratch", action="store_true", help="go on from nothing: a night instead of an hour")
    parser.add_argument("--threads", type=int, help="CPU threads; the default is torch's")
    chosen = parser.parse_args()
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    work: Path = chosen.work
    start = None if chosen.from_scratch else chosen.start
    if not (work / "manifest.csv").is_file():
        pool = [] if chosen.pool is None else ["--pool", str(chosen.pool)]
        sources.main([str(work), "--esc10", str(chosen.esc10), *pool])
    take_logarithm(work, start)
    hear.hear(work, Teacher(chosen.teacher))
    text_tower.build(work, start=start)
    train.train(work, train.TrainOptions(start=start, teacher=chosen.teacher))
    finished = finish(work, train.TrainOptions(teacher=chosen.teacher), strangers.load(chosen.strangers), work / "mini")
    print(finished)


def take_logarithm(work: Path, start: Path | None) -> None:
    """``WORK/logarithm.pt``: fitted, or that of the checkpoint to go on from."""
    if start is None:
        fit_codec(work)
    elif not (work / "logarithm.pt").is_file():
        files = sorted((work / "clips").rglob("*.flac"))
        recordings = [read(file) for file in files[:: max(1, len(files) // FITTED_ON)]]
        network: LogNetwork = going_on.logarithm_of(going_on.open_checkpoint(start), recordings)
        torch.save(network.state_dict(), work / "logarithm.pt")
