"""The live view of ``peaudio listen`` on a terminal: how loud it is, how late, and what is heard."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pe_audio_cli.formats.escaping import terminal_text

if TYPE_CHECKING:
    from rich.table import Table

    from pe_audio_cli.live.event import LiveEvent
    from pe_audio_cli.live.listener import Listener, Record

__all__ = ["LiveView", "live_view"]

REFRESHES = 4  # a second
BAR = 20  # characters
QUIETEST = -60.0  # dB of full scale at which the level's bar is empty
OTHER_LINES = 4  # of a terminal, that are not a label's
MOST_LABEL = 40  # characters


class LiveView:
    """A line for each label, the last heard first: its probability, and when it was heard."""

    def __init__(self, listener: Listener, labels: tuple[str, ...], is_shared: bool) -> None:
        """``is_shared`` tells if records are written to the same terminal."""
        from rich.console import Console as RichConsole
        from rich.live import Live

        self._listener, self._labels, self._is_shared = listener, labels, is_shared
        self._heard: dict[str, LiveEvent] = {}
        self._console = RichConsole(stderr=True)
        self._live = Live(
            get_renderable=self.table,
            console=self._console,
            refresh_per_second=REFRESHES,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def note(self, record: Record) -> None:
        """Take note of an event."""
        label = getattr(record, "label", None)
        if label is not None:
            self._heard.pop(label, None)
            self._heard[label] = record  # type: ignore[assignment]

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Hide the view, so that something can be written to the same terminal."""
        if not self._is_shared:
            yield
            return
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def print(self, line: str) -> None:
        """Print a line above the view."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True, emoji=False)

    def table(self) -> Table:
        """The view as it is now."""
        from rich.table import Table
        from rich.text import Text

        meter = self._listener.meter
        table = Table.grid(padding=(0, 2))
        level = (meter.level - QUIETEST) / -QUIETEST
        table.add_row(Text("level"), Text(_bar(level)), Text(f"{meter.level:.0f} dB"), Text(f"lag {meter.lag:.1f} s"))
        now = dict(zip(self._labels, map(float, meter.probabilities), strict=True))
        latest = list(reversed(self._heard))
        order = [*latest, *sorted((each for each in now if each not in self._heard), key=now.__getitem__, reverse=True)]
        for label in order[: max(self._console.size.height - OTHER_LINES, 1)]:
            event = self._heard.get(label)
            style = "bold" if event is not None and event.offset is None else ""
            name = Text(terminal_text(label)[:MOST_LABEL], style=style)
            table.add_row(name, Text(_bar(now[label])), Text(f"{now[label]:.2f}"), Text(_last(event)))
        return table

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._live.stop()


@contextlib.contextmanager
def live_view(listener: Listener, labels: tuple[str, ...], quiet: bool) -> Iterator[LiveView | None]:
    """Show the view where standard error is a terminal, unless it is to be quiet."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    with LiveView(listener, labels, sys.stdout.isatty()) as view:
        yield view


def _bar(share: float) -> str:
    n_full = round(min(max(share, 0.0), 1.0) * BAR)
    return "█" * n_full + "·" * (BAR - n_full)


def _last(event: LiveEvent | None) -> str:
    if event is None:
        return ""
    return "now" if event.ended_at is None else f"last {event.ended_at[11:19]}"
