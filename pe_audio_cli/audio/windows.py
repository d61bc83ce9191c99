"""The plan of equal-length windows on the 40 ms grid, and how their frames are stitched.

A recording of up to one window is one window that holds all of it. A longer one is cut into windows that all have the
same length, so that no batch ever needs padding (a padded batch changes the numbers): they start every
``window - overlap``, and the last one is moved back to end where the recording ends::

    recording  ├──────────────────────────────────────┤
    windows    ├────────────┤
                         ├────────────┤
                                      ├────────────┤
                                          ├────────────┤   the last one, aligned with the end

Only the end of the recording is padded, to a whole frame, with its own reflection, as the reference pads it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.errors import UsageError

__all__ = [
    "FRAMES_PER_SECOND",
    "FRAME_SECONDS",
    "HOP",
    "SAMPLE_RATE",
    "Window",
    "WindowOptions",
    "cut",
    "plan",
    "stitch",
]

SAMPLE_RATE = 48_000  # samples per second that the model hears
HOP = 1_920  # samples from one frame to the next
FRAMES_PER_SECOND = SAMPLE_RATE // HOP  # 25
FRAME_SECONDS = HOP / SAMPLE_RATE  # 0.04 seconds from one frame to the next
SHORTEST_WINDOW = 1.0  # seconds; below that the model hears too little of anything

Samples: TypeAlias = NDArray[np.float32]
Real = TypeVar("Real", np.float32, np.float64)


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """How recordings longer than one window are cut.

    ``window`` and ``overlap`` are seconds, and are rounded to the nearest 40 ms frame. ``window=None`` runs each
    recording in one pass. An overlap is at most half a window.

    Raises:
        UsageError: a value is out of its range.
    """

    window: float | None = 30.0
    overlap: float = 0.0

    def __post_init__(self) -> None:
        if self.window is None:
            if self.overlap != 0:
                raise UsageError(f"an overlap needs windows, and a full pass has only one: got {self.overlap:g} s")
            return
        if not (math.isfinite(self.window) and self.window >= SHORTEST_WINDOW):
            raise UsageError(f"the window must be {SHORTEST_WINDOW:g} s or longer, or full: got {self.window:g}")
        if not 0 <= self.overlap <= self.window / 2:
            raise UsageError(
                f"the overlap must be from 0 s to half a window ({self.window / 2:g} s): got {self.overlap:g}"
            )

    @property
    def window_frames(self) -> int | None:
        """Frames in a window, or None for a full pass."""
        return None if self.window is None else round(self.window * FRAMES_PER_SECOND)

    @property
    def hop_frames(self) -> int | None:
        """Frames from the start of one window to the start of the next, or None for a full pass."""
        frames = self.window_frames
        return None if frames is None else frames - round(self.overlap * FRAMES_PER_SECOND)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a recording: ``samples`` of shape ``(n_frames * HOP,)`` from ``start_frame`` on."""

    start_frame: int
    samples: Samples
    last: bool

    @property
    def n_frames(self) -> int:
        """Frames in the window."""
        return len(self.samples) // HOP


def plan(n_frames: int, window: int | None, hop: int | None) -> list[int]:
    """Start frames of the windows over a recording of ``n_frames`` frames; ``window`` and ``hop`` in frames."""
    if window is None or hop is None or n_frames <= window:
        return [0]
    return [*range(0, n_frames - window, hop), n_frames - window]


def cut(blocks: Iterable[Samples], options: WindowOptions) -> Iterator[Window]:
    """The windows of a recording that arrives as blocks of mono samples at 48 kHz, of any sizes.

    A window is handed out as soon as a sample beyond its end has arrived: until then it might be the last one. About
    a window and a block are held at any time, however long the recording is. Blocks are kept, not copied, so whoever
    makes them must not overwrite them. No samples, no windows.
    """
    window, hop = options.window_frames, options.hop_frames
    tail = _Tail(None if window is None else window * HOP)
    start = 0
    for block in blocks:
        tail.append(block)
        if window is None or hop is None:
            continue
        while tail.end > (start + window) * HOP:
            yield Window(start, tail.read(start * HOP, (start + window) * HOP), last=False)
            start += hop
        tail.forget()
    if tail.end == 0:
        return
    n_frames = math.ceil(tail.end / HOP)
    start = plan(n_frames, window, hop)[-1]
    samples = tail.read(start * HOP, tail.end)
    yield Window(start, np.pad(samples, (0, n_frames * HOP - tail.end), "reflect"), last=True)


class _Tail:
    """The latest samples of a stream, at least ``keep`` of them (all, if None), found by their place in the stream."""

    def __init__(self, keep: int | None) -> None:
        self.end = 0
        self._keep = keep
        self._blocks: deque[tuple[int, Samples]] = deque()

    def append(self, block: Samples) -> None:
        self._blocks.append((self.end, block))
        self.end += len(block)

    def read(self, start: int, stop: int) -> Samples:
        parts = [
            block[max(start - place, 0) : stop - place]
            for place, block in self._blocks
            if place < stop and place + len(block) > start
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def forget(self) -> None:
        """Let go of the blocks that lie before the latest ``keep`` samples."""
        while self._keep is not None and self._blocks:
            place, block = self._blocks[0]
            if place + len(block) > self.end - self._keep:
                return
            self._blocks.popleft()


def stitch(windows: Iterable[tuple[int, NDArray[Real]]]) -> Iterator[NDArray[Real]]:
    """One timeline from the frames of consecutive windows, in pieces that follow each other without a gap.

    Where windows overlap, the timeline so far fades linearly into the new window across all that they share: to be
    done on logits, where a fade between two opinions is their weighted mean. Where both agree, their value stays as
    it is; a single window comes out bit by bit as it went in. ``np.concatenate(list(pieces), axis=-1)`` is the whole.

    Args:
        windows: start frame and values, of shape ``(..., n_frames)``, of each window: all of one length, in order.

    Yields:
        The frames that no later window can touch any more, of shape ``(..., k)``: those before the newest start.

    Raises:
        ValueError: a window does not start after the previous one, or leaves a gap behind it.
    """
    begin = 0
    timeline: NDArray[Real] | None = None
    for start, values in windows:
        if timeline is None:
            begin, timeline = start, values
            continue
        end = begin + timeline.shape[-1]
        if not begin < start <= end:
            raise ValueError(f"a window that starts at frame {start} does not continue frames {begin} to {end}")
        yield timeline[..., : start - begin]
        begin, timeline = start, _fade(timeline[..., start - begin :], values)
    if timeline is not None:
        yield timeline


def _fade(old: NDArray[Real], new: NDArray[Real]) -> NDArray[Real]:
    """``new``, of shape ``(..., n)``, with ``old``, of shape ``(..., at most n)``, fading out over its beginning."""
    shared = old.shape[-1]
    weight = (np.arange(1, shared + 1) / (shared + 1)).astype(new.dtype)
    return np.concatenate([old + weight * (new[..., :shared] - old), new[..., shared:]], axis=-1)
