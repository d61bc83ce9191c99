"""Recordings as segments that can be encoded apart, on one machine or on many.

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
from pe_audio_cli.inference.reader import Begin, End, News, Piece
from pe_audio_cli.results import FileError, Recording

if TYPE_CHECKING:
    from pe_audio_cli.inference.pipeline import EncodedWindow, Reducer

__all__ = ["SEGMENT", "Collector", "Segment", "SegmentResult", "gathered", "segments"]

SEGMENT = 300 * FRAMES_PER_SECOND  # frames from the beginning of one segment to that of the next, at most
ELSEWHERE = Recording("", 0.0, 0, 0)  # stands at the end of a segment for the recording that goes on in the next

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Segment:
    """What the reader says of a segment of a recording; ``place`` counts from 0, and ``last`` is the one at its end."""

    place: int
    last: bool
    news: tuple[News, ...]


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """What became of a segment: what is wanted of its windows; the rest is true of the last one."""

    scored: tuple[Any, ...]
    recording: Recording


class Collector(Generic[ResultT]):
    """A :class:`~pe_audio_cli.inference.pipeline.Reducer` that leaves the rest to :func:`gathered`."""

    def __init__(self, reducer: Reducer[ResultT]) -> None:
        self._reducer = reducer
        self._scored: list[Any] = []

    def score(self, window: EncodedWindow) -> Any:
        """What the reducer wants of a window."""
        return self._reducer.score(window)

    def add(self, scored: Any) -> None:
        """Keep it."""
        self._scored.append(scored)

    def finish(self, recording: Recording) -> SegmentResult:
        """All that was kept."""
        return SegmentResult(tuple(self._scored), recording)


def gathered(parts: Iterable[SegmentResult], reducer: Reducer[ResultT]) -> ResultT:
    """The result of a recording, from the parts of all its segments, in order."""
    for part in parts:
        for scored in part.scored:
            reducer.add(scored)
    return reducer.finish(part.recording)


def segments(news: Iterator[News], options: WindowOptions, longest: int = SEGMENT) -> Iterator[Segment]:
    """The segments of one recording, as the reader brings it.

    Args:
        news: what :func:`~pe_audio_cli.inference.reader.read` says of one recording.
        options: how recordings are cut into windows.
        longest: frames from the beginning of one segment to that of the next, at most; a window fits in any case.
    """
    begin = next(news)
    assert isinstance(begin, Begin)
    window, hop = options.window_frames, options.hop_frames
    pieces: list[tuple[int, Piece]] = []  # with the frame at which each starts
    start = place = end = 0
    for item in news:
        if not isinstance(item, Piece):
            yield Segment(place, True, (Begin(begin.file, start), *_told(pieces, start, end, item), item))
            return
        pieces.append((end, item))
        end += item.chunk.n_frames
        while window is not None and hop is not None:
            following = start + max(1, longest // hop) * hop
            if end <= following + window:  # its first window may be the last of all, which is aligned with the end
                break
            stop = following - hop + window
            yield Segment(place, False, (Begin(begin.file, start), *_within(pieces, start, stop), End(ELSEWHERE)))
            pieces = [(first, piece) for first, piece in pieces if first + piece.chunk.n_frames > following]
            start, place = following, place + 1


def _told(pieces: list[tuple[int, Piece]], start: int, stop: int, end: News) -> Iterator[Piece]:
    """The pieces of the last segment; none of a recording that cannot be used."""
    return iter(()) if isinstance(end, FileError) else _within(pieces, start, stop)


def _within(pieces: list[tuple[int, Piece]], start: int, stop: int) -> Iterator[Piece]:
    """What lies between two frames: the codec still gets each chunk as it is, and more of what it makes is left out."""
    for first, piece in pieces:
        low, high = max(first, start), min(first + piece.chunk.n_frames, stop)
        if low < high:
            chunk = Chunk(piece.chunk.frames, piece.chunk.n_before + low - first, high - low)
            yield replace(piece, chunk=chunk)
