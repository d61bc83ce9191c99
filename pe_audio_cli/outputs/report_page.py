"""The side output of a report: one page of all results, to view, play and correct."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from pe_audio_cli._files import NewFile
from pe_audio_cli._paths import reason
from pe_audio_cli.errors import OutputError, RunError, UsageError
from pe_audio_cli.formats.draft import put
from pe_audio_cli.options import EventOptions
from pe_audio_cli.outputs.files import is_folder
from pe_audio_cli.outputs.journal import RunSettings
from pe_audio_cli.outputs.side_outputs import SideOutput, refuse_existing, refuse_unwritable
from pe_audio_cli.report.page import PageOptions, PageWriter
from pe_audio_cli.results import Result, TagResult

__all__ = ["ReportOutput"]

EXTENSIONS = (".html", ".htm")


class ReportOutput(SideOutput):
    """A page that grows with the output, and appears whole or not at all: a run that stops early gets none.

    It needs results with their frames and spectrograms.
    """

    def __init__(
        self,
        options: PageOptions,
        *,
        overwrite: bool = False,
    ) -> None:
        """``warn`` is called for a recording that cannot be played on the page, with its name.

        Raises :class:`UsageError` if ``options.path`` stands for no page, or one is there already.
        """
        self._options, self._path = options, Path(options.path)
        if is_folder(options.path) or self._path.suffix.lower() not in EXTENSIONS:
            raise UsageError(f"--report {options.path} is not a page: its name must end in .html")
        refuse_unwritable(self._path.parent, "a report")
        refuse_existing([self._path], "--report", overwrite)
        self._file = NewFile(self._path, overwrite=overwrite)

    def find_events_by(self, events: EventOptions) -> None:
        """Tell how the events of the page are found, which may depend on the checkpoint; before it is opened."""
        self._options = replace(self._options, events=events)

    def open(self, settings: RunSettings) -> None:
        """Begin the page under a temporary name."""
        try:
            self._stream = io.TextIOWrapper(self._file.open(), encoding="utf-8", newline="")
            self._page = PageWriter(self._stream, self._options)
            self._page.open()
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {reason(error)}") from error

    def write(self, result: Result) -> None:
        """Add it to the page."""
        assert not isinstance(result, TagResult)
        try:
            self._before = self._stream.tell(), dict(vars(self._page))
            put(self._page, result)
        except OSError as error:
            raise self._failure(error) from error

    def take_back(self) -> None:
        """Cut the last recording off the page."""
        end, state = self._before
        try:
            self._stream.seek(end)
            self._stream.truncate()
        except OSError as error:
            raise self._failure(error) from error
        vars(self._page).update(state)

    def finish(self) -> None:
        """Give the page its name."""
        try:
            self._page.close()
            self._stream.flush()
            self._file.publish()
        except FileExistsError as error:
            raise RunError(
                f"{self._path} has appeared since this run began, and stays as it is: the report is {self._file.part}"
            ) from error
        except OSError as error:
            raise self._failure(error) from error

    def abandon(self) -> None:
        """Drop the page."""
        self._file.discard()

    def _failure(self, error: OSError) -> RunError:
        return RunError(f"cannot write {self._path}: {reason(error)}; there is no report")
