"""CSV and TSV read back with the csv module, cell by cell."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.formats.base import WriteOptions
from pe_audio_cli.formats.registry import writer_for
from pe_audio_cli.results import FileError, LocalizeResult, Recording, Result, Tag, TagResult

DELIMITERS = {"csv": ",", "tsv": "\t"}
FORMATS = list(DELIMITERS)

# No NUL: no file name holds one, and before Python 3.11 the csv module does not read one.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from(",;\t\n\r\"' #=+-@\uff1d"))


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
    assert [[*map(unguarded, row[:2]), row[2]] for row in rows[1:]] == [[*pair, "0.500000"] for pair in pairs]
    assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for row in rows[1:] for cell in row if cell != "-")


def unguarded(cell: str) -> str:
    """The text that a cell stands for, by the rule that is promised."""
    return cell[1:] if re.match(r"'[\s']*[=+\-@\uff1d\uff0b\uff0d\uff20]", cell) else cell


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("label", "cell"),
    [
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("@SUM(1)", "'@SUM(1)"),
        ("-", "'-"),
        ("  +1", "'  +1"),
        ("\t=1", "'\t=1"),
        ("'=1", "''=1"),
        ("\uff1d1", "'\uff1d1"),
        ("'rock' music", "'rock' music"),
        ("a = b", "a = b"),
    ],
)
def test_a_cell_that_could_be_a_formula_begins_with_an_apostrophe(
    name: str, label: str, cell: str, tagged: TagResult
) -> None:
    rows = read(name, written(name, [replace(tagged, tags=(Tag(label, 0.5),))]))
    assert rows[1] == ["clips/dog.wav", cell, "0.500000"]


@pytest.mark.parametrize(("file", "cell"), [("-", "-"), ("-1.wav", "'-1.wav"), ("./-1.wav", "./-1.wav")])
def test_a_file_name_is_guarded_too_but_not_the_sign_of_standard_input(
    file: str, cell: str, localized: LocalizeResult
) -> None:
    rows = read("csv", written("csv", [replace(localized, recording=Recording(file, 4.0, 8_000, 1))], "localize"))
    assert [row[0] for row in rows[1:]] == [cell, cell]


@pytest.mark.parametrize("name", FORMATS)
def test_bytes_of_a_name_that_are_not_utf8_are_escaped(name: str, tagged: TagResult) -> None:
    odd = replace(tagged, recording=Recording(b"caf\xe9.wav".decode("utf-8", "surrogateescape"), 1.0, 48_000, 1))
    rows = read(name, written(name, [odd]).encode("utf-8").decode("utf-8"))
    assert rows[1][0] == r"caf\udce9.wav"
