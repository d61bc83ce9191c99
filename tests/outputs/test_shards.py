"""Shards that appear whole or not at all, and a marker that says that all are there."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from support import write_tone

from pe_audio_cli.errors import OutputError, RunError, UsageError
from pe_audio_cli.formats.base import WriteOptions
from pe_audio_cli.formats.registry import writer_for
from pe_audio_cli.outputs.shards import ShardedOutput
from pe_audio_cli.results import FileError, Recording, Tag, TagResult

SETTINGS = {"labels": ["rain"], "model": "m", "window": 30.0}
SIZE = 3


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return [str(write_tone(tmp_path / "in" / f"{index:02}.wav", seconds=0.01)) for index in range(11)]


def result(file: str) -> TagResult | FileError:
    if file.endswith("4.wav"):
        return FileError(file, "decode", "no")
    return TagResult(Recording(file, 1.0, 8000, 1), "m", 1, (Tag("rain", 0.5),))


def output(folder: Path, files: list[str], name: str = "jsonl", size: int = SIZE, **more: bool) -> ShardedOutput:
    return ShardedOutput(folder, writer_for(name, "tag"), WriteOptions("tag"), files, size, **more)


def run(folder: Path, files: list[str], upto: int | None = None, killed: bool = False, **more: bool) -> int:
    """Write results up to one input, then stop (None: to the end). Returns how many were done before.

    A run that is killed leaves what was there at that moment.
    """
    target = output(folder, files, **more)
    done = len(before := target.open(SETTINGS))
    for index, file in enumerate(files[:upto]):
        if index not in before:
            target.write(result(file))
    if upto is None:
        target.finish()
        return done
    left = shutil.copytree(folder, folder.with_name("left")) if killed else None
    target.abandon()
    if left is not None:
        shutil.rmtree(folder)
        left.rename(folder)
    return done


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if not file.name.startswith(".")}


def test_shards_hold_so_many_recordings_each_and_the_marker_comes_last(files, tmp_path):
    folder = tmp_path / "out"
    target = output(folder, files)
    target.open(SETTINGS)
    seen = []
    for file in files:
        target.write(result(file))
        seen.append(sorted(name for name in content(folder) if name.endswith(".jsonl")))
    assert seen[1] == []
    assert seen[2] == ["part-00000.jsonl"]
    assert not (folder / "_SUCCESS").exists()
    target.finish()
    assert sorted(content(folder)) == ["_SUCCESS", *(f"part-0000{n}.jsonl" for n in range(4))]
    assert [content(folder)[f"part-0000{n}.jsonl"].count(b"\n") for n in range(4)] == [3, 3, 3, 2]
    assert content(folder)["_SUCCESS"] == b""
    # One recording failed, and can be tried again.
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == [".peaudio.journal"]


@pytest.mark.parametrize("name", ["jsonl", "csv", "json", "parquet"])
@pytest.mark.parametrize("killed", [False, True])
def test_a_resumed_run_begins_after_the_last_whole_shard_and_ends_the_same(files, tmp_path, name, killed):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    run(tmp_path / "whole", files, name=name)
    target = tmp_path / "out"
    run(target, files, upto=8, killed=killed, name=name)
    assert not (target / "_SUCCESS").exists()
    assert run(target, files, upto=9, killed=killed, name=name, resume=True) == 3  # the second shard has a failure
    assert run(target, files, name=name, resume=True) == 6
    assert content(target) == content(tmp_path / "whole")


def test_a_run_that_is_killed_anywhere_ends_the_same(files, tmp_path):
    run(tmp_path / "whole", files)
    dice = random.Random(0)
    for turn in range(20):
        target = tmp_path / f"out{turn}"
        while dice.random() < 0.8:
            run(target, files, upto=dice.randint(0, len(files)), killed=dice.random() < 0.5, resume=True)
            journal = target / ".peaudio.journal"
            if journal.exists() and dice.random() < 0.5:  # a power cut: the last line is torn, or more is lost
                lines = journal.read_bytes()
                first = lines.index(b"\n") + 1
                journal.write_bytes(lines[: dice.randint(first, len(lines))])
        run(target, files, resume=True)
        assert content(target) == content(tmp_path / "whole")


def test_more_inputs_fill_up_the_last_shard_of_a_run_that_was_complete(files, tmp_path):
    target = tmp_path / "out"
    run(target, files[:7], resume=True)
    assert run(target, files[:7], resume=True) == 4
    assert run(target, files, resume=True) == 3
    run(tmp_path / "whole", files)
    assert content(target) == content(tmp_path / "whole")


def test_a_run_that_stops_in_its_first_shard_leaves_nothing(files, tmp_path):
    target = output(tmp_path / "out", files)
    target.open(SETTINGS)
    target.write(result(files[0]))
    assert target.abandon() is None
    assert list((tmp_path / "out").iterdir()) == []


def test_shards_that_are_there_are_refused_or_replaced_as_a_whole(files, tmp_path):
    target = tmp_path / "out"
    run(target, files)
    (target / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        output(target, files)
    run(target, files[:2], overwrite=True)
    assert sorted(content(target)) == ["_SUCCESS", "notes.txt", "part-00000.jsonl"]


def test_an_interrupted_run_is_refused_without_resume_and_with_other_settings(files, tmp_path):
    target = tmp_path / "out"
    run(target, files, upto=5)
    with pytest.raises(OutputError, match="--resume"):
        output(target, files)
    with pytest.raises(OutputError, match="shard size was 3 and is now 4"):
        output(target, files, size=4, resume=True).open(SETTINGS)
    with pytest.raises(OutputError, match="window"):
        output(target, files, resume=True).open({**SETTINGS, "window": 10.0})
    (target / "part-00000.jsonl").unlink()
    with pytest.raises(OutputError, match=r"part-00000\.jsonl is gone"):
        output(target, files, resume=True).open(SETTINGS)


def test_a_format_for_one_recording_is_refused(files, tmp_path):
    with pytest.raises(UsageError, match="textgrid holds one recording"):
        ShardedOutput(tmp_path, writer_for("textgrid", "localize"), WriteOptions("localize"), files, SIZE)


def test_a_folder_that_vanishes_is_one_error(files, tmp_path):
    target = output(tmp_path / "out", files)
    target.open(SETTINGS)
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(RunError, match="cannot write into"):
        target.write(result(files[0]))
    target.abandon()


def test_a_file_in_the_place_of_the_folder_is_refused(files, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="cannot write into"):
        output(tmp_path / "out", files).open(SETTINGS)
