"""Subtitle formats: WebVTT and SubRip."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from pe_audio_cli.formats.base import EventWriter
from pe_audio_cli.formats.escaping import one_line
from pe_audio_cli.results import Event, LocalizeResult

__all__ = ["SrtWriter", "VttWriter"]

MILLISECONDS = 1000  # in a second
FULL_WIDTH = {code: code + 0xFEE0 for code in map(ord, "<>{}\\")}


class VttWriter(EventWriter):
    """WebVTT: a cue for each event, in order of their starts (https://www.w3.org/TR/webvtt1/)."""

    name = "vtt"
    extensions = (".vtt",)
    several = False

    def lines(self, result: LocalizeResult) -> Iterator[str]:
        """Yield the header, then the cues."""
        yield "WEBVTT\n"
        for event in result.events:
            payload = html.escape(self.escape(event.label), quote=False)
            yield f"\n{_span(event, '.')}\n{payload}\n"


class SrtWriter(EventWriter):
    r"""SubRip, as most players read it; it has no specification and no escapes.

    Players take ``<i>``, ``{\an8}`` and ``\N`` for markup, and a text with two times in it for another time line. These
    brackets and backslashes, and colons between digits, are written in their full width, which looks alike and which
    Unicode's NFKC turns back.
    """

    name = "srt"
    extensions = (".srt",)
    several = False

    def lines(self, result: LocalizeResult) -> Iterator[str]:
        """Yield the subtitles, numbered from 1."""
        for index, event in enumerate(result.events, start=1):
            yield f"{index}\n{_span(event, ',')}\n{self.escape(event.label)}\n\n"

    @classmethod
    def escape(cls, text: str) -> str:
        """Return the text on one line, without anything that players treat as markup or a time line."""
        return re.sub(r"(?<=\d):(?=\d)", "\uff1a", one_line(text).translate(FULL_WIDTH))


def _span(event: Event, decimal: str) -> str:
    """Return the time line of an event, in whole milliseconds, one at least, since players show nothing shorter."""
    start = round(event.start * MILLISECONDS)
    end = max(round(event.end * MILLISECONDS), start + 1)
    return f"{_clock(start, decimal)} --> {_clock(end, decimal)}"


def _clock(milliseconds: int, decimal: str) -> str:
    seconds, rest = divmod(milliseconds, MILLISECONDS)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{decimal}{rest:03}"
