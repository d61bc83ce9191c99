"""Check that a search ranks recordings in the same order as ``tag``.

``python -m benchmarks.order FOLDER --model base --labels 'a dog barking,rain falling'`` indexes the recordings in a
folder, searches for each label with k = all, tags the same recordings, and prints a table: of each label, whether
tag's probabilities never rise along the hits, how many neighbours among them have the same one (of those, tag has no
order), and how far the two probabilities of a window lie apart at most.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.table import table
from pe_audio_cli import Index, TagOptions, TagResult, load
from pe_audio_cli.audio.find import find_recordings
from pe_audio_cli.index.builder import DEFAULT_WINDOW, IndexBuilder
from pe_audio_cli.index.search import SearchOptions
from pe_audio_cli.inference.runner import embed
from pe_audio_cli.inference.tasks.base import EncodeOptions
from pe_audio_cli.models.registry import ModelOptions, find_checkpoint

HEADER = ("label", "windows", "same order", "ties in tag", "largest difference")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run as a program; exit code 1 if any order differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.order", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--labels", required=True, help="between commas")
    chosen = parser.parse_args(arguments)
    labels = [label.strip() for label in chosen.labels.split(",")]
    rows = compare(chosen.folder, chosen.model, labels)
    print(table(HEADER, rows))
    if any(row[2] != "yes" for row in rows):
        raise SystemExit(1)


def compare(folder: Path, model: str, labels: Sequence[str]) -> list[list[str]]:
    """A row for each label."""
    tagged = _tag(folder, model, labels)
    with tempfile.TemporaryDirectory(prefix="peaudio-order-") as work:
        path = _index(Path(work) / "sounds.index", folder, model)
        with Index(path, model) as index:
            found = index.search(labels, SearchOptions(k=None))
    rows = []
    for result in found:
        by_tag = np.array([tagged[hit.file, hit.start][result.query] for hit in result.hits])
        steps = np.diff(by_tag)
        same = len(by_tag) == len(tagged) and bool((steps <= 0).all())
        difference = np.abs(by_tag - [hit.score for hit in result.hits]).max()
        ties = int((steps == 0).sum())
        rows.append([result.query, str(len(by_tag)), "yes" if same else "NO", str(ties), f"{difference:.0e}"])
    return rows


def _tag(folder: Path, model: str, labels: Sequence[str]) -> dict[tuple[str, float], dict[str, float]]:
    """Each label's probability in each window, by the recording's absolute path and the window's start."""
    results = load(model).tag(folder, labels, TagOptions(per_window=True), window=DEFAULT_WINDOW)
    return {
        (os.path.abspath(result.recording.file), window.start): {tag.label: tag.probability for tag in window.tags}
        for result in results
        if isinstance(result, TagResult) and result.per_window is not None
        for window in result.per_window
    }


def _index(path: Path, folder: Path, model: str) -> Path:
    encoder = load(model).encoder("tag")
    with IndexBuilder(path, find_checkpoint(ModelOptions(model), "tag")) as builder:
        builder.begin(encoder)
        plan = builder.plan([str(folder)], find_recordings([str(folder)]))
        for result in embed(plan.todo, encoder, "window", EncodeOptions(builder.windows)):
            builder.write(result)
        builder.finish()
    return path


if __name__ == "__main__":
    main()
