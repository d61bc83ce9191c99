"""The filter bank that the codec of ``mini`` is built from: 48 bands, linear below 1 kHz and logarithmic above.

Below 1 kHz a band is 90 Hz wide, which is as narrow as 14 ms of sound allow; above it each is 8 % higher than the one
before, an eighth of an octave, up to 20 kHz.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_RATE = 48_000  # Hz
N_BANDS = 48
BLOCK = 96  # samples between two values of a band: 500 Hz
TAPS = 7 * BLOCK  # samples that a filter sees: 14 ms
LOWEST, CORNER, HIGHEST = 60.0, 1000.0, 19_000.0  # Hz


def centres() -> NDArray[np.float64]:
    """Centre frequencies in Hz, ``(N_BANDS,)``, rising."""
    n_low = 11
    low = np.linspace(LOWEST, CORNER, n_low, endpoint=False)
    high = np.geomspace(CORNER, HIGHEST, N_BANDS - n_low)
    return np.concatenate([low, high])


def filters(phase: float = 0.0) -> NDArray[np.float64]:
    """Band-pass filters ``(N_BANDS, TAPS)``, Hann-windowed cosines about the middle tap.

    Neighbours are in quadrature, so that a steady tone, which at 500 Hz may be sampled at its zeros by one band, is
    not by the next. A sine of amplitude 1 at the centre of a band gives values of amplitude 1. ``phase`` in radians
    is added to all.
    """
    frequency = centres()
    width = np.gradient(frequency)
    taps = np.arange(TAPS) - (TAPS - 1) / 2
    bank = np.empty((N_BANDS, TAPS))
    for band in range(N_BANDS):
        # A Hann window of n taps has a main lobe 2 * rate / n wide at half its height.
        length = min(TAPS, 2 * SAMPLE_RATE / (1.3 * width[band]))
        window = np.where(np.abs(taps) < length / 2, 0.5 + 0.5 * np.cos(2 * np.pi * taps / length), 0.0)
        angle = 2 * np.pi * frequency[band] / SAMPLE_RATE * taps + np.pi / 2 * band + phase
        bank[band] = window * np.cos(angle) / (window.sum() / 2)
    return bank
