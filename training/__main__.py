"""All steps from Debian's and PyPI's packages to the shipped checkpoint: ``python -m training WORK --esc10 FOLDER``.

Each step leaves its result in WORK and is skipped where that is there, so that a stopped run goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from training import card, codec, evaluate, export, familiar, sources, text_tower, train
from training.fit_codec import fit_codec
from training.texts import PhraseBook


def main() -> None:
    """Run what is not done yet; prints the figures of the checkpoint, which ends up in WORK/mini."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("work", type=Path, help="folder for everything that is made on the way, about 6 GB")
    parser.add_argument("--esc10", type=Path, required=True, help="ESC-10, a folder a class")
    parser.add_argument("--threads", type=int, help="CPU threads; the default is torch's")
    chosen = parser.parse_args()
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    work: Path = chosen.work
    if not (work / "manifest.csv").is_file():
        sources.main([str(work), "--esc10", str(chosen.esc10)])
    fit_codec(work)
    text_tower.build(work)
    train.train(work, train.TrainOptions())
    unseen = finish(work, train.MEASURED, work / "mini-without-fold-4")
    shipped = finish(work, train.STAGES[-1], work / "mini")
    card.write_card(work, shipped, evaluate.measure(work, unseen, [4], shipped))


def finish(work: Path, stage: train.Stage, folder: Path, options: train.TrainOptions | None = None) -> Path:
    """Assemble the checkpoint that a stage of the training left behind; ``options`` are what it was trained with."""
    text = text_tower.TextTower.load(work / "text")
    trainer = train.Trainer.restored(work, stage, train.TrainOptions() if options is None else options)
    model = export.assemble(codec.fitted_network(work), trainer.student, text)
    export.write(model, text, folder)
    familiar.measure(PhraseBook.load(work)).save(folder)
    return folder


if __name__ == "__main__":
    main()
