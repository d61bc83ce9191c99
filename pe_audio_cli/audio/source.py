"""What both decoders are: one open recording, read once, as mono blocks at its own sample rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.errors import InputError

__all__ = ["Source", "check_header", "cut_short", "mixed_down"]

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1_000, 768_000  # Hz; recorders write 4 to 384 kHz
MAX_CHANNELS = 1_024  # libsndfile's own limit
TOLERANCE_SECONDS = 0.1  # how far padding and rounding may put a healthy recording from what its header claims


class Source(Protocol):
    """An open recording, as one library decodes it.

    ``sample_rate`` (Hz) and ``channels`` are the recording's own. ``warnings`` tell what was amiss, and are complete
    once the blocks have run out.
    """

    sample_rate: int
    channels: int
    warnings: list[str]

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Mono blocks of shape ``(samples,)``, bounded in size: the mean of the channels."""

    def close(self) -> None:
        """Free what the library holds; the file stays open."""


def check_header(file: str, sample_rate: int, channels: int) -> None:
    """Refuse what no recorder writes, before anything is sized by it; InputError names the range allowed."""
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        claim = f"a sample rate of {sample_rate} Hz, outside {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE}"
    elif not 1 <= channels <= MAX_CHANNELS:
        claim = f"{channels} channels, outside 1 to {MAX_CHANNELS}"
    else:
        return
    raise InputError(file, "decode", f"its header claims {claim}: it is damaged, export the recording again")


def mixed_down(samples: NDArray[np.generic], silence: int = 0, full_scale: int = 1) -> NDArray[np.float32]:
    """The mean over the channels of ``(samples, channels)``, given what stands for 0.0 in them and what for 1.0."""
    with np.errstate(over="ignore", invalid="ignore"):  # infinity and NaN are refused later, by their place
        mean = samples.mean(axis=1, dtype=np.float64)
        mixed: NDArray[np.float32] = ((mean - silence) / full_scale).astype(np.float32)
    return mixed


def cut_short(seconds: float, claimed: float) -> list[str]:
    """The warning that a recording holds clearly less than its header claims, if it does."""
    if claimed - seconds <= TOLERANCE_SECONDS:
        return []
    return [f"cut short: {seconds:.3f} s of the {claimed:.3f} s that its header claims"]
