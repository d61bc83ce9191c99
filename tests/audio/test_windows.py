"""The windows cover the recording, equal in length and on the grid, however the samples arrive; stitching is exact."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.audio.framing import HOP, WindowOptions, chunked, sliding_windows, whole_frames, window_starts
from pe_audio_cli.audio.overlap_add import OverlapAdd
from pe_audio_cli.errors import UsageError

sizes = st.lists(st.integers(1, 3_000), min_size=1, max_size=5)
plans = st.tuples(st.integers(1, 400), st.integers(25, 60), st.integers(0, 30)).map(
    lambda drawn: (drawn[0], drawn[1], drawn[1] - min(drawn[2], drawn[1] // 2))
)


@st.composite
def window_options(draw: st.DrawFn) -> WindowOptions:
    window = draw(st.sampled_from([None, 1.0, 1.3, 2.0, 3.999]))
    overlap = 0.0 if window is None else draw(st.floats(0, window / 2))
    return WindowOptions(window, overlap)


def noise(n: int) -> np.ndarray:
    return np.random.default_rng(n).standard_normal(n, dtype=np.float32)


def in_blocks(samples: np.ndarray, sizes: list[int]) -> Iterator[np.ndarray]:
    place = 0
    for turn in range(len(samples) + 1):
        size = sizes[turn % len(sizes)]
        yield samples[place : place + size]
        place += size
        if place >= len(samples):
            return


def stitch(windows: Iterable[tuple[int, np.ndarray]]) -> Iterator[np.ndarray]:
    stitcher = OverlapAdd()
    pieces = [stitcher.add(start, values) for start, values in windows]
    yield from (piece for piece in [*pieces, stitcher.finish()] if piece is not None)


def whole(pieces: Iterator[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(pieces), axis=-1)


@given(plans)
def test_plan_covers_every_frame_with_windows_inside_the_recording(drawn: tuple[int, int, int]) -> None:
    n_frames, window, hop = drawn
    starts = window_starts(n_frames, window, hop)
    length = min(window, n_frames)
    covered = np.zeros(n_frames, bool)
    for start in starts:
        assert 0 <= start <= n_frames - length
        covered[start : start + length] = True
    assert covered.all()
    assert starts[-1] + length == n_frames
    assert all(1 <= later - earlier <= hop for earlier, later in pairwise(starts))
    assert all(start % hop == 0 for start in starts[:-1])


@pytest.mark.parametrize(
    ("n_frames", "starts"),
    [(1, [0]), (50, [0]), (51, [0, 1]), (90, [0, 40]), (91, [0, 40, 41]), (130, [0, 40, 80]), (129, [0, 40, 79])],
)
def test_plan_of_two_second_windows_with_ten_frames_of_overlap(n_frames: int, starts: list[int]) -> None:
    assert window_starts(n_frames, window=50, hop=40) == starts


@given(st.integers(1, 8 * HOP), sizes)
def test_frames_are_the_padded_recording_however_it_arrives(n: int, cuts: list[int]) -> None:
    frames = np.concatenate(list(whole_frames(in_blocks(noise(n), cuts))))
    np.testing.assert_array_equal(frames, np.pad(noise(n), (0, -n % HOP), "reflect").reshape(-1, HOP))


@pytest.mark.parametrize("n", [1, 2, 3, 959, 960, 961, 1919, 1920, 1921])
def test_tiny_recordings_are_whole_frames(n: int) -> None:
    (frames,) = whole_frames([noise(n)])
    np.testing.assert_array_equal(frames.ravel(), np.pad(noise(n), (0, -n % HOP), "reflect"))


@given(st.integers(1, 300), window_options(), sizes)
def test_windows_are_the_plan_laid_over_the_recording(n: int, options: WindowOptions, cuts: list[int]) -> None:
    frames = noise(n)
    starts = window_starts(n, options.window_frames, options.hop_frames)

    windows = list(sliding_windows(in_blocks(frames, cuts), options))

    assert [window.start_frame for window in windows] == starts
    assert [window.last for window in windows] == [start == starts[-1] for start in starts]
    assert len({len(window.frames) for window in windows}) == 1
    for window in windows:
        begin = window.start_frame
        np.testing.assert_array_equal(window.frames, frames[begin : begin + len(window.frames)])


@given(st.integers(1, 300), st.integers(1, 200) | st.none(), st.integers(1, 60), st.integers(0, 9), sizes)
def test_chunks_tile_the_recording_and_carry_their_neighbours(
    n: int, whole: int | None, size: int, context_frames: int, cuts: list[int]
) -> None:
    frames = noise(n)
    place = 0
    for chunk in chunked(in_blocks(frames, cuts), whole, size, context_frames):
        first, stop = max(place - context_frames, 0), min(place + chunk.n_frames + context_frames, n)
        np.testing.assert_array_equal(chunk.frames, frames[first:stop])
        assert chunk.n_before == place - first
        assert chunk.n_frames == (n if whole is None or n <= whole else min(size, n - place))
        place += chunk.n_frames
    assert place == n


@pytest.mark.parametrize(
    "cutter", [lambda blocks: sliding_windows(blocks, WindowOptions()), lambda blocks: chunked(blocks, 9, 4, 2)]
)
@pytest.mark.parametrize("blocks", [[], [np.zeros(0, np.float32)] * 3])
def test_nothing_comes_of_nothing(cutter, blocks: list[np.ndarray]) -> None:
    assert list(whole_frames(blocks)) == []
    assert list(cutter(blocks)) == []


def test_windows_come_as_soon_as_they_are_known_not_to_be_the_last() -> None:
    read = 0

    def blocks() -> Iterator[np.ndarray]:
        nonlocal read
        for _ in range(100):
            read += 3
            yield np.zeros(3, np.float32)

    next(sliding_windows(blocks(), WindowOptions(1.0, 0.48)))
    assert read == 27
    read = 0
    next(chunked(blocks(), 28, 20, 2))
    assert read == 30


@pytest.mark.parametrize(
    ("cutter", "most_held"),
    [
        (lambda blocks: sliding_windows(blocks, WindowOptions(2.0, 0.0)), 50 + 2 * 5),
        (lambda blocks: sliding_windows(blocks, WindowOptions(2.0, 1.0)), 50 + 2 * 5),
        (lambda blocks: chunked(blocks, 50, 20, 6), 50 + 2 * 6 + 2 * 5),
    ],
    ids=["windows", "windows with overlap", "chunked"],
)
def test_little_more_than_a_window_is_held(cutter, most_held: int) -> None:
    alive = most = 0

    def freed() -> None:
        nonlocal alive
        alive -= 5

    def blocks() -> Iterator[np.ndarray]:
        nonlocal alive, most
        for _ in range(200):
            block = np.zeros(5, np.float32)
            weakref.finalize(block, freed)
            alive += 5
            most = max(most, alive)
            yield block
            del block

    for _ in cutter(blocks()):
        pass
    assert most <= most_held


@pytest.mark.parametrize(
    ("window", "overlap"),
    [
        *[(window, 0.0) for window in (0.99, 0.0, -30.0, float("nan"), float("inf"))],
        *[(30.0, overlap) for overlap in (-0.1, 15.1, float("nan"))],
        (None, 1.0),
    ],
)
def test_values_out_of_range_are_refused(window: float | None, overlap: float) -> None:
    with pytest.raises(UsageError, match=r"window"):
        WindowOptions(window, overlap)


def test_seconds_are_rounded_to_the_nearest_frame() -> None:
    assert WindowOptions(1.01, 0.0).window_frames == 25
    assert WindowOptions(1.03, 0.0).window_frames == 26
    assert WindowOptions(10.0, 0.99).hop_frames == 250 - 25
    assert (WindowOptions(None).window_frames, WindowOptions(None).hop_frames) == (None, None)


def frames_of(timeline: np.ndarray, drawn: tuple[int, int, int]) -> list[tuple[int, np.ndarray]]:
    n_frames, window, hop = drawn
    return [(start, timeline[:, start : start + window]) for start in window_starts(n_frames, window, hop)]


@given(plans, st.sampled_from([np.float32, np.float64]))
def test_windows_that_agree_are_stitched_to_exactly_what_they_say(drawn: tuple[int, int, int], dtype: type) -> None:
    timeline = (20 * np.random.default_rng(0).standard_normal((3, drawn[0]))).astype(dtype)
    stitched = whole(stitch(frames_of(timeline, drawn)))
    assert stitched.dtype == dtype
    np.testing.assert_array_equal(stitched, timeline)


@given(plans, st.integers(0, 100))
def test_a_frame_is_a_weighted_mean_of_the_windows_over_it(drawn: tuple[int, int, int], seed: int) -> None:
    n_frames, window, hop = drawn
    starts = window_starts(n_frames, window, hop)
    length = min(window, n_frames)
    # One row per window, a 1 where the frame is that window's: the stitched rows are the weights themselves.
    rows = [np.repeat(np.eye(len(starts))[:, [i]], length, axis=1) for i in range(len(starts))]
    weights = whole(stitch(zip(starts, rows, strict=True)))
    assert weights.shape == (len(starts), n_frames)
    np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-12)
    assert weights.min() >= 0
    for row, start in zip(weights, starts, strict=True):
        outside = np.r_[row[:start], row[start + length :]]
        assert not outside.any()

    values = np.random.default_rng(seed).standard_normal((len(starts), length))
    stitched = whole(stitch((start, row[None]) for start, row in zip(starts, values, strict=True)))
    expected = np.zeros(n_frames)
    for start, row, weight in zip(starts, values, weights, strict=True):
        expected[start : start + length] += weight[start : start + length] * row
    np.testing.assert_allclose(stitched[0], expected, atol=1e-12)


def test_an_overlap_fades_linearly_from_one_window_to_the_next() -> None:
    stitched = whole(stitch([(0, np.zeros((1, 8))), (5, np.full((1, 8), 4.0))]))
    np.testing.assert_array_equal(stitched, [[0, 0, 0, 0, 0, 1, 2, 3, 4, 4, 4, 4, 4]])


def test_a_single_window_comes_out_as_it_went_in() -> None:
    values = noise(70).reshape(2, 35)
    (piece,) = stitch([(0, values)])
    np.testing.assert_array_equal(piece, values)


def test_pieces_come_out_while_later_windows_are_still_unknown() -> None:
    stitcher = OverlapAdd()
    assert stitcher.add(0, np.zeros((1, 50))) is None
    finished = stitcher.add(40, np.zeros((1, 50)))
    assert finished is not None
    assert finished.shape == (1, 40)
    assert OverlapAdd().finish() is None


@pytest.mark.parametrize("start", [-1, 0, 11])
def test_windows_out_of_order_or_with_a_gap_are_refused(start: int) -> None:
    with pytest.raises(ValueError, match="does not continue"):
        whole(stitch([(0, np.zeros((1, 10))), (start, np.zeros((1, 10)))]))
