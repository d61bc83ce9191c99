"""Events as they happen are those that localize finds in the same probabilities, told as early as they can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.audio.framing import FRAMES_PER_SECOND
from pe_audio_cli.detection.events import find_events, spans
from pe_audio_cli.live.events import SETTLED, Change, Detector, Tracker
from pe_audio_cli.options import EventOptions, PerLabel

FRAME = 1 / FRAMES_PER_SECOND

# Few distinct values, so that a probability often is exactly at a threshold.
levels = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.75, 1.0])
timelines = st.lists(levels, max_size=70).map(lambda values: np.array(values, np.float32))


@st.composite
def rules(draw: st.DrawFn) -> EventOptions:
    threshold = draw(levels)
    low = draw(st.none() | levels.map(lambda level: min(level, threshold)))
    width = draw(st.none() | st.sampled_from([1, 3, 5, 9, 31]))
    gap, shortest = draw(st.none() | st.integers(0, 8)), draw(st.none() | st.integers(0, 8))
    lengths = [None if frames is None else frames * FRAME for frames in (width, gap, shortest)]
    return EventOptions(threshold, low, *lengths)


def told(detector: Detector, timeline: np.ndarray) -> tuple[list[Change], list[tuple[int, Change]]]:
    """All changes, and those before the end with the number of frames after which they were told."""
    early = []
    for value in timeline.tolist():
        early += [(detector.position, change) for change in detector.feed(value)]
    return [change for _, change in early] + detector.finish(), early


def ended(changes: list[Change]) -> list[tuple[int, int, float]]:
    """The complete events; each was told to start first, and no other starts meanwhile."""
    assert [change.offset is None for change in changes] == [True, False] * (len(changes) // 2)
    for start, end in zip(changes[::2], changes[1::2], strict=True):
        assert start.onset == end.onset and start.probability <= end.probability
    return [(end.onset, end.offset, end.probability) for end in changes[1::2]]


def found(timeline: np.ndarray, options: EventOptions) -> list[tuple[int, int, float]]:
    """What localize finds."""
    events = find_events({"x": timeline}, len(timeline) * FRAME, options)
    return [
        (round(e.start * FRAMES_PER_SECOND), round(e.end * FRAMES_PER_SECOND), pytest.approx(e.probability))
        for e in events
    ]


@given(timelines, rules())
def test_the_events_are_those_of_localize(timeline: np.ndarray, options: EventOptions) -> None:
    assert ended(told(Detector(options), timeline)[0]) == found(timeline, options)


@given(timelines, rules())
def test_a_start_is_told_as_soon_as_nothing_can_undo_it(timeline: np.ndarray, options: EventOptions) -> None:
    """After as many frames as it was told, whatever follows, there is such an event; a frame earlier there need not be.

    What may follow at worst is silence.
    """
    for n_frames, change in told(Detector(options), timeline)[1]:
        if change.offset is not None:
            continue
        assert change.onset in [
            onset for onset, _ in spans(np.append(timeline[:n_frames], np.zeros(40, np.float32)), options)
        ]
        before = np.append(timeline[: n_frames - 1], np.zeros(40, np.float32))
        assert change.onset not in [onset for onset, _ in spans(before, options)]


@given(timelines, rules(), st.integers(1, 9))
def test_an_event_is_confirmed_by_a_run_without_a_gap(
    timeline: np.ndarray, options: EventOptions, confirm: int
) -> None:
    bare = EventOptions(options.threshold, options.offset_threshold, options.median)
    runs = spans(timeline, bare)
    expected = [
        event
        for event in found(timeline, options)
        if any(event[0] <= onset and offset <= event[1] and offset - onset >= confirm for onset, offset in runs)
    ]
    assert ended(told(Detector(options, confirm), timeline)[0]) == expected


@given(timelines, rules(), st.integers(1, 20))
def test_after_an_event_there_is_quiet(timeline: np.ndarray, options: EventOptions, cooldown: int) -> None:
    expected: list[tuple[int, int, float]] = []
    for event in found(timeline, options):
        if not expected or event[1] > expected[-1][1] + cooldown:
            expected.append(event)
    changes, early = told(Detector(options, cooldown=cooldown), timeline)
    assert ended(changes) == expected
    offsets = [0] + [change.offset for _, change in early if change.offset is not None]
    for n_frames, change in early:
        if change.offset is None:
            before = [offset for offset in offsets if offset <= change.onset]
            assert len(before) == 1 or n_frames > before[-1] + cooldown


@given(st.lists(timelines, min_size=1, max_size=3), rules(), rules(), st.integers(1, 9))
def test_a_tracker_hears_of_each_label_what_its_detector_does(
    rows: list[np.ndarray], first: EventOptions, rest: EventOptions, hop: int
) -> None:
    """Windows that agree: idle labels are passed over, and each label has rules of its own."""
    n_frames = min(map(len, rows))
    table = np.stack([row[:n_frames] for row in rows])
    labels = [f"label {place}" for place in range(len(rows))]
    tracker = Tracker(labels, PerLabel(rest, {labels[0]: first}))
    changes = []
    for end in [*range(hop, n_frames, hop), n_frames] if n_frames else []:
        start = max(0, end - SETTLED - hop)
        changes += tracker.add(start, table[:, start:end])
    changes += tracker.finish()
    for place in range(len(rows)):
        own = [change for change in changes if change.label == place]
        assert ended(own) == found(table[place], first if place == 0 else rest)
    assert tracker.open_labels == set()


def test_a_later_window_corrects_what_has_not_counted_yet() -> None:
    tracker = Tracker(["x"], PerLabel(EventOptions(0.5, min_duration=0.2)))
    assert tracker.add(0, np.array([[0.0] * 8 + [0.9] * 2], np.float32)) == []  # too short to be sure
    assert tracker.add(0, np.zeros((1, 20), np.float32)) == []  # and wrong
    assert tracker.finish() == []


def test_a_short_sound_at_the_end_of_a_window_is_heard_in_the_next() -> None:
    tracker = Tracker(["x"], PerLabel(EventOptions(0.5)))
    assert tracker.add(0, np.zeros((1, 10), np.float32)) == []
    later = np.zeros((1, 20), np.float32)
    later[0, 7:9] = 0.75
    assert tracker.add(0, later) == [Change(0, 7, None, 0.75)]
    assert tracker.finish() == [Change(0, 7, 9, 0.75)]


def test_what_made_an_event_sure_counts_whatever_later_windows_say() -> None:
    tracker = Tracker(["x"], PerLabel(EventOptions(0.5)))
    sure = np.zeros((1, 10), np.float32)
    sure[0, 9] = 0.75
    assert tracker.add(0, sure) == [Change(0, 9, None, 0.75)]
    assert tracker.open_labels == {0}
    assert tracker.add(0, np.zeros((1, 50), np.float32)) == [Change(0, 9, 10, 0.75)]
