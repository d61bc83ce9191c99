"""A log-mel spectrogram of a recording of any length, made as it is decoded, in a bounded number of columns.

Columns are 10 ms wide at first. When all are full, neighbours become one, and those that follow are as wide: two
hours end up in columns of 5 s. A column shows the loudest of what falls into it in each band, so that a click in a
quiet night stays where it was. Fourier transforms are spaced with the columns as far as they overlap by half; from then
on every column pools several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.audio.framing import SAMPLE_RATE
from pe_audio_cli.results import Spectrogram

__all__ = ["StreamingSpectrogram", "mel_filters"]

WINDOW = 2_048  # samples of a Fourier transform, 43 ms
STEP = 480  # samples from one transform to the next, 10 ms, as long as columns are that narrow
WIDEST_STRIDE = 2  # steps from one transform to the next at most, so that no click falls between two of them
BANDS = 96  # up to 24 kHz: the narrowest is two bins of the transform wide
COLUMNS = 2_048  # at most; a recording of 10.24 s or longer fills at least half of them
SILENCE = 1e-14  # the lowest power that counts: -140 dB, where 24-bit samples end

Powers: TypeAlias = NDArray[np.float32]


class StreamingSpectrogram:
    """Computes a spectrogram block by block; holds no more than a window and ``COLUMNS`` columns."""

    def __init__(self) -> None:
        self._powers = np.zeros((COLUMNS, BANDS), np.float32)
        self._width = 1  # of a column, in steps
        self._place = 0  # of the next transform, in steps
        self._n_samples = 0
        # The first transform is centred on the first step.
        self._held = np.zeros((WINDOW - STEP) // 2, np.float32)

    def pass_through(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Yield the same blocks after taking each: mono samples at 48 kHz, of shape ``(samples,)``."""
        for block in blocks:
            self._n_samples += len(block)
            self._take(block)
            yield block

    def finish(self) -> Spectrogram:
        """Return the spectrogram, after the last block."""
        self._take(np.zeros(WINDOW, np.float32))
        n_columns = -(-self._n_samples // (STEP * self._width))
        levels = 10 * np.log10(np.maximum(self._powers[:n_columns], SILENCE))
        return Spectrogram(self._width * STEP / SAMPLE_RATE, _centres(), levels)

    def _take(self, samples: NDArray[np.float32]) -> None:
        self._held = np.concatenate([self._held, samples])
        while len(self._held) >= WINDOW:
            stride = min(self._width, WIDEST_STRIDE)
            n_until_full = (COLUMNS * self._width - self._place) // stride
            windows = np.lib.stride_tricks.sliding_window_view(self._held, WINDOW)[:: stride * STEP][:n_until_full]
            self._keep(_band_powers(windows), stride)
            self._held = self._held[len(windows) * stride * STEP :]
            if self._place == COLUMNS * self._width:
                self._fold()

    def _keep(self, powers: Powers, stride: int) -> None:
        """Add transforms, of shape ``(n, BANDS)``, to the columns into which they fall."""
        columns = (self._place + stride * np.arange(len(powers))) // self._width
        firsts = np.flatnonzero(np.diff(columns, prepend=-1))
        loudest = np.maximum.reduceat(powers, firsts)
        self._powers[columns[firsts]] = np.maximum(self._powers[columns[firsts]], loudest)
        self._place += stride * len(powers)

    def _fold(self) -> None:
        """Make columns twice as wide, which frees half of them."""
        half = COLUMNS // 2
        self._powers[:half] = np.maximum(self._powers[::2], self._powers[1::2])
        self._powers[half:] = 0
        self._width *= 2


@cache
def mel_filters() -> NDArray[np.float32]:
    """Triangular filters that overlap by half, of shape ``(WINDOW // 2 + 1, BANDS)``, evenly spaced in mel.

    Each peaks at 1, so that together they pass on all power. A frequency of f Hz is ``2595 log10(1 + f / 700)`` mel
    (O'Shaughnessy, "Speech Communication", 1987), as in HTK.
    """
    bins = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)[:, None]
    corners = _corners()
    low, centre, high = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return np.maximum(np.minimum(rising, falling), 0).astype(np.float32)


def _corners() -> NDArray[np.float64]:
    """Return the corners of the bands' triangles in Hz: the end of one is the peak of the next."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    corners: NDArray[np.float64] = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    return corners


def _centres() -> NDArray[np.float64]:
    return _corners()[1:-1]


def _band_powers(windows: NDArray[np.float32]) -> Powers:
    """Power in each band, of shape ``(n, BANDS)``; the bands of a full-scale sine add up to 1."""
    taper = np.hanning(WINDOW).astype(np.float32)
    spectrum = np.fft.rfft(windows * taper)
    power = (spectrum.real**2 + spectrum.imag**2) / (WINDOW * np.sum(taper**2) / 4)
    return np.asarray(power.astype(np.float32) @ mel_filters(), np.float32)
