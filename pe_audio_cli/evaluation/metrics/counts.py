"""Counts of true positives, detections and references, and the metrics computed from them.

Counts are arrays of shape ``(n_recordings, 3)``: true positives, detections, references.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.evaluation.metrics.scored import Clips, StrongRecording
from pe_audio_cli.evaluation.metrics.spans import Collar, active_segments, matches
from pe_audio_cli.options import EventOptions

__all__ = ["Counts", "Hits", "clip_counts", "event_counts", "hits", "segment_counts"]

SEGMENT = 1.0  # seconds, the length on which the DCASE challenges compare

Counts: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Hits:
    """Precision, recall and their harmonic mean; NaN without references, or for precision, without detections."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


def event_counts(
    recordings: Sequence[StrongRecording], label: int, options: EventOptions, collar: Collar | None = None
) -> Counts:
    """Events that match a reference within the collars."""
    allowed = Collar() if collar is None else collar
    rows = []
    for recording in recordings:
        found, references = recording.detected(label, options), recording.references[label]
        rows.append((matches(found, references, allowed), len(found), len(references)))
    return np.array(rows, np.int64)


def segment_counts(recordings: Sequence[StrongRecording], label: int, options: EventOptions) -> Counts:
    """Segments in which the label is detected, and in which it is annotated."""
    rows = []
    for recording in recordings:
        found, references = (
            active_segments(spans, recording.duration, SEGMENT)
            for spans in (recording.detected(label, options), recording.references[label])
        )
        rows.append(((found & references).sum(), found.sum(), references.sum()))
    return np.array(rows, np.int64)


def clip_counts(clips: Clips, label: int, threshold: float) -> Counts:
    """Clips in which the label is at or above the threshold, as in ``peaudio tag``, and those that have it.

    Only clips count in which the truth about the label is known.
    """
    rows = clips.rows(label)
    found, truth = clips.scores[rows, label] >= threshold, clips.truth[rows, label]
    return np.stack([found & truth, found, truth], axis=1).astype(np.int64)


def hits(counts: NDArray[np.integer[Any]]) -> Hits:
    """Return the metrics of counts of shape ``(..., 3)``."""
    right, found, wanted = np.moveaxis(counts.astype(np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = right / wanted
        return Hits(right / found, recall, np.where(wanted > 0, 2 * right / (found + wanted), np.nan))
