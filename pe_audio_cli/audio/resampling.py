"""Any sample rate in, 48 kHz out, block by block, with the numbers that the whole recording at once would give."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from pe_audio_cli.audio.framing import SAMPLE_RATE

__all__ = ["resampled"]

QUALITY = "HQ"  # soxr's 20-bit quality, with linear phase: a click stays where it is


def resampled(blocks: Iterable[NDArray[np.float32]], sample_rate: int) -> Iterator[NDArray[np.float32]]:
    """Mono float32 blocks of shape ``(samples,)`` at ``sample_rate`` Hz as non-empty blocks at 48 kHz.

    ``n`` samples become ``floor(n * 48000 / sample_rate + 1/2)``, as many as soxr makes of them, but never none of
    some: where that is 0, the first of them stands in. At 48 kHz the blocks come through as they are.
    """
    if sample_rate == SAMPLE_RATE:
        yield from blocks
        return
    stream = soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32", quality=QUALITY)
    made = 0
    stand_in = np.empty(0, np.float32)
    for block in blocks:
        stand_in = block[:1]
        output = stream.resample_chunk(block)
        made += len(output)
        if len(output):
            yield output
    rest = stream.resample_chunk(np.empty(0, np.float32), last=True)
    if made + len(rest) == 0:
        rest = stand_in
    if len(rest):
        yield rest
