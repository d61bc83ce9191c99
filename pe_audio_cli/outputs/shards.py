"""Results in shards: files of a fixed number of recordings, as tools for large data use them."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from pe_audio_cli._files import Lock, create_alone, discard, is_at, publish, remove_left, sweep, sync_folder
from pe_audio_cli._paths import exists, is_dir, reason
from pe_audio_cli.errors import OutputError, RunError, UsageError
from pe_audio_cli.formats.base import WriteOptions, Writer
from pe_audio_cli.outputs.base import everything, refused, unknown_past
from pe_audio_cli.outputs.feature_store import FeatureStore
from pe_audio_cli.outputs.finished import is_finished
from pe_audio_cli.outputs.folder import FOLDER_HELPERS, FOLDER_JOURNAL, FOLDER_LOCK
from pe_audio_cli.outputs.journal import Journal, JournalEntry, Past, RunSettings, is_journal, matched, read_journal
from pe_audio_cli.outputs.readings import JournaledOutput
from pe_audio_cli.results import Result

__all__ = ["SUCCESS", "ShardedOutput"]

SUCCESS = "_SUCCESS"  # an empty file that says that all shards are there, as Hadoop and Spark leave one
FOLDER_PART = ".peaudio.shard.part"
SHARD = re.compile(r"part-\d{5,}\..+")


class ShardedOutput(JournaledOutput):
    """A folder of ``part-00000.jsonl`` and so on, each of which appears whole or not at all; in the end ``_SUCCESS``.

    A run that goes on with an earlier one keeps the whole shards in which nothing failed and whose inputs are the same
    as before, and makes the others anew.
    """

    def __init__(
        self,
        folder: Path,
        writer: type[Writer],
        options: WriteOptions,
        files: Sequence[str],
        size: int,
        *,
        overwrite: bool = False,
        resume: bool = False,
    ) -> None:
        """``size`` is the number of recordings in a shard.

        Raises :class:`UsageError` for a format that holds only one recording, and :class:`OutputError` if there are
        shards already and nobody said what to do about them.
        """
        super().__init__()
        if not writer.several:
            raise UsageError(f"{writer.name} holds one recording, and a shard {size}: leave out --shard-size")
        self._folder, self._new_writer, self._options, self._files = folder, writer, options, files
        self._size, self._overwrite, self._resume = size, overwrite, resume
        self._journal_path, self._part = folder / FOLDER_JOURNAL, folder / FOLDER_PART
        self._lock = Lock(folder / FOLDER_LOCK, folder)
        self.store = self._store = FeatureStore(folder / FOLDER_HELPERS)
        self._stream: TextIO | None = None
        self._entries: list[JournalEntry] = []  # of the shard that is being written
        with refused(f"cannot write into {folder}"):
            self._look()

    def open(self, settings: RunSettings) -> Mapping[int, JournalEntry]:
        """Make the folder, or go on with its whole shards; other shards vanish."""
        settings = {**settings, "shard_size": self._size}
        self._n_failed = 0
        with refused(f"cannot write into {self._folder}"), contextlib.ExitStack() as on_failure:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.take()
            on_failure.callback(self._lock.release)
            remove_left(self._part, self._lock)
            self._look()
            if self._lock.left_behind:
                sweep(self._journal_path)
            done = self._whole_shards(settings) if self.known else {}
            if self._is_finished:
                done, self.remark = everything(self._files), unknown_past(self._folder)
            self._is_finished |= len(done) == len(self._files) and exists(self._folder / SUCCESS)
            if self._is_finished:
                on_failure.pop_all()
                return done
            if not self.known:
                self._store.clear()
            past = Past(list(done.values()))
            self._journal = Journal.start(self._journal_path, settings, past, replace=exists(self._journal_path))
            on_failure.callback(self._journal.close)
            self._kept = {at // self._size for at in done}
            (self._folder / SUCCESS).unlink(missing_ok=True)
            for stray in self._shards() - set(map(self._shard, self._kept)):
                stray.unlink()
            on_failure.pop_all()
        self._todo = (at for at in range(len(self._files)) if at not in done)
        return done

    def write(self, result: Result) -> None:
        """Add it to its shard; what is noted in the journal is a shard that is whole."""
        entry = self._readings.entry(result)
        with self._errors_explained():
            if self._stream is None:
                self._begin_shard()
            self._writer.put(result)
        self._readings.taken()
        self._store.forget(entry.file)
        self._n_failed += entry.error is not None
        at = next(self._todo)
        self._entries.append(replace(entry, shard=at // self._size))
        if (at + 1) % self._size == 0 or at + 1 == len(self._files):
            with self._errors_explained():
                self._end_shard(at // self._size)

    def finish(self) -> None:
        """Mark the shards as complete."""
        if self._is_finished:  # and nothing was to do
            self._lock.release()
            return
        with self._errors_explained():
            gone = [place for place in map(self._shard, sorted(self._kept)) if not exists(place)]
            if gone or not self._lock.holds():
                raise RunError(f"{gone[0] if gone else self._folder} has been removed during the run")
            (self._folder / SUCCESS).touch()
            sync_folder(self._folder)
        self._journal.end(self._resume or self._n_failed > 0)
        self._store.clear()
        self._lock.release()

    def abandon(self) -> str | None:
        """Drop the shard that is not whole, and keep the others with their journal."""
        if self._is_finished:
            self._lock.release()
            return None
        self._drop_shard()
        is_kept = self._lock.holds() and bool(self._kept or not self._store.is_empty)
        if self._lock.holds() and not is_kept:
            self._journal.remove()
        self._journal.close()
        self._lock.release()
        return self._how_to_go_on() if is_kept else None

    def _look(self) -> None:
        self._lock.refuse_if_taken()
        has_journal = exists(self._journal_path)
        if has_journal and not is_journal(self._journal_path):
            raise OutputError(
                f"{self._journal_path} is no journal of peaudio's: move it away, or choose another folder"
            )
        self.known, self._is_finished = self._resume and has_journal, False
        if self.known or self._overwrite:
            return
        if has_journal:
            raise OutputError(
                f"{self._folder} exists, with a run that is not complete: --resume goes on, --overwrite starts again"
            )
        if is_dir(self._folder) and self._shards():
            self._is_finished = self._resume and exists(self._folder / SUCCESS) and self._are_finished()
            if self._is_finished:
                return
            raise OutputError(f"{self._folder} holds shards: choose another folder, or --overwrite")

    def _are_finished(self) -> bool:
        """Return True if the shards can be those of a finished run that left no journal."""
        n_files = len(self._files)
        parts = [self._files[first : first + self._size] for first in range(0, n_files, self._size)]
        expected = {self._shard(number): part for number, part in enumerate(parts)}
        return self._shards() == set(expected) and all(
            is_finished(path, self._new_writer, self._options, part) for path, part in expected.items()
        )

    def _begin_shard(self) -> None:
        self._raw = create_alone(self._part)
        self._stream = io.TextIOWrapper(io.BufferedWriter(self._raw), encoding="utf-8", newline="")
        self._writer = self._new_writer(self._stream, self._options)
        self._writer.open()

    def _end_shard(self, number: int) -> None:
        assert self._stream is not None
        self._writer.close()
        self._stream.flush()
        os.fsync(self._raw.fileno())
        if not (self._lock.holds() and is_at(self._raw.fileno(), self._part)):
            raise RunError(f"{self._folder} has been changed by others during the run; {self._how_to_go_on()}")
        if sys.platform == "win32":  # where what is open cannot be renamed
            self._stream.close()
        publish(self._part, self._shard(number))
        self._stream.close()
        for entry in self._entries:
            self._journal.add(entry)
        self._kept.add(number)
        self._stream, self._entries = None, []

    def _drop_shard(self) -> None:
        if self._stream is not None:
            discard(self._stream, self._part)

    def _shard(self, number: int) -> Path:
        return self._folder / f"part-{number:05}{self._new_writer.extensions[0]}"

    def _shards(self) -> set[Path]:
        """The shards in the folder, of whatever run, whole or not."""
        return {path for path in self._folder.iterdir() if SHARD.fullmatch(path.name)}

    def _whole_shards(self, settings: RunSettings) -> dict[int, JournalEntry]:
        """Return the inputs, by position, whose results from an earlier run fill whole shards of this one."""
        past = read_journal(self._journal_path, settings)
        done = matched(past.entries, self._files)
        shards: dict[int, list[JournalEntry]] = defaultdict(list)
        for at, entry in enumerate(past.entries):
            shards[at // self._size if entry.shard is None else entry.shard].append(entry)
        kept: dict[int, JournalEntry] = {}
        for number, entries in shards.items():
            places = range(number * self._size, min((number + 1) * self._size, len(self._files)))
            if [done.get(at) for at in places] == entries:
                if not exists(self._shard(number)):
                    raise OutputError(f"cannot resume: {self._shard(number)} is gone; start again with --overwrite")
                kept.update(zip(places, entries, strict=True))
        return dict(sorted(kept.items()))

    @contextlib.contextmanager
    def _errors_explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, OutputError) as error:
            raise RunError(f"cannot write into {self._folder}: {reason(error)}; {self._how_to_go_on()}") from error

    def _how_to_go_on(self) -> str:
        if not self._lock.holds() or not (self._kept or not self._store.is_empty):
            return "nothing of it is kept"
        if not self._kept:
            return f"what is done is kept in {self._folder}: run the same again with --resume to go on"
        return f"whole shards are kept in {self._folder}: run the same again with --resume to go on"
