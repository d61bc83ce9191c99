"""The polyphonic sound detection score, at all thresholds at once.

Bilen, Ferroni, Tuveri, Azcarreta and Krstulovic, "A Framework for the Robust Evaluation of Sound Event Detection",
2020. At each threshold a detection is relevant if enough of it lies in references of its label (detection tolerance
criterion), and a reference is found if relevant detections cover enough of it (ground truth intersection criterion).
A detection that is not relevant is a false positive, and a cross-trigger too if enough of it lies in references of
another label (cross-trigger tolerance criterion). The score is the area below the curve of the share of references
found, less their spread over labels, over false positives per hour.

How the counts change as the threshold falls is worked out for each recording and added up, as Ebbers, Serizel and
Haeb-Umbach do in "Threshold-Independent Evaluation of Sound Event Detection Scores", 2022; their package
sed_scores_eval gives the same numbers. It needs all thresholds, detections and references of a recording in memory at
once, too much for an hour of audio.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.evaluation.metrics.scored import StrongRecording
from pe_audio_cli.evaluation.metrics.spans import TIME_DECIMALS, overlaps

__all__ = ["PSDS1", "PSDS2", "PsdsOptions", "psds"]

HOUR = 3600.0  # seconds
SHORTEST = 10.0**-TIME_DECIMALS  # seconds, the shortest reference, to avoid a division by zero
MOST_THRESHOLDS = 1000  # of a label in a recording: all scores of 40 s, and an even subset for a longer one
CELLS = 1 << 22  # frames times thresholds that are looked at together, to save memory


@dataclass(frozen=True, slots=True)
class PsdsOptions:
    """The shares that the criteria ask for, the weights of cross-triggers and of spread, and the end of the curve.

    ``max_rate`` is in false positives per hour.
    """

    detection_tolerance: float
    reference_intersection: float
    cross_trigger_tolerance: float | None
    cross_trigger_weight: float
    spread_weight: float
    max_rate: float = 100.0


# The two scenarios of the DCASE challenges since 2021: exact times, and presence.
PSDS1 = PsdsOptions(0.7, 0.7, None, 0.0, 1.0)
PSDS2 = PsdsOptions(0.1, 0.1, 0.3, 0.5, 1.0)


def psds(
    recordings: Sequence[StrongRecording], options: PsdsOptions, weights: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the score in each resample, and that of each label alone, which has no spread.

    A label without a reference is left out of the score; its own is NaN.

    Args:
        recordings: with the same labels.
        options: the scenario.
        weights: the count of each recording in each resample, ``(n_resamples, n_recordings)``.

    Returns:
        Scores of shape ``(n_resamples,)``, and of shape ``(n_resamples, n_labels)``.
    """
    n_labels = len(recordings[0].references)
    present = [label for label in range(n_labels) if any(len(each.references[label]) for each in recordings)]
    curves = [
        _Curve.of(recordings, label, [other for other in present if other != label], options) for label in present
    ]
    hours = weights @ np.array([each.duration for each in recordings]) / HOUR
    overall, own = np.full(len(weights), np.nan), np.full((len(weights), n_labels), np.nan)
    for row, (weight, duration) in enumerate(zip(weights, hours, strict=True)):
        rates = [curve.rates(weight, duration, options) for curve in curves]
        for label, needed in zip(present, rates, strict=True):
            own[row, label] = _area([needed], options) if len(needed) > 1 else np.nan
        known = [needed for needed in rates if len(needed) > 1]
        overall[row] = _area(known, options) if known else np.nan
    return overall, own


@dataclass(frozen=True)
class _Curve:
    """The changes of one label's counts as the threshold falls, in the order of falling scores.

    All of shape ``(n_changes,)``: the ``recording`` in which a change happens, the changes of the numbers of found
    references, of false positives and, ``(n_others, n_changes)``, of cross-triggers; and whether it is the last of its
    score. ``n_references`` and ``seconds``, ``(n_others, n_recordings)``, are those of each recording.
    """

    recording: NDArray[np.intp]
    found: NDArray[np.int64]
    false: NDArray[np.int64]
    cross: NDArray[np.float64]
    is_last: NDArray[np.bool_]
    n_references: NDArray[np.int64]
    seconds: NDArray[np.float64]

    @classmethod
    def of(
        cls, recordings: Sequence[StrongRecording], label: int, others: Sequence[int], options: PsdsOptions
    ) -> _Curve:
        if options.cross_trigger_tolerance is None:
            others = []
        parts = [_changes(recording, label, others, options) for recording in recordings]
        scores, counts = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts], 1)
        recording = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
        order = np.argsort(-scores, kind="stable")
        is_last = np.append(np.diff(scores[order]) != 0, True)[: len(order)]
        return cls(
            recording[order],
            counts[0, order],
            counts[1, order],
            counts[2:, order].astype(np.float64),
            is_last,
            np.array([len(each.references[label]) for each in recordings]),
            np.array([[np.diff(each.references[other]).sum() for each in recordings] for other in others]),
        )

    def rates(self, weight: NDArray[np.int64], hours: float, options: PsdsOptions) -> NDArray[np.float64]:
        """Return the lowest false positive rate at which 0, 1, 2 ... references of a resample are found."""
        factor = weight[self.recording]
        found = np.cumsum(factor * self.found)[self.is_last]
        rate = np.cumsum(factor * self.false)[self.is_last] / hours
        if len(self.cross):
            share = 1 / (len(self.cross) * np.maximum(self.seconds @ weight, SHORTEST)) @ self.cross
            rate = rate + options.cross_trigger_weight * np.cumsum(factor * share)[self.is_last] * HOUR
        lowest = np.full(int(self.n_references @ weight) + 1, np.inf)
        lowest[0] = 0.0
        np.minimum.at(lowest, found, rate)
        return np.minimum.accumulate(lowest[::-1])[::-1]


def _area(rates: Sequence[NDArray[np.float64]], options: PsdsOptions) -> float:
    """Return the area below the curve of the labels with these ``rates``, as a share of the maximum."""
    steps = np.unique(np.concatenate(rates))
    steps = steps[steps <= options.max_rate]
    found = np.stack([(np.searchsorted(needed, steps, "right") - 1) / (len(needed) - 1) for needed in rates])
    height = np.maximum(found.mean(axis=0) - options.spread_weight * found.std(axis=0), 0.0)
    return float(height @ np.diff(np.append(steps, options.max_rate)) / options.max_rate)


def _changes(
    recording: StrongRecording, label: int, others: Sequence[int], options: PsdsOptions
) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64]]:
    """Return the falling scores of a recording at which counts change, and their changes, ``(2 + n_others, n)``."""
    scores = recording.scores[label]
    thresholds = _thresholds(scores)
    counts = np.concatenate(
        [_counts(recording, label, others, some, options) for some in _blocks(thresholds, len(scores))], axis=1
    )
    changes = np.diff(counts, axis=1, prepend=0)
    kept = changes.any(axis=0)
    return thresholds[kept], changes[:, kept]


def _thresholds(scores: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return the distinct scores, falling; an even subset if there are many."""
    different: NDArray[np.floating[Any]] = np.unique(scores)[::-1]
    if len(different) > MOST_THRESHOLDS:
        different = different[np.linspace(0, len(different) - 1, MOST_THRESHOLDS).round().astype(np.intp)]
    return different


def _blocks(thresholds: NDArray[Any], n_frames: int) -> Iterator[NDArray[Any]]:
    size = max(CELLS // max(n_frames, 1), 1)
    return (thresholds[start : start + size] for start in range(0, max(len(thresholds), 1), size))


def _counts(
    recording: StrongRecording, label: int, others: Sequence[int], thresholds: NDArray[Any], options: PsdsOptions
) -> NDArray[np.int64]:
    """Found references, false positives, and cross-triggers with each other label, at each threshold."""
    active = recording.scores[label] >= thresholds[:, None]
    point, edge = np.nonzero(np.diff(active, prepend=False, append=False, axis=1))
    point, spans = point[::2], recording.edges[edge.reshape(-1, 2)]
    lengths = spans[:, 1] - spans[:, 0]

    own = recording.references[label]
    span, reference, seconds = overlaps(spans, own)
    relevant = _enough(_sums(span, seconds, len(spans)), options.detection_tolerance * lengths)
    counted = relevant[span]
    covered = _sums(point[span[counted]] * len(own) + reference[counted], seconds[counted], len(thresholds) * len(own))
    found = _enough(
        covered.reshape(len(thresholds), len(own)), options.reference_intersection * (own[:, 1] - own[:, 0])
    )

    counts = [found.sum(axis=1), np.bincount(point[~relevant], minlength=len(thresholds))]
    for other in others:
        span, _, seconds = overlaps(spans, recording.references[other])
        assert options.cross_trigger_tolerance is not None
        crossed = _enough(_sums(span, seconds, len(spans)), options.cross_trigger_tolerance * lengths) & ~relevant
        counts.append(np.bincount(point[crossed], minlength=len(thresholds)))
    return np.stack(counts)


def _sums(rows: NDArray[np.intp], seconds: NDArray[np.float64], n_rows: int) -> NDArray[np.float64]:
    return np.bincount(rows, weights=seconds, minlength=n_rows).astype(np.float64)


def _enough(seconds: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.bool_]:
    enough: NDArray[np.bool_] = np.round(seconds, TIME_DECIMALS) >= np.round(wanted, TIME_DECIMALS)
    return enough
