"""Exceptions that nobody foresees, and one recording of several that meets them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support import LevelEncoder, write_tone

from pe_audio_cli.results import Embeddings

# One of each kind that a library may raise; KeyboardInterrupt and SystemExit are not errors of a recording.
FAULTS = (
    ZeroDivisionError("an odd\nmessage"),
    KeyError("x"),
    MemoryError(),
    RecursionError("maximum recursion depth exceeded"),
    OSError(5, "Input/output error"),
    StopIteration(),
    AssertionError(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
)
LEVELS = (0.1, 0.2, 0.3)  # of the recordings, of which the second is the one at fault
FAULTY = 100 * 0.2 * 2 / np.pi  # what a LevelEncoder makes of it


def name(fault: Exception) -> str:
    return type(fault).__name__


def three_tones(folder: Path) -> list[str]:
    """Three recordings of three windows of a second; the second is the one that meets a fault."""
    return [str(write_tone(folder / f"{n}.wav", 2.5, level)) for n, level in enumerate(LEVELS)]


class FaultyEncoder(LevelEncoder):
    """Fails in the codec, or in windows, of the recording at fault, from ``n_good`` calls on."""

    def __init__(self, fault: Exception, stage: str, n_good: int = 0) -> None:
        super().__init__()
        self._fault, self._stage, self._n_good = fault, stage, n_good

    def encode_codec(self, frames: np.ndarray) -> np.ndarray:
        features = super().encode_codec(frames)
        self._meet("codec", features)
        return features

    def encode_windows(self, features: np.ndarray) -> Embeddings:
        self._meet("windows", features)
        return super().encode_windows(features)

    def _meet(self, stage: str, features: np.ndarray) -> None:
        if stage == self._stage and np.isclose(features, FAULTY, rtol=0.1).any():
            self._n_good -= 1
            if self._n_good < 0:
                raise self._fault
