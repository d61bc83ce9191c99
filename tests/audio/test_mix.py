"""Sounds that are turned upside down in another channel are heard, and all others as they ever were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio.corpus import Recordings
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pe_audio_cli import load
from pe_audio_cli.audio.decoding import open_audio
from pe_audio_cli.audio.mixing import Mixer

DOG = Path(__file__).parents[2] / "examples" / "recordings" / "dog.flac"
RATE = 44_100
OPPOSED = "opposite phase"

Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def dog() -> Samples:
    """A barking dog, 5 s long."""
    samples: Samples = soundfile.read(DOG, dtype="float32")[0]
    return samples


def noise(like: Samples, decibels: float, channels: int = 2) -> Samples:
    """White noise, ``(samples, channels)``, so much quieter than a sound."""
    level = np.sqrt((like**2).mean()) * 10 ** (-decibels / 20)
    return np.random.default_rng(7).normal(0, level, (len(like), channels)).astype(np.float32)


def mixed(samples: NDArray[np.floating], rate: int = RATE, block: int = RATE) -> tuple[Samples, list[str]]:
    mixer = Mixer()
    blocks = [samples[begin : begin + block].astype(np.float32) for begin in range(0, len(samples), block)]
    return np.concatenate([mixer.mix(block, rate) for block in blocks]), mixer.warnings


def heard(sound: Samples, in_: Samples) -> float:
    """Return the share of a sound in another, in either phase: 1 is all of it."""
    return abs(float((sound * in_).sum()) / float((sound * sound).sum()))


@pytest.mark.parametrize(
    "gains",
    [
        *((1, -1), (-1, 1), (1, -0.7), (0.5, -1), (1, -1, 0), (0, 1, -1), (1, 1, -1, -1), (1, -1, 1, -1)),
        *((1, -1, 0, 0, 0, 0), (1, 0, 0, -1, 0.2, -0.2), (1, -1) * 8),
    ],
)
def test_a_sound_that_cancels_is_heard(dog: Samples, gains: tuple[float, ...]) -> None:
    found, warnings = mixed(dog[:, None] * np.array(gains))
    assert heard(dog, found) > 0.9
    assert len(warnings) == 1
    assert OPPOSED in warnings[0]
    assert "for 5.0" in warnings[0]
    assert "first at 0.000 s" in warnings[0]


@pytest.mark.parametrize("decibels", [40, 20, 10, 5, 0])
@pytest.mark.parametrize("channels", [2, 4])
def test_noise_does_not_hide_that_a_sound_cancels(dog: Samples, decibels: float, channels: int) -> None:
    gains = np.array([1, -1, 1, -1][:channels])
    found, warnings = mixed(dog[:, None] * gains + noise(dog, decibels, channels))
    loud = np.abs(dog) > 0.1
    assert heard(dog[loud], found[loud]) > 0.8
    assert OPPOSED in warnings[0]


@pytest.mark.parametrize("level", [0.1, 0.3, 1.0])
def test_what_does_not_cancel_does_not_hide_what_does(dog: Samples, level: float) -> None:
    common = level * noise(dog, 0, 1)
    found, warnings = mixed(dog[:, None] * np.array([1, -1]) + common)
    loud = np.abs(dog) > 0.1
    assert heard(dog[loud], found[loud]) > 0.8
    assert OPPOSED in warnings[0]


@pytest.mark.parametrize("hertz", [50, 60, 100, 120, 150])
@pytest.mark.parametrize("level", [0.2, 0.5])
@pytest.mark.parametrize("decibels", [80, 20, 10])
def test_the_hum_of_a_balanced_cable_does_not_hide_what_cancels(
    dog: Samples, hertz: float, level: float, decibels: float
) -> None:
    hum = level * np.sin(2 * np.pi * hertz * np.arange(len(dog)) / RATE)[:, None]
    found, warnings = mixed(dog[:, None] * np.array([1, -1]) + hum + noise(dog, decibels))
    loud = np.abs(dog) > 0.1
    assert heard(dog[loud], found[loud]) > 0.9
    assert OPPOSED in warnings[0]


@pytest.mark.parametrize("gains", [(1, 1, -1), (1, -1, -1), (1, 1, 1, -1, -1)])
@pytest.mark.parametrize("decibels", [40, 20, 10, 5])
def test_what_is_left_over_of_an_odd_number_of_channels_is_not_enough(
    dog: Samples, gains: tuple[float, ...], decibels: float
) -> None:
    found, warnings = mixed(dog[:, None] * np.array(gains) + noise(dog, decibels, len(gains)))
    loud = np.abs(dog) > 0.1
    assert heard(dog[loud], found[loud]) > 0.9
    assert OPPOSED in warnings[0]


def test_a_part_that_cancels_is_heard_and_the_rest_is_the_mean(dog: Samples) -> None:
    opposed = dog[:, None] * np.array([1, -1])
    straight = np.stack([dog, 0.5 * dog], axis=1)
    found, warnings = mixed(np.concatenate([straight, opposed, straight]))
    first, second, third = np.split(found, 3)
    seam = RATE // 2
    np.testing.assert_allclose(first[:-seam], 0.75 * dog[:-seam], rtol=0, atol=1e-6)
    assert heard(dog, second) > 0.9
    np.testing.assert_allclose(third[seam:], 0.75 * dog[seam:], rtol=0, atol=1e-6)
    assert "first at 5.0" in warnings[0] or "first at 4." in warnings[0]


def white(samples: int, channels: int) -> Samples:
    return np.random.default_rng(7).normal(0, 0.1, (samples, channels)).astype(np.float32)


def tones(*frequencies: float) -> Samples:
    time = np.arange(2 * RATE)[:, None] / RATE
    return np.sin(2 * np.pi * np.array(frequencies) * time).astype(np.float32)


ORDINARY: dict[str, Callable[[Samples], Samples]] = {
    "both the same": lambda dog: np.stack([dog, dog], axis=1),
    "one side": lambda dog: np.stack([dog, 0 * dog], axis=1),
    "one of six": lambda dog: dog[:, None] * np.eye(6)[5],
    "two sources": lambda dog: np.stack([dog + 0.1 * np.roll(dog, RATE), 0.3 * dog + np.roll(dog, RATE)], axis=1),
    "independent noise": lambda dog: white(5 * RATE, 2),
    "independent noise in eight": lambda dog: white(RATE, 8),
    "wind": lambda dog: 0.1 * np.cumsum(white(5 * RATE, 2), axis=0),
    "wind in eight": lambda dog: 0.1 * np.cumsum(white(20 * RATE, 8), axis=0),
    "quieter upside down": lambda dog: np.stack([dog, -0.2 * dog], axis=1),
    "two tones": lambda dog: tones(440, 472),
    "faint hiss between": lambda dog: np.stack([dog, dog], axis=1) + 1e-4 * white(len(dog), 1) * [1, -1],
    "digital silence": lambda dog: np.zeros((RATE, 2)),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_recording_is_mixed_by_its_mean(dog: Samples, name: str) -> None:
    samples = ORDINARY[name](dog).astype(np.float32)
    found, warnings = mixed(samples)
    assert warnings == []
    np.testing.assert_allclose(found, samples.mean(axis=1, dtype=np.float64), rtol=0, atol=1e-6)


@given(
    shape=st.tuples(st.integers(1, 3_000), st.integers(1, 9)),
    rate=st.sampled_from([4_000, 8_000, 48_000, 384_000]),
    gains=st.lists(st.floats(-2, 2, width=32), min_size=9, max_size=9),
)
def test_the_mix_is_never_louder_than_all_channels(shape: tuple[int, int], rate: int, gains: list[float]) -> None:
    source = np.random.default_rng(7).normal(0, 0.1, shape[0]).astype(np.float32)
    samples = source[:, None] * np.array(gains[: shape[1]], np.float32)
    found, _ = mixed(samples, rate, 1_000)
    assert found.shape == (len(samples),)
    assert (np.abs(found) <= np.abs(samples).sum(axis=1) + 1e-6).all()


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.wav", None), ("a.flac", None), ("a.mp3", "libmp3lame"), ("a.m4a", "aac"), ("a.opus", "libopus")],
)
def test_a_recording_in_opposite_phase_is_heard_whatever_holds_it(
    recordings: Recordings, dog: Samples, name: str, codec: str | None
) -> None:
    samples = (dog[:, None] * np.array([1, -1]))[: 2 * RATE].astype(np.float32)
    rate = 48_000 if codec == "libopus" else RATE
    if codec is None:
        file = recordings.sound(name, samples, rate, name[2:].upper(), "PCM_16")
    else:
        file = recordings.encode(name, codec, samples, rate)
    with open_audio(str(file)) as stream:
        found = np.concatenate(list(stream.blocks()))
        assert OPPOSED in stream.warnings[0]
    assert np.sqrt((found**2).mean()) == pytest.approx(np.sqrt((samples[:, 0] ** 2).mean()), rel=0.1)


def test_the_model_hears_the_dog_in_opposite_phase(recordings: Recordings, dog: Samples) -> None:
    plain = recordings.sound("plain.wav", dog[:, None], RATE, "WAV", "FLOAT")
    upside_down = dog[:, None] * np.array([1, -1]) + noise(dog, 20)
    opposed = recordings.sound("opposed.wav", upside_down, RATE, "WAV", "FLOAT")
    expected, found = load().tag([plain, opposed], "a dog barking")
    assert found.tags[0].probability > 0.9 * expected.tags[0].probability
    assert OPPOSED in found.recording.warnings[0]
    assert expected.recording.warnings == ()
