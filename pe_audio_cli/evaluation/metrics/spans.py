"""Time spans: their overlaps, and their matches by the standard criteria of sound event detection.

Spans are float64 arrays of shape ``(n, 2)`` with an onset and an offset in seconds in each row; references are spans of
one label in one recording, apart from each other and in order of time. Times are compared to the microsecond, as
sed_scores_eval does, so that times on a border are inside despite rounding errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["TIME_DECIMALS", "Collar", "Spans", "active_segments", "matches", "overlaps"]

TIME_DECIMALS = 6  # digits of a second that count

Spans: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Collar:
    """The tolerance of a match, in seconds; at the offset also this ``share`` of the reference's length.

    Its defaults are those of the DCASE challenges, after Mesaros, Heittola and Virtanen, "Metrics for Polyphonic Sound
    Event Detection", 2016.
    """

    onset: float = 0.2
    offset: float = 0.2
    share: float = 0.2


def overlaps(spans: Spans, references: Spans) -> tuple[Indices, Indices, NDArray[np.float64]]:
    """Return each pair of a span and a reference that overlap: their row indices, and the overlap in seconds."""
    first = np.searchsorted(references[:, 1], spans[:, 0], "right")
    stop = np.searchsorted(references[:, 0], spans[:, 1], "left")
    span, reference = _pairs(first, stop)
    ends = np.minimum(spans[span, 1], references[reference, 1])
    return span, reference, ends - np.maximum(spans[span, 0], references[reference, 0])


def matches(found: Spans, references: Spans, collar: Collar) -> int:
    """Return the size of the maximum matching of references and detections that are close enough at both ends.

    ``found`` are detections of one label in one recording, in order of time.
    """
    slack = collar.onset + 10.0**-TIME_DECIMALS
    first = np.searchsorted(found[:, 0], references[:, 0] - slack, "left")
    stop = np.searchsorted(found[:, 0], references[:, 0] + slack, "right")
    reference, detection = _pairs(first, stop)
    off = np.abs(found[detection] - references[reference])
    offset_collars = np.maximum(collar.offset, collar.share * (references[:, 1] - references[:, 0]))[reference]
    close = (_rounded(off[:, 0] - collar.onset) <= 0) & (_rounded(off[:, 1] - offset_collars) <= 0)
    reference, detection = reference[close], detection[close]
    if len(np.unique(reference)) == len(reference) == len(np.unique(detection)):
        return len(reference)
    return _maximum_matching(reference, detection, (len(references), len(found)))


def active_segments(spans: Spans, duration: float, length: float) -> NDArray[np.bool_]:
    """Return True for each segment of ``length`` seconds that any span overlaps; the last segment may be shorter.

    A span that merely touches a segment is not in it.
    """
    n_segments = int(np.ceil(round(duration / length, TIME_DECIMALS)))
    first = np.floor(_rounded(spans[:, 0] / length)).astype(np.intp)
    stop = np.ceil(_rounded(spans[:, 1] / length)).astype(np.intp)
    edges = np.zeros(n_segments + 1, np.intp)
    np.add.at(edges, np.minimum(first, n_segments), 1)
    np.add.at(edges, np.minimum(stop, n_segments), -1)
    active: NDArray[np.bool_] = np.cumsum(edges[:-1]) > 0
    return active


def _pairs(first: Indices, stop: Indices) -> tuple[Indices, Indices]:
    """Return row indices, each repeated for the numbers from its ``first`` to its ``stop``, and those numbers."""
    counts = np.maximum(stop - first, 0)
    rows = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, first[rows] + within


def _maximum_matching(rows: Indices, columns: Indices, shape: tuple[int, int]) -> int:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    graph = csr_array((np.ones(len(rows), np.int8), (rows, columns)), shape)
    return int((maximum_bipartite_matching(graph) >= 0).sum())


def _rounded(seconds: NDArray[Any]) -> NDArray[Any]:
    return np.round(seconds, TIME_DECIMALS)
