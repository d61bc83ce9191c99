from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training import signals

SECONDS = 1.5


def make(kind: str, seed: int = 0, seconds: float = SECONDS) -> NDArray[np.float32]:
    return signals.generate(kind, np.random.default_rng(seed), seconds)


def decibels(samples: NDArray[np.float32]) -> float:
    return float(20 * np.log10(np.std(samples) + 1e-12))


def octave_slope(samples: NDArray[np.float32]) -> float:
    """Decibels an octave, fitted between 100 Hz and 10 kHz."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequency = np.fft.rfftfreq(samples.size, 1 / signals.SAMPLE_RATE)
    edges = 100 * 2.0 ** np.arange(7)
    density = [power[(frequency >= low) & (frequency < 2 * low)].mean() for low in edges]
    return float(np.polyfit(np.arange(len(edges)), 10 * np.log10(density), 1)[0])


@pytest.mark.parametrize("kind", signals.CONCEPTS)
@settings(max_examples=4)
@given(seed=st.integers(0, 2**32 - 1), seconds=st.floats(0.5, 3))
def test_every_kind_fits_its_length_and_full_scale(kind: str, seed: int, seconds: float) -> None:
    samples = make(kind, seed, seconds)
    assert samples.dtype == np.float32
    assert samples.shape == (round(seconds * 48_000),)
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1


@pytest.mark.parametrize("kind", signals.CONCEPTS)
def test_a_seed_says_it_all(kind: str) -> None:
    np.testing.assert_array_equal(make(kind, 3), make(kind, 3))
    if kind != "zero":
        assert not np.array_equal(make(kind, 3), make(kind, 4))


@pytest.mark.parametrize("kind", [kind for kind, concept in signals.CONCEPTS.items() if concept == "silence"])
def test_silence_is_below_hearing_and_all_else_is_not(kind: str) -> None:
    assert decibels(make(kind)) < -65


@pytest.mark.parametrize("kind", [kind for kind, concept in signals.CONCEPTS.items() if concept != "silence"])
def test_what_is_no_silence_can_be_heard(kind: str) -> None:
    assert np.abs(make(kind)).max() > 0.009


@pytest.mark.parametrize(("kind", "slope"), [("white", 0), ("pink", -3), ("brown", -6), ("blue", 3)])
def test_noise_has_the_slope_of_its_colour(kind: str, slope: float) -> None:
    assert octave_slope(make(kind, seconds=4)) == pytest.approx(slope, abs=0.5)


def test_a_dialled_key_is_a_row_and_a_column() -> None:
    samples = make("dialling", seconds=4)
    key = samples[480 : 480 + 2880]  # 60 ms from the first key, which sounds for at least 70
    spectrum = np.abs(np.fft.rfft(key * np.hanning(key.size), 48_000))  # bins of 1 Hz
    row, column = spectrum[650:1000].argmax() + 650, spectrum[1150:1700].argmax() + 1150
    assert min(abs(row - near) for near in (697, 770, 852, 941)) <= 4
    assert min(abs(column - near) for near in (1209, 1336, 1477, 1633)) <= 4
    assert spectrum[1000:1150].max() < spectrum[row] / 10


@settings(max_examples=10)
@given(seed=st.integers(0, 1000))
def test_a_siren_stays_between_its_pitches(seed: int) -> None:
    samples = make("wail", seed)
    power = np.abs(np.fft.rfft(samples)) ** 2
    below = round(380 * SECONDS)
    assert power[:below].sum() < 0.02 * power.sum()


def test_held_kinds_are_kinds() -> None:
    assert set(signals.CONCEPTS) > signals.HELD


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(KeyError):
        make("moon")
