"""``embed``, ``index`` and ``search`` as a shell sees them."""

from __future__ import annotations

import csv
import inspect
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
from invoked import Result
from support import REFERENCE, write_tone

from pe_audio_cli.cli.commands.search import search
from pe_audio_cli.formats.registry import choices
from pe_audio_cli.index.search import SearchOptions

MODEL = str(REFERENCE / "pe-av-tiny")
FOREVER = "(SELECT count(*) FROM range(1000000) a, range(1000000) b) < 0"


@pytest.fixture(autouse=True)
def model(monkeypatch):
    monkeypatch.setenv("PEAUDIO_MODEL", MODEL)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    """Three recordings, one of which is none."""
    folder = tmp_path_factory.mktemp("sounds")
    write_tone(folder / "a.wav", seconds=1.3)
    (folder / "b.wav").write_text("no recording")
    write_tone(folder / "sub" / "c.wav", seconds=12.0, level=0.5)
    return folder


@pytest.fixture(scope="module")
def index(sounds, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("index") / "sounds.index"
    assert Result("index", sounds, "--index", path, "-m", MODEL, "-q").code == 1
    return path


def test_the_commands_stand_in_the_help():
    printed = Result("--help").out
    for line in ("embed ", "index ", "search "):
        assert f"│ {line}" in printed


@pytest.mark.parametrize("command", ["embed", "index", "search"])
def test_the_example_in_the_help_of_a_command_works(command, index, tmp_path, monkeypatch):
    (line,) = [line for line in Result(command, "--help").out.splitlines() if "Example: peaudio" in line]
    write_tone(tmp_path / "recordings" / "x.wav")
    if command == "search":
        (tmp_path / "sounds.index").write_bytes(index.read_bytes())
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(line.split("Example: peaudio", 1)[1].strip(" │"))
    assert Result(*arguments).code == 0


def test_the_flags_defaults_are_those_of_the_python_api():
    flags = inspect.signature(search).parameters
    assert flags["k"].default == str(SearchOptions().k)
    assert flags["where"].default == SearchOptions().where


def test_indexing_tells_what_there_is_and_does_nothing_twice(sounds, tmp_path, monkeypatch):
    path = tmp_path / "i"
    first = Result("index", sounds, "--index", path)
    assert (first.code, first.out) == (1, "")
    error, holds, numbers, again = first.err.splitlines()
    assert error.startswith(f"peaudio: {sounds / 'b.wav'}: ")
    assert holds == f"peaudio: {path}: 2 recordings, 3 windows"
    assert numbers.startswith("peaudio: 2 done, 1 failed; 13.3 s of audio in ")
    assert again == error.replace("peaudio: ", "peaudio: failed: ", 1)
    monkeypatch.setitem(sys.modules, "pe_audio_cli.models.backends.torch_encoder", None)  # nothing may be loaded
    second = Result("index", sounds / "a.wav", sounds / "sub", "--index", path)
    assert second.code == 0
    assert second.err.splitlines() == [holds, "peaudio: 0 done, 0 failed, 2 skipped (done earlier)"]


def test_pruning_is_told(tmp_path):
    for name in "ab":
        write_tone(tmp_path / "in" / f"{name}.wav", seconds=0.5)
    Result("index", tmp_path / "in", "--index", tmp_path / "i")
    (tmp_path / "in" / "b.wav").unlink()
    assert (
        "1 recording, 1 window, 1 dropped" in Result("index", tmp_path / "in", "--index", tmp_path / "i", "--prune").err
    )


def test_what_pruning_keeps_is_told(tmp_path):
    for name in "ab":
        write_tone(tmp_path / "in" / name / "x.wav", seconds=0.5)
    Result("index", tmp_path / "in", "--index", tmp_path / "i")
    (tmp_path / "in" / "b").rename(tmp_path / "away")
    said = Result("index", tmp_path / "in", "--index", tmp_path / "i", "--prune").err
    assert "2 recordings, 2 windows, 0 dropped" in said
    assert (
        f"1 recording kept that cannot be looked for, as on a disk that is not mounted: {tmp_path}/in/b/x.wav" in said
    )


def test_a_copy_that_is_none_is_named_and_left_alone(index, tmp_path):
    (tmp_path / "i").write_bytes(index.read_bytes())
    (tmp_path / "i.vectors").write_text("mine")
    result = Result("search", "rain", "--index", tmp_path / "i")
    assert (result.code, result.out) == (0, Result("search", "rain", "--index", index).out)
    assert result.err == f"peaudio: warning: {tmp_path / 'i'}.vectors is not a copy of this index: move it " + (
        "away for faster searches\n"
    )
    assert (tmp_path / "i.vectors").read_text() == "mine"


def test_a_copy_that_was_damaged_is_told_and_made_anew(index, tmp_path):
    (tmp_path / "i").write_bytes(index.read_bytes())
    right = Result("search", "rain", "--index", tmp_path / "i").out
    changed = bytearray((tmp_path / "i.vectors").read_bytes())
    changed[4100] ^= 0x40
    (tmp_path / "i.vectors").write_bytes(changed)
    result = Result("search", "rain", "--index", tmp_path / "i")
    assert (result.code, result.out) == (0, right)
    assert result.err == f"peaudio: warning: {tmp_path / 'i'}.vectors is damaged: it is made anew from the index\n"


def test_a_search_that_takes_longer_says_why(index, tmp_path):
    (tmp_path / "i").write_bytes(index.read_bytes())
    first, second = (Result("search", "rain", "--index", tmp_path / "i") for _ in range(2))
    assert ".vectors, which makes the next searches faster" in first.err
    assert (second.err, second.out) == ("", first.out)


def test_json_has_the_promised_shape(index, sounds):
    (item,) = json.loads(Result("search", "rain", "--index", index, "-f", "json", "-k", "1").out)
    (hit,) = item.pop("hits")
    assert item == {"schema": "peaudio.search/1", "query": "rain"}
    assert hit.keys() == {"file", "start", "end", "duration", "probability"}
    (item,) = Result("search", "--like", sounds / "a.wav", "--index", index).objects
    assert item["query"] == str(sounds / "a.wav")
    assert item["hits"][0] == {
        "file": str(sounds / "a.wav"),
        "start": 0.0,
        "end": 1.3,
        "duration": 1.3,
        "similarity": 1.0,
    }


def test_what_is_amiss_with_the_sound_that_is_searched_for_is_said(index, sounds, tmp_path):
    (tmp_path / "cut.wav").write_bytes((sounds / "a.wav").read_bytes()[:-100_000])
    result = Result("search", "--like", tmp_path / "cut.wav", "--index", index)
    (item,) = result.objects
    (warning,) = item["warnings"]
    assert "cut short" in warning
    assert result.err.splitlines()[-1] == f"peaudio: warning: {tmp_path / 'cut.wav'}: {warning}"


def test_each_query_has_its_own_hits_in_order(index):
    items = Result("search", "rain", "a dog", "--index", index, "-k", "all").objects
    assert [item["query"] for item in items] == ["rain", "a dog"]
    for item in items:
        numbers = [hit["probability"] for hit in item["hits"]]
        assert len(numbers) == 3
        assert numbers == sorted(numbers, reverse=True)
    assert len({tuple(hit["probability"] for hit in item["hits"]) for item in items}) == 2


@pytest.mark.parametrize(("name", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_rows_hold_what_objects_hold(index, name, delimiter):
    arguments = ("search", "rain", "=1+1", "--index", index)
    rows = list(csv.DictReader(io.StringIO(Result(*arguments, "-f", name).out), delimiter=delimiter))
    hits = [(item["query"], hit) for item in Result(*arguments).objects for hit in item["hits"]]
    assert [(row["query"].removeprefix("'"), row["file"]) for row in rows] == [
        (query, hit["file"]) for query, hit in hits
    ]
    for column in ("start", "end", "probability"):
        np.testing.assert_array_equal([float(row[column]) for row in rows], [hit[column] for _, hit in hits])
    assert all(row["query"] in ("rain", "'=1+1") for row in rows)


def test_the_columns_of_a_search_by_sound(index, sounds):
    header = Result("search", "--like", sounds / "a.wav", "--index", index, "-f", "csv").out.splitlines()[0]
    assert header == "query,file,start,end,similarity"


def test_a_table_shows_paths_from_here(index, sounds, monkeypatch):
    monkeypatch.chdir(sounds)
    printed = Result("search", "rain", "--index", index, "-f", "table").out
    assert printed.splitlines()[0] == "rain"
    assert sum("sub/c.wav" in line for line in printed.splitlines()) == 2
    assert str(sounds) not in printed
    monkeypatch.chdir(sounds / "sub")
    assert " ../a.wav " in Result("search", "rain", "--index", index, "-f", "table").out
    assert "no window to show" in Result("search", "x", "--index", index, "-f", "table", "--where", "false").out


def test_nothing_is_found_where_a_condition_never_holds(index):
    result = Result("search", "rain", "--index", index, "--where", "duration > 60")
    assert (result.code, result.objects[0]["hits"]) == (0, [])


def test_what_must_not_be_heard(index):
    plain, without = (
        Result("search", "rain", "--index", index, *more).objects[0]["hits"] for more in ((), ("--not", "a dog"))
    )
    assert {hit["file"] for hit in plain} == {hit["file"] for hit in without}
    assert all(hit["probability"] < max(each["probability"] for each in plain) for hit in without)


def test_nothing_but_data_is_printed_and_paths_cannot_drive_the_terminal(tmp_path):
    write_tone(tmp_path / "in" / "a\x1b[31mred.wav")
    assert Result("index", tmp_path / "in", "--index", tmp_path / "i").out == ""
    result = Result("search", "rain", "--index", tmp_path / "i", "-f", "table")
    assert "\x1b" not in result.out
    assert result.err == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["search", "x", "--index", "{tmp}/none"], "there is no index at"),
        (["search", "x", "--index", "{tmp}"], "is a folder"),
        (["search", "x", "--index", "{tone}"], "cannot be read as an index"),
        (["search", "--index", "{index}"], "name what to search for"),
        (["search", "x"], "--index"),
        (["search", " ", "--index", "{index}"], "a query is blank"),
        (["search", "dog " * 600, "--index", "{index}"], "602 tokens"),
        (["search", "x", "--not", "dog " * 600, "--index", "{index}"], "602 tokens"),
        (["search", "x", "--like", "{tone}", "--index", "{index}"], "leave them out"),
        (["search", "--not", "x", "--like", "{tone}", "--index", "{index}"], "leave them out"),
        (["search", "x", "-k", "0", "--index", "{index}"], "k must be 1 or more"),
        (["search", "x", "-k", "few", "--index", "{index}"], "-k takes a number of hits or 'all'"),
        (["search", "x", "-f", "xml", "--index", "{index}"], "search has no format 'xml'"),
        (["search", "x", "-f", "srt", "--index", "{index}"], "search has no format 'srt'"),
        (["search", "x", "--index", "{fifo}"], "and an index is a file"),
        (["index", "{tone}", "--index", "{fifo}"], "and an index is a file"),
        (["index", "{tone}", "--index", "/dev/null"], "and an index is a file"),
        (["search", "x", "--index", "x" * 300], "cannot be opened"),
        (["search", "x", "--where", FOREVER, "--index", "{index}"], "takes longer than 0.5 s"),
        (["search", "x", "--where", "loud", "--index", "{index}"], "the condition 'loud' does not work"),
        (["search", "x", "-m", "{other}", "--index", "{index}"], "is another checkpoint"),
        (["index", "{tone}", "--index", "{index}", "-m", "{other}"], "is another checkpoint"),
        (["index", "{tone}", "--index", "{index}", "--window", "5"], "has windows of 10 s"),
        (["index", "{tone}", "--index", "{tmp}/new", "--window", "soon"], "--window is a number"),
        (["index", "{tone}", "--index", "{tmp}/new", "--overlap", "9"], "overlap must be"),
        (["index", "{tone}", "--index", "{tmp}/no/such/i"], "it is no folder"),
        (["index", "{tone}", "--index", "{tone}"], "cannot be read as an index"),
        (["index", "-", "--index", "{tmp}/new"], "standard input"),
        (["index", "{tone}"], "--index"),
        (["embed", "{tone}"], "--output"),
        (["embed", "{tone}", "-o", "{tmp}/clips.csv"], "ends in .parquet or .npz"),
        (["embed", "{tone}", "-o", "{tmp}/no/such/clips.npz"], "cannot write"),
        (["embed", "{tone}", "-o", "{tmp}/clips.npz", "--frames", "--per-window"], "choose one"),
        (["embed", "{tone}", "-o", "{tmp}/clips.npz", "--precision", "float64"], "--precision"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None,
)
def test_bad_usage_is_exit_2_with_one_reason_and_starts_nothing(index, tmp_path, monkeypatch, arguments, says):
    monkeypatch.setenv("PEAUDIO_MAX_WHERE_SECONDS", "0.5")
    tone = write_tone(tmp_path / "tone.wav")
    os.mkfifo(tmp_path / "fifo")
    places = {
        "fifo": tmp_path / "fifo",
        "tone": tone,
        "tmp": tmp_path,
        "index": index,
        "other": REFERENCE / "pe-a-frame-tiny",
    }
    before = sorted(tmp_path.rglob("*")), index.read_bytes()
    result = Result(*(argument.format(**places) for argument in arguments))
    assert (result.code, result.out) == (2, "")
    assert says in " ".join(result.err.replace("│", " ").split())
    assert "Traceback" not in result.err
    assert (sorted(tmp_path.rglob("*")), index.read_bytes()) == before


@pytest.mark.parametrize("where", ["missing.wav", "empty", "*.wav"])
def test_an_empty_library_is_one_error_and_makes_no_index(tmp_path, where):
    (tmp_path / "empty").mkdir()
    result = Result("index", tmp_path / where, "--index", tmp_path / "i")
    assert result.code == 1
    assert len(result.err.splitlines()) == 1
    assert not (tmp_path / "i").exists()


def test_a_damaged_index_is_one_line(index, tmp_path):
    (tmp_path / "i").write_bytes(index.read_bytes()[:300_000])
    result = Result("search", "rain", "--index", tmp_path / "i")
    assert (result.code, result.out, len(result.err.splitlines())) == (2, "", 1)
    assert "cannot be read as an index" in result.err


@pytest.mark.parametrize("k", ["1", "all"])
@pytest.mark.parametrize("name", choices("search"))
def test_every_format_takes_any_number_of_hits(index, name, k):
    assert ".wav" in Result("search", "rain", "--index", index, "-f", name, "-k", k).out


@pytest.mark.parametrize(
    ("flags", "n_rows", "seconds"),
    [((), 2, 1.3), (("--per-window", "--window", "6"), 3, 1.3), (("--frames",), 333, 0.04)],
)
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_embeddings_in_a_file(sounds, tmp_path, flags, n_rows, seconds, precision):
    command = ("embed", sounds, *flags, "--precision", precision)
    assert Result(*command, "-o", tmp_path / "x.parquet", "-q").code == 1
    table = pandas.read_parquet(tmp_path / "x.parquet")
    assert (len(table), table["end"][0], set(table["file"])) == (
        n_rows,
        seconds,
        {str(sounds / "a.wav"), str(sounds / "sub" / "c.wav")},
    )
    Result(*command, "-o", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as archive:
        assert archive["embedding"].dtype == precision
        np.testing.assert_array_equal(archive["embedding"], np.stack(table["embedding"]))
        for name in ("file", "start", "end", "duration"):
            assert archive[name].tolist() == table[name].tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.npz", "x.parquet"]


@pytest.mark.parametrize("name", ["x.parquet", "x.npz"])
def test_an_existing_file_is_refused_unless_it_may_be_replaced(sounds, tmp_path, name):
    target = tmp_path / name
    target.write_text("mine")
    refused = Result("embed", sounds / "a.wav", "-o", target)
    assert (refused.code, "exists" in refused.err, target.read_text()) == (2, True, "mine")
    assert Result("embed", sounds / "a.wav", "-o", target, "--overwrite").code == 0
    assert target.read_bytes() != b"mine"


@pytest.mark.parametrize("name", ["x.parquet", "x.npz"])
def test_where_nothing_could_be_embedded_there_is_no_file(sounds, tmp_path, name):
    assert Result("embed", sounds / "b.wav", "-o", tmp_path / name).code == 1
    assert Result("embed", sounds, "-o", tmp_path / name, "--fail-fast", "-q").code == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flags", [(), ("--frames",)], ids=["the file", "the temporary file"])
@pytest.mark.parametrize("name", ["x.parquet", "x.npz"])
def test_a_full_disk_is_one_error_and_leaves_no_file(sounds, tmp_path, name, flags):
    resource = pytest.importorskip("resource")
    fake = Path(__file__).parents[1] / "fake_peaudio.py"
    ran = subprocess.run(
        [sys.executable, fake, "embed", sounds / "sub", "-o", tmp_path / name, *flags, "-q"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)),
    )
    assert ran.returncode == 1
    of = f"{sounds / 'sub' / 'c.wav'}: cannot write temporary files" if flags else f"cannot write {tmp_path}"
    assert ran.stderr.startswith(f"peaudio: {of}")
    assert len(ran.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
