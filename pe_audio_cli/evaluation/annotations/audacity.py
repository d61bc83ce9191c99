"""Audacity's label tracks: an onset, an offset and a label between tabs, and no header.

See https://manual.audacityteam.org/man/importing_and_exporting_labels.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pe_audio_cli.evaluation.annotations.rows import AnnotationRow, Problem, decimal_point, event_row, seconds
from pe_audio_cli.evaluation.annotations.tables import first_line

__all__ = ["is_label_track", "read_label_track"]

_NUMBER = r"-?\d+([.,]\d+)?"
_TRACK = re.compile(rf"{_NUMBER}\t{_NUMBER}(\t|$)")
_CONFIDENCE = re.compile(r"[01]\.\d{4}")
BAND = "\\"  # begins a line with the frequency range of the label above it


def is_label_track(text: str) -> bool:
    """True if ``text`` is a label track."""
    return _TRACK.match(first_line(text)) is not None


def read_label_track(place: str, text: str, name: str) -> Iterator[AnnotationRow | Problem]:
    """Yield the labels of a track on the recording ``name``; a track without any is a recording with no events.

    Times have a decimal comma where Audacity's language does. A label of a point has no length, and is a problem.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    filled = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not filled:
        yield AnnotationRow(place, name, None)
    for number, line in filled:
        if not line.startswith(BAND):
            yield _row(f"{place}, row {number}", name, *line.split("\t"))


def _row(where: str, name: str, onset: str, offset: str | None = None, *labels: str) -> AnnotationRow | Problem:
    if offset is None:
        return Problem(where, "not an onset, an offset and a label between tabs")
    start, end = decimal_point(onset), decimal_point(offset)
    if seconds(start) is not None and seconds(start) == seconds(end):
        return Problem(where, f"a label of a point, {start.strip()} s, which has no length: extend it over the sound")
    return event_row(where, name, _label(labels), start, end)


def _label(cells: Sequence[str]) -> str:
    """Return the text of a label, including tabs, except in labels of BirdNET-Analyzer: two names, a tab, a confidence.

    Of "Scientific name, Common name" the latter is the label, as in BirdNET's other files.
    """
    if len(cells) != 2 or not _CONFIDENCE.fullmatch(cells[1].strip()):
        return "\t".join(cells)
    names, comma, common = cells[0].partition(", ")
    return common if comma else names
