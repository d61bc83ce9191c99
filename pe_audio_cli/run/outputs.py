"""Where results go: a stream, one file, or a folder with a file for each recording.

A file appears whole or not at all: it grows under another name beside its place (``.part``) and is renamed when it is
complete. A journal beside it (``.journal``) lets an interrupted run go on. Nothing that exists is touched unless the
user said so.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from pe_audio_cli._paths import Unusable, reason
from pe_audio_cli.errors import OutputError, RunError
from pe_audio_cli.results import FileError, Outcome, Result, Written
from pe_audio_cli.run.journal import Entry, Journal, Settings, read_journal, stamp
from pe_audio_cli.run.places import Tree, whole_file
from pe_audio_cli.write.base import WriteOptions, Writer

__all__ = ["FOLDER_JOURNAL", "FileOutput", "FolderOutput", "Output", "StreamOutput", "entry_of", "file_of"]

FOLDER_JOURNAL = ".peaudio.journal"


class Output(ABC):
    """Takes results one by one, in input order. Making one touches nothing; ``open`` does.

    ``known`` tells whether it goes on with an earlier run.
    """

    known = False

    @abstractmethod
    def open(self, settings: Settings) -> list[Entry]:
        """Begin a run with these settings, or go on with one.

        Returns what an earlier run has done: the first of the inputs. Raises :class:`OutputError`
        if the output cannot be made, or if that run had other settings or inputs.
        """

    @abstractmethod
    def write(self, result: Result) -> None:
        """Take one result; it is safe when this returns. Raises :class:`RunError` if it cannot be written."""

    @abstractmethod
    def finish(self) -> None:
        """All results are in: make the output whole."""

    @abstractmethod
    def abandon(self) -> str | None:
        """The run stops early: keep what is there for a later one. Returns how to go on, if it can."""


class StreamOutput(Output):
    """Results on a stream as they come, as on standard output."""

    def __init__(self, writer: type[Writer], options: WriteOptions, stream: TextIO) -> None:
        self._stream = stream
        self._writer = writer(stream, options)

    def open(self, settings: Settings) -> list[Entry]:
        """Begin; a stream holds nothing of an earlier run."""
        with _stream_errors_explained():
            self._writer.open()
        return []

    def write(self, result: Written) -> None:
        """Write it and flush it, so that whoever reads gets it at once."""
        with _stream_errors_explained():
            self._writer.put(result)
            self._stream.flush()

    def finish(self) -> None:
        """End what the format has begun."""
        with _stream_errors_explained():
            self._writer.close()
            self._stream.flush()

    def abandon(self) -> None:
        """End what the format has begun, so that what is there can be read."""
        with contextlib.suppress(OSError, RunError):  # it may be the very reason to stop
            self.finish()


class FileOutput(Output):
    """All results in one file."""

    def __init__(
        self,
        path: Path,
        writer: type[Writer],
        options: WriteOptions,
        files: Sequence[str],
        *,
        overwrite: bool = False,
        resume: bool = False,
    ) -> None:
        """Raises :class:`OutputError` if it cannot be resumed, or exists and nobody said what to do about it."""
        if resume and not writer.resumable:
            raise OutputError(f"{writer.name} cannot be resumed: leave out --resume, or add --shard-size")
        self._path, self._new_writer, self._options, self._files = path, writer, options, files
        self._keep_journal = resume
        self._part = path.with_name(path.name + ".part")
        self._journal_path = path.with_name(path.name + ".journal")
        self.known = resume and self._journal_path.exists() and (self._part.exists() or path.exists())
        self._done = 0
        if not self.known and not overwrite:
            self._refuse_to_replace()

    def open(self, settings: Settings) -> list[Entry]:
        """Begin the file under its temporary name, or cut an interrupted one back to its last whole result."""
        try:
            entries = self._reopen(settings) if self.known else self._create(settings)
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {reason(error)}") from error
        self._done = len(entries)
        self._failed = sum(entry.error is not None for entry in entries)
        self._writer = self._new_writer(self._stream, self._options)
        if entries:
            self._writer.state = entries[-1].state
        self._writer.open(self._done)
        return entries

    def write(self, result: Result) -> None:
        """Append it, then note it in the journal."""
        try:
            self._writer.put(result)
            self._stream.flush()
            self._journal.add(entry_of(result, self._raw.tell(), self._writer.state))
            self._done += 1
            self._failed += isinstance(result, FileError)
        except OSError as error:
            raise RunError(f"cannot write {self._path}: {reason(error)}; {self._how_to_go_on()}") from error

    def finish(self) -> None:
        """Give the file its name; the journal stays only for a run that may be resumed again.

        Where the format holds one recording, and that one failed, there is none: it would say that nothing was heard.
        """
        if self._is_lone_failure:
            self._discard()
            return
        try:
            self._writer.close()
            self._stream.flush()
            os.fsync(self._raw.fileno())
            self._stream.close()
            os.replace(self._part, self._path)
        except OSError as error:
            raise RunError(f"cannot write {self._path}: {reason(error)}; {self._how_to_go_on()}") from error
        self._journal.end(self._keep_journal)

    def abandon(self) -> str | None:
        """Keep the temporary file and its journal, unless there is nothing in them to go on with."""
        if self._done == 0 or self._is_lone_failure or not self._new_writer.resumable:
            self._discard()
            return None
        self._close_stream()
        self._journal.close()
        return self._how_to_go_on()

    @property
    def _is_lone_failure(self) -> bool:
        return self._failed > 0 and not self._new_writer.several

    def _discard(self) -> None:
        self._close_stream()
        self._journal.remove()
        self._part.unlink(missing_ok=True)

    def _close_stream(self) -> None:
        with contextlib.suppress(OSError):  # what does not fit is not in the journal, and will be cut off
            self._stream.close()

    def _how_to_go_on(self) -> str:
        if not self._new_writer.resumable:
            return "nothing of it is kept"
        return f"what is done is kept in {self._part}: run the same again with --resume to go on"

    def _refuse_to_replace(self) -> None:
        if self._path.exists():
            raise OutputError(f"{self._path} exists: choose another name, or --overwrite")
        if self._part.exists():
            raise OutputError(f"{self._part} is left of an interrupted run: --resume goes on, --overwrite starts again")

    def _create(self, settings: Settings) -> list[Entry]:
        self._open("wb")
        self._journal = Journal.start(self._journal_path, settings)
        return []

    def _reopen(self, settings: Settings) -> list[Entry]:
        entries = read_journal(self._journal_path, settings, self._files)
        if not self._part.exists():  # a complete output, to which a resumed run may add
            shutil.copyfile(self._path, self._part)
        end = entries[-1].end if entries else 0
        if self._part.stat().st_size < end:
            raise OutputError(f"{self._part} is shorter than its journal says: start again with --overwrite")
        os.truncate(self._part, end)
        self._open("ab")
        self._journal = Journal(self._journal_path)
        return entries

    def _open(self, mode: str) -> None:
        self._raw = open(self._part, mode, buffering=0)  # noqa: SIM115 - it stays open from result to result
        self._stream = io.TextIOWrapper(io.BufferedWriter(self._raw), encoding="utf-8", newline="")


class FolderOutput(Output):
    """A file for each recording, in a tree like that of the inputs (:class:`~pe_audio_cli.run.places.Tree`).

    A recording that failed leaves no file.
    """

    def __init__(
        self,
        folder: Path,
        writer: type[Writer],
        options: WriteOptions,
        files: Sequence[str],
        *,
        overwrite: bool = False,
        resume: bool = False,
    ) -> None:
        """Raises :class:`OutputError` if one of its files exists and nobody said what to do about it."""
        self._folder, self._writer, self._options, self._files = folder, writer, options, files
        self._keep_journal = resume
        self._tree = Tree(folder, writer.extensions[0], files)
        self._journal_path = folder / FOLDER_JOURNAL
        self.known = resume and self._journal_path.exists()
        if not self.known and not overwrite:
            self._refuse_to_replace()

    def open(self, settings: Settings) -> list[Entry]:
        """Make the folder, and begin or read its journal."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if self.known:
                entries = read_journal(self._journal_path, settings, self._files)
                self._check_all_there(entries)
                self._journal = Journal(self._journal_path)
                return entries
            self._journal = Journal.start(self._journal_path, settings)
        except OSError as error:
            raise OutputError(f"cannot write into {self._folder}: {reason(error)}") from error
        return []

    def write(self, result: Result) -> None:
        """Write its own file, then note it in the journal."""
        target = self._tree.place(file_of(result))
        try:
            if not isinstance(result, FileError):
                target.parent.mkdir(parents=True, exist_ok=True)
                self._write_whole(target, result)
            self._journal.add(entry_of(result))
        except OSError as error:
            raise RunError(f"cannot write {target}: {reason(error)}; what is done is kept") from error

    def finish(self) -> None:
        """Remove the journal, unless the run may be resumed again."""
        self._journal.end(self._keep_journal)

    def abandon(self) -> str:
        """Keep the journal beside the files that are done."""
        self._journal.close()
        return f"what is done is kept in {self._folder}: run the same again with --resume to go on"

    def _check_all_there(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.error is None and not self._tree.place(entry.file).exists():
                raise OutputError(
                    f"cannot resume: {self._tree.place(entry.file)} is gone; start again with --overwrite"
                )

    def _write_whole(self, target: Path, result: Result) -> None:
        with whole_file(target) as part, part.open("w", encoding="utf-8", newline="") as stream:
            writer = self._writer(stream, self._options)
            writer.open()
            writer.put(result)
            writer.close()

    def _refuse_to_replace(self) -> None:
        if self._journal_path.exists():
            raise OutputError(f"{self._folder} holds an interrupted run: --resume goes on, --overwrite starts again")
        for file in self._files:
            if self._tree.place(file).exists():
                raise OutputError(f"{self._tree.place(file)} exists: choose another folder, or --overwrite")


def file_of(result: Outcome) -> str:
    """The input, as the user gave it, that a result or error belongs to."""
    return result.file if isinstance(result, FileError) else result.recording.file


def entry_of(result: Result, end: int = 0, state: Any = None) -> Entry:
    """What a journal notes of a result, after which its output ends at ``end``, and its writer is in this ``state``."""
    file = file_of(result)
    error = result.message if isinstance(result, FileError) else None
    return Entry(file, *stamp(file), end=end, error=error, state=state)


@contextlib.contextmanager
def _stream_errors_explained() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # not an error: whoever reads has enough
    except Unusable as error:  # a ValueError is a stream that was closed
        raise RunError(f"cannot write the output: {reason(error)}") from error
