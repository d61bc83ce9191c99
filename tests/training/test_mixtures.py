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
    concepts = torch.zeros(3, 4)
    concepts[0, 0] = concepts[1, 1] = concepts[2, SILENCE] = 1
    return Bank(energies.half(), torch.full((3,), 300.0), concepts, torch.zeros(3, 4), SILENCE, NOISE)


def mixer(seed: int, **options: object) -> Mixer:
    return Mixer(bank(), torch.ones(3), MixtureOptions(**options), seed)  # type: ignore[arg-type]


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
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
    quiet = {"sources": (0.0, 1.0), "noise": (90.0, 90.1), "gain": (0.0, 0.1), "tilt": 0.0, "shift": 0.0}
    scenes = mixer(0, **quiet).draw(32, 6.0)
    for energies, frames in zip(scenes.energies, scenes.frames, strict=True):
        for concept, rows in ((0, slice(0, 10)), (1, slice(30, None))):
            if frames[concept].any():
                level = energies[rows].mean(0).unflatten(0, (-1, 4)).mean(1)
                assert level[frames[concept] > 0].median() > level[frames[concept] == 0].max()


def test_a_scene_of_silence_says_so():
    silent = {"sources": (1.0,), "noise": (200.0, 201.0)}
    scenes = mixer(0, **silent).draw(3, 2.0)
    assert (scenes.clip[:, SILENCE] == 1).all() and not scenes.clip[:, :SILENCE].any()
