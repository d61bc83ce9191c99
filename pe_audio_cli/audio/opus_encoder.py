"""Encodes a recording as Opus while it is decoded: small enough for a page, and supported by every browser.

Its input is that of the model, mono at 48 kHz, so that its times are those of the events for any file: a video, a
damaged recording, standard input.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from pe_audio_cli.audio.framing import SAMPLE_RATE
from pe_audio_cli.errors import RunError
from pe_audio_cli.results import Sound

__all__ = ["OpusEncoder"]

BIT_RATE = 64_000  # bits a second, the most that Opus asks for in mono, for music (RFC 6716, section 2.1.1)
MEDIA_TYPE = "audio/webm"
MEMORY = 1 << 20  # bytes; what is longer goes to a temporary file


class OpusEncoder:
    """Encodes a recording block by block, and holds none of it; of one longer than ``longest`` seconds keeps nothing.

    Raises:
        RunError: the temporary folder is full.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._n_samples = 0
        self._file = tempfile.SpooledTemporaryFile(MEMORY)  # noqa: SIM115 - it lives as long as the sound
        self._closing = weakref.finalize(self, self._file.close)
        self._container = av.open(self._file, "w", format="webm")
        self._stream = self._container.add_stream("libopus", rate=SAMPLE_RATE, layout="mono")
        self._stream.bit_rate = BIT_RATE

    def pass_through(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """The same blocks, each kept on its way: mono samples at 48 kHz, of shape ``(samples,)``."""
        for block in blocks:
            if self._fits:
                self._keep(block)
            self._n_samples += len(block)
            yield block

    def finish(self) -> Sound | None:
        """Return the encoded sound, after the last block; None if it was too long."""
        if self._fits:
            self._encode(None)
        self._container.close()
        if not self._fits:
            return None
        sound = Sound(MEDIA_TYPE, self._file)
        self._closing.detach()
        weakref.finalize(sound, self._file.close)
        return sound

    @property
    def _fits(self) -> bool:
        return self._n_samples <= self._longest * SAMPLE_RATE

    def _keep(self, block: NDArray[np.float32]) -> None:
        frame = AudioFrame.from_ndarray(block[None].clip(-1, 1), format="flt", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        frame.pts = self._n_samples
        self._encode(frame)

    def _encode(self, frame: AudioFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except OSError as error:
            reason = f"the temporary folder cannot hold the sound for the report ({error.strerror})"
            raise RunError(f"{reason}: free space there, or set TMPDIR to another folder") from error
