"""``teach``, ``labels`` and ``--taught`` as a shell sees them."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from invoked import Result
from support import REFERENCE

from pe_audio_cli.learning.label_file import read_labels

pytest.importorskip("sklearn", reason="no label is taught: pip install 'pe-audio-cli[eval]'")

MODEL = str(REFERENCE / "pe-av-tiny")
WORDS = ["a dog barking", "rain falling"]


@pytest.fixture(autouse=True)
def model(monkeypatch):
    monkeypatch.setenv("PEAUDIO_MODEL", MODEL)


def sound(path: Path, seed: int, kind: str, seconds: float = 0.8) -> Path:
    """A buzz, or noise; no two alike."""
    rng = np.random.default_rng(seed)
    n = round(48_000 * seconds)
    times = np.arange(n) / 48_000
    samples = rng.normal(size=n) * 0.02
    if kind == "buzz":
        samples += 0.3 * np.sign(np.sin(2 * np.pi * rng.uniform(90, 130) * times))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, 48_000)
    return path


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    """A folder for each class, and recordings without either."""
    folder = tmp_path_factory.mktemp("taught")
    for seed in range(6):
        sound(folder / "classes" / "klaxo" / f"{seed}.wav", seed, "buzz")
        sound(folder / "background" / f"{seed}.wav", 100 + seed, "noise")
    return folder


@pytest.fixture(scope="module")
def taught(sounds) -> Path:
    """Labels for both commands, from recordings with a known time each."""
    rows = [f"classes/klaxo/{seed}.wav\t0.0\t0.8\tklaxo" for seed in range(6)]
    (sounds / "strong.tsv").write_text("filename\tonset\toffset\tevent_label\n" + "\n".join(rows) + "\n")
    more = ["--background", sounds / "background", "-m", MODEL]
    ran = Result("teach", sounds / "strong.tsv", *more, "-o", sounds / "my.labels")
    assert ran.code == 0, ran
    return sounds / "my.labels"


def test_what_was_learned_is_told_beside_the_words_alone(sounds, taught, tmp_path) -> None:
    ran = Result("labels", taught, "-f", "json")
    assert ran.code == 0
    told = json.loads(ran.out)
    assert told["schema"] == "peaudio.labels/1"
    assert [(each["label"], each["command"]) for each in told["labels"]] == [("klaxo", "tag"), ("klaxo", "localize")]
    for each in told["labels"]:
        assert each["examples"] == 6 and each["counter_examples"] == 6
        assert each["taught"]["average_precision"]["value"] >= each["words"]["average_precision"]["value"]
    rows = list(csv.DictReader(io.StringIO(Result("labels", taught, "-f", "csv").out)))
    assert [row["label"] for row in rows] == ["klaxo", "klaxo"] and rows[0]["learned"] == "true"
    assert "klaxo" in Result("labels", taught, "-f", "table").out


def test_a_taught_label_tells_the_sounds_apart_that_its_name_does_not(sounds, taught) -> None:
    files = [sounds / "classes" / "klaxo" / "0.wav", sounds / "background" / "0.wav"]
    ran = Result("tag", *files, "--taught", taught, "-l", WORDS[0], "-f", "jsonl")
    assert ran.code == 0, ran
    found = [{tag["label"]: tag for tag in each["tags"]} for each in ran.objects]
    assert found[0]["klaxo"]["probability"] > 0.5 > found[1]["klaxo"]["probability"]
    assert found[0]["klaxo"]["taught"] is True and "taught" not in found[0][WORDS[0]]
    plain = Result("tag", *files, "-l", WORDS[0], "-f", "jsonl").objects
    assert [each["tags"][0] for each in plain] == [each[WORDS[0]] for each in found]  # other labels are as they were


def test_localize_finds_a_taught_label_at_its_own_threshold(sounds, taught) -> None:
    ran = Result("localize", sounds / "classes", "--taught", taught, "-f", "jsonl")
    assert ran.code == 0, ran
    threshold = read_labels(taught).commands["localize"].outcomes[0].threshold
    for each in ran.objects:
        assert each["thresholds"] == {"klaxo": threshold}
        assert all(event["taught"] is True and event["probability"] > threshold for event in each["events"])
    assert sum(len(each["events"]) for each in ran.objects) >= 6


def test_an_index_of_yesterday_gives_the_order_of_tag(sounds, taught, tmp_path) -> None:
    assert Result("index", sounds / "classes", sounds / "background", "--index", tmp_path / "x.index").code == 0
    hits = Result("search", "--taught", taught, "--index", tmp_path / "x.index", "-k", "all", "-f", "jsonl").objects
    assert [(each["query"], each["taught"]) for each in hits] == [("klaxo", True)]
    tags = Result("tag", sounds / "classes", sounds / "background", "--taught", taught, "-f", "jsonl").objects
    expected = {os.path.abspath(each["file"]): each["tags"][0]["probability"] for each in tags}
    found = {hit["file"]: hit["probability"] for hit in hits[0]["hits"]}
    assert found == expected
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_an_index_teaches_without_its_recordings(sounds, taught, tmp_path) -> None:
    folder = tmp_path / "moved"
    for kind in ("classes/klaxo", "background"):
        (folder / kind).mkdir(parents=True)
        for file in (sounds / kind).iterdir():
            (folder / kind / file.name).write_bytes(file.read_bytes())
    everything = [folder / "classes", folder / "background"]
    assert Result("index", *everything, "--index", tmp_path / "x.index").code == 0
    for file in folder.rglob("*.wav"):
        file.write_bytes(b"")  # nothing can be decoded any more
    ran = Result(
        "teach", folder / "classes", "--background", folder / "background", "--index", tmp_path / "x.index",
        "-o", tmp_path / "indexed.labels",
    )  # fmt: skip
    assert ran.code == 0, ran
    theirs, ours = (read_labels(file).commands["tag"] for file in (taught, tmp_path / "indexed.labels"))
    assert np.array_equal(theirs.learned.embeddings, ours.learned.embeddings)


def test_marks_teach_without_an_index_from_the_excerpts_alone(sounds, tmp_path) -> None:
    """Each recording is a buzz and a noise; what is marked are halves."""
    rows = ["file,label,start,end,probability,mark"]
    for seed in range(6):
        halves = [soundfile.read(sounds / where / f"{seed}.wav")[0] for where in ("classes/klaxo", "background")]
        soundfile.write(tmp_path / f"{seed}.wav", np.concatenate(halves), 48_000)
        rows += [f"{seed}.wav,klaxo,0.0,0.8,0.5,yes", f"{seed}.wav,klaxo,0.8,1.6,0.5,no"]
    (tmp_path / "marks.csv").write_text("\n".join([*rows, "0.wav,klaxo,0.4,1.2,0.5,unsure"]))
    ran = Result("teach", tmp_path / "marks.csv", "-o", tmp_path / "m.labels", "--for", "both", "-f", "json")
    assert ran.code == 0, ran
    for each in json.loads(ran.out)["labels"]:
        assert (each["examples"], each["counter_examples"]) == (6, 6)
        assert each["taught"]["average_precision"]["value"] >= each["words"]["average_precision"]["value"]
    windows = read_labels(tmp_path / "m.labels").commands["tag"].examples
    alone = Result("embed", sounds / "classes" / "klaxo" / "0.wav", "-o", tmp_path / "x.npz")
    assert alone.code == 0 and len(windows.embeddings) == 12
    with np.load(tmp_path / "x.npz") as archive:  # an excerpt is embedded as a recording of its own
        ours = windows.embeddings[0].astype(np.float32)
        assert ours == pytest.approx(archive["embedding"][0].astype(np.float16).astype(np.float32), rel=2e-3, abs=1e-4)


def test_further_marks_of_a_recording_are_added_to_the_earlier_ones(sounds, tmp_path) -> None:
    for seed in range(4):
        halves = [soundfile.read(sounds / where / f"{seed}.wav")[0] for where in ("classes/klaxo", "background")]
        soundfile.write(tmp_path / f"{seed}.wav", np.concatenate(halves), 48_000)
    header = "file,label,start,end,probability,mark\n"
    (tmp_path / "one.csv").write_text(header + "0.wav,klaxo,0,0.8,,yes\n1.wav,klaxo,0.8,1.6,,no\n")
    (tmp_path / "two.csv").write_text(header + "0.wav,klaxo,0.8,1.6,,no\n1.wav,klaxo,0,0.8,,yes\n")
    assert Result("teach", tmp_path / "one.csv", "-o", tmp_path / "m.labels").code == 0
    ran = Result("teach", "--add", tmp_path / "two.csv", tmp_path / "m.labels", "-f", "json")
    assert ran.code == 0, ran
    assert read_labels(tmp_path / "m.labels").commands["tag"].examples.truth[:, 0].tolist() == [1, 0, 0, 1]


@pytest.fixture(scope="module")
def unhelped(sounds, tmp_path_factory) -> tuple[Path, set[tuple[str, str]]]:
    """A file of labels that contradictory examples do not help, and those of them that keep their words."""
    rows = ["file,label"] + [f"background/{seed}.wav,{WORDS[seed % 2]}" for seed in range(6)]
    (sounds / "noise.csv").write_text("\n".join(rows))
    file = tmp_path_factory.mktemp("unhelped") / "n.labels"
    ran = Result("teach", sounds / "noise.csv", "-m", MODEL, "-o", file, "--for", "both", "-f", "json")
    assert ran.code == 0, ran
    kept = {(each["label"], each["command"]) for each in json.loads(ran.out)["labels"] if not each["learned"]}
    assert any(command == "tag" for _, command in kept)  # random recordings: words do as well or better
    return file, kept


@pytest.mark.parametrize("command", ["tag", "localize"])
def test_labels_without_evidence_give_the_probabilities_of_their_words(sounds, unhelped, command) -> None:
    file, kept = unhelped
    labels = [label for label, own in kept if own == command]
    if not labels:
        pytest.skip("examples have helped all labels of this command")
    flags = ["-f", "jsonl", *(["--frames", "--threshold", "0.3"] if command == "localize" else [])]
    with_words = Result(command, sounds / "classes", *(f"--label={label}" for label in labels), *flags).objects
    with_file = Result(command, sounds / "classes", "--taught", file, *flags).objects
    for plain, learned in zip(with_words, with_file, strict=True):
        if command == "tag":
            probabilities = {tag["label"]: tag["probability"] for tag in learned["tags"]}
            assert all(probabilities[tag["label"]] == tag["probability"] for tag in plain["tags"])
        else:
            assert all(learned["frames"][label] == plain["frames"][label] for label in labels)


def test_labels_without_evidence_find_in_an_index_what_their_words_find(sounds, unhelped, tmp_path) -> None:
    file, kept = unhelped
    labels = [label for label, own in kept if own == "tag"]
    index = tmp_path / "x.index"
    assert Result("index", sounds / "classes", sounds / "background", "--index", index).code == 0
    asked = ["--index", index, "-k", "all", "-f", "jsonl"]
    with_words, with_file = (Result("search", *labels, *asked, *more).objects for more in ([], ["--taught", file]))
    assert [each["hits"] for each in with_words] == [each["hits"] for each in with_file]
    assert [each.get("taught") for each in with_file] == [True] * len(labels)


def test_labels_without_evidence_are_evaluated_as_their_words_are(sounds, unhelped) -> None:
    file, kept = unhelped
    threshold = ["--threshold", "0.5"]
    plain, learned = (
        json.loads(Result("eval", sounds / "noise.csv", "-f", "json", *threshold, *more).out)
        for more in ([], ["--taught", file])
    )
    for one, other in zip(plain["labels"], learned["labels"], strict=True):
        if (one["label"], "tag") in kept:
            assert one["figures"] == other["figures"] and one["reliability"] == other["reliability"]


def test_a_taught_label_wins_over_words_of_its_name(sounds, taught) -> None:
    file = sounds / "classes" / "klaxo" / "0.wav"
    words, learned, both = (
        Result("tag", file, *flags, "-f", "jsonl").objects[0]["tags"]
        for flags in (["-l", "klaxo"], ["--taught", taught], ["-l", "klaxo", "--taught", taught])
    )
    assert both == learned != words


def test_more_examples_are_added_to_those_in_the_file(sounds, taught, tmp_path) -> None:
    copy = tmp_path / "my.labels"
    copy.write_bytes(taught.read_bytes())
    sound(tmp_path / "more" / "klaxo" / "new.wav", 77, "buzz")
    sound(tmp_path / "more" / "hiss" / "new.wav", 78, "noise")
    ran = Result("teach", "--add", tmp_path / "more", copy, "--for", "tag", "-f", "json")
    assert ran.code == 0, ran
    both = read_labels(copy)
    assert both.commands["tag"].labels == ("klaxo", "hiss")
    assert [outcome.n_examples for outcome in both.commands["tag"].outcomes] == [7, 1]
    assert both.commands["localize"].labels == ("klaxo",)


def test_labels_are_removed_renamed_and_joined_into_a_new_file(taught, tmp_path) -> None:
    ran = Result("labels", taught, "--rename", "klaxo=the old pump", "-o", tmp_path / "new.labels")
    assert ran.code == 0 and read_labels(tmp_path / "new.labels").labels == ("the old pump",)
    ran = Result("labels", taught, "--join", tmp_path / "new.labels", "-o", tmp_path / "both.labels")
    assert ran.code == 0 and read_labels(tmp_path / "both.labels").labels == ("klaxo", "the old pump")
    ran = Result("labels", tmp_path / "both.labels", "--remove", "klaxo", "-o", tmp_path / "one.labels")
    assert ran.code == 0 and read_labels(tmp_path / "one.labels").labels == ("the old pump",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["teach", "classes", "--background", "background"], "-o my.labels"),
        (["teach", "classes", "-o", "x.labels"], "no counter-example"),
        (["teach", "background", "-o", "x.labels"], "folder of a class"),
        (["teach", "classes", "--background", "background", "-o", "my.labels"], "exists"),
        (["teach", "--add", "classes", "strong.tsv"], "no file of taught labels"),
        (["teach", "one.csv", "-o", "x.labels"], "one recording"),
        (["teach", "classes", "--index", "x.index", "--for", "both", "-o", "x.labels"], "embeddings of frames"),
        (["teach", "classes", "--background", "background", "-o", "no/x.labels"], "no folder"),
        (["teach", "nothing", "-o", "x.labels"], "nothing"),
        (["labels", "my.labels", "--remove", "klaxo"], "-o"),
        (["labels", "my.labels", "-o", "y.labels"], "nothing changes"),
        (["labels", "my.labels", "--rename", "klaxo", "-o", "y.labels"], "OLD=NEW"),
        (["tag", "background", "--taught", "strong.tsv"], "strong.tsv"),
        (["tag", "background", "--taught", "my.labels", "-m", "mini"], "another checkpoint"),
        (["tag", "background", "--taught", "my.labels", "--taught", "my.labels"], "another file has too"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(sounds, taught, monkeypatch, arguments, message) -> None:
    (sounds / "one.csv").write_text("file,label\nbackground/0.wav,klaxo\n")
    monkeypatch.chdir(sounds)
    before = sorted(sounds.rglob("*"))
    ran = Result(*arguments)
    assert ran.code == 2 and message in ran.err and "Traceback" not in ran.err
    assert sorted(sounds.rglob("*")) == before


def test_a_recording_that_cannot_be_decoded_is_left_out_and_told(sounds, tmp_path) -> None:
    for kind in ("klaxo", "hiss"):
        for seed in range(2):
            sound(tmp_path / "c" / kind / f"{seed}.wav", seed, "buzz" if kind == "klaxo" else "noise")
    (tmp_path / "c" / "klaxo" / "bad.wav").write_text("no recording")
    ran = Result("teach", tmp_path / "c", "-o", tmp_path / "x.labels", "-f", "json")
    assert ran.code == 1 and "bad.wav" in ran.err
    assert json.loads(ran.out)["labels"][1]["examples"] == 2
    strict = Result("teach", tmp_path / "c", "-o", tmp_path / "y.labels", "--strict")
    assert strict.code == 2 and not (tmp_path / "y.labels").exists()


def test_annotations_of_a_longer_recording_are_left_out_and_told(sounds, tmp_path) -> None:
    rows = ["classes/klaxo/0.wav\t0.0\t0.8\tklaxo", "classes/klaxo/1.wav\t0\t60\tklaxo"]
    more = ["classes/klaxo/2.wav\t0.0\t0.8\tklaxo", "classes/klaxo/2.wav\t5\t6\tklaxo"]
    (sounds / "long.tsv").write_text("filename\tonset\toffset\tevent_label\n" + "\n".join(rows + more) + "\n")
    background = ["--background", sounds / "background", "--for", "tag"]
    ran = Result("teach", sounds / "long.tsv", *background, "-o", tmp_path / "x.labels", "-f", "json")
    assert ran.code == 0 and json.loads(ran.out)["labels"][0]["examples"] == 2
    told = [line for line in ran.err.splitlines() if "beyond the end" in line]
    assert [line.partition("row ")[2][0] for line in told] == ["3", "5"]
    strict = Result("teach", sounds / "long.tsv", *background, "-o", tmp_path / "y.labels", "--strict")
    assert strict.code == 2 and "beyond the end" in strict.err and not (tmp_path / "y.labels").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not tested on Windows")
def test_a_kill_in_the_middle_of_add_leaves_the_old_file_whole(sounds, taught, tmp_path) -> None:
    copy = tmp_path / "my.labels"
    copy.write_bytes(taught.read_bytes())
    for seed in range(40):
        sound(tmp_path / "more" / "klaxo" / f"{seed}.wav", seed, "buzz", seconds=5)
    arguments = ["teach", "--add", str(tmp_path / "more"), str(copy)]
    run = subprocess.Popen(
        [sys.executable, "-m", "pe_audio_cli", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    time.sleep(3)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert copy.read_bytes() == taught.read_bytes()
    assert [file.name for file in tmp_path.iterdir() if file.name != "more"] == ["my.labels"]
