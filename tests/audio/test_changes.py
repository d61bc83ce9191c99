"""Recordings whose rate or channels change on the way are heard to their end, at their right speed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from audio.corpus import Recordings
from numpy.typing import NDArray

from pe_audio_cli.audio.decoding import SAMPLE_RATE, open_audio


def tone(hertz: float, rate: int, channels: int, seconds: float = 2.0) -> NDArray[np.float32]:
    time = np.arange(round(seconds * rate)) / rate
    return np.repeat((0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)[:, None], channels, axis=1)


def joined(recordings: Recordings, parts: list[Path], name: str) -> Path:
    return recordings.raw(name, b"".join(part.read_bytes() for part in parts))


def decode(file: Path) -> tuple[NDArray[np.float32], float, tuple[str, ...]]:
    with open_audio(str(file)) as stream:
        return np.concatenate(list(stream.blocks())), stream.duration, stream.warnings


def pitch(samples: NDArray[np.float32]) -> float:
    """In Hz, the strongest frequency of mono samples at 48 kHz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * SAMPLE_RATE / len(samples)


@pytest.mark.parametrize(
    ("extension", "codec", "first", "second"),
    [
        ("mp3", "libmp3lame", (48_000, 2), (44_100, 2)),
        ("mp3", "libmp3lame", (44_100, 2), (22_050, 1)),
        ("mp3", "libmp3lame", (16_000, 1), (48_000, 2)),
        ("aac", "aac", (48_000, 2), (48_000, 1)),
        ("aac", "aac", (44_100, 1), (32_000, 2)),
        ("ac3", "ac3", (48_000, 2), (48_000, 6)),
        ("ac3", "ac3", (48_000, 6), (44_100, 2)),
        ("ts", "aac", (48_000, 2), (48_000, 1)),
        ("ogg", "libvorbis", (48_000, 2), (44_100, 2)),
        ("ogg", "libvorbis", (44_100, 1), (44_100, 2)),
        ("ogg", "flac", (44_100, 1), (48_000, 2)),
    ],
)
def test_all_of_a_recording_that_changes_is_heard(
    recordings: Recordings, extension: str, codec: str, first: tuple[int, int], second: tuple[int, int]
) -> None:
    parts = [
        recordings.encode(f"{hertz}.{extension}", codec, tone(hertz, *shape), shape[0])
        for hertz, shape in ((440, first), (880, second))
    ]
    samples, duration, warnings = decode(joined(recordings, parts, f"a.{extension}"))
    assert duration == pytest.approx(4.0, abs=0.25)
    assert len(samples) == pytest.approx(duration * SAMPLE_RATE, abs=2)
    assert pitch(samples[12_000:84_000]) == pytest.approx(440, abs=3)
    assert pitch(samples[108_000:180_000]) == pytest.approx(880, abs=3)
    assert any(" changes from " in warning and " at 2." in warning for warning in warnings), warnings
