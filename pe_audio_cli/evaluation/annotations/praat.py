"""Praat's TextGrids, in their long and their short form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from pe_audio_cli.evaluation.annotations.rows import AnnotationRow, Problem, event_row

__all__ = ["is_textgrid", "read_textgrid"]

INTERVALS, POINTS = "IntervalTier", "TextTier"
N_VALUES = {INTERVALS: 3, POINTS: 2}  # of each interval, its text the last, and of each point
_KIND = re.compile(r'\s*(File type = )?"ooTextFile( short)?"')
_BINARY = "ooBinaryFile"
# What counts is free-standing: text between quotation marks, which are doubled in it, numbers, and flags in angle
# brackets. Everything else, such as "xmin =" and "intervals [1]:", is there for people.
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)(-?[\d.]+(?:[eE][+-]?\d+)?)(?!\S)|(?<!\S)(<\w+>)(?!\S)|![^\n]*')


def is_textgrid(text: str) -> bool:
    """True if ``text`` is one of Praat's files."""
    return _KIND.match(text) is not None or text.startswith(_BINARY)


def read_textgrid(place: str, text: str, name: str) -> Iterator[AnnotationRow | Problem]:
    """Yield a row for each interval with text, on the recording ``name``; the text is its label, in any tier.

    A TextGrid without any is a recording with no events. A point has no length, and is a problem. See
    https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html.
    """
    if text.startswith(_BINARY):
        yield Problem(place, "a binary TextGrid: save it from Praat as a text file")
        return
    try:
        items = list(_items(_tokens(text)))
    except ValueError:
        yield Problem(place, "not a whole TextGrid")
        return
    filled = [item for item in items if item[-1][-1].strip()]
    if not filled:
        yield AnnotationRow(place, name, None)
    for kind, tier, number, values in filled:
        if kind == POINTS:
            where = f"{place}, tier {tier}, point {number}"
            yield Problem(where, f"a point, {values[0]} s, which has no length: use an interval tier")
        else:
            yield event_row(f"{place}, tier {tier}, interval {number}", name, values[2], values[0], values[1])


def _tokens(text: str) -> Iterator[str]:
    """Yield the free-standing values in order, text without its quotation marks."""
    for match in _TOKEN.finditer(text):
        if match[1] is not None:
            yield match[1].replace('""', '"')
        elif match[2] or match[3]:
            yield match[2] or match[3]


def _items(tokens: Iterator[str]) -> Iterator[tuple[str, int, int, list[str]]]:
    """Yield each interval or point: kind and number of its tier, its own number, and its values.

    Raises :class:`ValueError` if the file is truncated or malformed.
    """
    kind_of_file, kind_of_object, _, _, there = _taken(tokens, 5)  # and where it begins and ends
    if kind_of_object != "TextGrid":
        raise ValueError(f"{kind_of_file} of a {kind_of_object}")
    if there != "<exists>":
        return
    for tier in range(1, int(*_taken(tokens, 1)) + 1):
        kind, _, _, _, n_items = _taken(tokens, 5)  # and its name, and where it begins and ends
        if kind not in N_VALUES:
            raise ValueError(f"a tier that is a {kind}")
        for number in range(1, int(n_items) + 1):
            yield kind, tier, number, _taken(tokens, N_VALUES[kind])


def _taken(tokens: Iterator[str], n: int) -> list[str]:
    taken = list(islice(tokens, n))
    if len(taken) < n:
        raise ValueError("it ends early")
    return taken
