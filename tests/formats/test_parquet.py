"""Parquet as other programs read it."""

from __future__ import annotations

import gc
import io
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pe_audio_cli.formats.base import WriteOptions
from pe_audio_cli.formats.json import JsonLinesWriter
from pe_audio_cli.formats.parquet import ParquetWriter
from pe_audio_cli.results import FileError, LocalizeResult, Result, TagResult

polars = pytest.importorskip("polars")
RUNS = ["tag", "tag per window", "localize"]


def written(path: Path, results: Iterable[Result], options: WriteOptions) -> polars.DataFrame:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = ParquetWriter(stream, options)
        writer.open()
        for result in results:
            writer.write(result)
        writer.close()
    return polars.read_parquet(path)


def as_json(results: Iterable[Result], options: WriteOptions) -> list[dict]:
    stream = io.StringIO()
    writer = JsonLinesWriter(stream, options)
    for result in results:
        writer.write(result)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def test_taught_labels_are_marked(tagged: TagResult, localized: LocalizeResult, tmp_path: Path) -> None:
    label = tagged.tags[0].label
    results = [replace(tagged, taught=frozenset([label]))]
    row = written(tmp_path / "tags.parquet", results, WriteOptions("tag")).to_dicts()[0]
    assert [tag["taught"] for tag in row["tags"]] == [True, *[None] * (len(tagged.tags) - 1)]
    event = localized.events[0].label
    results = [replace(localized, taught=frozenset([event]))]
    row = written(tmp_path / "events.parquet", results, WriteOptions("localize")).to_dicts()[0]
    assert [each["taught"] for each in row["events"]] == [
        True if each.label == event else None for each in localized.events
    ]


@pytest.mark.parametrize("runs", RUNS, indirect=True)
def test_a_row_says_what_a_line_of_json_says(runs: tuple[str, bool, list[Result]], tmp_path: Path) -> None:
    command, per_window, results = runs
    options = WriteOptions(command, per_window)
    rows = written(tmp_path / "out.parquet", results, options).to_dicts()
    expected = as_json(results, options)
    assert len(rows) == len(expected) == 3
    for row, line in zip(rows, expected, strict=True):
        assert line.pop("schema").startswith("peaudio.")
        assert without_nulls(row) == line
    assert rows[1]["error"]["kind"] == "decode"


@pytest.mark.parametrize("n", [0, 1, 1024, 2500])
def test_any_number_of_recordings(tagged: TagResult, tmp_path: Path, n: int) -> None:
    results = [replace(tagged, recording=replace(tagged.recording, file=f"{index}.wav")) for index in range(n)]
    table = written(tmp_path / "out.parquet", results, WriteOptions("tag"))
    assert table["file"].to_list() == [f"{index}.wav" for index in range(n)]
    assert table.schema["duration"] == polars.Float64


def test_what_was_amiss_with_a_recording_is_in_its_row(tagged: TagResult, tmp_path: Path) -> None:
    odd = replace(tagged, recording=replace(tagged.recording, warnings=("cut short", "damaged")))
    table = written(tmp_path / "out.parquet", [tagged, odd], WriteOptions("tag"))
    assert table["warnings"].to_list() == [None, ["cut short", "damaged"]]


def test_nothing_heard_is_an_empty_list_and_an_error_is_none(localized: LocalizeResult, tmp_path: Path) -> None:
    results = [replace(localized, events=()), FileError("b.wav", "decode", "no")]
    table = written(tmp_path / "out.parquet", results, WriteOptions("localize"))
    assert table["events"].to_list() == [[], None]


def test_a_table_that_is_given_up_is_dropped_without_a_word(tagged: TagResult, tmp_path: Path) -> None:
    with (tmp_path / "out.parquet").open("w", encoding="utf-8", newline="") as stream:
        writer = ParquetWriter(stream, WriteOptions("tag"))
        writer.open()
        writer.write(tagged)
    del writer
    gc.collect()
    with pytest.raises(polars.exceptions.ComputeError):
        polars.read_parquet(tmp_path / "out.parquet")


def test_a_name_that_is_no_utf8_can_be_written(tagged: TagResult, tmp_path: Path) -> None:
    recording = replace(tagged.recording, file="a\udcff.wav")
    table = written(tmp_path / "out.parquet", [replace(tagged, recording=recording)], WriteOptions("tag"))
    assert table["file"].to_list() == [r"a\udcff.wav"]


def test_thresholds_of_single_labels_are_in_the_table(localized: LocalizeResult, tmp_path: Path) -> None:
    results = [localized, replace(localized, thresholds={"rain": 0.75})]
    table = written(tmp_path / "out.parquet", results, WriteOptions("localize"))
    assert table["thresholds"].to_list() == [None, [{"label": "rain", "threshold": 0.75}]]
