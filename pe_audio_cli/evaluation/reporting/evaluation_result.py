"""The results of an evaluation: metrics with their intervals, what they leave out, and what was tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.detection.label_settings import LabelSettings
from pe_audio_cli.evaluation.annotations.formats import Kind
from pe_audio_cli.evaluation.metrics.bootstrap import Estimate, estimate
from pe_audio_cli.evaluation.metrics.calibration import Bin, reliability
from pe_audio_cli.evaluation.metrics.measure import Figures
from pe_audio_cli.evaluation.metrics.scored import Clips

__all__ = [
    "TITLES",
    "Compared",
    "Confusion",
    "EvaluationResult",
    "LabelResult",
    "Subject",
    "TunedLabel",
    "Tuning",
    "confusion_of",
    "estimate_text",
    "result_of",
]

# The names of the metrics in tables, in the order in which they are shown.
TITLES = {
    "auroc": "AUROC",
    "average_precision": "AP",
    "psds1": "PSDS1",
    "psds2": "PSDS2",
    "event_f1": "event F1",
    "event_precision": "event precision",
    "event_recall": "event recall",
    "segment_f1": "segment F1",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "top1": "top-1",
    "top5": "top-5",
    "calibration_error": "ECE",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of an evaluation: a model, and annotated recordings with their total duration."""

    kind: Kind
    annotations: str
    model: str
    n_recordings: int
    seconds: float


@dataclass(frozen=True, slots=True)
class LabelResult:
    """A label, the number of its annotations, its threshold, and its metrics."""

    label: str
    count: int
    threshold: float
    figures: Mapping[str, Estimate]
    reliability: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Confusion:
    """The confusion matrix: the number of recordings of each label (rows) that were taken for each (columns)."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """A template over all labels, or a prompt of one ``label``, with its ranking metrics."""

    label: str | None
    text: str
    figures: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class TunedLabel:
    """The settings chosen for a label, and its metrics before and after, the latter cross-validated.

    ``missed`` is True if no threshold reaches the goal.
    """

    label: str
    settings: LabelSettings
    before: Mapping[str, Estimate]
    after: Mapping[str, Estimate]
    missed: bool = False


@dataclass(frozen=True, slots=True)
class Tuning:
    """The results of tuning: each label, the means over them, and the labels without positives, which are not tuned."""

    goal: str
    labels: tuple[TunedLabel, ...]
    before: Mapping[str, Estimate]
    after: Mapping[str, Estimate]
    not_tuned: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluationResult:
    """The result of an evaluation.

    A label of ``without_positives`` or ``without_negatives`` is in no mean that needs them.

    ``warnings`` list recordings and rows that were left out, and events that were clipped.
    """

    subject: Subject
    overall: Mapping[str, Estimate]
    labels: tuple[LabelResult, ...]
    reliability: tuple[Bin, ...]
    without_positives: tuple[str, ...] = ()
    without_negatives: tuple[str, ...] = ()
    confusion: Confusion | None = None
    compared: tuple[Compared, ...] = field(default=())
    tuning: Tuning | None = None
    warnings: tuple[str, ...] = ()


def result_of(
    subject: Subject, labels: Sequence[str], counts: Sequence[int], thresholds: Sequence[float], figures: Figures
) -> EvaluationResult:
    """Return the result: ``counts`` are the annotations of each label, ``thresholds`` those of each label."""
    rows = tuple(
        LabelResult(label, count, threshold, _column(figures.labels, index), reliability(figures.reliability[index]))
        for index, (label, count, threshold) in enumerate(zip(labels, counts, thresholds, strict=True))
    )
    return EvaluationResult(
        subject,
        estimates(figures.overall),
        rows,
        reliability(figures.reliability.sum(axis=0)),
        tuple(row.label for row in rows if row.count == 0),
        tuple(row.label for row in rows if row.count > 0 and "auroc" not in row.figures),
    )


def confusion_of(labels: Sequence[str], clips: Clips) -> Confusion | None:
    """Return the confusion matrix; None if any recording has several labels, or none."""
    if not clips.single_label:
        return None
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, (clips.truth.argmax(axis=1), clips.scores.argmax(axis=1)), 1)
    return Confusion(tuple(labels), tuple(tuple(row) for row in counts.tolist()))


def estimates(figures: Mapping[str, NDArray[np.float64]]) -> dict[str, Estimate]:
    """Return the metrics that have a value, in the order of ``TITLES``, with their intervals."""
    known = {name: estimate(figures[name]) for name in TITLES if name in figures}
    return {name: value for name, value in known.items() if value is not None}


def estimate_text(figure: Estimate) -> str:
    """Return a metric with its interval as text."""
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def _column(figures: Mapping[str, NDArray[np.float64]], label: int) -> dict[str, Estimate]:
    return estimates({name: values[:, label] for name, values in figures.items()})
