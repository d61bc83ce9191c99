"""The whole training on a handful of signals: seconds, and everything in it runs."""

import csv
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
from pe_audio_cli.model.familiar import Familiar
from training import signals, train
from training.__main__ import finish
from training.concepts import ESC10, KNOWN
from training.features import WHITE_NOISE
from training.fit_codec import fit_codec
from training.phrases import CorpusOptions
from training.text_tower import TowerOptions, build

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
SMALL = train.TrainOptions(hidden=32, layers=1, intermediate=32, codec_dim=16, shapes=((4, 2.0),), compile=False)
STAGES = (train.Stage("first", (1, 2, 3), 3, 1e-4), train.Stage("final", (1, 2, 3, 4), 2, 1e-4))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_recordings(work: Path) -> None:
    """A manifest of signals, passed off as classes of ESC-10 and as others."""
    kinds = list(signals.CONCEPTS)
    rng = np.random.default_rng(0)
    (work / "clips").mkdir()
    with open(work / "manifest.csv", "w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, ["clip", "concepts", "group", "seconds", "held", "fold"])
        writer.writeheader()
        for index, concept in enumerate([*ESC10, "speech", "music", "silence", "noise"]):
            for fold in (1, 4) if concept in ESC10 else (0,):
                clip = f"clips/{concept}-{fold}.flac"
                soundfile.write(work / clip, signals.generate(kinds[index % len(kinds)], rng, 2.5), 48_000)
                group = WHITE_NOISE if concept == "noise" else clip
                row = {"clip": clip, "concepts": concept, "group": group, "seconds": 2.5, "held": 0, "fold": fold or ""}
                writer.writerow(row)


@pytest.fixture(scope="module")
def work(tmp_path_factory, one_thread):
    work = tmp_path_factory.mktemp("mini")
    write_recordings(work)
    write_tiny_teacher(work)
    write_tiny_wordnet(work / "wordnet")
    fit_codec(work, steps=3)
    build(work, options=SMALL_TEXT)
    train.train(work, SMALL, STAGES)
    return work


@pytest.fixture(scope="module")
def folder(work):
    return finish(work, STAGES[-1], work / "finished", SMALL)


@pytest.mark.parametrize("kind", [PeAudioModel, PeAudioFrameLevelModel])
def test_plain_transformers_loads_the_outcome_whole(folder, kind):
    _, report = kind.from_pretrained(folder, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))


def test_the_tool_tags_with_the_outcome(folder, work):
    (result,) = load(folder).tag(work / "clips" / "rain-1.flac")
    assert len(result.tags) == 5 and {tag.label for tag in result.tags} <= {concept.label for concept in KNOWN}


def test_the_outcome_can_tell_which_labels_it_knows(folder):
    familiar = Familiar.open(folder)
    assert familiar is not None and familiar.weight.shape[0] == len(KNOWN)


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
