"""Annotations in our own JSON and JSON Lines, as ``peaudio localize`` writes them, perhaps edited by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pe_audio_cli._small_files import parse_json
from pe_audio_cli.evaluation.annotations.rows import AnnotationRow, Problem, event_row

__all__ = ["is_json", "read_json"]


def is_json(text: str) -> bool:
    """True if ``text`` is JSON rather than a table."""
    return text.lstrip().startswith(("[", "{"))


def read_json(place: str, text: str) -> Iterator[AnnotationRow | Problem]:
    """Yield the events of each recording; objects that report an error are skipped."""
    for where, value in _values(place, text):
        if isinstance(value, Problem):
            yield value
        elif not isinstance(value, dict) or not isinstance(value.get("file"), str):
            yield Problem(where, "not an object with a 'file'")
        elif "error" not in value:
            yield from _events(where, value)


def _values(place: str, text: str) -> Iterator[tuple[str, Any]]:
    """Yield each element of the array, or the value of each line, with its location."""
    is_array = text.lstrip().startswith("[")
    n_good = n_bad = 0
    for where, piece in [(place, text)] if is_array else _lines(place, text):
        try:
            value = parse_json(piece)
        except json.JSONDecodeError as error:
            number = f", row {error.lineno}" if is_array else ""
            yield where, Problem(where + number, "not JSON")
            n_bad += 1
            if n_good == 0 and n_bad > 1:  # not JSON Lines at all: two messages are enough
                return
        except ValueError as error:
            yield where, Problem(where, str(error))
        else:
            n_good += 1
            if is_array:
                yield from ((f"{place}, recording {number}", each) for number, each in enumerate(value, start=1))
            else:
                yield where, value


def _lines(place: str, text: str) -> list[tuple[str, str]]:
    lines = enumerate(text.split("\n"), start=1)
    return [(f"{place}, row {number}", line) for number, line in lines if line.strip()]


def _events(where: str, value: dict[str, Any]) -> Iterator[AnnotationRow | Problem]:
    events = value.get("events")
    if not isinstance(events, list):
        yield Problem(where, "no 'events': annotations are what peaudio localize writes, not peaudio tag")
        return
    if not events:
        yield AnnotationRow(where, value["file"], None)
    for number, event in enumerate(events, start=1):
        each = f"{where}, event {number}"
        if isinstance(event, dict):
            yield event_row(each, value["file"], event.get("label"), event.get("start"), event.get("end"))
        else:
            yield Problem(each, "not an object with a label, a start and an end")
