"""Bring an index up to date: what is new or changed is encoded, what has vanished may be dropped, the rest stays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from pe_audio_cli._paths import reason
from pe_audio_cli.audio.windows import WindowOptions
from pe_audio_cli.errors import RunError, StoreError, UsageError
from pe_audio_cli.results import EmbedResult, FileError
from pe_audio_cli.run.beside import refuse_unwritable
from pe_audio_cli.run.journal import stamp
from pe_audio_cli.run.places import STANDARD_INPUT
from pe_audio_cli.store.database import About, Database, Entry, need_search_extra
from pe_audio_cli.store.vectors import refresh, sweep, vectors_path
from pe_audio_cli.write.escape import utf8_text

if TYPE_CHECKING:
    from pe_audio_cli.model.checkpoint import Checkpoint
    from pe_audio_cli.run.pipeline import Encoder

__all__ = ["DEFAULT_WINDOW", "IndexBuilder", "Plan"]

DEFAULT_WINDOW = 10.0  # seconds: long enough to tell what is heard, short enough to find the place

Stamp: TypeAlias = "tuple[int | None, int | None]"  # size in bytes, time of change in nanoseconds


@dataclass(frozen=True)
class Plan:
    """What an index lacks: recordings to encode, with errors in their places, how many may stay, which are gone."""

    todo: Sequence[str | FileError]
    n_unchanged: int
    vanished: Sequence[str]


class IndexBuilder:
    """Takes the window embeddings of one recording after another, each in a transaction; a context manager.

    Killed at any moment, it leaves an index with what was taken until then, and the next run goes on from there. An
    index that isn't there yet is made with the first recording.
    """

    def __init__(self, path: Path, checkpoint: Checkpoint, windows: WindowOptions | None = None) -> None:
        """Open the index, if there is one, for nobody else meanwhile.

        ``windows`` None leaves them to the index, or to ``DEFAULT_WINDOW`` for a new one. Raises :class:`StoreError`
        if it was made with another checkpoint or other windows, is damaged or in use, and :class:`OutputError` if none
        can be written there.
        """
        need_search_extra()
        self.path, self._checkpoint = path, checkpoint
        self._database: Database | None = None
        self._before: dict[str, Stamp] = {}  # by path, when the index was made
        self._now: dict[str, Stamp] = {}  # and before this run reads
        if path.exists():
            self._open(windows)
        else:
            refuse_unwritable(path.parent, "an index")
            self.windows = WindowOptions(DEFAULT_WINDOW) if windows is None else windows

    def plan(self, paths: Iterable[str], found: Iterable[str | FileError]) -> Plan:
        """What to do about the recordings that were ``found`` at ``paths``; each counts once, however it is named.

        Vanished are those in the index that lie at or below ``paths`` and are no longer there. A path at which nothing
        was found makes none vanish: it may be a disk that is not mounted. Raises :class:`UsageError` for standard
        input, which nobody could find again.
        """
        todo: dict[str, str | FileError] = {}
        for item in found:
            if item == STANDARD_INPUT:
                raise UsageError("standard input has no path to be found by: name files or folders")
            key = _key(item if isinstance(item, str) else item.file)
            self._now[key] = stamp(item) if isinstance(item, str) else (None, None)
            if isinstance(item, FileError) or not self._is_known(key):
                todo[key] = item
        missing = {item.file for item in todo.values() if isinstance(item, FileError)}
        roots = [_root(path) for path in paths if path not in missing]
        vanished = [path for path in self._before if _is_gone(path) and any(_is_below(path, root) for root in roots)]
        return Plan(list(todo.values()), len(self._now) - len(todo), vanished)

    def begin(self, encoder: Encoder) -> None:
        """Say what encodes the recordings that are about to come."""
        self._scale, self._bias = encoder.logit_scale, encoder.logit_bias

    def write(self, result: EmbedResult | FileError) -> None:
        """Take one result; it is safe when this returns. Raises :class:`RunError` if it cannot be written.

        What was known of a recording that has changed and cannot be read any more is dropped.
        """
        if isinstance(result, FileError):
            if self._database is not None and result.kind != "missing" and _key(result.file) in self._before:
                self._database.drop([_key(result.file)])
            return
        recording = result.recording
        key = _key(recording.file)
        entry = Entry(key, *self._now[key], recording.duration, recording.sample_rate, recording.channels)
        if self._database is None:
            Database.create(self.path, self._about(result.embeddings.shape[1]))
            self._database = Database.open(self.path, read_only=False)
        self._database.put(entry, result.starts, result.ends, result.embeddings)

    def drop(self, paths: Sequence[str]) -> None:
        """Forget recordings, by the paths that the index has for them."""
        if self._database is not None and paths:
            self._database.drop(paths)

    def finish(self) -> None:
        """Make the copy from which searches read. Raises :class:`RunError` if it cannot be written."""
        if self._database is None:
            return
        try:
            refresh(self._database)
        except OSError as error:
            raise RunError(
                f"cannot write {vectors_path(self.path)}: {reason(error)}; the index is whole, and slower without it"
            ) from error

    def abandon(self) -> str | None:
        """The run stops early; what was taken stays."""
        if self._database is None:
            return None
        return f"what is done is kept in {self.path}: run the same again to go on"

    def counts(self) -> tuple[int, int]:
        """How many recordings and windows the index holds."""
        return (0, 0) if self._database is None else self._database.counts()

    def close(self) -> None:
        """Let go of the index."""
        if self._database is not None:
            self._database.close()

    def __enter__(self) -> IndexBuilder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, windows: WindowOptions | None) -> None:
        self._database = Database.open(self.path, read_only=False)
        try:
            about = self._database.about
            about.check(self.path, self._checkpoint.fingerprint, self._checkpoint.name)
            self.windows = WindowOptions(about.window_seconds, about.overlap_seconds)
            if windows not in (None, self.windows):
                raise StoreError(
                    f"{self.path} has {_spelled(self.windows)}: leave out --window and --overlap, or index into "
                    "another file"
                )
            self._before = self._database.stamps()
        except BaseException:
            self.close()
            raise
        sweep(self.path)

    def _is_known(self, key: str) -> bool:
        now = self._now[key]
        return now != (None, None) and self._before.get(key) == now

    def _about(self, width: int) -> About:
        checkpoint, windows = self._checkpoint, self.windows
        return About(
            model=checkpoint.name,
            folder=os.path.abspath(checkpoint.folder),
            fingerprint=checkpoint.fingerprint,
            revision=checkpoint.revision,
            width=width,
            logit_scale=self._scale,
            logit_bias=self._bias,
            window_seconds=windows.window,
            overlap_seconds=windows.overlap,
        )


def _key(file: str) -> str:
    """What an index calls a recording: its absolute path, from wherever it was named."""
    return utf8_text(os.path.abspath(file))


def _root(path: str) -> str:
    """The file or folder that a path stands for; of a pattern, the folder that it begins in."""
    if "*" in path and not os.path.lexists(path):
        path = os.path.dirname(path[: path.index("*")])
    return _key(path)


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def _is_gone(path: str) -> bool:
    """Not merely out of sight, as in a folder that may not be read."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _spelled(windows: WindowOptions) -> str:
    if windows.window is None:
        return "one window a recording"
    return f"windows of {windows.window:g} s with an overlap of {windows.overlap:g} s"
