import csv

import pytest
import torch

from training import bands
from training.audioset import CLASSES
from training.concepts import KNOWN
from training.lessons import HOP_FRAMES, Imitation, Lessons
from training.mixtures import SURE
from training.refined import Refined

NAMES = sorted({name for names in CLASSES.values() for name in names.split("; ")})
IDS = [concept.id for concept in KNOWN]
DOG, OWL, SILENCE = (IDS.index(id) for id in ("dog_bark", "owl", "silence"))
FRAMES, PATCHES, WIDTH = 125, 10, 150


def write(work, clips, levels) -> None:
    """A shard of one scene in which the teacher hears an owl in its second half, and the labels of two clips."""
    scores = torch.full((1, PATCHES, len(NAMES)), 0.01)
    scores[:, PATCHES // 2 :, NAMES.index("Owl")] = 0.8
    shard = {
        "energies": torch.full((1, bands.N_BANDS, 4 * FRAMES), 0.3).half(),
        "scores": scores.half(),
        "embeddings": torch.rand(1, PATCHES, WIDTH, generator=torch.Generator().manual_seed(0)).half(),
        "levels": levels[None].half(),
        "clips": [clips],
    }
    (work / "scenes").mkdir()
    torch.save(shard, work / "scenes" / "0.pt")
    with open(work / "manifest.csv", "w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table)
        writer.writerows([["clip", "concepts"], ["dog.flac", "dog_bark"], ["some.flac", "?"]])


def lessons(work) -> Lessons:
    """With a teacher that is as it was."""
    nothing = Refined(torch.zeros(WIDTH), torch.ones(WIDTH), torch.ones(1), torch.zeros(len(IDS)), torch.zeros(1))
    plain = Refined(**(vars(nothing) | {"weight": torch.zeros(WIDTH, len(IDS))}))
    return Lessons(work, NAMES, plain, 0)


def levels(dog: float, other: float) -> torch.Tensor:
    """Of a dog in the first half and of something in the second and in the first, in dB."""
    found = torch.full((4, FRAMES), -120.0)
    found[0, : FRAMES // 2] = dog
    found[1] = other
    return found


def test_a_labelled_source_is_heard_where_it_sounds_and_the_rest_is_what_the_teacher_hears(tmp_path):
    write(tmp_path, ["dog.flac", "some.flac"], levels(0.0, -20.0))
    scenes = lessons(tmp_path).draw(2, 5.0).scenes
    assert (scenes.frames[:, DOG, : FRAMES // 2] == 1).all() and (scenes.frames[:, DOG, FRAMES // 2 + 1 :] < 0.1).all()
    assert (scenes.frames[:, OWL, :50] < 0.1).all() and (scenes.frames[:, OWL, 75:] > 0.8).all()
    assert (scenes.clip[:, DOG] == 1).all() and (scenes.clip[:, OWL] < SURE).all()
    assert (scenes.ignored_frames[:, SILENCE] == 1).all()


def test_a_labelled_source_that_is_drowned_is_left_to_the_teacher(tmp_path):
    write(tmp_path, ["dog.flac", "some.flac"], levels(-30.0, 0.0))
    assert (lessons(tmp_path).draw(1, 5.0).scenes.frames[:, DOG] < 0.1).all()


def test_where_all_is_labelled_the_teacher_has_no_more_than_a_say(tmp_path):
    write(tmp_path, ["dog.flac"], levels(0.0, -120.0))
    assert lessons(tmp_path).draw(1, 5.0).scenes.frames[:, OWL].max() < 0.5


def test_a_stretch_of_a_scene_comes_with_its_own_patches(tmp_path):
    write(tmp_path, ["some.flac"], torch.arange(4 * FRAMES).view(4, FRAMES).float() / FRAMES)
    own = lessons(tmp_path)
    whole = own.draw(1, 5.0).detail[0]
    for _ in range(8):
        part = own.draw(1, 2.0)
        assert part.scores.shape[1] == 3 and part.scenes.frames.shape[2] == 50
        # Sums of 150 products below 1, in another order.
        assert any(torch.allclose(part.detail[0], whole[it : it + 3], rtol=0, atol=1e-4) for it in range(PATCHES - 3))


def test_new_shards_are_found_and_none_at_all_is_an_error(tmp_path):
    write(tmp_path, ["some.flac"], levels(0.0, 0.0))
    first = tmp_path / "scenes" / "0.pt"
    first.rename(tmp_path / "0.pt")
    with pytest.raises(FileNotFoundError, match="no scenes"):
        lessons(tmp_path)
    (tmp_path / "0.pt").rename(first)
    own = lessons(tmp_path)
    torch.save(own.shards[0], tmp_path / "scenes" / "1.pt")
    own.look()
    assert sorted(own.shards) == [0, 1]


def test_imitation_looks_at_the_frames_of_a_patch(tmp_path):
    write(tmp_path, ["some.flac"], levels(0.0, 0.0))
    lesson = lessons(tmp_path).draw(1, 5.0)
    frames = torch.randn(1, FRAMES, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    imitation = Imitation(8, len(NAMES))
    for parameter in imitation.scores.parameters():
        torch.nn.init.zeros_(parameter)
    imitation(frames, lesson).backward()
    last = (lesson.scores.shape[1] - 1) * HOP_FRAMES + 24  # behind it no whole patch begins
    assert frames.grad is not None
    assert (frames.grad[0, :FRAMES].abs().sum(1) > 0).sum() == min(FRAMES, last)
