"""Results to draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from pe_audio_cli.detection.events import find_events
from pe_audio_cli.options import EventOptions
from pe_audio_cli.results import LocalizeResult, Recording, Spectrogram

Make = Callable[..., LocalizeResult]


@pytest.fixture(scope="session")
def localized() -> Make:
    """Makes a result: ``heard`` has for each label the first and last frame that is probable."""

    def make(
        duration: float = 4.0,
        heard: Sequence[tuple[int, int]] = ((10, 19), (50, 50)),
        labels: Sequence[str] | None = None,
        threshold: float = 0.3,
        sample_rate: int = 48_000,
        file: str = "in/x.wav",
    ) -> LocalizeResult:
        names = [f"label {index}" for index in range(len(heard))] if labels is None else labels
        n_frames = int(np.ceil(duration * 25))
        frames = {name: np.full(n_frames, 0.05, np.float32) for name in names}
        for name, (first, last) in zip(names, heard, strict=True):
            frames[name][first : last + 1] = 0.95
        n_columns = min(int(np.ceil(duration * 100)), 2_000)
        levels = np.random.default_rng(0).uniform(-80, -20, (n_columns, 96)).astype(np.float32)
        spectrogram = Spectrogram(duration / n_columns, np.geomspace(20, 23_000, 96), levels)
        recording = Recording(file, duration, sample_rate, 2, spectrogram)
        events = find_events(frames, duration, EventOptions(threshold))
        return LocalizeResult(recording, "mini", 0.04, threshold, tuple(names), events, frames)

    return make
