"""Channels to one: their mean, and where they cancel each other, those that do not.

A balanced cable or a swapped capsule makes the second channel the first turned upside down. Their mean is then silence,
or what noise there is, and nothing in it says that a sound was lost. So the energy of the mean is compared with that of
the channels as they are read, a quarter of a second and an octave at a time, because the sound that cancels may be
short, or mixed with noise that does not. Frequencies are A-weighted: otherwise a cable's hum, which does not cancel,
would hide a voice that does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Mixer"]

SEGMENT_SECONDS = 0.25  # what is decided on at once
MAX_SAMPLES = 1 << 20  # of all channels, in a segment: where there are many channels, it is shorter
MAX_TOGETHER = 1 << 18  # of all channels, transformed at once, or a segment
TRANSFORM_SECONDS = 0.0125  # at least, of a Fourier transform, and less than twice as much
LOWEST_BAND = 100.0  # Hz at which the lowest octave begins; below, there is mostly wind and handling noise
# The power of the channels' sum, relative to that where those are turned over that oppose the loudest: 1 where they
# have nothing to do with each other, 0 where they cancel each other.
CANCELLED = 0.2  # below this they do; as two of three do with the third's sound in opposite phase, and one is left over
# The power of the sum, relative to that of channels that have nothing to do with each other: n where all are the same.
IN_PHASE = 1.5  # above this they support each other
SHARE = 0.3  # of the audible sound in a segment, the bands that cancel must be, for the mean to be given up
AUDIBLE = 1e-5  # of the power of the loudest band so far, -50 dB: what is less does not count
SILENCE = 1e-9  # power of a band, -90 dB relative to full scale: likewise
OPPOSED = -0.3  # correlation with the channels that are kept, below which another is left out
LOUDER = 2.0  # times the power of the channel that was the loudest: then another is, so that they do not alternate
FAINT = 0.1  # of the power of the loudest channel that is kept: less does not count in a mean
HOLD_SECONDS = 10.0  # for which the mean stays given up, unless channels support each other
FADE_SECONDS = 0.01  # from one mix to another
TOLD_SECONDS, TOLD_SHARE = 0.5, 0.1  # that cancelled, or of the audible sound: less is not worth a warning

Samples = NDArray[np.float32]


@dataclass
class _Bands:
    """A segment's power in each octave: ``own`` of shape ``(channels, n_bands)``, of their sum ``(n_bands,)``."""

    own: NDArray[Any]
    summed: NDArray[Any]
    unweighted: NDArray[np.complexfloating[Any, Any]]  # (channels, n_transforms, n_bins)
    weights: Samples  # of the bins
    starts: NDArray[np.intp]  # the first bin of each band
    tells_phase: bool  # whether there are enough samples

    @cached_property
    def spectrum(self) -> NDArray[np.complexfloating[Any, Any]]:
        """The weighted spectrum, of the shape of the other: few segments need it."""
        return np.asarray(self.unweighted * self.weights)

    @property
    def may_cancel(self) -> bool:
        """True if channels can cancel each other, by the most that their sum can have with some inverted."""
        return bool((self.summed < CANCELLED * len(self.own) * self.own.sum(axis=0)).any())

    @property
    def cancel(self) -> NDArray[np.bool_]:
        """The bands in which channels cancel each other; see ``CANCELLED``."""
        return np.asarray(self.summed < CANCELLED * self._aligned())

    @property
    def support(self) -> NDArray[np.bool_]:
        """The bands in which channels support each other; see ``IN_PHASE``."""
        return np.asarray(self.summed > IN_PHASE * self.own.sum(axis=0))

    def _aligned(self) -> NDArray[Any]:
        """Return the power of the sum in which channels that oppose the loudest are turned over."""
        spectrum, own = self.spectrum, self.own
        bands = np.split(spectrum, self.starts[1:], axis=2)
        loudest = own.argmax(axis=0)
        reference = np.concatenate([band[channel] for band, channel in zip(bands, loudest, strict=True)], axis=1)
        shared = _in_bands(spectrum.real * reference.real + spectrum.imag * reference.imag, self.starts)
        n_bins = np.diff(np.append(self.starts, spectrum.shape[2]))
        # Of few values, a correlation may be large by chance: its standard error is that of as many complex numbers,
        # and of less than a transform it says nothing.
        errors = np.sqrt(2 / (n_bins * spectrum.shape[1]))
        opposed = -np.clip(errors, -OPPOSED, 0.95) if self.tells_phase else -2.0
        signs = np.where(shared < opposed * np.sqrt(own * own.max(axis=0)), np.float32(-1), np.float32(1))
        if not (signs < 0).any():  # there is nothing to turn over
            return self.summed
        turned = spectrum * np.repeat(signs, n_bins, axis=1)[:, None]
        return _in_bands(_power(turned.sum(axis=0)), self.starts)


class Mixer:
    """Mixes the channels of one recording, segment by segment; it holds nothing but what it has decided."""

    def __init__(self) -> None:
        self._seconds = 0.0  # mixed so far
        self._cancelled = 0.0  # seconds of segments in which channels cancel each other
        self._first = 0.0  # when that began
        self._loudest = 0.0  # power of a band
        self._begin(48_000, 1)

    def _begin(self, sample_rate: int, channels: int) -> None:
        self._sample_rate, self._channels = sample_rate, channels
        self._even = np.full(channels, 1 / channels)
        self._weights: NDArray[np.float64] | None = None  # of the channels, in the segment before this one
        self._kept: NDArray[np.float64] | None = None  # the weights, while the mean is given up
        self._leader: int | None = None  # the loudest of those, now or when the mean was given up last
        self._hold = 0.0

    def mix(self, samples: Samples, sample_rate: int) -> Samples:
        """Mix samples ``(samples, channels)`` to ``(samples,)``; rate and channels may change between calls."""
        if (sample_rate, samples.shape[1]) != (self._sample_rate, self._channels):
            self._begin(sample_rate, samples.shape[1])
        if self._channels == 1:
            self._seconds += len(samples) / sample_rate
            return samples[:, 0]
        n_segments = max(1, round(len(samples) / (SEGMENT_SECONDS * sample_rate)), samples.size // MAX_SAMPLES)
        segments = np.array_split(samples, n_segments)
        n_together = max(1, MAX_TOGETHER // segments[0].size)
        mixed: list[Samples] = []
        with np.errstate(over="ignore", invalid="ignore"):
            for begin in range(0, n_segments, n_together):
                some = segments[begin : begin + n_together]
                mixed += map(self._segment, some, _bands(some, sample_rate))
        return np.concatenate(mixed)

    @property
    def warnings(self) -> list[str]:
        """Warnings about what was mixed so far."""
        if self._cancelled == 0 or self._cancelled < min(TOLD_SECONDS, TOLD_SHARE * self._seconds):
            return []
        when = f"for {self._cancelled:.3f} s, first at {self._first:.3f} s"
        what = "there the louder one was used instead of their mean"
        return [f"its channels cancel each other (opposite phase) {when}: {what}"]

    def _segment(self, samples: Samples, bands: _Bands) -> Samples:
        before, seconds = self._weights, len(samples) / self._sample_rate
        self._decide(bands, seconds)
        self._seconds += seconds
        self._weights = self._even if self._kept is None else self._kept
        fades = before is not None and before is not self._weights and bool((before != self._weights).any())
        if self._channels == 2 and self._kept is None and not fades:
            # Halves are exact, and one sum is rounded alike in either type.
            return np.asarray(samples[:, 0] * np.float32(0.5) + samples[:, 1] * np.float32(0.5))
        mixed = _weighted(samples, self._weights)
        if before is not None and fades:
            n = min(len(samples), max(1, round(FADE_SECONDS * self._sample_rate)))
            fade = np.arange(n) / n
            mixed[:n] = fade * mixed[:n] + (1 - fade) * _weighted(samples[:n], before)
        return mixed.astype(np.float32)

    def _decide(self, bands: _Bands, seconds: float) -> None:
        """Give the mean up, or take it up again."""
        powers = bands.own.mean(axis=0)
        self._loudest = max(self._loudest, float(powers.max(initial=0.0)))
        if self._kept is None and not bands.may_cancel:
            return
        audible = np.where(powers > max(SILENCE, AUDIBLE * self._loudest), np.sqrt(powers), 0.0)
        lost = bands.cancel & (audible > 0)
        n_lost, n_sound = float(audible[lost].sum()), float(audible[bands.support].sum())
        if n_lost > SHARE * audible.sum() and n_lost > n_sound:
            self._first = self._first if self._cancelled else self._seconds
            self._cancelled += seconds
            self._hold = HOLD_SECONDS
            self._keep(bands, lost)
        elif self._kept is not None:
            self._hold -= seconds
            if self._hold <= 0 or n_sound > max(SHARE * audible.sum(), n_lost):
                self._kept = None

    def _keep(self, bands: _Bands, lost: NDArray[np.bool_]) -> None:
        """Choose the channels that do not cancel each other in the bands that are lost, the loudest among them."""
        n_bins = np.diff(np.append(bands.starts, bands.spectrum.shape[2]))
        of_lost = bands.spectrum[:, :, np.repeat(lost, n_bins)].reshape(self._channels, -1)
        powers = bands.own[:, lost].sum(axis=1)
        if self._leader is not None:
            powers[self._leader] *= LOUDER
        order = np.argsort(-powers, kind="stable")
        kept = np.zeros(self._channels)
        total: NDArray[Any] = np.zeros_like(of_lost[0])
        for channel in order:
            own = of_lost[channel]
            shared = float((total.real * own.real + total.imag * own.imag).sum())
            if shared >= OPPOSED * np.sqrt(float(_power(total).sum()) * float(_power(own).sum())):
                kept[channel] = 1.0
                total = total + own
        self._leader = int(order[0])
        # Those that are next to silent here may be audible in other bands, and make the others no quieter.
        self._kept = kept / np.count_nonzero(kept * powers >= FAINT * powers.max())


def _weighted(samples: Samples, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weighted sum of the channels; without BLAS, whose threads wait for cores where others use them."""
    total = np.zeros(len(samples))
    for channel in np.flatnonzero(weights):
        total += weights[channel] * samples[:, channel]
    return total


def _bands(segments: Sequence[Samples], sample_rate: int) -> list[_Bands]:
    """The power of consecutive segments, which differ by a sample in length at most; all at once, which is quicker."""
    window, weights, starts, lowest = _transform(sample_rate)
    size, longest = len(window), len(segments[0])
    n_transforms = -(-longest // size)
    whole = np.zeros((segments[0].shape[1], len(segments), n_transforms * size), np.float32)
    for index, segment in enumerate(segments):
        # Differences, whose spectrum is flatter: or what rumbles below the lowest band would leak into it.
        np.subtract(segment[1:].T, segment[:-1].T, out=whole[:, index, 1 : len(segment)])
    # In the mean over all transforms, the power of the samples that fall into a band, at full scale 1.
    scale = np.sqrt(2 / (size * (window**2).sum() * n_transforms))
    pieces = whole.reshape(*whole.shape[:2], n_transforms, size)
    pieces *= window * np.float32(scale)
    spectrum = np.fft.rfft(pieces)[..., lowest:]
    own = _weighted_powers(spectrum, weights, starts)
    summed = _weighted_powers(spectrum.sum(axis=0), weights, starts)
    return [
        _Bands(own[:, index], summed[index], spectrum[:, index], weights, starts, tells_phase=len(segment) >= size)
        for index, segment in enumerate(segments)
    ]


def _weighted_powers(spectrum: NDArray[Any], weights: Samples, starts: NDArray[np.intp]) -> NDArray[Any]:
    """The power in bands, ``(..., n_bands)``, of spectra ``(..., n_transforms, n_bins)`` and the weights of bins."""
    parts = spectrum.view(spectrum.real.dtype)  # the real and the imaginary ones in turns
    squares = np.einsum("...tk,...tk->...k", parts, parts)
    powers = (squares[..., 0::2] + squares[..., 1::2]) * weights**2
    return np.asarray(np.add.reduceat(powers, starts, axis=-1))


def _in_bands(values: NDArray[Any], starts: NDArray[np.intp]) -> NDArray[Any]:
    """Values of shape ``(..., n_transforms, n_bins)``, added up to ``(..., n_bands)``."""
    return np.asarray(np.add.reduceat(values.sum(axis=-2), starts, axis=-1))


@cache
def _transform(sample_rate: int) -> tuple[Samples, Samples, NDArray[np.intp], int]:
    """A Fourier transform's window, its bins' weights, where each octave begins, and the first bin that counts."""
    size = max(16, 1 << int(np.ceil(np.log2(TRANSFORM_SECONDS * sample_rate))))
    lowest = max(1, round(LOWEST_BAND * size / sample_rate))
    starts = lowest * (2 ** np.arange(16) - 1)
    frequencies = np.arange(lowest, size // 2 + 1) * (sample_rate / size)
    weights = (_a_weights(frequencies) / (2 * np.sin(np.pi * frequencies / sample_rate))).astype(np.float32)
    return np.hanning(size).astype(np.float32), weights, starts[starts <= size // 2 - lowest], lowest


def _a_weights(frequencies: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the A-weighting of frequencies in Hz, 1 at 1 kHz (IEC 61672-1, annex E)."""
    squares = frequencies**2
    poles = (squares + 20.6**2) * np.sqrt((squares + 107.7**2) * (squares + 737.9**2)) * (squares + 12_194**2)
    weights: NDArray[np.float64] = 10 ** (2.0 / 20) * 12_194**2 * squares**2 / poles
    return weights


def _power(spectrum: NDArray[np.complexfloating[Any, Any]]) -> NDArray[Any]:
    return np.asarray(spectrum.real**2 + spectrum.imag**2)
