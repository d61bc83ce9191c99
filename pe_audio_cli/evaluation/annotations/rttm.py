"""NIST's Rich Transcription Time Marked files, as appendix A of its RT-09 evaluation plan, 2009, describes them."""

from __future__ import annotations

from collections.abc import Iterator

from pe_audio_cli.evaluation.annotations.rows import AnnotationRow, Problem, event_row, seconds

__all__ = ["is_rttm", "read_rttm"]

SPEAKER = "SPEAKER"
COMMENT = ";;"
FILE, ONSET, LENGTH, NAME = 1, 3, 4, 7  # the places of the fields that count
N_FIELDS = (9, 10)  # of which the last, the look-ahead time, came later


def is_rttm(text: str) -> bool:
    """True if ``text`` is RTTM: its first line that is not a comment has the right fields and is a speaker's."""
    lines = (line.split() for line in text.split("\n", 100))
    fields = next((fields for fields in lines if fields and not fields[0].startswith(COMMENT)), [""])
    return len(fields) in N_FIELDS and fields[0] in (SPEAKER, "SPKR-INFO")


def read_rttm(place: str, text: str) -> Iterator[AnnotationRow | Problem]:
    """Yield a row for each ``SPEAKER`` line; underscores of the name become blanks, which no field can hold."""
    for number, line in enumerate(text.replace("\r", "\n" if "\n" not in text else "").split("\n"), start=1):
        fields, where = line.split(), f"{place}, row {number}"
        if not fields or fields[0].startswith(COMMENT) or fields[0] != SPEAKER:
            continue
        if len(fields) not in N_FIELDS:
            yield Problem(where, f"{len(fields)} fields between blanks, where a SPEAKER line has {N_FIELDS[-1]}")
            continue
        onset, length = seconds(fields[ONSET]), seconds(fields[LENGTH])
        offset = None if onset is None or length is None else round(onset + length, 9)
        label = fields[NAME].replace("_", " ")
        if onset is not None and offset is None:
            yield Problem(where, f"the duration {fields[LENGTH]!r} is not a number of seconds")
        else:
            yield event_row(where, fields[FILE], label, fields[ONSET], offset)
