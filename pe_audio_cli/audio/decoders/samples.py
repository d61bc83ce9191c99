"""Samples in memory, given with their rate."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.audio.decoders.base import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, Block
from pe_audio_cli.audio.inputs import Samples
from pe_audio_cli.errors import InputError

__all__ = ["SamplesDecoder"]

BLOCK_SAMPLES = 1 << 16  # of all channels, converted at once
# Silence and full scale of integers, by numpy's kind and size in bytes: those of WAV files.
SCALES = {("i", 2): (0, 1 << 15), ("i", 4): (0, 1 << 31), ("u", 1): (1 << 7, 1 << 7)}


class SamplesDecoder:
    """Samples passed from Python; see :class:`pe_audio_cli.audio.decoders.base.Decoder`.

    They have the shape ``(samples,)`` or ``(samples, channels)``. Floats have a full scale of 1; int16, int32 and uint8
    are scaled as in a WAV file.

    Raises:
        InputError: there are none, they have another shape or type, or the rate is no whole number in the range.
    """

    def __init__(self, file: str, given: Samples) -> None:
        self.warnings: list[str] = []
        self.next_recording: int | None = None
        self.is_sound = False
        self.sample_rate = _checked_rate(file, given.sample_rate)
        self._samples = _checked_samples(file, given.values)
        self.channels = self._samples.shape[1]

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self._samples) / self.sample_rate

    def blocks(self) -> Iterator[Block]:
        """Blocks of bounded size, as float32."""
        size = BLOCK_SAMPLES // self.channels
        for start in range(0, len(self._samples), size):
            yield Block(_scaled(self._samples[start : start + size]), self.sample_rate)

    def close(self) -> None:
        """Release the samples."""
        self._samples = self._samples[:0]


def _checked_rate(file: str, rate: Any) -> int:
    whole = isinstance(rate, Integral) or (isinstance(rate, Real) and float(rate).is_integer())
    if isinstance(rate, bool) or not whole or not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        allowed = f"a whole number from {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE}, such as 44100"
        raise InputError(file, "samples", f"its sample rate in Hz must be {allowed}: got {str(rate)[:60]!r}")
    return int(rate)


def _checked_samples(file: str, values: Any) -> NDArray[Any]:
    """The samples as an array of shape ``(samples, channels)``, of the type that they have."""
    try:
        samples = np.asarray(values)
    except Exception as error:  # whatever an array of another library raises
        raise InputError(file, "samples", f"its samples are no array ({error}): give one of numpy") from error
    if samples.dtype.kind != "f" and (samples.dtype.kind, samples.dtype.itemsize) not in SCALES:
        known = "floats with a full scale of 1, int16, int32 or uint8"
        raise InputError(file, "samples", f"its samples are of type {samples.dtype}: give {known}")
    if samples.size == 0:
        raise InputError(file, "empty", "it holds no samples: leave it out")
    if samples.ndim not in (1, 2):
        shapes = "(samples,) or (samples, channels)"
        raise InputError(file, "samples", f"its samples have the shape {samples.shape}: give {shapes}")
    samples = samples.reshape(len(samples), -1)
    n_samples, channels = samples.shape
    if channels > min(n_samples, MAX_CHANNELS):
        wrong = f"its samples have the shape {samples.shape}, which is {channels} channels of {n_samples} samples"
        raise InputError(file, "samples", f"{wrong}: put channels last, (samples, channels)")
    return samples


def _scaled(samples: NDArray[Any]) -> NDArray[np.float32]:
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what no float32 holds becomes infinite, and is refused as that
            return np.array(samples, np.float32)  # a copy: what was handed over may change
    silence, full_scale = SCALES[samples.dtype.kind, samples.dtype.itemsize]
    scaled: NDArray[np.float32] = (np.asarray(samples, np.float32) - np.float32(silence)) / np.float32(full_scale)
    return scaled
