"""Overlaps, collars and segments, against going through all pairs one by one."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.evaluation.metrics.spans import Collar, active_segments, matches, overlaps


@st.composite
def apart(draw: st.DrawFn, most: int = 4) -> np.ndarray:
    """Spans that lie apart, in order, with edges on tenths of a second."""
    edges = sorted(draw(st.sets(st.integers(0, 40), max_size=2 * most)))
    return np.array(edges[: len(edges) // 2 * 2], float).reshape(-1, 2) / 10


any_spans = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), max_size=6).map(
    lambda pairs: np.array([(start / 10, (start + length) / 10) for start, length in pairs], float).reshape(-1, 2)
)


@given(any_spans, apart())
def test_overlaps_are_those_of_all_pairs(spans: np.ndarray, references: np.ndarray) -> None:
    expected = {
        (row, column): min(a[1], b[1]) - max(a[0], b[0])
        for row, a in enumerate(spans)
        for column, b in enumerate(references)
        if min(a[1], b[1]) > max(a[0], b[0])
    }
    span, reference, seconds = overlaps(spans, references)
    found = dict(zip(zip(span.tolist(), reference.tolist(), strict=True), seconds.tolist(), strict=True))
    assert found == pytest.approx(expected)


def close(found: np.ndarray, reference: np.ndarray, collar: Collar) -> bool:
    allowed = max(collar.offset, collar.share * (reference[1] - reference[0]))
    return bool(abs(found[0] - reference[0]) <= collar.onset + 1e-7 and abs(found[1] - reference[1]) <= allowed + 1e-7)


@given(apart(), apart(), st.sampled_from([Collar(), Collar(0.5, 0.3, 0.0), Collar(2.0, 2.0, 1.0)]))
def test_matches_are_the_most_of_all_ways_to_pair(found: np.ndarray, references: np.ndarray, collar: Collar) -> None:
    most = 0
    for size in range(1, min(len(found), len(references)) + 1):
        for some in combinations(range(len(references)), size):
            for order in permutations(range(len(found)), size):
                if all(close(found[i], references[j], collar) for i, j in zip(order, some, strict=True)):
                    most = size
    assert matches(found, references, collar) == most


def test_a_detection_on_the_border_of_the_collar_matches_and_one_beyond_it_does_not() -> None:
    reference = np.array([[1.0, 3.0]])
    assert matches(np.array([[1.2, 3.4]]), reference, Collar()) == 1  # the offset's collar is 0.2 of 2 s
    assert matches(np.array([[1.21, 3.0]]), reference, Collar()) == 0
    assert matches(np.array([[1.0, 3.41]]), reference, Collar()) == 0
    assert matches(np.empty((0, 2)), reference, Collar()) == matches(reference, np.empty((0, 2)), Collar()) == 0


@given(apart(), st.integers(1, 45).map(lambda tenths: tenths / 10), st.sampled_from([0.04, 0.5, 1.0]))
def test_segments_are_active_where_a_span_is_in_them(spans: np.ndarray, duration: float, length: float) -> None:
    spans = np.minimum(spans[spans[:, 0] < duration - 1e-9], duration)
    expected = [
        any(start < (index + 1) * length - 1e-7 and stop > index * length + 1e-7 for start, stop in spans)
        for index in range(round(np.ceil(round(duration / length, 6))))
    ]
    assert active_segments(spans, duration, length).tolist() == expected
