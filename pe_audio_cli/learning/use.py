"""Files of taught labels in use: for one command and one checkpoint, from one or several of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pe_audio_cli.detection.label_settings import Command
from pe_audio_cli.errors import UsageError
from pe_audio_cli.inference.tasks.query import TaughtLabel
from pe_audio_cli.inference.taught import TaughtLabels
from pe_audio_cli.learning.label_file import LabelFile, read_labels

__all__ = ["read_all", "taught_labels"]


def read_all(paths: Iterable[str | Path]) -> list[LabelFile]:
    """Read files of taught labels. Raises :class:`UsageError` for one that cannot be read, or is none."""
    return [read_labels(Path(path)) for path in paths]


def taught_labels(
    files: Iterable[LabelFile], command: Command, fingerprint: str, model: str, width: int
) -> TaughtLabels:
    """Return the labels for a command and a checkpoint, of this fingerprint, name and width of embeddings.

    Raises :class:`UsageError` if a file was taught for another command or checkpoint, or two have the same label.
    """
    labels: dict[str, TaughtLabel] = {}
    thresholds: dict[str, float] = {}
    for file in files:
        taught = file.for_checkpoint(command, fingerprint, model, width)
        for row, outcome in enumerate(taught.outcomes):
            if outcome.label in labels:
                raise UsageError(f"{file.name} has a label {outcome.label!r} that another file has too: rename one")
            labels[outcome.label] = TaughtLabel(taught.learned.embeddings[row], float(taught.learned.biases[row]))
            thresholds[outcome.label] = outcome.threshold
    return TaughtLabels(labels, thresholds)
