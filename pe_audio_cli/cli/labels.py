"""The labels of a command line: what the flags name, what was taught, and what there is to warn of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pe_audio_cli.cli.console import Console
    from pe_audio_cli.cli.flags import LabelFlags
    from pe_audio_cli.detection.label_settings import Command, SettingsFile
    from pe_audio_cli.inference.labels import LabelOptions
    from pe_audio_cli.inference.tasks.query import Query
    from pe_audio_cli.inference.taught import TaughtLabels
    from pe_audio_cli.learning.label_file import LabelFile
    from pe_audio_cli.models.checkpoint import Checkpoint
    from pe_audio_cli.models.encoder import Encoder

__all__ = [
    "label_files_of",
    "label_options_of",
    "taught_for",
    "unfamiliar_label",
    "warn_of_settings_for_another_model",
    "warn_of_unfamiliar_labels",
]


def warn_of_unfamiliar_labels(console: Console, checkpoint: Checkpoint, query: Query) -> None:
    """Warn of labels that mean little to a model that knows few."""
    from pe_audio_cli.models.unfamiliar import UnfamiliarLabels

    unfamiliar = UnfamiliarLabels.open(checkpoint.folder)
    for label in [] if unfamiliar is None else unfamiliar.detect(query.labels, query.embeddings):
        if label in query.taught:
            continue
        console.warn(unfamiliar_label(checkpoint.name, label))


def unfamiliar_label(model: str, label: str) -> str:
    """Return the warning of a label that a model was not trained for."""
    return f"{model} was not trained for {label!r}, its probabilities may be meaningless: try -m base"


def warn_of_settings_for_another_model(console: Console, tuned: SettingsFile, encoder: Encoder) -> None:
    """Warn of settings that were tuned for another checkpoint."""
    facts = encoder.facts
    if tuned.fingerprint not in ("", facts.fingerprint):
        console.warn(f"{tuned.name} was tuned for {tuned.model}, not for this {facts.name}: tune again")


def label_files_of(flags: LabelFlags) -> list[LabelFile]:
    """Read the files of taught labels, with imports that other runs do without."""
    if not flags.taught:
        return []
    from pe_audio_cli.learning.use import read_all

    return read_all(flags.taught)


def taught_for(checkpoint: Checkpoint, files: Sequence[LabelFile], command: Command) -> TaughtLabels:
    """Return the labels of files for a command and a checkpoint, with imports that other runs do without.

    Raises :class:`UsageError` if one was taught for another command or checkpoint, or two have the same label.
    """
    from pe_audio_cli.inference.taught import TaughtLabels

    if not files:
        return TaughtLabels()
    from pe_audio_cli.learning.use import taught_labels

    return taught_labels(files, command, checkpoint.fingerprint, checkpoint.name, checkpoint.embedding_width)


def label_options_of(flags: LabelFlags) -> LabelOptions:
    """Return the sources of labels that the flags name."""
    from pe_audio_cli.inference.labels import LabelOptions

    return LabelOptions(flags.labels or (), flags.label or (), flags.labels_file or (), flags.label_set or ())
