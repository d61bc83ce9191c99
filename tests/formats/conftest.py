"""Results that every format has to hold."""

from __future__ import annotations

import numpy as np
import pytest

from pe_audio_cli.results import (
    Event,
    FileError,
    LocalizeResult,
    Recording,
    Result,
    Tag,
    TagResult,
    WindowTags,
)

RECORDING = Recording("clips/dog.wav", 3.27, 44_100, 2)
ERROR = FileError("clips/bad.wav", "decode", "it is text, not a recording")


@pytest.fixture
def tagged() -> TagResult:
    return TagResult(RECORDING, "mini", 1, (Tag("a dog barking", 0.98123449), Tag("rain", 1e-7)))


@pytest.fixture
def tagged_per_window() -> TagResult:
    windows = (
        WindowTags(0.0, 30.0, (Tag("rain", 0.5), Tag("dog", 0.25))),
        WindowTags(15.68, 45.68, (Tag("dog", 0.75), Tag("rain", 0.125))),
    )
    recording = Recording("clips/long.wav", 45.661, 48_000, 1)
    return TagResult(recording, "mini", 2, (Tag("dog", 0.75), Tag("rain", 0.5)), windows)


@pytest.fixture
def localized() -> LocalizeResult:
    events = (Event("a dog barking", 0.56, 1.2, 0.93), Event("rain", 1.08, 3.27, 0.30000001))
    return LocalizeResult(RECORDING, "mini", 0.04, 0.3, ("rain", "a dog barking", "wind"), events)


@pytest.fixture
def localized_frames(localized: LocalizeResult) -> LocalizeResult:
    frames = {"rain": np.array([0.1, 1 / 3, 1.0], np.float32), "a dog barking": np.zeros(3, np.float32)}
    return LocalizeResult(RECORDING, "mini", 0.04, 0.3, ("rain", "a dog barking"), localized.events, frames)


@pytest.fixture
def failed() -> FileError:
    return ERROR


@pytest.fixture
def runs(
    request: pytest.FixtureRequest, tagged: TagResult, tagged_per_window: TagResult, localized: LocalizeResult
) -> tuple[str, bool, list[Result]]:
    """A command, whether with windows, and the results of a run of it, one of which is an error."""
    result = {"tag": tagged, "tag per window": tagged_per_window, "localize": localized}[request.param]
    return request.param.split()[0], request.param == "tag per window", [result, ERROR, result]
