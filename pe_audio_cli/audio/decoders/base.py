"""The protocol of all decoders: one open recording, decoded once, block by block, at its own sample rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.errors import InputError

__all__ = ["MAX_GATHERED", "Block", "Decoder", "check_header", "check_track", "cut_short"]

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1_000, 768_000  # Hz; recorders write 4 to 384 kHz
MAX_CHANNELS = 1_024  # libsndfile's own limit
MAX_GATHERED = 1 << 20  # samples of all channels that are mixed at once
TOLERANCE_SECONDS = 0.1  # how far padding and rounding may put a healthy recording from what its header claims


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive decoded samples: float32 of shape ``(samples, channels)``, full scale at 1, and their rate in Hz."""

    samples: NDArray[np.float32]
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / self.sample_rate


class Decoder(Protocol):
    """An open recording, decoded by one library.

    ``sample_rate`` (Hz) and ``channels`` are those that it begins with. ``warnings`` tell what was amiss, and are
    complete once the blocks have run out. ``next_recording`` is the byte at which another recording begins in the same
    file, one that is not among the blocks; None where there is none. ``is_sound`` says whether it is known that no
    compressed data are stored as its samples.
    """

    sample_rate: int
    channels: int
    warnings: list[str]
    next_recording: int | None
    is_sound: bool

    def blocks(self) -> Iterator[Block]:
        """Yield all samples, in blocks of bounded size; rate and number of channels may change from one to the next."""

    def close(self) -> None:
        """Free what the library holds; the file stays open."""


def check_header(file: str, sample_rate: int, channels: int) -> None:
    """Raise :class:`InputError`, with the allowed range, for a rate or number of channels that no recorder writes."""
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        claim = f"a sample rate of {sample_rate} Hz, outside {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE}"
    elif not 1 <= channels <= MAX_CHANNELS:
        claim = f"{channels} channels, outside 1 to {MAX_CHANNELS}"
    else:
        return
    raise InputError(file, "decode", f"its header claims {claim}: it is damaged, export the recording again")


def check_track(file: str, audio_track: int | None, n_tracks: int) -> None:
    """Raise :class:`InputError` if there is no such audio track; they are counted from 1."""
    if audio_track is not None and audio_track > n_tracks:
        there = "it has one audio track" if n_tracks == 1 else f"it has {n_tracks} audio tracks"
        raise InputError(file, "no-audio", f"{there}, not {audio_track}: choose another with --audio-track")


def cut_short(seconds: float, claimed: float) -> list[str]:
    """Return a warning if a recording is clearly shorter than its header claims."""
    if claimed - seconds <= TOLERANCE_SECONDS:
        return []
    return [f"cut short: {seconds:.3f} s of the {claimed:.3f} s that its header claims"]
