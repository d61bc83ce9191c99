"""Annotations in tables with a header: DCASE's, AudioSet's, our own, and lists of weak labels.

Columns are identified by their names, so that additional columns do no harm.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO

from pe_audio_cli.evaluation.annotations.rows import AnnotationRow, Problem, event_row, marked_row, tag_row
from pe_audio_cli.formats.escaping import text_of_cell

__all__ = ["Line", "cell", "column", "first_line", "is_event_table", "read_lines", "read_table", "separator_of"]

MOST_LINES = 100  # of a single row, whose cells may hold newlines
SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons"}

# Names of these columns in data sets and programs, in lower case; the first one found counts.
FILE = ("filename", "file", "fname", "path", "segment_id", "slice_file_name", "filepath")
ONSET = ("onset", "start", "start_time_seconds", "start (s)")
OFFSET = ("offset", "end", "end_time_seconds", "end (s)")
LABEL = (
    "event_label",
    "label",
    "event_labels",
    "labels",
    "category",
    "class",
    "common name",
    "common_name",
)
MARK = ("mark",)  # yes, no or unsure, of the review page
# The columns of UrbanSound8K, whose start and end are times in the recording on Freesound that the slice was cut from,
# not in the slice.
OF_SLICES = ({"slice_file_name"}, {"fsid", "classid"})
SEVERAL = ("event_labels", "labels")  # columns in which commas separate labels too, as in DCASE and FSD50K
OURS = ["file", "label", "start", "end"]
OUR_MORE = (["probability"], ["probability", "mark"], ["similarity", "mark"])  # columns of `localize`, and of a review


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table: its location, for messages, and its cells."""

    where: str
    cells: list[str]


@dataclass(frozen=True, slots=True)
class _Columns:
    """The indices of the columns in use; ``onset`` and ``offset`` are None in a table of weak labels.

    ``mark`` is None in tables that do not come from a review.
    """

    file: int | None
    label: int
    onset: int | None
    offset: int | None
    several: bool
    ours: bool
    mark: int | None


def read_table(place: str, text: str, name: str) -> Iterator[AnnotationRow | Problem]:
    """Yield the rows of a table; ``place`` is its name in messages.

    A row with a name and nothing else is a recording with no events. ``name`` is the recording for a table of times and
    labels without a column of file names.
    """
    header, *lines = read_lines(place, text)
    columns = header if isinstance(header, Problem) else _columns(header)
    if isinstance(columns, Problem):
        yield columns
        return
    for line in lines:
        if isinstance(line, Problem):
            yield line
        else:
            yield from _rows(line, columns, name)


def is_event_table(text: str) -> bool:
    """True if the header of ``text`` has columns of onsets, offsets and labels."""
    cells, _ = _row_at([first_line(text)], 0, separator_of(text))
    return isinstance(cells, list) and all(column(cells, names) is not None for names in (ONSET, OFFSET, LABEL))


def read_lines(place: str, text: str) -> Iterator[Line | Problem]:
    """Yield the rows that are not blank, all as wide as the first, with the number of their first line.

    A row with an unclosed quotation mark is a problem of its own, and the next row begins on the next line.
    """
    separator = separator_of(text)
    lines = list(StringIO(text, newline=""))
    width: int | None = None
    number = 0
    while number < len(lines):
        where = f"{place}, row {number + 1}"
        cells, n_lines = _row_at(lines, number, separator)
        number += n_lines
        if isinstance(cells, str):
            yield Problem(where, cells)
        elif any(cell.strip() for cell in cells):
            width = len(cells) if width is None else width
            problem = _misshapen(where, cells, width, separator)
            yield Line(where, cells) if problem is None else problem


def _row_at(lines: Sequence[str], first: int, separator: str) -> tuple[list[str] | str, int]:
    """Return the cells of the row that begins on a line, or an error message; and the number of its lines."""
    row = ""
    for n_lines, line in enumerate(lines[first : first + MOST_LINES], start=1):
        row += line
        try:
            return next(csv.reader(StringIO(row, newline=""), delimiter=separator, strict=True), []), n_lines
        except csv.Error as error:
            if not str(error).startswith("unexpected end"):
                break
    if len(row) > csv.field_size_limit():
        return f"a cell has more than {csv.field_size_limit():,} characters", 1
    return "a cell begins with a quotation mark, but does not end with one", 1


def separator_of(text: str) -> str:
    """Return the most frequent separator in the first line."""
    return max(SEPARATORS, key=first_line(text).count)


def first_line(text: str) -> str:
    """Return the first line of ``text``."""
    return text.partition("\n")[0].rstrip("\r")


def column(header: Sequence[str], names: Sequence[str]) -> int | None:
    """Return the index of the first of ``names`` in the header, ignoring case; None if it has none."""
    known = [name.strip().lower() for name in header]
    return next((known.index(name) for name in names if name in known), None)


def cell(line: Line, place: int | None) -> str:
    """Return the text of a column; empty if there is no such column, or if the row ends before it."""
    return line.cells[place].strip() if place is not None and place < len(line.cells) else ""


def _misshapen(where: str, cells: Sequence[str], width: int, separator: str) -> Problem | None:
    """Return the problem with the number of cells, if there is one."""
    others = [other for other in SEPARATORS if other != separator and any(other in cell for cell in cells)]
    if len(cells) == width or (len(cells) == 1 and not others):
        return None
    hint = f": {SEPARATORS[others[0]]} here, {SEPARATORS[separator]} there" if others and len(cells) == 1 else ""
    return Problem(where, f"{len(cells)} cells, where the first row has {width}{hint}")


def _columns(header: Line) -> _Columns | Problem:
    file, label, onset, offset = (column(header.cells, names) for names in (FILE, LABEL, ONSET, OFFSET))
    known = {name.strip().lower() for name in header.cells}
    if any(names <= known for names in OF_SLICES):
        onset = offset = None
    if label is None or (file is None and onset is None):
        return Problem(
            header.where,
            "no header: the first row names the columns, as in 'filename onset offset event_label' or 'file,label'",
        )
    if (onset is None) != (offset is None):
        return Problem(header.where, "the header has a column of onsets or one of offsets, but not both")
    mark = column(header.cells, MARK) if onset is not None else None
    several = header.cells[label].strip().lower() in SEVERAL
    ours = header.cells[: len(OURS)] == OURS and header.cells[len(OURS) :] in OUR_MORE
    return _Columns(file, label, onset, offset, several, ours, mark)


def _rows(line: Line, columns: _Columns, recording: str) -> Iterator[AnnotationRow | Problem]:
    places = (columns.file, columns.label, columns.onset, columns.offset)
    name, label, onset, offset = (cell(line, place) for place in places)
    if columns.file is None:
        name = recording
    if columns.ours:
        name, label = text_of_cell(name), text_of_cell(label)
    if columns.mark is not None:
        row = marked_row(line.where, name, label, (onset, offset), cell(line, columns.mark))
        if row is not None:
            yield row
    elif columns.onset is None:
        labels = label.replace(",", ";") if columns.several else label
        for each in labels.split(";"):
            yield tag_row(line.where, name, each)
    elif label or onset or offset:
        yield event_row(line.where, name, label, onset, offset)
    else:
        yield tag_row(line.where, name, "")
