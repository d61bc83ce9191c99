"""The whole training on a handful of signals: seconds, and everything in it runs."""

import copy
import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny_teacher import write_tiny_teacher
from tiny_wordnet import write_tiny_wordnet
from transformers import PeAudioFrameLevelModel, PeAudioModel

from pe_audio_cli import load
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.self_test import EXPECTED, TOLERANCE, answers
from pe_audio_cli.models.unfamiliar import UnfamiliarLabels
from training import bands, scenes, signals, train
from training.__main__ import finish
from training.audioset import CLASSES
from training.codec import fitted_network
from training.concepts import ESC10, FIRST
from training.features import WHITE_NOISE
from training.fit_codec import fit_codec
from training.going_on import blend, take_up
from training.hear import hear
from training.kinds import KINDS
from training.lessons import DETAIL
from training.phrases import CorpusOptions
from training.text_tower import TextTower, TowerOptions, build, going_on

SMALL_TEXT = TowerOptions(
    layers=(0, 2),
    pieces=150,
    intermediate=24,
    steps=2,
    batch=16,
    near_words=2,
    common_words=2,
    corpus=CorpusOptions(per_concept=4, per_hypernym=1, others=30, mixed=30, meanings=5),
)
SMALL = train.TrainOptions(
    hidden=32, layers=1, intermediate=32, codec_dim=16, shapes=((4, 2.0),), lessons=((4, 2.0),), between=2
)
NAMES = sorted({name for names in CLASSES.values() for name in names.split("; ")})


class Parrot:
    """A teacher that hears everything a little, and more of it the louder it is, and makes much of the loud patches."""

    def hear(self, samples: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
        patches = 1 + len(samples) // (rate // 2)
        scores = np.full((patches, len(NAMES)), min(0.5, float(np.abs(samples).mean())), np.float32)
        level = np.array([np.abs(part).mean() for part in np.array_split(samples, patches)], np.float32)
        return scores, level[:, None] * np.arange(DETAIL, dtype=np.float32)


STAGES = (train.Stage("first", (1, 2, 3), 3, 1e-4), train.Stage("final", (1, 2, 3, 4), 2, 1e-4))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_recordings(work: Path) -> None:
    """A manifest of signals, passed off as classes of ESC-10 and as others; nobody has labelled one, two are held."""
    kinds = list(signals.CONCEPTS)
    rng = np.random.default_rng(0)
    (work / "clips").mkdir()
    with open(work / "manifest.csv", "w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, ["clip", "concepts", "group", "seconds", "held", "fold"])
        writer.writeheader()
        for index, concept in enumerate([*ESC10, "speech", "music", "silence", "noise", "?"]):
            for fold in (1, 4) if concept in ESC10 else (0,):
                clip = f"clips/{concept.replace('?', 'unlabelled')}-{fold}.flac"
                soundfile.write(work / clip, signals.generate(kinds[index % len(kinds)], rng, 2.5), 48_000)
                group = WHITE_NOISE if concept == "noise" else clip
                held = int(concept in ("speech", "music"))
                row = {
                    "clip": clip,
                    "concepts": concept,
                    "group": group,
                    "seconds": 2.5,
                    "held": held,
                    "fold": fold or "",
                }
                writer.writerow(row)


@pytest.fixture(scope="module")
def work(tmp_path_factory, one_thread):
    work = tmp_path_factory.mktemp("mini")
    write_recordings(work)
    write_tiny_teacher(work)
    write_tiny_wordnet(work / "wordnet")
    (work / "yamnet").mkdir()
    rows = [f'{index},x,"{name}"' for index, name in enumerate(NAMES)]
    (work / "yamnet" / "yamnet_class_map.csv").write_text(
        "\n".join(["index,mid,display_name", *rows]), encoding="utf-8"
    )
    fit_codec(work, steps=3)
    assert hear(work, Parrot()) == 25  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "PER_SHARD", {5: 3, 10: 2})
        assert scenes.fill(work, Parrot(), NAMES, range(3, 5)) == 2  # type: ignore[arg-type]
    build(work, options=SMALL_TEXT)
    train.train(work, SMALL, STAGES)
    return work


@pytest.fixture(scope="module")
def folder(work):
    finish(work, SMALL, [], work / "finished", STAGES[-1])
    return work / "finished"


@pytest.mark.parametrize("kind", [PeAudioModel, PeAudioFrameLevelModel])
def test_plain_transformers_loads_the_outcome_whole(folder, kind):
    _, report = kind.from_pretrained(folder, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))


def test_the_outcome_has_the_numbers_that_doctor_compares_with(folder):
    expected = json.loads((folder / EXPECTED).read_text(encoding="utf-8"))
    checkpoint = Checkpoint.open(folder, "miniature")
    assert expected["fingerprint"] == checkpoint.fingerprint
    _, found = answers(checkpoint, "torch", expected["labels"])
    np.testing.assert_allclose(found, expected["probabilities"], rtol=0, atol=TOLERANCE)


def test_the_tool_tags_with_the_outcome(folder, work):
    (result,) = load(folder).tag(work / "clips" / "rain-1.flac")
    assert {tag.label for tag in result.tags} == {concept.label for concept in FIRST}


def test_the_outcome_can_tell_which_labels_it_knows(folder):
    familiar = UnfamiliarLabels.open(folder)
    labels = (folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert familiar is not None and familiar.weight.shape[0] == len(labels) + 2  # silence and white noise
    assert labels[: len(FIRST)] == [concept.label for concept in FIRST]


def test_what_has_been_heard_is_not_heard_again(work):
    assert hear(work, Parrot()) == 0  # type: ignore[arg-type]
    assert scenes.fill(work, Parrot(), NAMES, range(3, 5)) == 0  # type: ignore[arg-type]


def test_training_goes_on_from_a_finished_checkpoint_as_if_it_had_not_been_written(folder, work):
    student = train.Trainer.restored(work, STAGES[-1], SMALL).student
    energies = 0.5 * torch.randn(2, bands.N_BANDS, 100, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        clips, frames = student.tower(energies).pooler_output, student.tower(energies).last_hidden_state
        torch.nn.init.zeros_(student.tower.norm.weight)  # which take_up has to bring back
        take_up(student, folder, fitted_network(work))
        student.eval()
        again = student.tower(energies)
    scale = frames.abs().max()
    torch.testing.assert_close(again.last_hidden_state, frames, rtol=0, atol=0.02 * scale)
    torch.testing.assert_close(again.pooler_output, clips, rtol=0, atol=0.02 * scale)


def test_a_blend_lies_between_where_training_began_and_where_it_arrived(folder, work):
    arrived = train.Trainer.restored(work, STAGES[0], SMALL).student
    begun, between = copy.deepcopy(arrived), copy.deepcopy(arrived)
    take_up(begun, folder, fitted_network(work))
    blend(between, folder, fitted_network(work), 0.25)
    for first, middle, last in zip(begun.parameters(), between.parameters(), arrived.parameters(), strict=True):
        torch.testing.assert_close(middle, first + 0.25 * (last - first), rtol=1e-4, atol=1e-4)


def test_a_text_tower_that_goes_on_keeps_what_it_meant(folder, tmp_path, work):
    (tmp_path / "wordnet").symlink_to(work / "wordnet")
    before = going_on(folder)
    build(tmp_path, options=replace(SMALL_TEXT, steps=2, rate=1e-6), start=folder)
    after = TextTower.load(tmp_path / "text")
    texts = ["a dog barking", "rain"]
    torch.testing.assert_close(after.directions(texts), before.directions(texts), rtol=0, atol=0.02)
    assert after.kinds.weight.shape[0] == len(KINDS)


def test_a_stopped_training_goes_on_as_if_it_had_not_been(work, tmp_path):
    stage = replace(STAGES[0], steps=4)
    whole = train.Trainer.new(work, SMALL, stage)
    losses = [whole.take_step(1e-4) for _ in range(4)]
    first = train.Trainer.new(work, SMALL, stage)
    assert [first.take_step(1e-4) for _ in range(2)] == losses[:2]
    torch.save(first.state(), tmp_path / "stopped.pt")
    second = train.Trainer.new(work, SMALL, stage)
    second.restore(torch.load(tmp_path / "stopped.pt"))
    assert [second.take_step(1e-4) for _ in range(2)] == pytest.approx(losses[2:], rel=1e-6)


def test_a_finished_stage_is_not_run_again(work):
    before = (work / STAGES[0].file).stat().st_mtime_ns
    train.train(work, SMALL, STAGES)
    assert (work / STAGES[0].file).stat().st_mtime_ns == before
