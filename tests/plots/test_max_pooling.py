"""Few columns, and nothing lost."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pe_audio_cli.plots.max_pooling import bars, peaks
from pe_audio_cli.results import Event

PROBABILITIES = st.floats(0, 1, width=32)
ROWS = arrays(np.float32, st.integers(1, 400), elements=PROBABILITIES)


@given(values=ROWS, n=st.integers(1, 100))
def test_no_peak_is_lost_and_each_stays_in_its_place(values, n):
    pooled = peaks(values, n)
    assert len(pooled) == min(n, len(values))
    # A value is in the column of its index, or in a neighbour where the groups of rows differ in size.
    for place, value in enumerate(values):
        column = place * len(pooled) // len(values)
        assert pooled[max(column - 1, 0) : column + 2].max() >= value
    assert set(pooled) <= set(values)


@given(values=arrays(np.float32, (50, 3), elements=PROBABILITIES), n=st.integers(1, 60))
def test_rows_are_pooled_each_by_itself(values, n):
    expected = np.stack([peaks(values[:, column], n) for column in range(3)], axis=1)
    np.testing.assert_array_equal(peaks(values, n), expected)


@st.composite
def timelines(draw):
    """Events of two labels, those of one never overlapping, sorted by start."""
    events = []
    for label in ("rain", "wind"):
        edges = sorted(draw(st.lists(st.integers(0, 10_000), unique=True, max_size=40)))
        events += [Event(label, a / 25, b / 25, 0.5) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    return sorted(events, key=lambda event: event.start)


@given(events=timelines(), resolution=st.floats(0.001, 60))
def test_every_event_is_in_a_bar_and_bars_can_be_told_apart(events, resolution):
    found = bars(events, resolution)
    assert found.keys() == {event.label for event in events}
    for label, mine in found.items():
        edges = [edge for bar in mine for edge in bar]
        assert edges == sorted(edges)
        assert all(later[0] - earlier[1] >= resolution for earlier, later in pairwise(mine))
        own = [event for event in events if event.label == label]
        assert set(edges) <= {edge for event in own for edge in (event.start, event.end)}
        assert all(any(start <= event.start and event.end <= end for start, end in mine) for event in own)


def test_events_that_can_be_told_apart_are_drawn_as_they_are():
    events = [Event("rain", 0.04, 0.08, 0.5), Event("rain", 0.12, 1.0, 0.5)]
    assert bars(events, 0.04 - 1e-9) == {"rain": [(0.04, 0.08), (0.12, 1.0)]}
