"""Frames of 40 ms, the chunks that the codec takes, and the windows that the transformer takes.

A *frame* is 1,920 samples at 48 kHz. A :class:`Chunk` is about ten seconds of frames, with some of their neighbours:
the codec takes one at a time, to save memory. A :class:`Window` is up to 30 s of the codec's features, or as many as
:class:`WindowOptions` say: the transformer takes it as one sequence.

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
    "FrameBuffer",
    "Window",
    "WindowOptions",
    "chunk_at",
    "chunked",
    "sliding_windows",
    "whole_frames",
    "window_starts",
]

SAMPLE_RATE = 48_000  # samples per second of the model's input

HOP = 1_920  # samples from one frame to the next

FRAMES_PER_SECOND = SAMPLE_RATE // HOP  # 25

FRAME_SECONDS = HOP / SAMPLE_RATE  # 0.04 seconds from one frame to the next

SHORTEST_WINDOW = 1.0  # seconds; a shorter window gives the model too little context

Frames: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """Length and overlap of windows.

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
    """One sequence for the transformer: ``frames`` of shape ``(n_frames, ...)``, from ``start_frame`` on."""

    start_frame: int
    frames: Frames
    last: bool


@dataclass(frozen=True, slots=True)
class Chunk:
    """One input of the codec: consecutive frames of a recording, with some of their neighbours as context.

    ``frames``, of shape ``(n_before + n_frames + n_after, ...)``, holds ``n_frames`` frames of its own after
    ``n_before`` that belong to the chunk before it, and before some that belong to the next.
    """

    frames: Frames
    n_before: int
    n_frames: int


def window_starts(n_frames: int, window: int | None, hop: int | None) -> list[int]:
    """Return the start frames of the windows over ``n_frames`` frames; ``window`` and ``hop`` are in frames."""
    if window is None or hop is None or n_frames <= window:
        return [0]
    return [*range(0, n_frames - window, hop), n_frames - window]


def whole_frames(blocks: Iterable[Frames]) -> Iterator[Frames]:
    """Turn blocks of mono samples at 48 kHz, of any sizes, into blocks of frames of shape ``(n_frames, HOP)``.

    The last frame is filled up with the reflection of what is before it, as the reference does it. No samples, no
    frames.
    """
    held: Frames = np.empty(0, np.float32)
    for block in blocks:
        held = np.concatenate([held, block]) if len(held) else block
        n_ready = len(held) // HOP - 1  # the end of the recording reflects up to a frame's length of what is before it
        if n_ready > 0:
            yield held[: n_ready * HOP].reshape(-1, HOP)
            held = held[n_ready * HOP :]
    if len(held):
        yield _filled_up(held, -len(held) % HOP).reshape(-1, HOP)


def _filled_up(samples: Frames, n: int) -> Frames:
    """Samples and ``n`` more, the reflection of those before the last."""
    if n < len(samples):  # numpy's pad takes ten times as long
        return np.concatenate([samples, samples[-2 : -n - 2 : -1]]) if n else samples
    return np.pad(samples, (0, n), "reflect")


def chunked(blocks: Iterable[Frames], whole: int | None, size: int, context_frames: int) -> Iterator[Chunk]:
    """Yield frames as one chunk if there are at most ``whole`` (None: any number), else as chunks of ``size``.

    Each carries up to ``context_frames`` of its neighbours' frames on each side: what is computed for a frame from no
    more frames than that around it comes out as if it had been computed from the whole recording. About the larger of
    ``whole`` and ``size``, and a block, are held at any time.
    """
    buffer = FrameBuffer(None if whole is None else max(whole, size) + 2 * context_frames)
    start = 0
    for block in blocks:
        buffer.append(block)
        while whole is not None and buffer.end > whole and buffer.end >= start + size + context_frames:
            yield chunk_at(buffer, start, start + size, context_frames)
            start += size
        buffer.forget()
    while start < buffer.end:
        stop = buffer.end if whole is None or buffer.end <= whole else min(start + size, buffer.end)
        yield chunk_at(buffer, start, stop, context_frames)
        start = stop


def sliding_windows(blocks: Iterable[Frames], options: WindowOptions) -> Iterator[Window]:
    """Yield the windows of a recording that arrives as blocks of frames, of shape ``(n_frames, ...)``, of any sizes.

    A window is handed out as soon as a frame beyond its end has arrived: until then it might be the last one. About a
    window and a block are held at any time, however long the recording is. Blocks are kept, not copied, so whoever
    makes them must not overwrite them. No frames, no windows.
    """
    window, hop = options.window_frames, options.hop_frames
    buffer = FrameBuffer(window)
    start = 0
    for block in blocks:
        buffer.append(block)
        if window is None or hop is None:
            continue
        while buffer.end > start + window:
            yield Window(start, buffer.read(start, start + window), last=False)
            start += hop
        buffer.forget()
    if buffer.end == 0:
        return
    start = window_starts(buffer.end, window, hop)[-1]
    yield Window(start, buffer.read(start, buffer.end), last=True)


def chunk_at(buffer: FrameBuffer, start: int, stop: int, context_frames: int) -> Chunk:
    """The chunk of the frames from ``start`` to ``stop``, with up to ``context_frames`` neighbours on each side."""
    first = max(start - context_frames, 0)
    return Chunk(buffer.read(first, min(stop + context_frames, buffer.end)), start - first, stop - start)


class FrameBuffer:
    """The latest frames of a stream, at least ``keep`` of them (all, if None), found by their place in the stream."""

    def __init__(self, keep: int | None) -> None:
        self.end = 0
        self._keep = keep
        self._blocks: deque[tuple[int, Frames]] = deque()

    def append(self, block: Frames) -> None:
        """Add frames, of shape ``(n_frames, ...)``, at the end."""
        self._blocks.append((self.end, block))
        self.end += len(block)

    def read(self, start: int, stop: int) -> Frames:
        """The frames from ``start`` to ``stop``, which must still be kept."""
        parts = [
            block[max(start - place, 0) : stop - place]
            for place, block in self._blocks
            if place < stop and place + len(block) > start
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def forget(self) -> None:
        """Drop the blocks before the latest ``keep`` frames."""
        while self._keep is not None and self._blocks:
            place, block = self._blocks[0]
            if place + len(block) > self.end - self._keep:
                return
            self._blocks.popleft()
