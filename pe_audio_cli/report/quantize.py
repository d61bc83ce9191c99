"""Quantization of frame probabilities and spectrograms to the few bytes that a page needs.

A page lets its reader choose among a fixed set of thresholds. Events then depend only on the *rank* of each frame, the
number of these thresholds that its probability is above, which fits into a byte. ``rank > k`` is equivalent to
``probability > thresholds[k]``, so that a page's events are exactly those of the command line.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.options import EventOptions

__all__ = ["N_SHADES", "base64_text", "deflated", "pooled", "ranks", "shades", "threshold_index", "thresholds"]

STEPS = 200  # of the threshold from 0 to 1: half a hundredth each, so that ranks round correctly to hundredths
SHADE_DECIBELS = 2.0  # from one shade of a spectrogram to the next
N_SHADES = 41  # 80 dB below the loudest
LOUDEST = -60.0  # dB; a recording that is quieter throughout has none of the highest shades, and silence the lowest
BASE64_GROUP = 3 << 14  # bytes of base64 at a time; a multiple of 3 needs no padding


def thresholds(options: EventOptions) -> list[float]:
    """Return the thresholds that a page offers: every half hundredth, and those of the user, in rising order.

    Thresholds that are equal as float32, the type of probabilities, are merged.
    """
    chosen = [value for value in (options.threshold, options.offset_threshold) if value is not None]
    by_float32 = {np.float32(value): value for value in (*(step / STEPS for step in range(STEPS + 1)), *chosen)}
    return [by_float32[key] for key in sorted(by_float32)]


def threshold_index(level: float, levels: Sequence[float]) -> int:
    """Return the index of a threshold among all ``levels``."""
    return int(np.searchsorted(np.array(levels, np.float32), np.float32(level)))


def ranks(probability: NDArray[np.float32], levels: Sequence[float]) -> NDArray[np.uint8]:
    """Return for each frame the number of rising ``levels``, at most 255, that it is above, ``(n_frames,)``."""
    return np.searchsorted(np.array(levels, np.float32), probability).astype(np.uint8)


def pooled(values: NDArray[Any], width: int) -> NDArray[Any]:
    """Return the maxima of every ``width`` rows; the last group may have fewer."""
    return values if width == 1 else np.maximum.reduceat(values, np.arange(0, len(values), width))


def shades(levels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a spectrogram's decibels, of any shape, as shades of 2 dB from 0 to 40; the loudest is 40."""
    above = levels - levels.max(initial=LOUDEST) + (N_SHADES - 1) * SHADE_DECIBELS
    rounded: NDArray[np.float32] = np.round(above / SHADE_DECIBELS)
    return rounded.clip(0, N_SHADES - 1).astype(np.uint8)


def deflated(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes as one zlib stream (RFC 1950), which browsers read with ``DecompressionStream("deflate")``."""
    compressor = zlib.compressobj(9)
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()


def base64_text(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield the bytes in base64 (RFC 4648), a piece at a time."""
    held = b""
    for piece in pieces:
        held += piece
        whole = len(held) - len(held) % BASE64_GROUP
        if whole:
            yield base64.b64encode(held[:whole]).decode("ascii")
            held = held[whole:]
    yield base64.b64encode(held).decode("ascii")
