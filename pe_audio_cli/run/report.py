"""A report beside an output: one page of all results, to look at, listen to and correct."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pe_audio_cli.detect.events import EventOptions
from pe_audio_cli.errors import InputError, OutputError, RunError, UsageError
from pe_audio_cli.report.page import PageOptions, PageWriter
from pe_audio_cli.results import Result, TagResult
from pe_audio_cli.run.beside import Beside, refuse_unwritable
from pe_audio_cli.run.journal import Entry, Settings
from pe_audio_cli.run.outputs import Output
from pe_audio_cli.run.places import is_folder, reason
from pe_audio_cli.write.draft import put

__all__ = ["Report"]

EXTENSIONS = (".html", ".htm")


class Report(Beside):
    """A page that grows with the output, and appears whole or not at all: a run that stops early gets none.

    It needs results with their frames and spectrograms.
    """

    def __init__(
        self,
        output: Output,
        options: PageOptions,
        warn: Callable[[str, str], None],
        *,
        frames: bool = False,
        overwrite: bool = False,
    ) -> None:
        """``warn`` is told of a recording that cannot be heard in it, by its name.

        Raises :class:`UsageError` if ``options.path`` stands for no page, or one is there already.
        """
        self._options, self._warn, self._path = options, warn, Path(options.path)
        if is_folder(options.path) or self._path.suffix.lower() not in EXTENSIONS:
            raise UsageError(f"--report {options.path} is no page: its name ends in .html")
        refuse_unwritable(self._path.parent, "a report")
        self._part = self._path.with_name(self._path.name + ".part")
        self._begun = contextlib.ExitStack()
        super().__init__(output, "--report", [self._path], frames=frames, overwrite=overwrite)

    def find_events_by(self, events: EventOptions) -> None:
        """Tell how the events of the page are found, which may depend on the checkpoint; before it is opened."""
        self._options = replace(self._options, events=events)

    def open(self, settings: Settings) -> list[Entry]:
        """Begin the page under a temporary name, then the output."""
        try:
            self._begin()
            return super().open(settings)
        except BaseException:
            self._discard()
            raise

    def write(self, result: Result) -> None:
        """Add it to the page, then pass it on."""
        assert not isinstance(result, TagResult)
        try:
            place, before = self._stream.tell(), dict(vars(self._page))
            put(self._page, result)
        except OSError as error:
            raise self._failure(error) from error
        try:
            super().write(result)
        except InputError:  # an error takes its place, here too
            self._stream.seek(place)
            self._stream.truncate()
            vars(self._page).update(before)
            raise

    def finish(self) -> None:
        """Give the page its name, then make the output whole."""
        try:
            self._page.close()
            self._stream.close()
            os.replace(self._part, self._path)
        except OSError as error:
            raise self._failure(error) from error
        super().finish()

    def abandon(self) -> str | None:
        """Drop the page, and leave the output as it leaves itself."""
        self._discard()
        return super().abandon()

    def _begin(self) -> None:
        try:
            self._stream = self._part.open("w", encoding="utf-8", newline="")
            self._begun.callback(self._part.unlink, missing_ok=True)
            self._begun.enter_context(self._stream)
            self._page = PageWriter(self._stream, self._options, self._warn)
            self._page.open()
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {reason(error)}") from error

    def _failure(self, error: OSError) -> RunError:
        return RunError(f"cannot write {self._path}: {reason(error)}; there is no report")

    def _discard(self) -> None:
        with contextlib.suppress(OSError):  # the disk may be full, which may be why
            self._begun.close()
