"""All steps from Debian's and PyPI's packages to the shipped checkpoint: ``python -m training WORK --esc10 FOLDER``.

Each step leaves its result in WORK and is skipped where that is there, so that a stopped run goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from pe_audio_cli.models.registry import SHIPPED
from training import (
    calibrate,
    card,
    choose,
    codec,
    evaluate,
    events,
    export,
    familiar,
    going_on,
    graph,
    hear,
    scenes,
    self_test,
    sources,
    strangers,
    text_tower,
    train,
)
from training.calibrate import Calibration
from training.features import Recordings, log_energies, read
from training.fit_codec import fit_codec
from training.logarithm import LogNetwork
from training.student import Student, clip_products
from training.teacher import Teacher, class_names
from training.texts import PhraseBook

MINI = SHIPPED / "mini"
FITTED_ON = 20  # recordings
LEARNED = 0.9  # of the way from the checkpoint to go on from; less brings back what was forgotten


def main() -> None:
    """Run what is not done yet; prints the figures of the checkpoint, which ends up in WORK/mini."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("work", type=Path, help="folder for everything that is made on the way, about 15 GB")
    parser.add_argument("--esc10", type=Path, required=True, help="ESC-10, a folder a class")
    parser.add_argument("--pool", type=Path, help="recordings from public repositories, with sources.csv")
    parser.add_argument("--teacher", type=Path, required=True, help="with yamnet.tflite and yamnet_class_map.csv")
    parser.add_argument("--strangers", type=Path, required=True, help="recordings to measure on, with labels.csv")
    parser.add_argument("--start", type=Path, default=MINI, metavar="CHECKPOINT", help="go on from it: the shipped one")
    parser.add_argument("--from-scratch", action="store_true", help="go on from nothing, which takes longer")
    parser.add_argument("--shards", type=int, default=scenes.SHARDS, help="of scenes that the teacher hears")
    parser.add_argument("--bfloat16", action="store_true", help="for products, on a processor that has it (AMX)")
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
    teacher = Teacher(chosen.teacher)
    hear.hear(work, teacher)
    scenes.fill(work, teacher, class_names(chosen.teacher), range(chosen.shards))
    text_tower.build(work, start=start)
    fast = chosen.bfloat16  # without it, Muon would take most of the time
    train.train(work, train.TrainOptions(start=start, teacher=chosen.teacher, bfloat16=fast, muon=fast))
    recordings = strangers.load(chosen.strangers)
    finish(work, train.TrainOptions(teacher=chosen.teacher), recordings, work / "mini", start=start)
    judge, before = evaluate.Judge(work / "mini"), evaluate.Judge(chosen.start)
    labels = [it.label for it in recordings]
    scores = judge.score(np.stack([judge.embed(it.samples)[0] for it in recordings]), strangers.FIRST_LABELS)
    card.write_card(
        work,
        work / "mini",
        strangers.measure(judge, recordings, strangers.event_rules(work / "mini")),
        strangers.measure(before, recordings, strangers.event_rules(chosen.start)),
        strangers.by_sound(scores, labels),
        evaluate.measure(work, work / "mini"),
    )


def take_logarithm(work: Path, start: Path | None) -> None:
    """``WORK/logarithm.pt``: fitted, or that of the checkpoint to go on from."""
    if start is None:
        fit_codec(work)
    elif not (work / "logarithm.pt").is_file():
        files = sorted((work / "clips").rglob("*.flac"))
        recordings = [read(file) for file in files[:: max(1, len(files) // FITTED_ON)]]
        network: LogNetwork = going_on.logarithm_of(going_on.open_checkpoint(start), recordings)
        torch.save(network.state_dict(), work / "logarithm.pt")


def finish(
    work: Path,
    options: train.TrainOptions,
    recordings: list[strangers.Stranger],
    folder: Path,
    stage: train.Stage = train.STAGES[-1],
    start: Path | None = None,
) -> list[choose.Heard]:
    """Assemble the checkpoint that a stage of the training left behind, calibrated, with labels and event rules.

    ``options`` are what it was trained with; ``recordings`` are by strangers. Returns how well each concept is heard.
    """
    text = text_tower.TextTower.load(work / "text")
    student = train.Trainer.restored(work, stage, options).student
    network = codec.fitted_network(work)
    if start is not None:
        going_on.blend(student, start, network, LEARNED)
    calibration = calibrated(student, network, recordings)
    left = calibrate.fold_in(student, calibration)
    print(f"calibration: scale {calibration.scale:.2f}, bias {calibration.bias:.2f}; {left:.2f} of a bias is left")
    kept = Recordings.load(work, class_names(work / "yamnet" if options.teacher is None else options.teacher)).kept()
    heard = choose.judge(student, kept)
    ids = choose.advertised(heard)
    model = export.assemble(network, student, text)
    export.write(model, text, folder, ids)
    graph.write_graphs(folder)
    self_test.write_self_test(folder)
    familiar.measure(PhraseBook.load(work), [*ids, *choose.NOT_BY_DEFAULT]).save(folder)
    if recordings:
        judge = evaluate.Judge(folder)
        made = strangers.make_scenes(events.halves(recordings)[0])
        scores = [judge.score(judge.embed(scene.samples)[1], strangers.FIRST_LABELS) for scene in made]
        events.write(folder, events.choose(made, scores))
    return heard


@torch.no_grad()
def clip_logits(student: Student, network: LogNetwork, recordings: list[strangers.Stranger]) -> torch.Tensor:
    """Of the concepts that `mini` 1 knew, ``(n, len(FIRST))``."""
    dac = codec.filter_bank()
    energies = [log_energies(dac, network, torch.from_numpy(it.samples)) for it in recordings]
    return clip_products(student, energies)[:, calibrate.columns()] * student.scale + student.bias


def calibrated(student: Student, network: LogNetwork, recordings: list[strangers.Stranger]) -> Calibration:
    """Fitted on all ``recordings``; nothing is changed where there are none."""
    if not recordings:
        return Calibration(1.0, 0.0, torch.zeros(len(calibrate.columns())))
    return calibrate.fit(clip_logits(student, network, recordings), [it.label for it in recordings])


if __name__ == "__main__":
    main()
