"""The input of contenders: noise, since the content does not change the speed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from pe_audio_cli.audio.framing import HOP, SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["n_frames", "noise", "write_noise"]

LEVEL = 0.1  # standard deviation, of full scale
BLOCK = 60  # seconds that are written at once


def n_frames(seconds: float) -> int:
    """Whole frames of 40 ms in that time."""
    return round(seconds * SAMPLE_RATE / HOP)


def noise(seconds: float) -> NDArray[np.float32]:
    """Samples ``(n,)`` of as many whole frames, the same each time."""
    samples = np.random.default_rng(0).standard_normal(n_frames(seconds) * HOP, np.float32)
    samples *= LEVEL
    return samples


def write_noise(file: Path, seconds: float) -> Path:
    """A recording as 16-bit WAV at 48 kHz, which neither side has to resample; a minute of noise again and again."""
    block = noise(min(seconds, BLOCK))
    left = round(seconds * SAMPLE_RATE)
    with soundfile.SoundFile(file, "w", SAMPLE_RATE, channels=1, subtype="PCM_16", format="WAV") as opened:
        while left > 0:
            opened.write(block[:left])
            left -= len(block)
    return file
