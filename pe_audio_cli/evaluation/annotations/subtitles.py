"""Subtitles as annotations: WebVTT and SubRip, as ``peaudio localize`` writes them or as an editor for them does."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from pe_audio_cli.evaluation.annotations.rows import AnnotationRow, Problem, event_row

__all__ = ["is_subtitles", "read_subtitles"]

VTT = "WEBVTT"
ARROW = "-->"
NO_CUES = ("NOTE", "STYLE", "REGION")  # begin blocks of WebVTT that are no cues
_CLOCK = r"((?:\d+:)?\d+:\d+[.,]\d+)"
_TIMES = re.compile(rf"\s*{_CLOCK}\s*{ARROW}\s*{_CLOCK}(?:\s.*)?", re.ASCII)
_TAG = re.compile(r"<[^>]*>")
_HALF_WIDTH = {code + 0xFEE0: code for code in map(ord, "<>{}\\:")}  # our own SubRip writer escapes these in full width


def is_subtitles(text: str) -> bool:
    """True if ``text`` is WebVTT or SubRip."""
    lines = text.lstrip().split("\n", 2)
    return lines[0].startswith(VTT) or any(_TIMES.fullmatch(line.rstrip("\r")) for line in lines[:2])


def read_subtitles(place: str, text: str, name: str) -> Iterator[AnnotationRow | Problem]:
    """Yield a row for each cue on the recording ``name``; subtitles without any are a recording with no events.

    The text of a cue is its label, without tags and with its lines joined. See https://www.w3.org/TR/webvtt1/.
    """
    is_vtt = text.lstrip().startswith(VTT)
    is_empty = True
    for number, lines in _blocks(text):
        where = f"{place}, row {number}"
        if is_vtt and lines[0].startswith((VTT, *NO_CUES)) and ARROW not in lines[0]:
            continue
        is_empty = False
        at = next((at for at, line in enumerate(lines[:2]) if ARROW in line), None)
        times = None if at is None else _TIMES.fullmatch(lines[at])
        if at is None or times is None:
            yield Problem(where, "not a subtitle: there is no line with two times and --> between them")
            continue
        words = " ".join(lines[at + 1 :])
        label = html.unescape(_TAG.sub("", words)) if is_vtt else words.translate(_HALF_WIDTH)
        yield event_row(where, name, label, _seconds(times[1]), _seconds(times[2]))
    if is_empty:
        yield AnnotationRow(place, name, None)


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the blocks between blank lines: the number of the first line, and the lines."""
    block: list[str] = []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate([*lines, ""], start=1):
        if line.strip():
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []


def _seconds(clock: str) -> float:
    """Hours, minutes and seconds between colons, in seconds to the millisecond."""
    *larger, seconds = clock.replace(",", ".").split(":")
    whole = 0
    for each in larger:
        whole = whole * 60 + int(each)
    return round(whole * 60 + float(seconds), 3)
