"""The state of inputs when they were read."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator

from pe_audio_cli._paths import Unusable
from pe_audio_cli.errors import InputError
from pe_audio_cli.outputs.base import Output, file_of
from pe_audio_cli.outputs.journal import (
    Content,
    JournalEntry,
    content,
    stamp,
)
from pe_audio_cli.results import FileError, Result

__all__ = ["JournaledOutput"]


class Readings:
    """The state of each input just before it is read; the reader is ahead of the output."""

    def __init__(self) -> None:
        self._noted: deque[tuple[str, tuple[int | None, int | None, int | None]]] = deque()

    def noted(self, inputs: Iterator[str | FileError]) -> Iterator[str | FileError]:
        """The same inputs, each noted as it goes out."""
        for item in inputs:
            file = item if isinstance(item, str) else item.file
            self._noted.append((file, _identity(file)))
            yield item

    def entry(self, result: Result) -> JournalEntry:
        """Return the journal entry of a result, without its position in the output.

        Raises :class:`InputError` if the input has become another since it was about to be read.
        """
        file = file_of(result)
        before = self._noted[0][1] if self._noted and self._noted[0][0] == file else None
        if isinstance(result, FileError):
            return JournalEntry(file, *stamp(file), error=result.message)
        now = content(file)
        if before is not None and now.size is not None and before != _identity(file):
            raise InputError(file, "changed", "it changed while it was read: run again when it is complete")
        if before is not None and now.size is None:  # it was read, and is gone by now
            now = Content(before[0], before[1])
        return JournalEntry(file, now.size, now.mtime_ns, digest=now.digest)

    def taken(self) -> None:
        """The first of those that are noted has its result."""
        if self._noted:
            self._noted.popleft()


class JournaledOutput(Output):
    """An output that notes in a journal the state in which it has read each input."""

    def __init__(self) -> None:
        self._readings = Readings()

    def reading(self, inputs: Iterator[str | FileError]) -> Iterator[str | FileError]:
        """Pass inputs through, and note the state of each when it is about to be read."""
        return self._readings.noted(inputs)


def _identity(file: str) -> tuple[int | None, int | None, int | None]:
    """Size, time of change and inode of a file: what differs when another takes its place, or it is written to."""
    try:
        status = os.stat(file)
    except Unusable:
        return None, None, None
    return (*stamp(file), status.st_ino)
