"""A report beside the output: every result goes to both."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pe_audio_cli.detect.events import EventOptions
from pe_audio_cli.errors import OutputError, RunError
from pe_audio_cli.report.page import EMBED_SECONDS, PageOptions, PageWriter
from pe_audio_cli.results import LocalizeResult, Result, TagResult
from pe_audio_cli.run.journal import Entry, Settings
from pe_audio_cli.run.outputs import Output

__all__ = ["ReportOptions", "WithReport"]


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """A report to be made: ``embed_audio`` puts the sound of recordings into it instead of links to them."""

    path: str
    events: EventOptions
    embed_audio: bool = False

    @property
    def sounds(self) -> float | None:
        """Seconds of recording up to which its sound is kept for the report, or None."""
        return EMBED_SECONDS if self.embed_audio else None


class WithReport(Output):
    """An output, and a page of the same results, which appears whole or not at all.

    It takes results with their frames; the output gets them only if ``frames``. A report cannot be gone on with: of
    what an earlier run has done, it would know nothing.
    """

    def __init__(
        self,
        output: Output,
        options: ReportOptions,
        warn: Callable[[str, str], None],
        *,
        frames: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Raises :class:`OutputError` if the report exists and nobody said what to do about it."""
        self._output, self._options, self._warn, self._frames = output, options, warn, frames
        self._path = Path(options.path)
        self._part = self._path.with_name(self._path.name + ".part")
        if self._path.is_dir() or options.path.endswith("/"):
            raise OutputError(f"{options.path} is a folder: name a file for the report")
        if self._path.exists() and not overwrite:
            raise OutputError(f"{self._path} exists: choose another name for the report, or --overwrite")

    def open(self, settings: Settings) -> list[Entry]:
        """Begin the report under its temporary name, then the output."""
        try:
            self._stream = self._part.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}") from error
        try:
            self._page = PageWriter(self._stream, self._page_options(), self._warn)
            self._page.open()
            return self._output.open(settings)
        except BaseException:
            self._discard()
            raise

    def write(self, result: Result) -> None:
        """Write it to the output, then to the report."""
        assert not isinstance(result, TagResult)
        shown = result
        if isinstance(result, LocalizeResult) and not self._frames:
            shown = replace(result, frames=None)
        self._output.write(shown)
        try:
            self._page.write(result)
        except OSError as error:
            raise self._failure(error) from error

    def finish(self) -> None:
        """Make the output whole, and give the report its name."""
        self._output.finish()
        try:
            self._page.close()
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            os.replace(self._part, self._path)
        except OSError as error:
            raise self._failure(error) from error

    def abandon(self) -> str | None:
        """Drop the report; the output is kept as it does by itself."""
        self._discard()
        return self._output.abandon()

    def _page_options(self) -> PageOptions:
        return PageOptions(os.path.dirname(self._options.path), self._options.events, self._options.embed_audio)

    def _failure(self, error: OSError) -> RunError:
        return RunError(f"cannot write {self._path}: {error.strerror}; there is no report")

    def _discard(self) -> None:
        with contextlib.suppress(OSError):  # the disk may be full, which may be why
            self._stream.close()
        self._part.unlink(missing_ok=True)
