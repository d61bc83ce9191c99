import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from training import bands, scenes
from training.scenes import HOP, QUIETEST, SOURCES, SceneOptions, Sounds

PLAIN = {"brief": 0.0, "tilt": 0.0, "narrow": 0.0, "room": 0.0, "noisy": 0.0, "dull": 0.0, "phone": 0.0, "mp3": 0.0}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Two recordings of a second: a low tone and a high one."""
    work = tmp_path_factory.mktemp("sounds")
    time = np.arange(bands.SAMPLE_RATE) / bands.SAMPLE_RATE
    for name, frequency in (("low", 300), ("high", 3_000)):
        soundfile.write(work / f"{name}.flac", 0.3 * np.sin(2 * np.pi * frequency * time), bands.SAMPLE_RATE)
    return work


def sounds(work, *clips, **options):
    return Sounds(work, clips, [1.0] * len(clips), SceneOptions(**options))


@given(seed=st.integers(0, 10_000), seconds=st.sampled_from([5, 10]))
@settings(max_examples=25, deadline=None)
def test_a_scene_is_whole_and_as_loud_as_every_other(work, seed, seconds):
    samples, levels, clips = sounds(work, "low.flac", "high.flac").draw(np.random.default_rng(seed), seconds)
    assert samples.shape == (seconds * bands.SAMPLE_RATE,) and samples.dtype == np.float32
    assert levels.shape == (SOURCES + 1, len(samples) // HOP) and np.isfinite(levels).all()
    assert 1 <= len(clips) <= SOURCES
    assert np.abs(samples).max() == pytest.approx(0.5, rel=1e-6)
    assert levels[len(clips) : SOURCES] == pytest.approx(QUIETEST, abs=1e-4)


def test_a_scene_depends_on_its_seed_alone(work):
    first, second, other = (sounds(work, "low.flac").draw(np.random.default_rng(seed), 5)[0] for seed in (3, 3, 4))
    assert np.array_equal(first, second) and not np.array_equal(first, other)


def test_levels_say_where_a_source_sounds(work):
    own = sounds(work, "low.flac", sources=(1.0, 0.0, 0.0), speed=0.0, **PLAIN)
    samples, levels, _ = own.draw(np.random.default_rng(0), 5)
    power = (samples.reshape(-1, HOP) ** 2).mean(1)
    assert ((levels[0] > -20) == (power > power.max() / 100)).all()
    assert (power > 0).sum() in (25, 26)  # a second, which may begin within a frame


def test_the_second_source_is_no_louder_than_the_first_and_no_softer_than_it_may_be(work):
    own = sounds(work, "low.flac", "high.flac", sources=(0.0, 1.0, 0.0), **PLAIN)
    for seed in range(10):
        loudest = own.draw(np.random.default_rng(seed), 5)[1].max(1)
        # A tone is as loud in every frame, so that the frame's level is that of the loudest 80 ms.
        assert loudest[1] <= loudest[0] + 0.1 and loudest[1] >= loudest[0] - SceneOptions.softer - 0.1


@pytest.mark.parametrize(("options", "above"), [({"phone": 1.0}, 4_000), ({"dull": 1.0}, 17_000)])
def test_worn_scenes_lack_high_frequencies(work, options, above):
    own = sounds(work, "low.flac", **(PLAIN | {"noisy": 1.0, "noise": (5.0, 5.0)} | options))
    spectrum = np.abs(np.fft.rfft(own.draw(np.random.default_rng(1), 5)[0])) ** 2
    frequency = np.fft.rfftfreq(5 * bands.SAMPLE_RATE, 1 / bands.SAMPLE_RATE)
    # Noise falls by 20 dB each decade at most; what a resampler leaves lies 60 dB and more below.
    assert spectrum[frequency > 1.05 * above].mean() < 1e-6 * spectrum[frequency < 0.9 * above].mean()


def test_every_fifth_shard_has_long_scenes():
    assert [scenes.seconds_of(shard) for shard in range(6)] == [5, 5, 5, 5, 10, 5]
