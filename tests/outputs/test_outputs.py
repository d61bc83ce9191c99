"""Outputs that appear whole or not at all, and journals that say no more than is true."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import write_tone

from pe_audio_cli.errors import OutputError
from pe_audio_cli.formats.base import WriteOptions
from pe_audio_cli.formats.registry import writer_for
from pe_audio_cli.outputs.base import Output
from pe_audio_cli.outputs.file import FileOutput
from pe_audio_cli.outputs.folder import FolderOutput
from pe_audio_cli.results import Event, FileError, LocalizeResult, Recording, Tag, TagResult

SETTINGS = {"labels": ["rain"], "model": "m", "window": 30.0}


def result(file: str, probability: float = 0.5) -> TagResult:
    return TagResult(Recording(file, 1.0, 8000, 1), "m", 1, (Tag("rain", probability),))


def output(path: Path, files: list[str], **more) -> Output:
    kind = FolderOutput if path.suffix == "" else FileOutput
    return kind(path, writer_for(path.suffix[1:] or "json", "tag"), WriteOptions("tag"), files, **more)


@pytest.fixture
def files(tmp_path) -> list[str]:
    return [str(write_tone(tmp_path / "in" / f"{index}.wav", seconds=0.01)) for index in range(6)]


def run(path: Path, files: list[str], upto: int | None = None, settings_=SETTINGS, **more) -> int:
    """Write results up to one input, then stop as if killed (None: to the end). Returns how many were done before."""
    target = output(path, files, **more)
    done = target.open(settings_)
    for index, file in enumerate(files[:upto]):
        if index not in done:
            target.write(FileError(file, "decode", "no") if index == 2 else result(file, index / 10))
    if upto is None:
        target.finish()
    else:
        target.abandon()
    return len(done)


@pytest.mark.parametrize("name", ["o.json", "o.jsonl", "o.csv", "o.tsv", "folder"])
def test_a_resumed_output_equals_an_undisturbed_one(files, tmp_path, name):
    whole, target = tmp_path / f"whole-{name}", tmp_path / name
    run(whole, files)
    run(target, files, upto=1)
    assert run(target, files, upto=4, resume=True) == 1
    assert run(target, files, resume=True) == 3  # what failed is tried again

    def content(path: Path) -> dict[str, bytes]:
        tree = path.rglob("*.json") if path.is_dir() else [path]
        return {str(file.relative_to(path)): file.read_bytes() for file in tree}

    assert content(target) == content(whole)


def located(name: str, path: Path, files: list[str], **more) -> Output:
    return FileOutput(path, writer_for(name, "localize"), WriteOptions("localize"), files, **more)


def test_what_a_format_has_to_know_of_earlier_results_survives_a_resume(files, tmp_path):
    results = [
        FileError(file, "decode", "no")
        if index == 2
        else LocalizeResult(Recording(file, 0.1 + index, 8000, 1), "m", 0.04, 0.3, ("x",), [Event("x", 0.0, 0.1, 0.5)])
        for index, file in enumerate(files)
    ]
    ends = {"whole.txt": [6], "parts.txt": [1, 3, 4, 6]}
    for name, stops in ends.items():
        for stop in stops:
            target = located("raven", tmp_path / name, files, resume=True)
            done = target.open(SETTINGS)
            for index, each in enumerate(results[:stop]):
                if index not in done:
                    target.write(each)
            if stop == 6:
                target.finish()
            else:
                target.abandon()
    whole = (tmp_path / "whole.txt").read_bytes()
    assert (tmp_path / "parts.txt").read_bytes() == whole
    assert len(whole.splitlines()) == 6


@pytest.mark.parametrize("end", ["finish", "abandon"])
def test_a_format_for_one_recording_has_no_file_for_one_that_failed(files, tmp_path, end):
    target = located("textgrid", tmp_path / "o.TextGrid", files[:1], resume=True)
    target.open(SETTINGS)
    target.write(FileError(files[0], "decode", "no"))
    assert getattr(target, end)() is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_a_power_cut_leaves_of_the_last_lines_the_end_is_the_same(files, tmp_path, data):
    """Both files lose some of their end, the journal no less than the output had reached: it is written later."""
    whole, target = tmp_path / "whole.jsonl", tmp_path / "o.jsonl"
    run(whole, files, overwrite=True)
    part, journal = tmp_path / "o.jsonl.part", tmp_path / "o.jsonl.journal"
    for file in (target, part, journal):
        file.unlink(missing_ok=True)
    run(target, files, upto=data.draw(st.integers(1, 6)))
    if not journal.exists():
        return
    lines = journal.read_bytes()
    first = lines.index(b"\n") + 1
    journal.write_bytes(lines[: data.draw(st.integers(first, len(lines)))])
    part.write_bytes(part.read_bytes() + data.draw(st.binary(max_size=40)))
    run(target, files, resume=True)
    assert target.read_bytes() == whole.read_bytes()


def test_nothing_is_there_under_its_name_before_it_is_whole(files, tmp_path):
    target = output(tmp_path / "o.csv", files)
    target.open(SETTINGS)
    target.write(result(files[0]))
    assert not (tmp_path / "o.csv").exists()
    target.finish()
    assert (tmp_path / "o.csv").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "o.csv"]


def test_a_run_that_stops_before_its_first_result_leaves_nothing(files, tmp_path):
    run(tmp_path / "o.csv", files, upto=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


@pytest.mark.parametrize("name", ["o.csv", "folder"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": ["rain", "wind"]}, r'labels was \["rain"\] and is now \["rain", "wind"\]'),
        ({"model": "other"}, 'model was "m" and is now "other"'),
        ({"window": 10.0}, "window was 30.0 and is now 10.0"),
        ({"new": 1}, "new was null and is now 1"),
        (
            {"labels": ["rain", *"abcdefghijklmnopqrstuvwxyz"]},
            r'labels was \["rain"\] and is now \["rain", "a", .*\.\.\.;',
        ),
    ],
)
def test_another_question_is_refused_with_the_difference_named(files, tmp_path, name, change, says):
    run(tmp_path / name, files, upto=3)
    with pytest.raises(OutputError, match=says):
        run(tmp_path / name, files, settings_={**SETTINGS, **change}, resume=True)


@pytest.mark.parametrize("name", ["o.csv", "folder"])
def test_other_inputs_are_refused_with_the_difference_named(files, tmp_path, name):
    run(tmp_path / name, files, upto=3)
    with pytest.raises(OutputError, match=r"had .*0\.wav where now is .*1\.wav"):
        run(tmp_path / name, files[1:], resume=True)
    os.utime(files[1], ns=(1, 1))
    with pytest.raises(OutputError, match=r"1\.wav has changed"):
        run(tmp_path / name, files, resume=True)
    write_tone(Path(files[0]), seconds=0.02)
    with pytest.raises(OutputError, match=r"0\.wav has changed"):
        run(tmp_path / name, files, resume=True)


@pytest.mark.parametrize("name", ["o.jsonl", "o.csv", "o.json", "folder"])
def test_inputs_that_are_added_at_the_end_are_done_by_the_next_resumed_run(files, tmp_path, name):
    run(tmp_path / name, files[:4], resume=True)
    assert run(tmp_path / name, files, resume=True) == 3
    run(tmp_path / f"whole-{name}", files)
    if name != "folder":
        assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()
    assert run(tmp_path / name, files, resume=True) == 5


def test_a_damaged_journal_is_refused(files, tmp_path):
    run(tmp_path / "o.csv", files, upto=3)
    journal = tmp_path / "o.csv.journal"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([lines[0], "nonsense\n", *lines[2:]]))
    with pytest.raises(OutputError, match="damaged in line 2"):
        run(tmp_path / "o.csv", files, resume=True)
    journal.write_text(json.dumps({"journal": 99, "settings": SETTINGS}) + "\n")
    with pytest.raises(OutputError, match="not a journal of this version"):
        run(tmp_path / "o.csv", files, resume=True)


def test_an_output_that_lost_what_its_journal_promises_is_refused(files, tmp_path):
    run(tmp_path / "o.csv", files, upto=3)
    (tmp_path / "o.csv.part").write_bytes(b"file")
    with pytest.raises(OutputError, match="shorter than its journal says"):
        run(tmp_path / "o.csv", files, resume=True)


def test_a_folder_that_lost_a_file_is_refused(files, tmp_path):
    run(tmp_path / "folder", files, upto=3)
    (tmp_path / "folder" / "1.wav.json").unlink()
    with pytest.raises(OutputError, match=r"1\.wav\.json is gone"):
        run(tmp_path / "folder", files, resume=True)


def test_what_an_earlier_run_left_is_not_replaced_unasked(files, tmp_path):
    run(tmp_path / "o.csv", files, upto=3)
    run(tmp_path / "folder", files, upto=3)
    for name in ("o.csv", "folder"):
        with pytest.raises(OutputError, match="--resume goes on, --overwrite starts again"):
            output(tmp_path / name, files)
        assert run(tmp_path / name, files, overwrite=True) == 0
        with pytest.raises(OutputError, match="exists"):
            output(tmp_path / name, files)


def test_recordings_of_one_name_in_several_folders_and_formats_stay_apart(tmp_path):
    names = ["a/x.wav", "a/x.mp3", "b/x.wav", "b/c/x.wav"]
    files = [str(write_tone(tmp_path / "in" / name, seconds=0.01)) for name in names]
    run(tmp_path / "out", files)
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.json")}
    assert written == {"a/x.wav.json", "a/x.mp3.json", "b/c/x.wav.json"}  # the third is the one that failed
