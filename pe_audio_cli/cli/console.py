"""Messages on standard error: errors, warnings, and progress on a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import textwrap
import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

from pe_audio_cli.cli.pace import Pace
from pe_audio_cli.formats.escaping import terminal_text

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from pe_audio_cli.cli.live_view import LiveView
    from pe_audio_cli.models.download import OnBytes

__all__ = ["Console", "Progress", "broken_at_words", "terminal_width"]


PLAIN_WIDTH = 80  # columns, of a terminal that does not say
LONGEST_LINE = 4_000  # characters; paths have fewer on most systems


class Progress(Protocol):
    """The progress of a run."""

    pace: Pace

    def chunk(self, file: str, seconds: float, fraction: float) -> None:
        """Note that ``seconds`` of a recording were encoded, and that ``fraction`` of its file was read."""

    def done(self, file: str) -> None:
        """A recording is finished, for better or worse."""

    def paused(self) -> contextlib.AbstractContextManager[None]:
        """Hide the progress meanwhile, so that a result can be written to the same terminal."""


class Console:
    """Speaks to the user. Nothing here ever touches standard output."""

    def __init__(self, quiet: bool = False, verbose: bool = False) -> None:
        self.verbose = verbose
        self._quiet = quiet
        self._bar: RichProgress | None = None
        self._view: LiveView | None = None

    def error(self, message: str) -> None:
        """Print an error in one line, even under --quiet; the traceback with --verbose."""
        self._say(f"peaudio: {message}")
        if sys.exc_info()[0] is not None:
            self._print_traceback(traceback.format_exc())

    def failed(self, file: str, message: str, told: str | None) -> None:
        """One line on a recording that failed; with --verbose also the traceback, if there is one."""
        self._say(f"peaudio: {file}: {message}")
        if told is not None:
            self._print_traceback(told)

    def warn(self, message: str) -> None:
        """One line that the user should know."""
        self.tell(f"warning: {message}")

    def tell(self, message: str) -> None:
        """Print one line of information, unless --quiet is set."""
        if not self._quiet:
            self._say(f"peaudio: {message}")

    def note(self, message: str) -> None:
        """One line for those who asked for more."""
        if self.verbose:
            self._say(f"peaudio: {message}")

    @contextlib.contextmanager
    def progress(self, files: Sequence[str]) -> Iterator[Progress]:
        """A bar with the time left, where standard error is a terminal; otherwise silence."""
        if self._quiet or not _on_terminal():
            yield _NoProgress()
            return
        bar = _BarProgress(files)
        self._bar = bar.rich
        try:
            with bar.rich:
                yield bar
        finally:
            self._bar = None

    @contextlib.contextmanager
    def beside(self, view: LiveView | None) -> Iterator[None]:
        """Let messages be printed above a view that is on the terminal meanwhile."""
        self._view = view
        try:
            yield
        finally:
            self._view = None

    @contextlib.contextmanager
    def download(self) -> Iterator[OnBytes]:
        """A bar as soon as something is fetched, where standard error is a terminal; otherwise silence."""
        if self._quiet or not _on_terminal():
            yield _no_bytes
            return
        bar = _DownloadBar()
        self._bar = bar.rich
        try:
            yield bar
        finally:
            bar.rich.stop()
            self._bar = None

    def _print_traceback(self, text: str) -> None:
        for line in text.splitlines() if self.verbose else ():
            self._say(line)

    def _say(self, text: str) -> None:
        line = _shortened(terminal_text(text))  # no file name, label or library's text may drive the terminal
        if _on_terminal():
            line = broken_at_words(line, terminal_width(sys.stderr))
        with contextlib.suppress(OSError, ValueError):  # who cannot be told anything is not told that either
            if self._view is not None:
                self._view.print(line)
            elif self._bar is not None:
                self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True, emoji=False)
            elif sys.stderr is not None:  # print would take standard output instead
                print(line, file=sys.stderr, flush=True)


def _shortened(line: str) -> str:
    """Shorten a line: an absurdly long file name would hide the message."""
    if len(line) <= LONGEST_LINE:
        return line
    return f"{line[: LONGEST_LINE // 2]} ... {line[-LONGEST_LINE // 2 :]}"


def broken_at_words(line: str, width: int) -> str:
    """A line as a terminal of ``width`` columns is to show it: broken between words, never within one."""
    if len(line) <= width or line.startswith(" "):  # a line of a traceback
        return line
    return "\n".join(textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False))


def terminal_width(stream: TextIO) -> int:
    """The columns of the terminal that a stream goes to."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return PLAIN_WIDTH
    return columns if columns > 0 else PLAIN_WIDTH


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


class _NoProgress:
    def __init__(self) -> None:
        self.pace = Pace()

    def chunk(self, file: str, seconds: float, fraction: float) -> None:
        self.pace.chunk(file, fraction)

    def done(self, file: str) -> None:
        self.pace.done(file)

    def paused(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


def _no_bytes(what: str, n_bytes: int, n_all: int) -> None:
    pass


class _DownloadBar:
    """A progress bar of downloads: the amount, the speed and the time left."""

    def __init__(self) -> None:
        from rich.console import Console as RichConsole
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self.rich = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=RichConsole(stderr=True),
            transient=True,
            expand=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, n_bytes: int, n_all: int) -> None:
        if what not in self._tasks:
            # What an earlier run has left is no measure of this one's speed.
            self._tasks[what] = self.rich.add_task(terminal_text(what), total=n_all, completed=n_bytes)
            self.rich.start()
        self.rich.update(self._tasks[what], completed=n_bytes)


class _BarProgress:
    """A bar with how much is done, how fast it goes, and the time left."""

    def __init__(self, files: Sequence[str]) -> None:
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, Progress, TextColumn

        from pe_audio_cli.cli.forecast import Forecast

        self.rich = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[forecast]}", markup=False),
            console=RichConsole(stderr=True),
            transient=True,
            expand=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.pace = Pace()
        self._shares_terminal = sys.stdout.isatty()
        self._forecast = Forecast(files)
        self._task: TaskID = self.rich.add_task(
            "loading the model", total=max(self._forecast.total, 1), forecast=self._forecast.text()
        )

    def chunk(self, file: str, seconds: float, fraction: float) -> None:
        self.pace.chunk(file, fraction)
        self._forecast.chunk(file, seconds, fraction)
        self._show(file)

    def done(self, file: str) -> None:
        self.pace.done(file)
        self._forecast.done(file)
        self._show(file)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        if not self._shares_terminal:
            yield
            return
        self.rich.stop()
        try:
            yield
        finally:
            self.rich.start()

    def _show(self, file: str) -> None:
        name = terminal_text(os.path.basename(file))[:30]
        self.rich.update(
            self._task, completed=self._forecast.completed, description=name, forecast=self._forecast.text()
        )
