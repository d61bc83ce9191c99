"""Audacity's label tracks: an onset, an offset and a label between tabs, and no header.

See https://manual.audacityteam.org/man/importing_and_exporting_labels.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pe_audio_cli.evaluate.rows import Problem, Row, event_row
from pe_audio_cli.evaluate.tables import first_line

__all__ = ["is_track", "read_track"]

_TRACK = re.compile(r"\d+(\.\d+)?\t\d+(\.\d+)?(\t|$)")
BAND = "\\"  # begins a line with the band of frequencies of the label above it


def is_track(text: str) -> bool:
    """Whether ``text`` is a label track."""
    return _TRACK.match(first_line(text)) is not None


def read_track(place: str, text: str, name: str) -> Iterator[Row | Problem]:
    """The labels of a track on the recording ``name``; a track without any says that nothing is heard in it."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    filled = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not filled:
        yield Row(place, name, None)
    for number, line in filled:
        onset, _, rest = line.partition("\t")
        offset, _, label = rest.partition("\t")
        if not rest:
            yield Problem(f"{place}, row {number}", "not an onset, an offset and a label between tabs")
        elif not line.startswith(BAND):
            yield event_row(f"{place}, row {number}", name, label, onset, offset)
