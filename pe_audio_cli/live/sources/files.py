"""A recording as a source, as fast as it goes or at its own pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pe_audio_cli.audio.decoding import open_audio
from pe_audio_cli.audio.framing import SAMPLE_RATE
from pe_audio_cli.live.sources.base import BLOCK_SECONDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FileSource"]


class FileSource:
    """A :class:`~pe_audio_cli.live.sources.base.Source`: a recording, as localize reads it."""

    is_live = False

    def __init__(self, file: str, pace: bool = False) -> None:
        self._file, self._pace = file, pace
        self._closed = threading.Event()
        self.name = file

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the recording, each block when its last sample would have been heard."""
        size = round(BLOCK_SECONDS * SAMPLE_RATE)
        begin, n_samples = time.monotonic(), 0
        with open_audio(self._file) as stream:
            for block in stream.blocks():
                for start in range(0, len(block), size):
                    part = block[start : start + size]
                    n_samples += len(part)
                    if self._pace:
                        self._closed.wait(begin + n_samples / SAMPLE_RATE - time.monotonic())
                    if self._closed.is_set():
                        return
                    yield part

    def close(self) -> None:
        """End before the next block."""
        self._closed.set()
