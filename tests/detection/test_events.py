"""Events equal those of a plain frame-by-frame twin and of the reference, and stay inside the recording."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.detection import events as detect_events
from pe_audio_cli.detection.events import Events, spans
from pe_audio_cli.errors import UsageError
from pe_audio_cli.options import EventOptions

REFERENCE = Path(__file__).parents[1] / "reference"


def slow_spans(
    probability: list[float], high: float, low: float, width: int, gap: int, shortest: int
) -> list[tuple[int, int]]:
    """The same events, one frame at a time; ``width``, ``gap`` and ``shortest`` in frames."""
    active, states = False, []
    for p in probability:
        active = p > (low if active else high)
        states.append(active)

    filtered = []
    for frame in range(len(states)):
        around = range(frame - width // 2, frame + width // 2 + 1)
        votes = sum(0 <= other < len(states) and states[other] for other in around)
        filtered.append(votes > width - votes)

    events: list[tuple[int, int]] = []
    for frame, state in enumerate(filtered):
        if not state:
            continue
        if events and frame - events[-1][1] <= gap:
            events[-1] = (events[-1][0], frame + 1)
        else:
            events.append((frame, frame + 1))
    return [(onset, offset) for onset, offset in events if offset - onset >= shortest]


# Few distinct values, so that a probability often is exactly at a threshold.
timelines = st.lists(st.sampled_from([0.0, 0.25, 0.375, 0.5, 0.625, 0.75, 1.0]), max_size=60)
levels = st.sampled_from([0.0, 0.25, 0.375, 0.5, 0.75, 1.0])


def find_events(rows: np.ndarray, labels: list[str], duration: float, options: EventOptions) -> Events:
    return detect_events.find_events(dict(zip(labels, rows, strict=True)), duration, options)


@given(
    timelines,
    levels,
    st.none() | levels,
    st.none() | st.sampled_from([1, 3, 5, 9, 151]),
    st.none() | st.integers(0, 8),
    st.none() | st.integers(0, 8),
)
def test_spans_equal_those_of_the_slow_twin(
    timeline: list[float], high: float, low: float | None, width: int | None, gap: int | None, shortest: int | None
) -> None:
    low = None if low is None else min(low, high)
    options = EventOptions(
        high,
        low,
        median=None if width is None else width * 0.04,
        merge_gap=None if gap is None else gap * 0.04,
        min_duration=None if shortest is None else shortest * 0.04,
    )
    expected = slow_spans(timeline, high, high if low is None else low, width or 1, gap or 0, shortest or 0)
    assert spans(np.array(timeline, np.float32), options) == expected


def of(active: str, **options: float) -> str:
    """Spans drawn over a timeline: ``#`` is 0.9, ``+`` is 0.4, ``.`` is 0.1."""
    levels = {"#": 0.9, "+": 0.4, ".": 0.1}
    found = spans(np.array([levels[frame] for frame in active]), EventOptions(0.5, **options))
    drawn = ["."] * len(active)
    for onset, offset in found:
        drawn[onset:offset] = "#" * (offset - onset)
    return "".join(drawn)


@pytest.mark.parametrize(
    ("options", "timeline", "events"),
    [
        ({}, "##.#+.+#++.#", "##.#...#...#"),
        ({"offset_threshold": 0.3}, "##.#+.+#++.#", "##.##..###.#"),
        ({"offset_threshold": 0.3}, "+++.+#++#+.+", ".....#####.."),
        ({"offset_threshold": 0.0}, "++#..+..+++.", "..##########"),
        ({"median": 0.12}, "#..#.##.##.#", "....#######."),
        ({"median": 0.2}, "##...##....###", "...........###"),
        ({"merge_gap": 0.08}, "#.#..#...#....", "######...#...."),
        ({"merge_gap": 0.119}, "#.#..#...#....", "######...#...."),
        ({"merge_gap": 0.12}, "#.#..#...#....", "##########...."),
        ({"min_duration": 0.08}, "#.##.###.####.", "..##.###.####."),
        ({"min_duration": 0.081}, "#.##.###.####.", ".....###.####."),
        ({"min_duration": 0.12}, "#.##.###.####.", ".....###.####."),
        ({"median": 0.0, "merge_gap": 0.0, "min_duration": 0.0}, "#.##.###.####.", "#.##.###.####."),
    ],
)
def test_each_step_does_to_a_timeline_what_is_documented(options: dict[str, float], timeline: str, events: str) -> None:
    assert of(timeline, **options) == events


def test_steps_run_in_their_documented_order() -> None:
    # Hysteresis makes the run long enough for the median filter to keep it.
    assert of("..#++....", offset_threshold=0.3, median=0.2) == "..###...."
    # The median filter takes the short runs away before their gaps could be merged.
    assert of(".#..#..#.", median=0.12, merge_gap=0.08) == "........."
    # Merging comes before the minimum duration, to which the merged length counts.
    assert of(".#.#.#...", merge_gap=0.04, min_duration=0.2) == ".#####..."


@pytest.mark.parametrize("seconds", [0.0, 0.04, 0.079])
def test_a_median_of_less_than_two_frames_changes_nothing(seconds: float) -> None:
    assert of("#.#.##.", median=seconds) == "#.#.##."


@pytest.mark.parametrize(("seconds", "longest_lost"), [(0.08, 1), (0.12, 1), (0.16, 2), (0.2, 2), (0.24, 3), (0.28, 3)])
def test_a_median_is_rounded_to_the_nearest_odd_number_of_frames(seconds: float, longest_lost: int) -> None:
    assert "#" not in of("." * 9 + "#" * longest_lost + "." * 9, median=seconds)
    kept = "." * 9 + "#" * (longest_lost + 1) + "." * 9
    assert of(kept, median=seconds) == kept


@given(timelines, st.floats(0, 1))
def test_a_frame_at_the_threshold_is_not_active(timeline: list[float], threshold: float) -> None:
    covered = {
        frame for onset, offset in spans(np.array(timeline), EventOptions(threshold)) for frame in range(onset, offset)
    }
    assert covered == {frame for frame, p in enumerate(timeline) if p > threshold}


@pytest.mark.parametrize("threshold", [0.3, 0.1, 0.7])
def test_a_float32_frame_at_the_threshold_is_not_active(threshold: float) -> None:
    """Although 0.3, for one, is more than 0.3 once it is a float32."""
    assert spans(np.full(5, threshold, np.float32), EventOptions(threshold)) == []


@pytest.mark.parametrize("name", ["pe-a-frame-tiny", "pe-av-tiny"])
@pytest.mark.parametrize("clip", ["clip_a", "clip_b", "clip_c"])
def test_default_events_are_the_references_spans_ended_by_the_recording(name: str, clip: str) -> None:
    expected = json.loads((REFERENCE / f"{name}_expected.json").read_text())
    numbers = expected["clips"][clip]
    duration = numbers["samples"] / expected["sampling_rate"]
    probabilities = np.array(numbers["frame_probs"], np.float32)

    events = find_events(probabilities, expected["labels"], duration, EventOptions())

    for label, its_spans, row in zip(expected["labels"], numbers["spans"], probabilities, strict=True):
        its_events = [event for event in events if event.label == label]
        assert [(event.start, event.end) for event in its_events] == [
            (pytest.approx(start, abs=1e-9), pytest.approx(min(end, duration), abs=1e-9)) for start, end in its_spans
        ]
        for event, (start, end) in zip(its_events, its_spans, strict=True):
            assert event.probability == row[round(start * 25) : round(end * 25)].max()
    assert len(events) == sum(map(len, numbers["spans"]))


@st.composite
def recordings(draw: st.DrawFn) -> tuple[np.ndarray, float]:
    samples = draw(st.integers(1, 40 * 1920))
    n_frames = math.ceil(samples / 1920)
    seed = draw(st.integers(0, 1000))
    smooth = np.random.default_rng(seed).uniform(size=(4, n_frames)).astype(np.float32)
    return smooth, samples / 48_000


@given(recordings(), st.floats(0, 1), st.sampled_from([None, 0.2]), st.sampled_from([None, 0.1]))
def test_events_lie_inside_the_recording_in_order_and_apart(
    recording: tuple[np.ndarray, float], threshold: float, median: float | None, gap: float | None
) -> None:
    probabilities, duration = recording
    labels = ["rain", "dog", "Ärger", "bell"]
    events = find_events(probabilities, labels, duration, EventOptions(threshold, median=median, merge_gap=gap))
    assert list(events) == sorted(events, key=lambda event: (event.start, event.label))
    for label, row in zip(labels, probabilities, strict=True):
        its_events = [event for event in events if event.label == label]
        for event in its_events:
            assert 0 <= event.start < event.end <= duration
            onset, offset = round(event.start * 25), math.ceil(round(event.end * 25, 6))
            assert event.probability == row[onset:offset].max()
        for earlier, later in pairwise(its_events):
            assert earlier.end < later.start


def test_events_that_start_together_are_sorted_by_label() -> None:
    events = find_events(np.array([[0.75], [0.5], [1.0]]), ["b", "a", "B"], 0.04, EventOptions())
    assert [(event.label, event.probability) for event in events] == [("B", 1.0), ("a", 0.5), ("b", 0.75)]


def test_events_are_a_sequence_like_any_other() -> None:
    events = find_events(np.array([[0.9, 0.1, 0.9, 0.1, 0.9]]), ["a"], 0.2, EventOptions())
    assert len(events) == 3
    assert events[-1] == events[2] == list(events)[2]
    assert events[1:] == (events[1], events[2])
    assert events == tuple(events) != events[:2]
    with pytest.raises(IndexError):
        events[3]


def test_frames_of_nothing_but_padding_hold_no_event() -> None:
    assert find_events(np.array([[0.1, 0.9]]), ["dog"], 0.04, EventOptions()) == ()
    (event,) = find_events(np.array([[0.9, 0.9]]), ["dog"], 0.04, EventOptions())
    assert (event.start, event.end) == (0.0, 0.04)


@pytest.mark.parametrize("n_frames", range(1, 200))
def test_a_length_of_whole_frames_is_exactly_so_many_frames(n_frames: int) -> None:
    """Although 0.28 * 25, for one, is more than 7."""
    seconds = n_frames / 25
    assert spans(np.ones(n_frames), EventOptions(min_duration=seconds)) == [(0, n_frames)]
    padding = np.r_[np.zeros(n_frames), 1]
    assert find_events(padding[None], ["dog"], seconds, EventOptions()) == ()
    gap = np.r_[1, np.zeros(n_frames), 1]
    assert spans(gap, EventOptions(merge_gap=seconds)) == [(0, n_frames + 2)]


def test_a_merged_event_carries_the_highest_frame_of_its_whole_span() -> None:
    probabilities = np.array([[0.5, 0.2, 0.875, 0.6, 0.1]])
    (event,) = find_events(probabilities, ["dog"], 0.2, EventOptions(merge_gap=0.04))
    assert (event.start, event.end, event.probability) == (0.0, 0.16, 0.875)


def test_times_do_not_drift_in_a_recording_of_many_hours() -> None:
    n_frames = 24 * 3600 * 25
    probabilities = np.zeros((1, n_frames), np.float32)
    onsets = [0, 1, 7, 540_000, 1_234_567, n_frames - 1]
    probabilities[0, onsets] = 1
    events = find_events(probabilities, ["tick"], 24 * 3600.0, EventOptions())
    merged = [(0, 2), (7, 8), (540_000, 540_001), (1_234_567, 1_234_568), (n_frames - 1, n_frames)]
    assert [(event.start, event.end) for event in events] == [(onset / 25, offset / 25) for onset, offset in merged]


def test_no_frames_are_no_events() -> None:
    options = EventOptions(0.5, offset_threshold=0.2, median=0.2, merge_gap=1.0, min_duration=0.1)
    assert spans(np.zeros(0, np.float32), options) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"threshold": -0.1}, "threshold must be from 0 to 1: got -0.1"),
        ({"threshold": 1.1}, "threshold must be from 0 to 1: got 1.1"),
        ({"threshold": math.nan}, "threshold must be from 0 to 1: got nan"),
        ({"threshold": 0.3, "offset_threshold": 0.31}, r"offset threshold must be from 0 to the threshold \(0.3\)"),
        ({"offset_threshold": -0.1}, "offset threshold must be from 0"),
        ({"median": -0.04}, "median must be from 0 to 3600 s: got -0.04"),
        ({"merge_gap": math.inf}, "merge gap must be from 0 to 3600 s: got inf"),
        ({"min_duration": math.nan}, "minimum duration must be from 0 to 3600 s: got nan"),
    ],
)
def test_values_out_of_range_are_refused_with_the_range(options: dict[str, float], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        EventOptions(**options)


def test_an_offset_threshold_of_zero_is_not_off() -> None:
    probability = np.array([0.1, 0.9, 0.1, 0.0, 0.1])
    assert spans(probability, EventOptions(0.5)) == [(1, 2)]
    assert spans(probability, EventOptions(0.5, offset_threshold=0.0)) == [(1, 3)]
