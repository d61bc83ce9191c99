"""Taught labels in use: from files to what a query asks for, with the thresholds that suit them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pe_audio_cli.detection.label_settings import Command, LabelSettings, SettingsFile
from pe_audio_cli.errors import UsageError
from pe_audio_cli.inference.tasks.query import TaughtLabel
from pe_audio_cli.learning.label_file import LabelFile, read_labels

if TYPE_CHECKING:
    pass

__all__ = ["TaughtLabels", "read_all"]


@dataclass(frozen=True)
class TaughtLabels:
    """The labels of one or several files, for one command and one checkpoint.

    ``thresholds`` are those that suit the ``labels``, by their names.
    """

    labels: Mapping[str, TaughtLabel] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Iterable[LabelFile], command: Command, fingerprint: str, model: str) -> TaughtLabels:
        """Raises :class:`UsageError` if a file was taught for another command or checkpoint."""
        labels: dict[str, TaughtLabel] = {}
        thresholds: dict[str, float] = {}
        for file in files:
            taught = file.for_checkpoint(command, fingerprint, model)
            for row, lesson in enumerate(taught.lessons):
                if lesson.label in labels:
                    raise UsageError(f"{file.name} has a label {lesson.label!r} that another file has too: rename one")
                labels[lesson.label] = TaughtLabel(taught.learned.embeddings[row], float(taught.learned.biases[row]))
                thresholds[lesson.label] = lesson.threshold
        return cls(labels, thresholds)

    @property
    def fingerprint(self) -> str:
        """A hexadecimal string that changes with any label; empty without labels."""
        if not self.labels:
            return ""
        digest = hashlib.sha256()
        for name, label in sorted(self.labels.items()):
            digest.update(f"{name}\0{label.bias!r}\0{self.thresholds[name]!r}\0".encode())
            digest.update(label.embedding.tobytes())
        return digest.hexdigest()[:16]

    def joined_to(self, labels: Sequence[str]) -> list[str]:
        """The labels, and those of these that are not among them."""
        return list(dict.fromkeys([*labels, *self.labels]))

    def settings(self, settings: SettingsFile) -> SettingsFile:
        """Settings of events in which each of these labels has its own threshold.

        An offset threshold that is set for all labels keeps its share of the threshold.
        """
        rules = settings.default.rules
        share = None
        if rules.get("threshold") and "offset_threshold" in rules:
            share = rules["offset_threshold"] / rules["threshold"]
        own = dict(settings.labels)
        for label, threshold in self.thresholds.items():
            known = own.get(label, LabelSettings()).rules
            wanted = {"threshold": threshold} | ({} if share is None else {"offset_threshold": threshold * share})
            own[label] = LabelSettings(rules={**wanted, **known})
        return replace(settings, labels=own)


def read_all(paths: Iterable[str | Path]) -> list[LabelFile]:
    """Read files of taught labels. Raises :class:`UsageError` for one that cannot be read, or is none."""
    return [read_labels(Path(path)) for path in paths]
