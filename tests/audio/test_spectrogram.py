"""Spectrograms of recordings of any length: nothing is lost, nothing grows."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pe_audio_cli.audio.framing import SAMPLE_RATE
from pe_audio_cli.audio.spectrogram import BANDS, COLUMNS, SILENCE, STEP, WINDOW, StreamingSpectrogram, mel_filters
from pe_audio_cli.results import Spectrogram


def hear(samples: np.ndarray, block: int = SAMPLE_RATE) -> Spectrogram:
    spectrogram = StreamingSpectrogram()
    blocks = [samples[start : start + block] for start in range(0, len(samples), block)]
    heard = list(spectrogram.pass_through(blocks))
    assert all(after is before for after, before in zip(heard, blocks, strict=True))
    return spectrogram.finish()


def noise(n_samples: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.1, 0.1, n_samples).astype(np.float32)


def test_the_filters_are_those_of_htk():
    theirs = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=WINDOW, n_mels=BANDS, htk=True, norm=None)
    np.testing.assert_allclose(mel_filters(), theirs.T, atol=1e-6)
    assert mel_filters().max(axis=0).min() > 0.5  # none falls between two bins


@pytest.mark.parametrize("block", [SAMPLE_RATE, 1_000])
def test_the_levels_are_those_that_librosa_computes_at_once(block):
    """In float32 a sum of 1025 powers, each rounded, is off by about 1e-4 at worst, which is 5e-4 dB; 0.01 dB shows."""
    samples = noise(5 * SAMPLE_RATE) * np.linspace(0, 1, 5 * SAMPLE_RATE, dtype=np.float32)
    spectrogram = hear(samples, block)
    taper = np.hanning(WINDOW)
    centred = np.pad(samples, ((WINDOW - STEP) // 2, WINDOW))
    powers = librosa.feature.melspectrogram(
        y=centred, sr=SAMPLE_RATE, n_fft=WINDOW, hop_length=STEP, window=taper, center=False, n_mels=BANDS, htk=True,
        norm=None,
    )  # fmt: skip
    theirs = librosa.power_to_db(powers / (WINDOW * np.sum(taper**2) / 4), amin=SILENCE, top_db=None).T
    np.testing.assert_allclose(spectrogram.levels, theirs[: len(spectrogram.levels)], atol=0.01)
    bands = librosa.mel_frequencies(BANDS + 2, fmin=0, fmax=SAMPLE_RATE / 2, htk=True)[1:-1]
    np.testing.assert_allclose(spectrogram.frequencies, bands)


@pytest.mark.parametrize("hertz", [300, 1_000, 9_000])
def test_a_full_scale_sine_is_0_decibels_loud_in_its_own_bands(hertz):
    spectrogram = hear(np.sin(2 * np.pi * hertz * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32))
    level = spectrogram.levels[50]
    assert 10 * np.log10(np.sum(10 ** (level / 10))) == pytest.approx(0, abs=0.05)
    nearest = np.abs(spectrogram.frequencies - hertz).argmin()
    assert abs(int(level.argmax()) - int(nearest)) <= 1


def test_silence_is_quiet_and_finite():
    levels = hear(np.zeros(SAMPLE_RATE, np.float32)).levels
    assert levels.max() == levels.min() == pytest.approx(-140)


@settings(max_examples=30)
@given(n_samples=st.integers(1, 70 * SAMPLE_RATE))
@example(n_samples=COLUMNS * 480)
@example(n_samples=COLUMNS * 480 + 1)
def test_the_columns_cover_the_recording_and_are_few(n_samples):
    spectrogram = hear(np.zeros(n_samples, np.float32))
    n_columns = len(spectrogram.levels)
    assert n_columns <= COLUMNS
    end = n_columns * spectrogram.column_seconds
    assert end - spectrogram.column_seconds < n_samples / SAMPLE_RATE <= end + 1e-9
    if n_samples > COLUMNS * 480:
        assert n_columns >= COLUMNS // 2


@settings(max_examples=30)
@given(seconds=st.floats(0.1, 100), place=st.floats(0, 1, exclude_max=True))
def test_a_click_is_never_lost_and_stays_where_it_was(seconds, place):
    """However wide the columns are, a click of 0.02 ms loses less than 6 dB."""
    samples = np.zeros(int(seconds * SAMPLE_RATE), np.float32)
    click = int(place * len(samples))
    samples[click] = 1
    spectrogram = hear(samples)
    loudness = spectrogram.levels.max(axis=1)
    centred = np.zeros(WINDOW, np.float32)
    centred[WINDOW // 2] = 1
    assert loudness.max() > hear(centred).levels.max() - 6
    start = int(loudness.argmax()) * spectrogram.column_seconds
    assert start - 0.02 < click / SAMPLE_RATE < start + spectrogram.column_seconds + 0.02


@settings(max_examples=15)
@given(block=st.integers(100, 300_000), n_samples=st.integers(1, 25 * SAMPLE_RATE))
def test_the_sizes_of_the_blocks_make_no_difference(block, n_samples):
    whole, pieces = hear(noise(n_samples), n_samples), hear(noise(n_samples), block)
    np.testing.assert_allclose(pieces.levels, whole.levels, atol=1e-3)
    assert pieces.column_seconds == whole.column_seconds
