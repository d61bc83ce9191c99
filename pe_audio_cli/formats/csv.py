"""CSV and TSV: a header and one row for each label of each recording, or each hit of each query.

Cells that hold the delimiter, a quote or a newline are quoted as in RFC 4180, in TSV as well: ``csv`` and pandas read
them back as they were. Rows end in a bare newline, for ``cut`` and ``awk``. A recording that failed has no row.

A name or label that a spreadsheet could take for a formula gets an apostrophe before it: :func:`cell_text`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import TypeAlias

from pe_audio_cli.formats.base import PROBABILITY_DECIMALS, TIME_DECIMALS, Writer
from pe_audio_cli.formats.escaping import cell_text
from pe_audio_cli.results import LocalizeResult, Recording, SearchResult, Tag, TagResult, Written

__all__ = ["CsvWriter", "TsvWriter", "csv_line"]

TAG_HEADER = ("file", "label", "probability")
TAG_PER_WINDOW_HEADER = ("file", "start", "end", "label", "probability")
LOCALIZE_HEADER = ("file", "label", "start", "end", "probability")
SEARCH_HEADER = ("query", "file", "start", "end")

Cells: TypeAlias = tuple[str, ...]


class CsvWriter(Writer):
    """Comma-separated values."""

    name = "csv"
    extensions = (".csv",)
    delimiter = ","

    def open(self, written: int = 0) -> None:
        """Write the header, unless the output has one already."""
        if written > 0:
            return
        if self.options.command == "localize":
            self._write_rows([LOCALIZE_HEADER])
        elif self.options.command == "search":
            self._write_rows([(*SEARCH_HEADER, self.options.measure)])
        else:
            self._write_rows([TAG_PER_WINDOW_HEADER if self.options.per_window else TAG_HEADER])

    def write(self, result: Written) -> None:
        """Write the rows of one recording or query."""
        self._write_rows(_rows(result))

    def _write_rows(self, rows: Iterable[Cells]) -> None:
        for row in rows:
            self.stream.write(csv_line(row, self.delimiter))
        self.stream.flush()


class TsvWriter(CsvWriter):
    """Tab-separated values."""

    name = "tsv"
    extensions = (".tsv",)
    delimiter = "\t"


def csv_line(cells: Iterable[str], delimiter: str = ",") -> str:
    """Return a row with its newline."""
    line = StringIO(newline="")
    # With this terminator csv quotes cells with a bare carriage return as well.
    csv.writer(line, delimiter=delimiter, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"


def _rows(result: Written) -> Iterator[Cells]:
    if isinstance(result, LocalizeResult):
        yield from _event_rows(result)
    elif isinstance(result, TagResult):
        yield from _tag_rows(result)
    elif isinstance(result, SearchResult):
        for hit in result.hits:
            times = (_time(hit.start), _time(hit.end))
            yield (cell_text(result.query), cell_text(hit.file), *times, _probability(hit.score))


def _event_rows(result: LocalizeResult) -> Iterator[Cells]:
    for event in result.events:
        times = (_time(event.start), _time(event.end))
        yield (_file(result.recording), cell_text(event.label), *times, _probability(event.probability))


def _tag_rows(result: TagResult) -> Iterator[Cells]:
    if result.per_window is None:
        for tag in result.tags:
            yield (_file(result.recording), *_tag(tag))
        return
    for window in result.per_window:
        for tag in window.tags:
            yield (_file(result.recording), _time(window.start), _time(window.end), *_tag(tag))


def _file(recording: Recording) -> str:
    return "-" if recording.file == "-" else cell_text(recording.file)  # alone, standard input's sign is no formula


def _tag(tag: Tag) -> Cells:
    return (cell_text(tag.label), _probability(tag.probability))


def _probability(value: float) -> str:
    return f"{value:.{PROBABILITY_DECIMALS}f}"


def _time(seconds: float) -> str:
    return f"{seconds:.{TIME_DECIMALS}f}"
