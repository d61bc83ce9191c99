"""Sound that never ends to the windows of it, each of which ends where the sound ends so far.

The codec runs once over each stretch of new frames, with the frames around it as context. The newest frames have no
context behind them yet: until they have, their features are those of a recording that ends here, which come out of the
same run. So a window is what :func:`~pe_audio_cli.inference.runner.localize` makes of a recording up to its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pe_audio_cli.audio.framing import HOP, FrameBuffer, chunk_at, whole_frames
from pe_audio_cli.inference.pipeline import EncodedWindow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pe_audio_cli.models.encoder import Encoder

__all__ = ["FrameCutter", "WindowStream"]


class FrameCutter:
    """Blocks of samples, of any sizes, to stretches of ``hop`` frames."""

    def __init__(self, hop: int) -> None:
        self._hop = hop
        self._held: NDArray[np.float32] = np.empty(0, np.float32)  # the last frame, and what is to follow it
        self._n_taken = 0  # samples of those which are in frames that were handed out

    def push(self, samples: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Take samples of shape ``(samples,)``; yield frames of shape ``(hop, 1920)`` that have become complete."""
        self._held = np.concatenate([self._held, samples])
        size = self._hop * HOP
        while len(self._held) - self._n_taken >= size:
            end = self._n_taken + size
            yield self._held[self._n_taken : end].reshape(-1, HOP)
            self._held, self._n_taken = self._held[end - HOP :], HOP

    def finish(self) -> NDArray[np.float32] | None:
        """The last frames, fewer than ``hop``, filled up as in a recording; None if there are none."""
        if len(self._held) == self._n_taken:
            return None
        frames = np.concatenate(list(whole_frames([self._held])))
        return frames[self._n_taken // HOP :]


class WindowStream:
    """Frames to windows of up to ``window`` frames. It holds about two windows, for ever."""

    def __init__(self, encoder: Encoder, window: int) -> None:
        self._encoder = encoder
        self._window = window
        self._context = encoder.facts.context_frames
        self._samples = FrameBuffer(2 * self._context)
        self._settled: NDArray[np.float32] | None = None  # the latest features that nothing will change
        self._n_settled = 0

    def push(self, frames: NDArray[np.float32]) -> EncodedWindow:
        """Take the next frames, ``(n_frames, 1920)``; return the window that ends with them.

        Raises :class:`RunError` if the model fails.
        """
        self._samples.append(frames)
        start, end = self._n_settled, self._samples.end
        chunk = chunk_at(self._samples, start, end, self._context)
        features = self._encoder.encode_codec(chunk.frames)[chunk.n_before : chunk.n_before + chunk.n_frames]
        self._samples.forget()
        held = features if self._settled is None else np.concatenate([self._settled, features])
        n_open = min(self._context, end)
        self._n_settled = end - n_open
        self._settled = held[: len(held) - n_open][-self._window :]
        window = held[-self._window :]
        encoded = self._encoder.encode_windows(window[None])
        return EncodedWindow(end - len(window), encoded.clips[0], encoded.frames[0])
