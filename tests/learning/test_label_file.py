"""Files of taught labels: read back as they were written, refused in one line where they are damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pe_audio_cli.errors import OutputError, UsageError
from pe_audio_cli.evaluation.metrics.bootstrap import Estimate
from pe_audio_cli.learning.examples import Examples
from pe_audio_cli.learning.fit import Learned
from pe_audio_cli.learning.label_file import ENTRY, LabelFile, TaughtFor, read_labels, write_labels
from pe_audio_cli.learning.teach import LabelOutcome, Ranking


def taught(*labels: str, fingerprint: str = "abc", files: tuple[str, ...] = ("a.wav", "b.wav", "c.wav")) -> TaughtFor:
    rng = np.random.default_rng(len(labels))
    n, n_labels, width = 7, len(labels), 5
    truth = rng.integers(-1, 2, (n, n_labels)).astype(np.int8)
    truth[0] = 1
    examples = Examples(
        labels, files, rng.normal(size=(n, width)).astype(np.float16), rng.integers(0, len(files), n), truth
    )
    ranking = Ranking(Estimate(0.9, 0.8, 0.95), Estimate(0.7))
    outcomes = tuple(
        LabelOutcome(label, 3, 4, True, 0.01, 0.25, ranking, ranking, {1: 0.5, 2: 0.75}) for label in labels
    )
    learned = Learned(rng.normal(size=(n_labels, width)).astype(np.float32), rng.normal(size=n_labels))
    return TaughtFor("mini", fingerprint, learned, outcomes, tuple((label, "ein Hund") for label in labels), examples)


def a_file(**commands: TaughtFor) -> LabelFile:
    return LabelFile(commands, "2026-11-27", "1.0", "my.labels")  # type: ignore[arg-type]


def same(one: TaughtFor, other: TaughtFor) -> bool:
    pairs = [
        (one.learned.embeddings, other.learned.embeddings),
        (one.learned.biases, other.learned.biases),
        (one.examples.embeddings, other.examples.embeddings),
        (one.examples.owners, other.examples.owners),
        (one.examples.truth, other.examples.truth),
    ]
    return (
        all(np.array_equal(*pair) for pair in pairs)
        and (one.outcomes, one.prompts, one.model, one.fingerprint)
        == (other.outcomes, other.prompts, other.model, other.fingerprint)
        and one.examples.recordings == other.examples.recordings
    )


def test_a_file_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    file = a_file(tag=taught("dog", "a «bell»"), localize=taught("owl"))
    write_labels(tmp_path / "my.labels", file)
    back = read_labels(tmp_path / "my.labels")
    assert back.labels == ("dog", "a «bell»", "owl") and (back.created, back.version) == ("2026-11-27", "1.0")
    assert all(same(back.commands[command], file.commands[command]) for command in file.commands)
    assert set(load_file(tmp_path / "my.labels")) >= {"tag.embeddings", "localize.thresholds"}  # plain safetensors


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "my.labels"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        write_labels(path, a_file(tag=taught("dog")))
    assert path.read_text() == "mine" and list(tmp_path.iterdir()) == [path]


def test_labels_are_taken_out_renamed_and_joined() -> None:
    file = a_file(tag=taught("dog", "owl"), localize=taught("dog"))
    left = file.without(["dog"])
    assert left.labels == ("owl",) and "localize" not in left.commands
    assert np.array_equal(left.commands["tag"].learned.embeddings[0], file.commands["tag"].learned.embeddings[1])
    renamed = file.renamed({"dog": "Rex"})
    assert renamed.labels == ("Rex", "owl") and renamed.commands["tag"].outcomes[0].label == "Rex"
    both = left.joined(replace(renamed.without(["owl"]), name="other.labels"))
    assert both.labels == ("owl", "Rex")
    assert np.array_equal(both.commands["tag"].learned.embeddings[1], file.commands["tag"].learned.embeddings[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.without(["cat"]), "no label 'cat'"),
        (lambda file: file.without(["dog", "owl"]), "no label would be left"),
        (lambda file: file.renamed({"dog": "owl"}), "there is a label 'owl' already"),
        (lambda file: file.renamed({"dog": " "}), "blank"),
        (lambda file: file.renamed({"dog": "x", "owl": "x"}), "the same name"),
        (lambda file: file.joined(a_file(tag=taught("owl"))), "has a label 'owl' too"),
        (lambda file: file.joined(a_file(tag=taught("cat", fingerprint="other"))), "for one of them"),
        (lambda file: file.for_checkpoint("tag", "other", "base", 5), "another checkpoint .* peaudio teach .* -m base"),
        (lambda file: file.for_checkpoint("localize", "abc", "mini", 5), "not for localize"),
        (lambda file: file.for_checkpoint("tag", "abc", "mini", 4), "5 numbers each, and embeddings of mini have 4"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(change: object, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        change(a_file(tag=taught("dog", "owl")))  # type: ignore[operator]
    assert "\n" not in str(refused.value)


def damage(path: Path, kind: str) -> None:
    tensors, content = load_file(path), path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    entry = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][ENTRY])
    described = entry["commands"]["tag"]
    if kind == "nan":
        tensors["tag.embeddings"][0, 0] = np.nan
    elif kind == "width":
        tensors["tag.examples"] = tensors["tag.examples"][:, :2].copy()
    elif kind == "dtype":
        tensors["tag.owners"] = tensors["tag.owners"].astype(np.int64)
    elif kind == "owner":
        tensors["tag.owners"][0] = 99
    elif kind == "negative owner":
        tensors["tag.owners"][0] = -1
    elif kind == "truth":
        tensors["tag.truth"][0, 0] = 5
    elif kind == "threshold":
        tensors["tag.thresholds"][0] = 1.5
    elif kind == "missing":
        del tensors["tag.biases"]
    elif kind == "twice":
        described["outcomes"][1]["label"] = "dog"
    elif kind == "number for text":
        described["outcomes"][0]["label"] = 5
    elif kind == "text for a figure":
        described["outcomes"][0]["words"]["auroc"]["value"] = "high"
    elif kind == "no finite figure":
        described["outcomes"][0]["curve"] = {"1": float("nan")}
    elif kind == "no commands":
        entry["commands"] = {}
    elif kind == "list":
        entry = []
    elif kind == "newer":
        entry["format"] = 2
    save_file(tensors, path, {ENTRY: json.dumps(entry)})
    if kind == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "no entry":
        save_file(tensors, path)
    elif kind == "text":
        path.write_text("dog\nowl\n")


KINDS = (
    "nan",
    "width",
    "dtype",
    "owner",
    "negative owner",
    "truth",
    "threshold",
    "missing",
    "twice",
    "number for text",
    "text for a figure",
    "no finite figure",
)
KINDS += ("list", "no commands", "no entry", "newer", "cut", "empty", "text")


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "my.labels"
    write_labels(path, a_file(tag=taught("dog", "owl")))
    damage(path, kind)
    with pytest.raises(UsageError, match=r"my\.labels") as refused:
        read_labels(path)
    assert "\n" not in str(refused.value)


def test_a_folder_or_nothing_is_refused_in_one_line(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UsageError):
            read_labels(path)
