"""Decoded frames of FFmpeg's, joined and converted many at once: frame by frame, that takes longer than decoding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.plane import AudioPlane
from numpy.typing import NDArray

from pe_audio_cli.audio.decoders.base import Block

__all__ = ["FrameRun", "likeness_of"]

Likeness: TypeAlias = tuple[int, int, str]

BLOCK_SAMPLES = 1 << 20  # of all channels together, converted at once
MAX_FRAMES = 1_024  # held: each takes a kilobyte or more, however short it is
# FFmpeg's sample formats: numpy's name of the type, and its values of 0.0 and of 1.0.
SAMPLE_FORMATS = {
    "u8": ("u1", 2**7, 2**7),
    "s16": ("i2", 0, 2**15),
    "s32": ("i4", 0, 2**31),
    "s64": ("i8", 0, 2**63),
    "flt": ("f4", 0, 1),
    "dbl": ("f8", 0, 1),
}


class FrameRun:
    """Frames in a row, alike in rate, channels and sample format, about a second of them at most."""

    def __init__(self, likeness: Likeness = (0, 0, "")) -> None:
        self.likeness = likeness
        rate, channels, _ = likeness
        self._frames: list[AudioFrame] = []
        self._samples_left = min(rate, BLOCK_SAMPLES // max(channels, 1))

    def append(self, frame: AudioFrame, samples: int) -> bool:
        """Add a frame with so many samples; return True if its blocks must be taken before another one."""
        if samples:
            self._frames.append(frame)
            self._samples_left -= samples
        return self._samples_left <= 0 or len(self._frames) >= MAX_FRAMES

    def blocks(self) -> Iterator[Block]:
        """Yield all samples in one block, in several where frames are very large; nothing without frames."""
        if not self._frames:
            return
        rate, channels, name = self.likeness
        sample_type, silence, full_scale = SAMPLE_FORMATS[name.removesuffix("p")]
        samples = (_planar if name.endswith("p") else _packed)(self._frames, channels, sample_type)
        step = max(1, BLOCK_SAMPLES // channels)
        for done in range(0, len(samples), step):
            yield Block(_scaled(samples[done : done + step], silence, full_scale), rate)


def likeness_of(frame: AudioFrame) -> Likeness:
    """Return the sample rate, the number of channels and the sample format."""
    return frame.sample_rate, frame.layout.nb_channels, frame.format.name


def _planar(frames: list[AudioFrame], channels: int, sample_type: str) -> NDArray[Any]:
    """Return the samples of planar frames, of shape ``(samples, channels)``, each channel in a row in memory."""
    counts = [frame.samples for frame in frames]
    samples: NDArray[Any] = np.empty((channels, sum(counts)), sample_type)
    for channel in range(channels):
        # Not `frame.planes`: with more than 8 channels, PyAV counts them past the end of FFmpeg's list of them.
        planes = (memoryview(AudioPlane(frame, channel)) for frame in frames)
        rows = [np.frombuffer(plane, sample_type, count) for plane, count in zip(planes, counts, strict=True)]
        np.concatenate(rows, out=samples[channel])
    return np.asarray(samples.T)


def _packed(frames: list[AudioFrame], channels: int, sample_type: str) -> NDArray[Any]:
    """Return the samples of interleaved frames, of shape ``(samples, channels)``."""
    planes = ((memoryview(frame.planes[0]), frame.samples * channels) for frame in frames)
    samples: NDArray[Any] = np.concatenate([np.frombuffer(plane, sample_type, count) for plane, count in planes])
    return samples.reshape(-1, channels)


def _scaled(samples: NDArray[Any], silence: int, full_scale: int) -> NDArray[np.float32]:
    """Convert samples to floats, given the values of 0.0 and 1.0."""
    if samples.dtype == np.float32:
        return samples
    # In either type, nothing is rounded but by the conversion to float32: full scales are powers of 2.
    scaled = samples.astype(np.float32 if samples.dtype.itemsize <= 4 else np.float64)
    scaled -= silence
    scaled /= full_scale
    with np.errstate(over="ignore"):  # infinity is refused later, by its place
        return scaled.astype(np.float32, copy=False)
