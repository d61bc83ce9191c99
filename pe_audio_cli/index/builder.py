"""Bring an index up to date: what is new or changed is encoded, what has vanished may be dropped, the rest stays."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from pe_audio_cli import _paths
from pe_audio_cli._extras import require_extra
from pe_audio_cli._files import Lock, helper
from pe_audio_cli._paths import reason
from pe_audio_cli.audio.addresses import is_address
from pe_audio_cli.audio.framing import WindowOptions
from pe_audio_cli.errors import OutputError, RunError, StoreError, UsageError
from pe_audio_cli.formats.escaping import utf8_text
from pe_audio_cli.index.database import About, Database, IndexedRecording
from pe_audio_cli.index.files import check_index, clear_way, log_of, place_of, sweep_folders
from pe_audio_cli.index.vectors import refresh, sweep, vectors_path
from pe_audio_cli.outputs.base import file_of
from pe_audio_cli.outputs.feature_store import FeatureStore
from pe_audio_cli.outputs.files import STANDARD_INPUT
from pe_audio_cli.outputs.journal import stamp
from pe_audio_cli.outputs.side_outputs import refuse_unwritable
from pe_audio_cli.results import EmbedResult, FileError

if TYPE_CHECKING:
    from pe_audio_cli.models.checkpoint import Checkpoint
    from pe_audio_cli.models.encoder import Encoder

__all__ = ["DEFAULT_WINDOW", "IndexBuilder", "Plan", "recording_key"]

DEFAULT_WINDOW = 10.0  # seconds: long enough to recognize sounds, short enough to locate them

NO_UTF8 = re.compile(r"\\u(dc[89a-f][0-9a-f])")  # how a byte is spelled that is none

Stamp: TypeAlias = "tuple[int | None, int | None]"  # size in bytes, time of change in nanoseconds


@dataclass(frozen=True)
class Plan:
    """The work of an update: recordings to encode, errors in their places, the number to keep, and those gone.

    ``out_of_sight`` are those that cannot be found and may be there all the same.
    """

    todo: Sequence[str | FileError]
    n_unchanged: int
    vanished: Sequence[str]
    out_of_sight: Sequence[str] = ()


class IndexBuilder:
    """Takes the window embeddings of one recording after another, each in a transaction; a context manager.

    Killed at any moment, it leaves an index with what was taken until then, and the next run goes on from there. An
    index that isn't there yet is made with the first recording.
    """

    def __init__(
        self, path: Path, checkpoint: Checkpoint, windows: WindowOptions | None = None, audio_track: int | None = None
    ) -> None:
        """Open the index, if it exists, exclusively.

        ``windows`` None leaves them to the index, or to ``DEFAULT_WINDOW`` for a new one; so does ``audio_track``.
        Raises :class:`StoreError` if it was made with another checkpoint, other windows or another audio track, is
        damaged or in use, or something is in its way, and :class:`OutputError` if none can be written there, or another
        run is making it.
        """
        require_extra("search", "an index")
        self.path, self._checkpoint = path, checkpoint
        self.audio_track = audio_track
        self._database: Database | None = None
        self._before: dict[str, Stamp] = {}  # by path, when the index was made
        self._now: dict[str, Stamp] = {}  # and before this run reads
        self._forgets = False
        self.n_forgotten = 0
        place = place_of(path)
        self._last_change = max(map(_changed, (place, log_of(place))))
        self.store = FeatureStore(place)
        if _paths.exists(place):
            check_index(path)
        refuse_unwritable(place.parent, "an index")
        self._lock = Lock(helper(place, ".lock"), path)
        self._take_lock()
        try:
            sweep_folders(place)
            if _paths.exists(place):
                self._open(windows)
            else:
                clear_way(place)
                self.windows = WindowOptions(DEFAULT_WINDOW) if windows is None else windows
        except BaseException:
            self.close()
            raise

    def plan(self, paths: Iterable[str], found: Iterable[str | FileError]) -> Plan:
        """Plan the update for the recordings ``found`` at ``paths``; each counts once, under any of its names.

        Vanished are those in the index that lie at or below ``paths`` and are known to be gone: their folder is there,
        and they are not in it. A path at which nothing was found makes none vanish, and a folder that is not there or
        cannot be looked into neither: it may be a disk that is not mounted. So may one that is empty, where nothing is
        left of all that the index has below a path, or nothing was removed since the index was last written. Raises
        :class:`UsageError` for standard input, which nobody could find again.
        """
        todo: dict[str, str | FileError] = {}
        for item in found:
            if item == STANDARD_INPUT:
                raise UsageError("standard input has no path to be found by: name files or folders")
            key = recording_key(item if isinstance(item, str) else item.file)
            self._now[key] = stamp(item) if isinstance(item, str) else (None, None)
            if isinstance(item, FileError) or not self._is_known(key):
                todo[key] = item
        missing = {item.file for item in todo.values() if isinstance(item, FileError)}
        roots = [_root(path) for path in paths if path not in missing]
        below = [[path for path in self._before if _is_below(path, root)] for root in roots]
        all_lost = {path for paths in below if self._now.keys().isdisjoint(paths) for path in paths}
        lost = {path for paths in below for path in paths} - self._now.keys()
        found_at = {path: _look(path, 0 if path in all_lost else self._last_change) for path in sorted(lost)}
        vanished = [path for path, where in found_at.items() if where is Whereabouts.GONE]
        out_of_sight = [path for path, where in found_at.items() if where is Whereabouts.UNKNOWN]
        return Plan(list(todo.values()), len(self._now) - len(todo), vanished, out_of_sight)

    def begin(self, encoder: Encoder) -> None:
        """Say what encodes the recordings that are about to come."""
        self._scale, self._bias = encoder.facts.logit_scale, encoder.facts.logit_bias

    def write(self, result: EmbedResult | FileError) -> None:
        """Take one result; it is safe when this returns. Raises :class:`RunError` if it cannot be written.

        What was known of a recording that has changed and cannot be read any more is dropped.
        """
        self._take(result)
        self.store.forget(file_of(result))

    def _take(self, result: EmbedResult | FileError) -> None:
        if isinstance(result, FileError):
            if self._database is not None and self._is_outdated(result):
                self._drop([recording_key(result.file)])
            return
        recording = result.recording
        key = recording_key(recording.file)
        entry = IndexedRecording(key, *self._now[key], recording.duration, recording.sample_rate, recording.channels)
        if self._database is None:
            Database.create(self.path, self._about(result.embeddings.shape[1]))
            self._database = Database.open(self.path, read_only=False)
        self._database.put(entry, result.starts, result.ends, result.embeddings)

    def drop(self, paths: Sequence[str]) -> None:
        """Forget recordings, by the paths that the index has for them.

        From then on one at an address is forgotten too when the address turns out to lead nowhere.
        """
        self._forgets = True
        if self._database is not None and paths:
            self._drop(paths)

    def finish(self) -> None:
        """Make the copy from which searches read. Raises :class:`RunError` if it cannot be written."""
        self.store.clear()
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
        if self._database is None and self.store.is_empty:
            return None
        return f"what is done is kept in {self.path}: run the same again to go on"

    def counts(self) -> tuple[int, int]:
        """The numbers of recordings and windows in the index."""
        return (0, 0) if self._database is None else self._database.counts()

    def close(self) -> None:
        """Close the index."""
        if self._database is not None:
            self._database.close()
        self._lock.release()

    def __enter__(self) -> IndexBuilder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _take_lock(self) -> None:
        try:
            self._lock.take()
        except OutputError:
            if _paths.exists(self.path):
                Database.open(self.path).close()  # which knows best who has it
            raise
        except OSError as error:
            raise OutputError(f"cannot write an index into {self.path.parent}: {reason(error)}") from error

    def _open(self, windows: WindowOptions | None) -> None:
        def accept(about: About) -> None:
            about.check(self.path, self._checkpoint.fingerprint, self._checkpoint.name)
            self.windows = WindowOptions(about.window_seconds, about.overlap_seconds)
            if windows not in (None, self.windows):
                raise StoreError(
                    f"{self.path} has {_spelled(self.windows)}: leave out --window and --overlap, or index into "
                    "another file"
                )
            if self.audio_track not in (None, about.audio_track):
                track = "the usual audio track" if about.audio_track is None else f"audio track {about.audio_track}"
                raise StoreError(f"{self.path} has {track}: leave out --audio-track, or index into another file")
            self.audio_track = about.audio_track

        self._database = Database.open(self.path, read_only=False, accept=accept)
        self._before = self._database.stamps()
        sweep(self.path)

    def _drop(self, paths: Sequence[str]) -> None:
        assert self._database is not None
        self._database.drop(paths)
        self.n_forgotten += len(paths)

    def _is_outdated(self, error: FileError) -> bool:
        """Return True if a recording that could not be read is known to have changed or gone since it was indexed."""
        key = recording_key(error.file)
        if key not in self._before:
            return False
        if is_address(error.file):
            return self._forgets and error.kind == "missing"
        return error.kind != "missing" and self._now[key] not in ((None, None), self._before[key])

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
            audio_track=self.audio_track,
        )


def recording_key(file: str) -> str:
    """Return a recording's key in an index: its absolute path, or its address."""
    return utf8_text(str(file) if is_address(file) else os.path.abspath(file))


def _spellings(key: str) -> set[str]:
    r"""The paths that :func:`_key` makes ``key`` of: it holds bytes that are no UTF-8 as ``\\udcXX``."""
    return {key, NO_UTF8.sub(lambda match: chr(int(match[1], 16)), key)}


def _root(path: str) -> str:
    """Return the file or folder of a path; of a pattern, the folder at its beginning."""
    if "*" in path and not os.path.lexists(path):
        path = os.path.dirname(path[: path.index("*")])
    return recording_key(path)


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


class Whereabouts(Enum):
    """The state of a recording that was not found."""

    THERE = "there"
    GONE = "gone"
    UNKNOWN = "unknown"


def _look(key: str, since: int) -> Whereabouts:
    """Return the state of the recording with this ``key``: gone only if all files that it may be certainly are.

    An empty folder that was not changed ``since`` says nothing, nor does any where that is 0: the place of a disk is
    such a folder.
    """
    if is_address(key):
        return Whereabouts.UNKNOWN
    found = {_look_at(path, since) for path in _spellings(key)}
    return next(each for each in (Whereabouts.THERE, Whereabouts.UNKNOWN, Whereabouts.GONE) if each in found)


def _look_at(path: str, since: int) -> Whereabouts:
    try:
        os.lstat(path)
        return Whereabouts.THERE
    except FileNotFoundError:
        pass
    except _paths.Unusable:
        return Whereabouts.UNKNOWN
    folder, name = os.path.split(path)
    try:
        with os.scandir(folder) as entries:
            names = {entry.name for entry in entries}
    except _paths.Unusable:
        return Whereabouts.UNKNOWN
    if not names and (not since or _changed(Path(folder)) <= since):
        return Whereabouts.UNKNOWN
    return Whereabouts.THERE if name in names else Whereabouts.GONE


def _changed(path: Path) -> int:
    """The time of the last change of a file or of a folder's entries, in nanoseconds; 0 if it is not known."""
    try:
        return os.stat(path).st_mtime_ns
    except _paths.Unusable:
        return 0


def _spelled(windows: WindowOptions) -> str:
    if windows.window is None:
        return "one window a recording"
    return f"windows of {windows.window:g} s with an overlap of {windows.overlap:g} s"
