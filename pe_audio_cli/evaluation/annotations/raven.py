"""Raven's selection tables, as the chapter on selections of its manual describes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pe_audio_cli.evaluation.annotations.rows import AnnotationRow, Problem, decimal_point, event_row, seconds
from pe_audio_cli.evaluation.annotations.tables import Line, cell, column, first_line, read_lines

__all__ = ["is_raven", "read_raven"]

BEGIN, END = "begin time (s)", "end time (s)"  # from the start of the first recording that was open
FILE_OFFSET = "file offset (s)"  # from the start of the selection's own recording
NO_CALL = "nocall"  # both name and code of the row that BirdNET-Analyzer writes where it found nothing
COLUMNS = {
    "selection": ("selection",),
    "file": ("begin path", "begin file"),
    "label": ("label", "annotation", "species", "common name"),
    "code": ("species code",),
    "onset": (BEGIN,),
    "offset": (END,),
    "own onset": (FILE_OFFSET,),
}


def is_raven(text: str) -> bool:
    """True if ``text`` is a selection table."""
    return BEGIN in first_line(text).lower().split("\t")


def read_raven(place: str, text: str, name: str) -> Iterator[AnnotationRow | Problem]:
    """Yield the selections of a table.

    A selection has a row for each view, of which the first counts. ``name`` is the recording for rows without a file
    name. A table of several recordings needs the time of each selection in its own recording.
    """
    header, *lines = read_lines(place, text)
    if isinstance(header, Problem):
        yield header
        return
    places = {what: column(header.cells, names) for what, names in COLUMNS.items()}
    if places["offset"] is None or places["label"] is None:
        yield Problem(
            header.where,
            "there is no column 'End Time (s)', or none that is called Label, Annotation, Species or Common Name",
        )
        return
    if (
        places["own onset"] is None
        and len({cell(line, places["file"]) for line in lines if isinstance(line, Line)}) > 1
    ):
        yield Problem(header.where, "a table of several recordings needs the column 'File Offset (s)'")
        return
    seen: set[str] = set()
    for line in lines:
        if isinstance(line, Problem):
            yield line
        elif (selection := cell(line, places["selection"])) == "" or selection not in seen:
            seen.add(selection)
            yield _row(line.where, {what: cell(line, at) for what, at in places.items()}, name)


def _row(where: str, cells: dict[str, str], name: str) -> AnnotationRow | Problem:
    file = cells["file"] or name
    if cells["label"] == cells["code"] == NO_CALL:
        return AnnotationRow(where, file, None)
    times = {what: decimal_point(cells[what]) for what in ("onset", "offset", "own onset")}
    row = event_row(where, file, cells["label"], times["onset"], times["offset"])
    if isinstance(row, Problem) or not times["own onset"]:
        return row
    onset = seconds(times["own onset"])
    if onset is None or row.onset is None or row.offset is None:
        return Problem(where, f"the file offset {cells['own onset']!r} is not a number of seconds")
    if onset < 0:
        return Problem(where, f"the file offset {onset:g} s is before the recording begins")
    return replace(row, onset=onset, offset=onset + row.offset - row.onset)
