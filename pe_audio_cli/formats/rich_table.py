"""Tables for people, printed with rich: tags, events under a timeline, or hits.

File names and labels are shown as they are, with control characters escaped and without any markup. Colours are the
terminal's own and carry no meaning, so that light, dark and colourless terminals all work.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from typing import TextIO

from rich import box
from rich.bar import Bar
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pe_audio_cli.formats.escaping import terminal_text
from pe_audio_cli.formats.text_chart import axis, clock, strip
from pe_audio_cli.results import LocalizeResult, Recording, SearchResult, Tag, TagResult, WindowTags

__all__ = ["show"]

PLAIN_WIDTH = 80  # columns without a terminal and without COLUMNS
MOST_WIDTH = 10_000  # columns, the maximum for COLUMNS
BAR_WIDTH = 20  # columns that stand for probability 1
LEAST_STRIP_WIDTH = 10  # columns
INDENT = 1  # columns, as deep as the tables' own
INK = "green"


def show(
    result: TagResult | LocalizeResult | SearchResult,
    stream: TextIO,
    *,
    on_terminal: bool,
    most_tags: int | None = None,
) -> None:
    """Print the tables of one recording or query: plain text, 80 columns wide, where they are not for a terminal.

    Of more than ``most_tags`` tags the most probable are shown, and it is said that there are more.
    """
    console = Console(file=stream, width=_width(on_terminal), force_terminal=on_terminal, highlight=False)
    if isinstance(result, SearchResult):
        console.print(Text(terminal_text(result.query), "bold", overflow="fold"))
        console.print(_hits(result))
        return
    console.print(_heading(result.recording))
    if isinstance(result, TagResult):
        if result.per_window is None:
            console.print(_tags(result, most_tags))
        else:
            console.print(_window_tags(result, result.per_window, most_tags))
        if most_tags is not None and len(result.tags) > most_tags:
            shown = f"the {most_tags} most probable of {len(result.tags)} labels are shown; --top-k N shows N of them"
            console.print(_note(shown))
    elif not result.events:
        limit = "its label's threshold" if result.thresholds else f"{result.threshold:g}"
        console.print(_note(f"no events above {limit}"))
    else:
        if console.is_terminal:
            console.print(_timeline(result, console.width))
        console.print(_events(result))


def _width(on_terminal: bool) -> int:
    """Return the width in columns: the value of COLUMNS, if it is valid, or the terminal's width."""
    stated = os.environ.get("COLUMNS", "")
    if stated.isascii() and stated.isdecimal() and 0 < int(stated) <= MOST_WIDTH:
        return int(stated)
    return shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns if on_terminal else PLAIN_WIDTH


def _heading(recording: Recording) -> Text:
    channels = {1: "mono", 2: "stereo"}.get(recording.channels, f"{recording.channels} channels")
    facts = (clock(recording.duration, recording.duration), f"{recording.sample_rate / 1000:g} kHz", channels)
    return Text.assemble((terminal_text(recording.file), "bold"), "  ", (" · ".join(facts), "dim"), overflow="fold")


def _tags(result: TagResult, most: int | None) -> RenderableType:
    if not result.tags:
        return _note("no label to show")
    table = _table("label", "probability", "")
    for tag in result.tags[:most]:
        table.add_row(*_tag_cells(tag))
    return table


def _window_tags(result: TagResult, windows: Iterable[WindowTags], most: int | None) -> RenderableType:
    table = _table("start", "end", "label", "probability", "")
    for window in windows:
        start, end = (clock(seconds, result.recording.duration) for seconds in (window.start, window.end))
        for tag in window.tags[:most]:
            table.add_row(start, end, *_tag_cells(tag))
        table.add_section()
    return table if table.rows else _note("no label to show")


def _tag_cells(tag: Tag) -> tuple[RenderableType, ...]:
    bar = Bar(size=1, begin=0, end=tag.probability, width=BAR_WIDTH, color=INK)
    return (Text(terminal_text(tag.label)), f"{tag.probability:.3f}", bar)


def _hits(result: SearchResult) -> RenderableType:
    if not result.hits:
        return _note("no window to show")
    table = _table("file", "start", "end", result.measure)
    for hit in result.hits:
        start, end = (clock(seconds, hit.duration) for seconds in (hit.start, hit.end))
        table.add_row(Text(terminal_text(_from_here(hit.file))), start, end, f"{hit.score:.3f}")
    return table


def _events(result: LocalizeResult) -> RenderableType:
    table = _table("start", "end", "label", "probability")
    for event in result.events:
        start, end = (clock(seconds, result.recording.duration) for seconds in (event.start, event.end))
        table.add_row(start, end, Text(terminal_text(event.label)), f"{event.probability:.3f}")
    return table


def _timeline(result: LocalizeResult, width: int) -> RenderableType:
    """Return one row per label, ``width`` columns wide, over a time axis; labels that are too long are cut short."""
    labels = [terminal_text(label) for label in result.labels]
    label_width = min(max(map(cell_len, labels)), width // 3)
    strip_width = max(width - label_width - len(" " + " │" + "│"), LEAST_STRIP_WIDTH)
    duration = result.recording.duration
    ruler, times = axis(duration, strip_width)

    rows = Table.grid()
    rows.add_column(width=label_width, no_wrap=True, overflow="ellipsis")
    rows.add_column(no_wrap=True, overflow="crop")
    for label, shown in zip(result.labels, labels, strict=True):
        events = [event for event in result.events if event.label == label]
        rows.add_row(Text(shown), Text.assemble(" │", (strip(events, duration, strip_width), INK), "│"))
    rows.add_row("", Text(f" └{ruler}┘", "dim"))
    rows.add_row("", Text(f"  {times}", "dim"))
    return Padding(rows, (1, 0, 0, INDENT))


def _table(*headers: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for header in headers:
        if header in ("label", "file"):
            table.add_column(header, overflow="fold")
        else:
            table.add_column(header, justify="right", no_wrap=True)
    return table


def _from_here(path: str) -> str:
    """Return a path relative to the current folder, if that is shorter."""
    return min(path, os.path.relpath(path), key=len)


def _note(text: str) -> RenderableType:
    return Padding(text, (1, 0, 1, INDENT))
