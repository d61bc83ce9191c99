"""Segments of recordings, which can be encoded independently, on one machine or on many.

A recording of up to about five minutes is one segment. A longer one is cut where a window begins::

    windows   ├─────────┤   ├─────────┤   ├─────────┤   ├─────────┤
                    ├─────────┤   ├─────────┤   ├─────────┤   ├────┼────┤  the last one, aligned with the end
    segments ├─────────────────────┤
                                ├─────────────────────┤
                                              ├─────────────────────────┤

Each segment holds whole windows and the codec's own chunks, so that every number comes out as if the recording had been
encoded in one go. Where windows overlap, two segments hold the same samples: a twentieth of them in ``localize``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pe_audio_cli.audio.framing import FRAMES_PER_SECOND, Chunk, WindowOptions
from pe_audio_cli.inference.reader import ReaderItem, RecordingBegin, RecordingChunk, RecordingEnd
from pe_audio_cli.results import FileError, Recording

if TYPE_CHECKING:
    from pe_audio_cli.inference.pipeline import EncodedWindow, Reducer

__all__ = ["SEGMENT", "Collector", "Segment", "SegmentResult", "gathered", "segments"]

SEGMENT = 300 * FRAMES_PER_SECOND  # frames from the beginning of one segment to that of the next, at most
ELSEWHERE = Recording("", 0.0, 0, 0)  # stands at the end of a segment for the recording that goes on in the next

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive windows of a recording, as ``items`` of the reader; ``place`` counts from 0, ``last`` is the end."""

    place: int
    last: bool
    items: tuple[ReaderItem, ...]


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """The scores of a segment's windows; ``recording`` is valid in the last segment only."""

    scored: tuple[Any, ...]
    recording: Recording


class Collector(Generic[ResultT]):
    """A :class:`~pe_audio_cli.inference.pipeline.Reducer` that collects scores for :func:`gathered`."""

    def __init__(self, reducer: Reducer[ResultT]) -> None:
        self._reducer = reducer
        self._scored: list[Any] = []

    def score(self, window: EncodedWindow) -> Any:
        """Return the reducer's score of a window."""
        return self._reducer.score(window)

    def add(self, scored: Any) -> None:
        """Collect the score of the next window."""
        self._scored.append(scored)

    def finish(self, recording: Recording) -> SegmentResult:
        """Return all scores of the segment."""
        return SegmentResult(tuple(self._scored), recording)


def gathered(parts: Iterable[SegmentResult], reducer: Reducer[ResultT]) -> ResultT:
    """Return the result of a recording from the parts of all its segments, in order."""
    for part in parts:
        for scored in part.scored:
            reducer.add(scored)
    return reducer.finish(part.recording)


def segments(items: Iterator[ReaderItem], options: WindowOptions, longest: int = SEGMENT) -> Iterator[Segment]:
    """Yield the segments of one recording, as the reader delivers it.

    Args:
        items: those of one recording, from :func:`~pe_audio_cli.inference.reader.read`.
        options: how recordings are cut into windows.
        longest: frames from the beginning of one segment to that of the next, at most; a window fits in any case.
    """
    begin = next(items)
    assert isinstance(begin, RecordingBegin)
    window, hop = options.window_frames, options.hop_frames
    chunks: list[tuple[int, RecordingChunk]] = []  # with the frame at which each starts
    start = place = end = 0
    for item in items:
        if not isinstance(item, RecordingChunk):
            yield Segment(
                place, True, (RecordingBegin(begin.file, start), *_chunks_at_end(chunks, start, end, item), item)
            )
            return
        chunks.append((end, item))
        end += item.chunk.n_frames
        while window is not None and hop is not None:
            following = start + max(1, longest // hop) * hop
            if end <= following + window:  # its first window may be the last of all, which is aligned with the end
                break
            stop = following - hop + window
            yield Segment(
                place,
                False,
                (RecordingBegin(begin.file, start), *_within(chunks, start, stop), RecordingEnd(ELSEWHERE)),
            )
            chunks = [(first, held) for first, held in chunks if first + held.chunk.n_frames > following]
            start, place = following, place + 1


def _chunks_at_end(
    chunks: list[tuple[int, RecordingChunk]], start: int, stop: int, end: ReaderItem
) -> Iterator[RecordingChunk]:
    """Return the chunks of the last segment; none of a recording that cannot be read."""
    return iter(()) if isinstance(end, FileError) else _within(chunks, start, stop)


def _within(chunks: list[tuple[int, RecordingChunk]], start: int, stop: int) -> Iterator[RecordingChunk]:
    """Yield the chunks between two frames: the codec still takes whole chunks, but fewer of their features are kept."""
    for first, item in chunks:
        low, high = max(first, start), min(first + item.chunk.n_frames, stop)
        if low < high:
            chunk = Chunk(item.chunk.frames, item.chunk.n_before + low - first, high - low)
            yield replace(item, chunk=chunk)
