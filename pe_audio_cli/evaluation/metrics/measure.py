"""All metrics of a set of annotated recordings, for each label and over all labels, in all resamples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.evaluation.metrics.bootstrap import mean_over_labels, resamples
from pe_audio_cli.evaluation.metrics.calibration import calibration_error, reliability_sums
from pe_audio_cli.evaluation.metrics.counts import Counts, clip_counts, event_counts, hits, segment_counts
from pe_audio_cli.evaluation.metrics.psds import PSDS1, PSDS2, psds
from pe_audio_cli.evaluation.metrics.ranking import ranking
from pe_audio_cli.evaluation.metrics.scored import Clips, StrongRecording
from pe_audio_cli.options import EventOptions

__all__ = ["CALIBRATION", "Figures", "measure_clips", "measure_strong"]

CALIBRATION = "calibration_error"
TOPS = (1, 5)  # the true label is the most probable, or among the five most probable

Weights = NDArray[np.int64]
PerLabel = NDArray[np.float64]  # (n_rows, n_labels)


@dataclass(frozen=True)
class Figures:
    """Figures by name: those of each label, ``(n_rows, n_labels)``, and over all of them, ``(n_rows,)``.

    Rows are those of :mod:`~pe_audio_cli.evaluation.metrics.bootstrap`, or a single one where there is no interval; a
    figure that a label does not have is NaN. ``reliability`` holds each label's sums, ``(n_labels, 3, n_bins)``.
    """

    labels: Mapping[str, PerLabel]
    overall: Mapping[str, NDArray[np.float64]]
    reliability: NDArray[np.float64]


def measure_strong(recordings: Sequence[StrongRecording], options: Sequence[EventOptions]) -> Figures:
    """Figures of frames, events and segments; ``options`` say how the events of each label are found."""
    weights = resamples(len(recordings))
    owners = np.repeat(np.arange(len(recordings)), [each.scores.shape[1] for each in recordings])
    columns: list[dict[str, NDArray[np.float64]]] = []
    sums = []
    for label, own in enumerate(options):
        scores = np.concatenate([each.scores[label] for each in recordings])
        truth = np.concatenate([each.truth(label) for each in recordings])
        sums.append(reliability_sums(scores, truth))
        columns.append(
            {
                **_ranked(scores, truth, owners, weights),
                **_hits(weights, event_counts(recordings, label, own), "event_"),
                "segment_f1": hits(weights @ segment_counts(recordings, label, own)).f1,
            }
        )
    labels, overall = _stacked(columns)
    for name, scenario in (("psds1", PSDS1), ("psds2", PSDS2)):
        overall[name], labels[name] = psds(recordings, scenario, weights)
    return _with_calibration(labels, overall, np.stack(sums))


def measure_clips(clips: Clips, thresholds: Sequence[float]) -> Figures:
    """Figures of whole recordings, or of excerpts; ``thresholds`` are those of each label."""
    n_recordings = int(clips.recordings.max()) + 1
    weights = resamples(n_recordings)
    columns: list[dict[str, NDArray[np.float64]]] = []
    sums = []
    for label, threshold in enumerate(thresholds):
        rows = clips.rows(label)
        scores, truth, owners = clips.scores[rows, label], clips.truth[rows, label], clips.recordings[rows]
        sums.append(reliability_sums(scores, truth))
        counts = clip_counts(clips, label, threshold)
        columns.append({**_ranked(scores, truth, owners, weights), **_hits(weights[:, owners], counts)})
    labels, overall = _stacked(columns)
    if clips.single_label:
        overall |= {f"top{k}": weights @ in_top(clips, k) / n_recordings for k in TOPS if k < len(thresholds)}
    return _with_calibration(labels, overall, np.stack(sums))


def in_top(clips: Clips, k: int) -> NDArray[np.bool_]:
    """True for each recording whose label is among the ``k`` most probable; ties keep the order of the labels."""
    order = np.argsort(-clips.scores, axis=1, kind="stable")[:, :k]
    return np.asarray(np.take_along_axis(clips.truth, order, axis=1).any(axis=1))


def _ranked(
    scores: NDArray[np.floating], truth: NDArray[np.bool_], owners: NDArray[np.intp], weights: Weights
) -> dict[str, NDArray[np.float64]]:
    area, precision = ranking(scores, truth, owners, weights)
    return {"auroc": area, "average_precision": precision}


def _hits(weights: Weights, counts: Counts, prefix: str = "") -> dict[str, NDArray[np.float64]]:
    found = hits(weights @ counts)
    return {f"{prefix}f1": found.f1, f"{prefix}precision": found.precision, f"{prefix}recall": found.recall}


def _stacked(
    columns: Sequence[Mapping[str, NDArray[np.float64]]],
) -> tuple[dict[str, PerLabel], dict[str, NDArray[np.float64]]]:
    """Figures of all labels side by side, and their means."""
    labels = {name: np.stack([column[name] for column in columns], axis=1) for name in columns[0]}
    return labels, {name: mean_over_labels(values) for name, values in labels.items()}


def _with_calibration(
    labels: dict[str, PerLabel], overall: dict[str, NDArray[np.float64]], sums: NDArray[np.float64]
) -> Figures:
    labels[CALIBRATION] = np.array([[calibration_error(of_label) for of_label in sums]])
    overall[CALIBRATION] = mean_over_labels(labels[CALIBRATION])
    return Figures(labels, overall, sums)
