"""Labels that were learned from examples, for one command and one checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pe_audio_cli.detection.label_settings import LabelSettings, SettingsFile
from pe_audio_cli.inference.tasks.query import TaughtLabel

__all__ = ["TaughtLabels"]


@dataclass(frozen=True)
class TaughtLabels:
    """Taught labels by their names, maybe none.

    ``thresholds`` are those that suit the ``labels``, by their names.
    """

    labels: Mapping[str, TaughtLabel] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)

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
