"""Samples to frames, the plan of equal-length windows on the 40 ms grid, and how their frames are stitched.

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
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.errors import UsageError

__all__ = [
    "FRAMES_PER_SECOND",
    "FRAME_SECONDS",
    "HOP",
    "SAMPLE_RATE",
    "Chunk",
    "Window",
    "WindowOptions",
    "chunked",
    "cut",
    "plan",
    "whole_frames",
]

SAMPLE_RATE = 48_000  # samples per second that the model hears

HOP = 1_920  # samples from one frame to the next

FRAMES_PER_SECOND = SAMPLE_RATE // HOP  # 25

FRAME_SECONDS = HOP / SAMPLE_RATE  # 0.04 seconds from one frame to the next

SHORTEST_WINDOW = 1.0  # seconds; below that the model hears too little of anything

Frames: TypeAlias = NDArray[np.float32]


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
    """A stretch of a recording: ``frames`` of shape ``(n_frames, ...)`` from ``start_frame`` on."""

    start_frame: int
    frames: Frames
    last: bool


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a recording with its surroundings.

    ``frames``, of shape ``(n_before + n_frames + n_after, ...)``, holds ``n_frames`` frames of its own after
    ``n_before`` that belong to the chunk before it, and before some that belong to the next.
    """

    frames: Frames
    n_before: int
    n_frames: int


def plan(n_frames: int, window: int | None, hop: int | None) -> list[int]:
    """Start frames of the windows over a recording of ``n_frames`` frames; ``window`` and ``hop`` in frames."""
    if window is None or hop is None or n_frames <= window:
        return [0]
    return [*range(0, n_frames - window, hop), n_frames - window]


def whole_frames(blocks: Iterable[Frames]) -> Iterator[Frames]:
    """Blocks of mono samples at 48 kHz, of any sizes, as blocks of frames of shape ``(n_frames, HOP)``.

    The last frame is filled up with the reflection of what is before it, as the reference does it. No samples, no
    frames.
    """
    held: Frames = np.empty(0, np.float32)
    for block in blocks:
        held = np.concatenate([held, block])
        n_ready = len(held) // HOP - 1  # the end of the recording reflects up to a frame's length of what is before it
        if n_ready > 0:
            yield held[: n_ready * HOP].reshape(-1, HOP)
            held = held[n_ready * HOP :]
    if len(held):
        yield np.pad(held, (0, -len(held) % HOP), "reflect").reshape(-1, HOP)


def chunked(blocks: Iterable[Frames], whole: int | None, size: int, context_frames: int) -> Iterator[Chunk]:
    """Frames as one chunk if there are no more than ``whole`` (None: however many), else as chunks of ``size``.

    Each carries up to ``context_frames`` of its neighbours' frames on each side: what is computed for a frame from no
    more frames than that around it comes out as if it had been computed from the whole recording. About the larger of
    ``whole`` and ``size``, and a block, are held at any time.
    """
    tail = _Tail(None if whole is None else max(whole, size) + 2 * context_frames)
    start = 0
    for block in blocks:
        tail.append(block)
        while whole is not None and tail.end > whole and tail.end >= start + size + context_frames:
            yield _chunk(tail, start, start + size, context_frames)
            start += size
        tail.forget()
    while start < tail.end:
        stop = tail.end if whole is None or tail.end <= whole else min(start + size, tail.end)
        yield _chunk(tail, start, stop, context_frames)
        start = stop


def cut(blocks: Iterable[Frames], options: WindowOptions) -> Iterator[Window]:
    """The windows of a recording that arrives as blocks of frames, of shape ``(n_frames, ...)``, of any sizes.

    A window is handed out as soon as a frame beyond its end has arrived: until then it might be the last one. About a
    window and a block are held at any time, however long the recording is. Blocks are kept, not copied, so whoever
    makes them must not overwrite them. No frames, no windows.
    """
    window, hop = options.window_frames, options.hop_frames
    tail = _Tail(window)
    start = 0
    for block in blocks:
        tail.append(block)
        if window is None or hop is None:
            continue
        while tail.end > start + window:
            yield Window(start, tail.read(start, start + window), last=False)
            start += hop
        tail.forget()
    if tail.end == 0:
        return
    start = plan(tail.end, window, hop)[-1]
    yield Window(start, tail.read(start, tail.end), last=True)


def _chunk(tail: _Tail, start: int, stop: int, context_frames: int) -> Chunk:
    first = max(start - context_frames, 0)
    return Chunk(tail.read(first, min(stop + context_frames, tail.end)), start - first, stop - start)


class _Tail:
    """The latest frames of a stream, at least ``keep`` of them (all, if None), found by their place in the stream."""

    def __init__(self, keep: int | None) -> None:
        self.end = 0
        self._keep = keep
        self._blocks: deque[tuple[int, Frames]] = deque()

    def append(self, block: Frames) -> None:
        self._blocks.append((self.end, block))
        self.end += len(block)

    def read(self, start: int, stop: int) -> Frames:
        parts = [
            block[max(start - place, 0) : stop - place]
            for place, block in self._blocks
            if place < stop and place + len(block) > start
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def forget(self) -> None:
        """Let go of the blocks that lie before the latest ``keep`` frames."""
        while self._keep is not None and self._blocks:
            place, block = self._blocks[0]
            if place + len(block) > self.end - self._keep:
                return
            self._blocks.popleft()
