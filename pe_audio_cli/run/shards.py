"""Results in shards: files of so many recordings each, as tools for large data write and read them."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from pe_audio_cli.errors import OutputError, RunError, UsageError
from pe_audio_cli.results import Result
from pe_audio_cli.run.journal import Entry, Journal, Settings, read_journal
from pe_audio_cli.run.outputs import FOLDER_JOURNAL, Output, entry_of
from pe_audio_cli.run.places import reason
from pe_audio_cli.write.base import WriteOptions, Writer

__all__ = ["SUCCESS", "ShardedOutput"]

SUCCESS = "_SUCCESS"  # an empty file that says that all shards are there, as Hadoop and Spark leave one
SHARD = re.compile(r"part-\d{5,}\..+")


class ShardedOutput(Output):
    """A folder of ``part-00000.jsonl`` and so on, each of which appears whole or not at all; in the end ``_SUCCESS``.

    A run that goes on with an earlier one begins after the last whole shard.
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
        if not writer.several:
            raise UsageError(f"{writer.name} holds one recording, and a shard {size}: leave out --shard-size")
        self._folder, self._new_writer, self._options, self._files = folder, writer, options, files
        self._size, self._keep_journal = size, resume
        self._journal_path = folder / FOLDER_JOURNAL
        self.known = resume and self._journal_path.exists()
        self._stream: TextIO | None = None
        self._entries: list[Entry] = []  # of the shard that is being written
        if not self.known and not overwrite:
            self._refuse_to_replace()

    def open(self, settings: Settings) -> list[Entry]:
        """Make the folder, or go on after its last whole shard; shards of another run vanish."""
        settings = {**settings, "shard_size": self._size}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            done = self._whole_shards(settings) if self.known else []
            self._n_shards = -(-len(done) // self._size)
            self._journal = Journal.start(self._journal_path, settings, done)
            (self._folder / SUCCESS).unlink(missing_ok=True)
            for stray in self._shards() - set(map(self._shard, range(self._n_shards))):
                stray.unlink()
        except OSError as error:
            raise OutputError(f"cannot write into {self._folder}: {reason(error)}") from error
        return done

    def write(self, result: Result) -> None:
        """Add it to its shard; what is noted in the journal is a shard that is whole."""
        try:
            if self._stream is None:
                self._begin_shard()
            self._writer.put(result)
            self._entries.append(entry_of(result))
            if len(self._entries) == self._size:
                self._end_shard()
        except OSError as error:
            raise RunError(f"cannot write into {self._folder}: {reason(error)}; {self._how_to_go_on()}") from error

    def finish(self) -> None:
        """End the last shard, and say that all are there."""
        try:
            if self._entries:
                self._end_shard()
            (self._folder / SUCCESS).touch()
        except OSError as error:
            raise RunError(f"cannot write into {self._folder}: {reason(error)}; {self._how_to_go_on()}") from error
        self._journal.end(self._keep_journal)

    def abandon(self) -> str | None:
        """Drop the shard that is not whole, and keep the others with their journal."""
        if self._stream is not None:
            with contextlib.suppress(OSError):  # what does not fit is dropped anyway
                self._stream.close()
            self._part.unlink(missing_ok=True)
        if self._n_shards == 0:
            self._journal.remove()
            return None
        self._journal.close()
        return self._how_to_go_on()

    def _begin_shard(self) -> None:
        self._part = self._shard(self._n_shards).with_suffix(".part")
        self._stream = self._part.open("w", encoding="utf-8", newline="")
        self._writer = self._new_writer(self._stream, self._options)
        self._writer.open()

    def _end_shard(self) -> None:
        assert self._stream is not None
        self._writer.close()
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        os.replace(self._part, self._shard(self._n_shards))
        for entry in self._entries:
            self._journal.add(entry)
        self._n_shards += 1
        self._stream, self._entries = None, []

    def _shard(self, number: int) -> Path:
        return self._folder / f"part-{number:05}{self._new_writer.extensions[0]}"

    def _shards(self) -> set[Path]:
        """The shards in the folder, of whatever run, whole or not."""
        return {path for path in self._folder.iterdir() if SHARD.fullmatch(path.name)}

    def _whole_shards(self, settings: Settings) -> list[Entry]:
        """What an earlier run has done: all, or what fills whole shards, for its last may be too short for this one."""
        entries = read_journal(self._journal_path, settings, self._files)
        if len(entries) < len(self._files):
            entries = entries[: len(entries) // self._size * self._size]
        for path in map(self._shard, range(-(-len(entries) // self._size))):
            if not path.exists():
                raise OutputError(f"cannot resume: {path} is gone; start again with --overwrite")
        return entries

    def _how_to_go_on(self) -> str:
        return f"whole shards are kept in {self._folder}: run the same again with --resume to go on"

    def _refuse_to_replace(self) -> None:
        if self._journal_path.exists():
            raise OutputError(f"{self._folder} holds an interrupted run: --resume goes on, --overwrite starts again")
        if self._folder.is_dir() and self._shards():
            raise OutputError(f"{self._folder} holds shards: choose another folder, or --overwrite")
