"""The rows of an annotation, whatever its format, and the problems found in it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

__all__ = ["MARKS", "AnnotationRow", "Problem", "decimal_point", "event_row", "marked_row", "seconds", "tag_row"]

MARKS = ("yes", "no", "unsure")  # what a listener says of a label in an excerpt

# float() takes more, such as 1_0 for ten or nan, which in a table is a typing mistake.
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,4})?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AnnotationRow:
    """One row of an annotation, about the recording that it calls ``name``.

    A strong label has an ``onset`` and an ``offset`` in seconds, a weak one has None for both; ``label`` None says that
    the recording was annotated and has no event. ``where`` is the row's location, for messages. ``mark``, one of
    ``MARKS``, is a listener's judgement of whether the label is present there; None is an annotation of what is heard.
    """

    where: str
    name: str
    label: str | None
    onset: float | None = None
    offset: float | None = None
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """The reason for which a row or a whole file cannot be used; ``where`` is empty if ``what`` has the location."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


def event_row(where: str, name: str, label: object, onset: object, offset: object) -> AnnotationRow | Problem:
    """Return the row of a strong label; the times are numbers, or text that holds one."""
    if not name:
        return Problem(where, "there is no file name")
    start, end = seconds(onset), seconds(offset)
    if start is None or end is None:
        what, given = ("onset", onset) if start is None else ("offset", offset)
        return Problem(where, f"the {what} {given!r} is not a number of seconds")
    if start < 0:
        return Problem(where, f"the onset {start:g} s is before the recording begins")
    if start >= end:
        return Problem(where, f"the onset {start:g} s is not before the offset {end:g} s")
    if not isinstance(label, str) or not label.strip():
        return Problem(where, "there is no label")
    return AnnotationRow(where, name, label.strip(), start, end)


def marked_row(where: str, name: str, label: str, times: tuple[str, str], mark: str) -> AnnotationRow | Problem | None:
    """Return the row of an excerpt that was judged by a listener; None for one that was not judged yet."""
    row = event_row(where, name, label, *times)
    known = mark.strip().lower()
    if isinstance(row, Problem) or not known:
        return row if known else None
    if known not in MARKS:
        return Problem(where, f"the mark {mark!r} is none of {', '.join(MARKS)}")
    return replace(row, mark=known)


def tag_row(where: str, name: str, label: str) -> AnnotationRow | Problem:
    """Return the row of a weak label; a blank one is a recording with no labels."""
    if not name:
        return Problem(where, "there is no file name")
    return AnnotationRow(where, name, label.strip() if label.strip() else None)


def decimal_point(text: str) -> str:
    """Return a number of a tab-separated table with a decimal point instead of a decimal comma."""
    return text.replace(",", ".") if text.count(",") == 1 and "." not in text else text


def seconds(value: object) -> float | None:
    """``value``, a number or text that holds one in digits, as a finite number; None if it is anything else."""
    if isinstance(value, str):
        value = float(value) if _NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of JSON may have any number of digits
        return None
    return number if math.isfinite(number) else None
