"""Side outputs of a run: pictures and a report page.

Whatever can be refused is refused when one is made.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pe_audio_cli._paths import is_file
from pe_audio_cli.errors import OutputError
from pe_audio_cli.outputs.base import Output
from pe_audio_cli.outputs.journal import JournalEntry, RunSettings
from pe_audio_cli.results import FileError, LocalizeResult, Result

__all__ = ["SideOutput", "refuse_unwritable"]


class SideOutput(Output):
    """An output with a side output, made from the same results; the output itself is the same as without.

    ``frames`` leaves the frame probabilities, which what is beside it may need, in the results that it gets.
    """

    def __init__(
        self, output: Output, flag: str, targets: Iterable[Path], *, frames: bool = False, overwrite: bool = False
    ) -> None:
        """Raises :class:`OutputError` if one of the files that ``flag`` asks for is there already."""
        self.known = output.known
        self._output, self._frames = output, frames
        self.store = output.store
        for target in targets:
            if is_file(target) and not (overwrite or output.known):
                raise OutputError(f"{target} exists: choose another name for {flag}, or --overwrite")

    def open(self, settings: RunSettings) -> Mapping[int, JournalEntry]:
        """Begin the output, or go on with it."""
        done = self._output.open(settings)
        self.remark = self._output.remark
        return done

    def reading(self, inputs: Iterator[str | FileError]) -> Iterator[str | FileError]:
        """Pass inputs through, so that the output can record their state before they are read."""
        return self._output.reading(inputs)

    def write(self, result: Result) -> None:
        """Pass a result on."""
        if isinstance(result, LocalizeResult) and not self._frames:
            result = replace(result, frames=None)
        self._output.write(result)

    def finish(self) -> None:
        """Make the output whole."""
        self._output.finish()

    def abandon(self) -> str | None:
        """Leave the output as it leaves itself."""
        return self._output.abandon()


def refuse_unwritable(folder: Path, what: str) -> None:
    """Raises :class:`OutputError` if nothing can be written into a folder."""
    if not folder.is_dir():
        raise OutputError(f"cannot write {what} into {folder}: it is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {what} into {folder}: permission denied")
