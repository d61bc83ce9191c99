"""The base class of outputs: a stream, one file, or a folder with a file for each recording.

A file appears whole or not at all: it grows under another name beside its place (``.part``) and is renamed when it is
complete. A journal beside it (``.journal``) lets an interrupted run go on, and a lock keeps other runs away meanwhile.
Nothing that exists is touched unless the user said so.
"""

from __future__ import annotations

import contextlib
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pe_audio_cli._paths import reason
from pe_audio_cli.errors import OutputError
from pe_audio_cli.outputs.feature_store import FeatureStore
from pe_audio_cli.outputs.journal import (
    JournalEntry,
    RunSettings,
)
from pe_audio_cli.results import FileError, Outcome, Result

__all__ = ["Output", "everything", "file_of", "refused", "text_stream", "unknown_past"]


class Output(ABC):
    """Takes results one by one, in input order. Making one touches nothing; ``open`` does.

    ``known`` tells whether it goes on with an earlier run. ``remark`` is what a user should know of what is there.
    ``store`` is where the codec features of the recordings in hand are to be kept, if it can be gone on with.
    """

    known = False
    remark: str | None = None
    store: FeatureStore | None = None

    @abstractmethod
    def open(self, settings: RunSettings) -> Mapping[int, JournalEntry]:
        """Begin a run with these settings, or go on with one.

        Returns what an earlier run has done, by positions among the inputs; results of all others are to come, in
        order. Raises :class:`OutputError` if the output cannot be made, another run is at it, or an earlier one had
        other settings or has done what has changed since.
        """

    @abstractmethod
    def write(self, result: Result) -> None:
        """Take one result; it is safe when this returns.

        Raises :class:`InputError` if this one alone cannot be kept, whose error is to be written in its place, and
        :class:`RunError` if none can.
        """

    @abstractmethod
    def finish(self) -> None:
        """Complete the output, after the last result."""

    @abstractmethod
    def abandon(self) -> str | None:
        """End the output of an interrupted run, and keep it for a later one. Returns how to resume, if possible."""

    def reading(self, inputs: Iterator[str | FileError]) -> Iterator[str | FileError]:
        """The inputs on their way to be read: an output with a journal notes what each is at that moment."""
        return inputs


def file_of(result: Outcome) -> str:
    """The input, as the user gave it, that a result or error belongs to."""
    return result.file if isinstance(result, FileError) else result.recording.file


def unknown_past(path: Path) -> str:
    """Return the message about a finished output without a journal."""
    return f"{path} was finished, and has no journal to compare with: --overwrite makes it anew"


def everything(files: Sequence[str]) -> dict[int, JournalEntry]:
    """Return journal entries for all inputs of a finished run that left no journal."""
    return {at: JournalEntry(file, None, None) for at, file in enumerate(files)}


@contextlib.contextmanager
def refused(what: str) -> Iterator[None]:
    """Turns what the system raises into an :class:`OutputError`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{what}: {reason(error)}") from error


def text_stream(file: io.FileIO) -> io.TextIOWrapper:
    """Text in UTF-8, line ends as they are, on top of an unbuffered file."""
    return io.TextIOWrapper(io.BufferedWriter(file), encoding="utf-8", newline="")
