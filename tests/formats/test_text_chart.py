"""Times, strips and axes fit their columns and put things where they belong."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pe_audio_cli.formats.text_chart import axis, clock, strip
from pe_audio_cli.results import Event


@pytest.mark.parametrize(
    ("seconds", "longest", "decimals", "shown"),
    [
        (0, 3.27, 2, "0.00 s"),
        (1.2, 3.27, 2, "1.20 s"),
        (59.996, 59.996, 2, "60.00 s"),
        (1.2, 60, 2, "0:01.20"),
        (119.996, 120, 2, "2:00.00"),
        (1.2, 3600, 2, "0:00:01.20"),
        (3599.999, 3600, 2, "1:00:00.00"),
        (540_000 / 25, 86_400, 2, "6:00:00.00"),
        (90_061, 100_000, 0, "25:01:01"),
        (5, 30, 0, "5 s"),
        (65, 70, 0, "1:05"),
    ],
)
def test_a_time_is_shown_as_the_longest_one_needs(seconds: float, longest: float, decimals: int, shown: str) -> None:
    assert clock(seconds, longest, decimals) == shown


def test_a_strip_is_as_high_as_the_most_probable_event_in_each_column() -> None:
    events = [Event("dog", 1.0, 3.0, 0.25), Event("dog", 2.0, 4.0, 1.0), Event("dog", 8.5, 9.0, 0.5)]
    assert strip(events, duration=10.0, width=10) == " ▂██    ▄ "


def test_the_shortest_event_is_seen_in_the_longest_recording() -> None:
    assert strip([Event("tick", 86_399.96, 86_400.0, 0.3)], duration=86_400.0, width=20) == " " * 19 + "▃"


@given(
    st.floats(0.0001, 1e6),
    st.integers(1, 200),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), max_size=5),
)
def test_a_strip_has_its_width_and_shows_every_event(
    duration: float, width: int, drawn: list[tuple[float, float, float]]
) -> None:
    events = [
        Event("dog", duration * min(a, b), duration * max(a, b), 0.01 + 0.99 * probability)
        for a, b, probability in drawn
    ]
    assert len(strip(events, duration, width)) == width
    for event in events:
        shown = strip([event], duration, width)
        first, last = (shown + " ").index(shown.strip()[0]), len(shown.rstrip())
        assert first <= event.start / duration * width <= last + 1e-6
        assert first - 1e-6 <= event.end / duration * width <= last + 1e-6


@given(st.floats(0.00002, 1e7), st.integers(10, 200))
@example(0.14, 56)
def test_an_axis_has_its_width_and_times_that_do_not_touch(duration: float, width: int) -> None:
    ruler, times = axis(duration, width)
    assert len(ruler) == width
    assert set(ruler) <= {"─", "┬"}
    assert ruler[0] == "┬"
    assert len(times) <= width
    starts = [match.start() for match in re.finditer(r"\S+( s\b)?", times)]
    assert len(starts) == len(times.replace(" s", "").split())
    assert all(ruler[start] == "┬" for start in starts)


@pytest.mark.parametrize(
    ("duration", "width", "times"),
    [
        (5.0, 50, "0 s       1 s       2 s       3 s       4 s"),
        (0.9, 54, "0.0 s       0.2 s       0.4 s       0.6 s       0.8 s"),
        (75.0, 60, "0:00    0:10    0:20    0:30    0:40    0:50    1:00    1:10"),
        (7200.0, 48, "0:00:00     0:30:00     1:00:00     1:30:00"),
    ],
)
def test_ticks_stand_at_round_times(duration: float, width: int, times: str) -> None:
    assert axis(duration, width)[1] == times
