"""Side outputs of a run, such as pictures and a report page, and the list of all outputs.

Whatever can be refused is refused when a side output is made.
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pe_audio_cli._paths import is_file
from pe_audio_cli.errors import OutputError, RunError
from pe_audio_cli.outputs.base import Output
from pe_audio_cli.outputs.feature_store import FeatureStore
from pe_audio_cli.outputs.journal import JournalEntry, RunSettings
from pe_audio_cli.results import FileError, LocalizeResult, Result

__all__ = ["OutputList", "SideOutput", "refuse_existing", "refuse_unwritable"]


class SideOutput(ABC):
    """Something made of the same results as the output, which takes them one by one, in input order."""

    @property
    def settings(self) -> RunSettings:
        """Its own run settings, which must be those of the interrupted run to resume."""
        return {}

    @abstractmethod
    def open(self, settings: RunSettings) -> None:
        """Begin a run with these settings. Raises :class:`OutputError` if nothing can be written."""

    def resume(self, done: Mapping[int, JournalEntry]) -> None:  # noqa: B027 - most have nothing to look at
        """Take note of what an earlier run has done. Raises :class:`OutputError` if what it left here is gone."""

    @abstractmethod
    def write(self, result: Result) -> None:
        """Take one result.

        Raises :class:`InputError` if nothing can be made of this one, and :class:`RunError` if nothing can of any.
        """

    @abstractmethod
    def take_back(self) -> None:
        """Undo the last ``write``: another output has refused the result, and its error comes in its place."""

    @abstractmethod
    def finish(self) -> None:
        """Make it whole: all results are in. Raises :class:`RunError` if it cannot be written."""

    @abstractmethod
    def abandon(self) -> None:
        """Drop what is not whole: the run stops early."""


class OutputList:
    """The output of a run and its side outputs: each of them gets each result, or none does.

    Results go to the side outputs first, since the output notes in its journal that they are done. ``keep_frames``
    leaves the frame probabilities, which a side output may need, in the results that the output gets.
    """

    def __init__(self, output: Output, side_outputs: Sequence[SideOutput] = (), *, keep_frames: bool = True) -> None:
        self._output, self._side_outputs, self._keep_frames = output, side_outputs, keep_frames

    @property
    def store(self) -> FeatureStore | None:
        """The output's store of codec features, if it has one."""
        return self._output.store

    @property
    def remark(self) -> str | None:
        """A remark for the user about existing files, once it has been opened."""
        return self._output.remark

    def open(self, settings: RunSettings) -> Mapping[int, JournalEntry]:
        """Begin all of them, or go on with them; see :meth:`Output.open`. If one cannot, none is left open."""
        for each in self._side_outputs:
            settings = {**settings, **each.settings}
        with contextlib.ExitStack() as on_failure:
            for each in self._side_outputs:
                on_failure.callback(each.abandon)
                each.open(settings)
            done = self._output.open(settings)
            on_failure.callback(self._output.abandon)
            for each in self._side_outputs:
                each.resume(done)
            on_failure.pop_all()
        return done

    def reading(self, inputs: Iterator[str | FileError]) -> Iterator[str | FileError]:
        """Pass inputs through, so that the output can record their state before they are read."""
        return self._output.reading(inputs)

    def write(self, result: Result) -> None:
        """Give a result to each; raises what :meth:`Output.write` and :meth:`SideOutput.write` raise."""
        takers: list[SideOutput] = []
        try:
            for each in self._side_outputs:
                each.write(result)
                takers.append(each)
            self._output.write(self._for_output(result))
        except (RunError, OSError):  # with which the run ends
            raise
        except Exception:
            for each in reversed(takers):
                each.take_back()
            raise

    def finish(self) -> None:
        """Make all of them whole, the output last."""
        for each in self._side_outputs:
            each.finish()
        self._output.finish()

    def abandon(self) -> str | None:
        """Stop early: returns how to go on with the output, if that can be done."""
        for each in self._side_outputs:
            each.abandon()
        return self._output.abandon()

    def _for_output(self, result: Result) -> Result:
        if isinstance(result, LocalizeResult) and result.frames is not None and not self._keep_frames:
            return replace(result, frames=None)
        return result


def refuse_existing(targets: Iterable[Path], flag: str, overwrite: bool) -> None:
    """Raise :class:`OutputError` if one of the files of ``flag`` exists and must not be replaced."""
    for target in targets:
        if is_file(target) and not overwrite:
            raise OutputError(f"{target} exists: choose another name for {flag}, or --overwrite")


def refuse_unwritable(folder: Path, what: str) -> None:
    """Raises :class:`OutputError` if nothing can be written into a folder."""
    if not folder.is_dir():
        raise OutputError(f"cannot write {what} into {folder}: it is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {what} into {folder}: permission denied")
