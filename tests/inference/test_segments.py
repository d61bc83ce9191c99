"""Stretches encoded apart come to the result of the whole recording, to the last bit."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support import LevelEncoder

from pe_audio_cli.audio.framing import FRAME_SECONDS, HOP, WindowOptions, chunked
from pe_audio_cli.inference.pipeline import EncodedWindow, encode_items
from pe_audio_cli.inference.reader import CODEC_CHUNK, ReaderItem, RecordingBegin, RecordingChunk, RecordingEnd
from pe_audio_cli.inference.segments import Collector, Segment, gathered, segments
from pe_audio_cli.results import FileError, Recording

ENCODER = LevelEncoder()
NOISE = np.random.default_rng(0).standard_normal((2_500, HOP)).astype(np.float32)  # 100 seconds


class ChunkHearer(LevelEncoder):
    """An encoder whose features of a frame depend on the whole chunk, and on the frame's place in it."""

    def encode_codec(self, frames: np.ndarray) -> np.ndarray:
        place = np.arange(len(frames), dtype=np.float32)[:, None]
        return np.abs(frames).mean(-1, keepdims=True) * (1 + np.abs(frames).sum() * 1e-9) + place * 1e-3


@dataclass(frozen=True)
class Keeper:
    """Keeps the start and the numbers of each window."""

    windows: list[tuple[int, bytes]]

    def score(self, window: EncodedWindow) -> tuple[int, bytes]:
        return window.start_frame, window.frames.tobytes()

    def add(self, scored: tuple[int, bytes]) -> None:
        self.windows.append(scored)

    def finish(self, recording: Recording) -> tuple[Recording, list[tuple[int, bytes]]]:
        return recording, self.windows


def told(n_frames: int, options: WindowOptions, end: ReaderItem | None = None) -> Iterator[ReaderItem]:
    """Yield the reader's items for a recording of so many frames."""
    yield RecordingBegin("a.wav")
    whole = None if options.window is None else CODEC_CHUNK
    blocks = (NOISE[first : min(first + 40, n_frames)] for first in range(0, n_frames, 40))
    for chunk in chunked(blocks, whole, CODEC_CHUNK, ENCODER.facts.context_frames):
        yield RecordingChunk(chunk, 0.5)
    yield (
        RecordingEnd(Recording("a.wav", n_frames * FRAME_SECONDS, 48_000, 1, warnings=("odd",))) if end is None else end
    )


def encoded_apart(cut: list[Segment], options: WindowOptions) -> list[object]:
    """Encode all segments in one go, as a worker does."""
    items = chain.from_iterable(pickle.loads(pickle.dumps(segment)).items for segment in cut)
    return list(encode_items(items, ChunkHearer(), options, lambda: Collector(Keeper([])), batch_size=3))


@st.composite
def windowings(draw: st.DrawFn) -> WindowOptions:
    if draw(st.booleans()) and draw(st.booleans()):
        return WindowOptions(None, 0.0)
    window = draw(st.floats(1.0, 20.0))
    return WindowOptions(window, draw(st.floats(0.0, 0.5)) * window)


@settings(max_examples=150, deadline=None)
@given(n_frames=st.integers(1, len(NOISE)), options=windowings(), longest=st.integers(1, 1_500))
def test_the_parts_of_all_stretches_come_to_the_result_of_the_whole(n_frames, options, longest):
    (whole,) = encode_items(told(n_frames, options), ChunkHearer(), options, lambda: Keeper([]))
    cut = list(segments(told(n_frames, options), options, longest))
    assert [segment.place for segment in cut] == list(range(len(cut)))
    assert [segment.last for segment in cut] == [False] * (len(cut) - 1) + [True]
    assert gathered(encoded_apart(cut, options), Keeper([])) == whole


@settings(max_examples=50, deadline=None)
@given(n_frames=st.integers(1, len(NOISE)), options=windowings(), longest=st.integers(250, 1_500))
def test_a_stretch_is_about_as_long_as_it_may_be(n_frames, options, longest):
    cut = list(segments(told(n_frames, options), options, longest))
    if options.window_frames is None:
        assert len(cut) == 1
        return
    held = [
        sum(len(item.chunk.frames) for item in segment.items if isinstance(item, RecordingChunk)) for segment in cut
    ]
    chunks = 3 * CODEC_CHUNK + (longest // CODEC_CHUNK + 3) * 2 * ENCODER.facts.context_frames
    assert max(held) <= max(longest, options.window_frames) + 2 * options.window_frames + chunks
    assert len(cut) <= 1 + n_frames // max(longest // 2, 1)


def test_five_minutes_are_one_stretch_and_an_hour_is_twelve():
    options = WindowOptions(30.0, 0.0)
    block = RecordingChunk(next(chunked([NOISE[:250]], None, 250, 0)), 0.5)
    end = RecordingEnd(Recording("a.wav", 0.0, 48_000, 1))
    assert len(list(segments(iter([RecordingBegin("a.wav"), *[block] * 30, end]), options))) == 1
    assert len(list(segments(iter([RecordingBegin("a.wav"), *[block] * 360, end]), options))) == 12


def test_stretches_come_before_the_recording_has_been_read_to_its_end():
    options = WindowOptions(1.0, 0.0)
    read = 0

    def counted():
        nonlocal read
        for item in told(2_500, options):
            read += 1
            yield item

    found = segments(counted(), options, longest=250)
    next(found)
    assert read < 5


def test_a_recording_that_cannot_be_used_ends_in_its_error():
    options = WindowOptions(1.0, 0.0)
    error = FileError("a.wav", "samples", "a NaN")
    cut = list(segments(told(2_500, options, error), options, longest=500))
    assert len(cut) == 5
    assert cut[-1].items == (RecordingBegin("a.wav", 2_000), error)
    assert encoded_apart(cut, options)[-1] == error
    (alone,) = segments(iter([RecordingBegin("b.wav"), error]), options)
    assert alone == Segment(0, True, (RecordingBegin("b.wav"), error))
