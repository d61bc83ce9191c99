"""Formats are found by name and extension, go on where a run stopped, and cost no start-up time."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from pe_audio_cli.errors import UsageError
from pe_audio_cli.formats.base import WriteOptions, Writer
from pe_audio_cli.formats.registry import WRITERS, choices, guess, writer_for
from pe_audio_cli.results import Result

RUNS = [
    pytest.param(writer, kind, id=f"{writer.name}, {kind}")
    for writer in WRITERS
    if writer.resumable
    for kind in ("tag", "tag per window", "localize")
    if kind.split()[0] in writer.commands
]


def test_the_choices_stand_in_their_order() -> None:
    rows = ("table", "json", "jsonl", "csv", "tsv")
    assert choices("search") == rows
    assert choices("tag") == (*rows, "parquet")
    events = ("audacity", "raven", "textgrid", "vtt", "srt", "rttm", "dcase")
    assert choices("localize") == (*rows, "parquet", *events)


@pytest.mark.parametrize("command", ["tag", "localize", "search"])
def test_every_choice_has_a_writer_of_that_name(command: str) -> None:
    for name in choices(command):
        assert writer_for(name, command).name == name


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'xml': choose one of table, json, jsonl, csv, tsv"):
        writer_for("xml", "tag")


def test_a_format_for_events_is_refused_for_tags() -> None:
    with pytest.raises(UsageError, match="tag has no format 'srt'"):
        writer_for("srt", "tag")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("out.json", "json"),
        ("a.b/out.JSONL", "jsonl"),
        ("out.ndjson", "jsonl"),
        ("out.csv", "csv"),
        ("out.tsv", "tsv"),
        ("out.parquet", "parquet"),
        ("out.txt", None),
        ("out.wav", None),
        ("json", None),
        ("folder.json/out", None),
    ],
)
def test_a_format_is_guessed_from_an_extension_that_has_only_one(path: str, name: str | None) -> None:
    assert guess(path, "tag") == name
    assert guess(path, "localize") == name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("out.TextGrid", "textgrid"),
        ("out.textgrid", "textgrid"),
        ("out.vtt", "vtt"),
        ("out.SRT", "srt"),
        ("out.rttm", "rttm"),
        ("out.selections.txt", "raven"),
        ("out.labels.txt", None),
        ("out.dcase.tsv", "dcase"),
        ("dcase.tsv", "tsv"),
    ],
)
def test_a_format_for_events_is_guessed_for_localize_alone(path: str, name: str | None) -> None:
    assert guess(path, "localize") == name
    assert guess(path, "tag") == ("tsv" if path.endswith(".tsv") else None)


def test_a_format_whose_package_is_missing_is_refused_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pe_audio_cli._extras.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"parquet needs pyarrow: pip install 'pe-audio-cli\[parquet\]'"):
        writer_for("parquet", "tag")
    assert writer_for("csv", "tag").name == "csv"


def test_only_json_holds_frames() -> None:
    assert {writer.name for writer in WRITERS if writer.frames} == {"json", "jsonl"}


@pytest.mark.parametrize(("writer_type", "runs"), RUNS, indirect=["runs"])
def test_a_resumed_run_writes_the_bytes_of_an_undisturbed_one(
    writer_type: type[Writer], runs: tuple[str, bool, list[Result]]
) -> None:
    command, per_window, results = runs
    results = results if writer_type.several else results[:1]
    options = WriteOptions(command, per_window)
    whole = io.StringIO(newline="")
    writer = writer_type(whole, options)
    writer.open()
    ends, states = [0], [writer.state]
    for result in results:
        writer.write(result)
        ends.append(whole.tell())
        states.append(json.loads(json.dumps(writer.state)))
    writer.close()
    assert not whole.closed

    for written, (end, state) in enumerate(zip(ends, states, strict=True)):
        rest = io.StringIO(newline="")
        writer = writer_type(rest, options)
        if written:
            writer.state = state
        writer.open(written)
        for result in results[written:]:
            writer.write(result)
        writer.close()
        assert whole.getvalue()[:end] + rest.getvalue() == whole.getvalue()


@pytest.mark.parametrize(("writer_type", "runs"), RUNS, indirect=["runs"])
def test_each_result_reaches_the_disk_as_it_is_written(
    writer_type: type[Writer], runs: tuple[str, bool, list[Result]]
) -> None:
    command, per_window, results = runs
    raw = io.BytesIO()
    stream = io.TextIOWrapper(io.BufferedWriter(raw, 1 << 20), encoding="utf-8", newline="")
    writer = writer_type(stream, WriteOptions(command, per_window))
    writer.open()
    writer.write(results[0])
    assert b"dog" in raw.getvalue()


def test_the_registry_loads_nothing_heavy() -> None:
    program = "import sys, pe_audio_cli.formats.registry; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "pe_audio_cli" in loaded
    assert not {"numpy", "pyarrow", "rich", "torch", "typer"} & set(loaded)
