import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training import bands
from training.mixtures import Bank, Mixer, MixtureOptions

SILENCE, NOISE = 2, 3


def bank() -> Bank:
    """Two steady sounds, one in low bands and one in high ones, and silence."""
    energies = torch.full((3, bands.N_BANDS, 300), -1.0)
    energies[0, :10], energies[1, 30:] = 0.2, 0.2
    heard = torch.zeros(3, 1, 4)
    heard[0, 0, 0] = heard[1, 0, 1] = heard[2, 0, SILENCE] = 1
    hiss = torch.full((bands.N_BANDS, 500), 1 / bands.N_BANDS)
    energies = energies.half()
    return Bank(energies, energies, torch.full((3,), 300.0), heard.half(), torch.zeros(3, 4), SILENCE, NOISE, hiss)


def mixer(seed: int, **options: object) -> Mixer:
    return Mixer(bank(), torch.ones(3), MixtureOptions(**options), seed)  # type: ignore[arg-type]


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_scenes_have_finite_energies_and_consistent_truth(seed):
    scenes = mixer(seed).draw(6, 2.0)
    assert scenes.energies.shape == (6, bands.N_BANDS, 200) and scenes.frames.shape == (6, 4, 50)
    assert torch.isfinite(scenes.energies).all() and scenes.energies.min() >= -1.001
    heard = [0, 1]
    assert torch.equal(scenes.clip[:, heard], scenes.frames[:, heard].amax(2))
    assert not (scenes.ignored_frames * scenes.frames).any()


def test_the_same_seed_gives_the_same_scenes():
    first, second = mixer(5).draw(4, 2.0), mixer(5).draw(4, 2.0)
    assert torch.equal(first.energies, second.energies) and torch.equal(first.frames, second.frames)


def test_a_sound_is_heard_where_its_energy_is():
    quiet = {"sources": (0.0, 1.0), "noise": (90.0, 90.1), "gain": (0.0, 0.1), "tilt": 0.0, "shift": 0.0, "dull": 0.0}
    scenes = mixer(0, **quiet).draw(32, 6.0)
    for energies, frames in zip(scenes.energies, scenes.frames, strict=True):
        for concept, rows in ((0, slice(0, 10)), (1, slice(30, None))):
            if frames[concept].any():
                level = energies[rows].mean(0).unflatten(0, (-1, 4)).mean(1)
                assert level[frames[concept] > 0].median() > level[frames[concept] == 0].max()


def test_silence_is_as_quiet_in_a_scene_as_on_its_recording_and_called_silence():
    sounds = bank()
    sounds.energies[2] = -0.85  # a quiet room, not digital zero; the worn ones are the same
    options = MixtureOptions(sources=(0.0, 0.0, 1.0), tilt=0.0, narrow=0.0, offset=0.0)
    scenes = Mixer(sounds, torch.tensor([0.0, 0.0, 1.0]), options, 0).draw(8, 2.0)
    assert (scenes.clip[:, SILENCE] == 1).all() and not scenes.clip[:, :SILENCE].any()
    assert scenes.energies.max() < -0.8


def test_a_brief_sound_is_heard_for_a_moment_only():
    options = {"sources": (0.0, 1.0), "brief": 1.0, "moment": (0.5, 0.6), "noise": (90.0, 90.1), "stretch": 0.0}
    scenes = mixer(0, **options, faint=0.0).draw(16, 4.0)
    seconds = scenes.frames[:, :SILENCE].amax(1).sum(1) * 0.04
    assert seconds.max() < 1.8  # with all of its reverberation
    assert (seconds > 0).sum() > 8


def test_what_is_lost_in_noise_counts_neither_as_heard_nor_as_absent():
    scenes = mixer(0, sources=(0.0, 1.0), noise=(-30.0, -29.0), faint=0.0, gain=(0.0, 0.1)).draw(16, 2.0)
    noisy = scenes.ignored_frames[:, NOISE].amin(1) > 0  # a few have no noise at all
    assert not scenes.frames[noisy, :SILENCE].any()
    assert scenes.ignored_frames[noisy, :SILENCE].any()


def test_what_is_too_faint_to_hear_is_silence():
    scenes = mixer(0, faint=1.0, faint_gain=(-100.0, -90.0)).draw(16, 2.0)
    assert (scenes.clip[:, SILENCE] == 1).all()
    assert not scenes.clip[:, :SILENCE].any()


def test_an_offset_shows_in_the_lowest_band_and_makes_no_sound_of_silence():
    options = MixtureOptions(sources=(0.0, 1.0), offset=1.0, offset_level=(-30.0, -20.0))
    scenes = Mixer(bank(), torch.tensor([0.0, 0.0, 1.0]), options, 0).draw(8, 2.0)
    assert (scenes.energies[:, 0] > 0.3).all() and (scenes.energies[:, 1:] < -0.9).all()
    assert (scenes.clip[:, SILENCE] == 1).all()


def test_silence_beside_a_sound_is_not_called_silence():
    options = MixtureOptions(sources=(0.0, 0.0, 1.0))
    scenes = Mixer(bank(), torch.tensor([0.5, 0.0, 0.5]), options, 0).draw(64, 2.0)
    sounding = scenes.frames[:, 0].amin(1) > 0
    assert sounding.any() and not scenes.clip[sounding][:, SILENCE].any()


def test_noise_alone_is_loud_and_no_sound():
    scenes = mixer(0, sources=(1.0,), gain=(-10.0, 0.0), faint=0.0, offset=0.0).draw(16, 2.0)
    loud = scenes.energies.amax((1, 2)) > -0.5
    assert loud.sum() > 8 and not scenes.clip[loud].any()


def test_what_the_teacher_hears_at_some_time_is_heard_at_that_time_of_a_scene():
    sounds = bank()
    heard = torch.zeros(3, 6, 4)  # patches around 0.5 s, 1 s ... 2.9 s
    heard[0, 3:, 0] = 0.6
    sounds = Bank(**(vars(sounds) | {"heard": heard.half()}))
    options = MixtureOptions(sources=(0.0, 1.0), brief=0.0, stretch=0.0, noise=(90.0, 90.1), faint=0.0, dull=0.0)
    scenes = Mixer(sounds, torch.tensor([1.0, 0.0, 0.0]), options, 0).draw(16, 3.0)
    for frames, clip in zip(scenes.frames[:, 0], scenes.clip[:, 0], strict=True):
        surest = frames.max()
        assert surest <= 0.601
        if surest > 0.5:
            onset = int((frames > 0.3).nonzero()[0])
            assert onset >= 25 or frames[:onset].max() <= 0.3
            assert frames.mean() < clip < surest or frames.min() > 0.59


def test_a_dull_scene_has_nothing_above_some_band():
    scenes = mixer(0, sources=(0.0, 1.0), dull=1.0, dull_from=30, faint=0.0, noise=(5.0, 6.0), gain=(0, 0.1)).draw(
        8, 2.0
    )
    assert (scenes.energies[:, -1] < -0.35).all() and (scenes.energies[:, :20].amax((1, 2)) > -0.3).any()
