"""CSV and TSV read back with the csv module, cell by cell."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.results import FileError, LocalizeResult, Recording, Result, Tag, TagResult
from pe_audio_cli.write.base import WriteOptions
from pe_audio_cli.write.registry import writer_for

DELIMITERS = {"csv": ",", "tsv": "\t"}
FORMATS = list(DELIMITERS)

# No NUL: no file name holds one, and before Python 3.11 the csv module does not read one.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from(",;\t\n\r\"' #"))


def written(name: str, results: list[Result], command: str = "tag", per_window: bool = False) -> str:
    stream = io.StringIO(newline="")
    writer = writer_for(name, command)(stream, WriteOptions(command, per_window))
    writer.open()
    for result in results:
        writer.write(result)
    writer.close()
    return stream.getvalue()


def read(name: str, text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[name], strict=True))


@pytest.mark.parametrize("name", FORMATS)
def test_tags(name: str, tagged: TagResult, failed: FileError) -> None:
    assert read(name, written(name, [tagged, failed, tagged])) == [
        ["file", "label", "probability"],
        *[["clips/dog.wav", "a dog barking", "0.981234"], ["clips/dog.wav", "rain", "0.000000"]] * 2,
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_tags_of_each_window(name: str, tagged_per_window: TagResult) -> None:
    assert read(name, written(name, [tagged_per_window], per_window=True)) == [
        ["file", "start", "end", "label", "probability"],
        ["clips/long.wav", "0.000", "30.000", "rain", "0.500000"],
        ["clips/long.wav", "0.000", "30.000", "dog", "0.250000"],
        ["clips/long.wav", "15.680", "45.680", "dog", "0.750000"],
        ["clips/long.wav", "15.680", "45.680", "rain", "0.125000"],
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_events(name: str, localized: LocalizeResult, failed: FileError) -> None:
    assert read(name, written(name, [failed, localized], "localize")) == [
        ["file", "label", "start", "end", "probability"],
        ["clips/dog.wav", "a dog barking", "0.560", "1.200", "0.930000"],
        ["clips/dog.wav", "rain", "1.080", "3.270", "0.300000"],
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_no_results_are_a_header(name: str) -> None:
    assert read(name, written(name, [])) == [["file", "label", "probability"]]


def test_plain_cells_are_not_quoted_and_lines_end_in_a_newline(tagged: TagResult) -> None:
    assert written("tsv", [tagged]).split("\n") == [
        "file\tlabel\tprobability",
        "clips/dog.wav\ta dog barking\t0.981234",
        "clips/dog.wav\train\t0.000000",
        "",
    ]


@pytest.mark.parametrize("name", FORMATS)
@given(st.lists(st.tuples(texts, texts), max_size=4))
def test_any_name_and_label_reads_back(name: str, pairs: list[tuple[str, str]]) -> None:
    results = [TagResult(Recording(file, 1.0, 48_000, 1), "mini", 1, (Tag(label, 0.5),)) for file, label in pairs]
    rows = read(name, written(name, results))
    assert rows[1:] == [[file, label, "0.500000"] for file, label in pairs]


@pytest.mark.parametrize("name", FORMATS)
def test_bytes_of_a_name_that_are_not_utf8_are_spelled_out(name: str, tagged: TagResult) -> None:
    odd = replace(tagged, recording=Recording(b"caf\xe9.wav".decode("utf-8", "surrogateescape"), 1.0, 48_000, 1))
    rows = read(name, written(name, [odd]).encode("utf-8").decode("utf-8"))
    assert rows[1][0] == r"caf\udce9.wav"
