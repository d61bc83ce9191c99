"""All results in one file, which can be resumed."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from pe_audio_cli._files import (
    Lock,
    create_alone,
    discard,
    file_id,
    growing,
    helper,
    is_at,
    open_helper,
    publish,
    remove_left,
    sweep,
    sync_folder,
    writable_place,
)
from pe_audio_cli._paths import exists, reason
from pe_audio_cli.errors import OutputError, RunError
from pe_audio_cli.formats.base import WriteOptions, Writer
from pe_audio_cli.outputs.base import everything, refused, text_stream, unknown_past
from pe_audio_cli.outputs.feature_store import FeatureStore
from pe_audio_cli.outputs.finished import is_finished
from pe_audio_cli.outputs.journal import (
    Content,
    Journal,
    JournalEntry,
    Past,
    RunSettings,
    content,
    is_journal,
    matched,
    read_journal,
)
from pe_audio_cli.outputs.readings import JournaledOutput
from pe_audio_cli.results import FileError, Result

__all__ = ["FileOutput"]

COPY_BYTES = 1 << 20


class FileOutput(JournaledOutput):
    """All results in one file.

    The ``.part`` is a beginning of the finished file, as long as results come in the order of the inputs. A run that
    goes on with another one and finds new inputs before old ones, or tries again what failed, adds to its end all the
    same; then the finished file is put together of it in the end, in the order of the inputs.
    """

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
        """Raises :class:`OutputError` if it cannot be resumed, or exists without ``overwrite`` or ``resume``."""
        super().__init__()
        if resume and not writer.resumable:
            raise OutputError(f"{writer.name} cannot be resumed: leave out --resume, or add --shard-size")
        self._path, self._new_writer, self._options, self._files = path, writer, options, files
        self._overwrite, self._resume = overwrite, resume
        self._place = writable_place(path, overwrite=overwrite or resume)
        self._part, self._journal_path = helper(self._place, ".part"), helper(self._place, ".journal")
        self._sorted = helper(self._place, ".sorted.part")
        self._lock = Lock(helper(self._place, ".lock"), path)
        self._store = FeatureStore(self._place)
        self.store = self._store if writer.resumable else None
        with refused(f"cannot write {path}"):
            self._look()

    def open(self, settings: RunSettings) -> Mapping[int, JournalEntry]:
        """Begin the file under its temporary name, or go on after its last whole result."""
        self._settings = settings
        self._stream: TextIO | None = None
        self._n_stored = self._n_failed = self._end = 0
        with refused(f"cannot write {self._path}"), contextlib.ExitStack() as on_failure:
            self._lock.take()
            on_failure.callback(self._lock.release)
            on_failure.callback(self._close_helpers)
            self._tidy()
            self._look()
            if self._is_finished:
                done: Mapping[int, JournalEntry] = everything(self._files)
                self.remark = unknown_past(self._path)
            else:
                done = self._reopen() if self.known else self._create()
            on_failure.pop_all()
        self._todo = (at for at in range(len(self._files)) if at not in done)
        return done

    def write(self, result: Result) -> None:
        """Append it, then note it in the journal."""
        assert self._stream is not None
        entry = self._readings.entry(result)
        try:
            self._writer.put(result)
            self._stream.flush()
            entry = replace(entry, end=self._raw.tell(), state=self._writer.state)
            self._journal.add(entry)
        except OSError as error:
            raise RunError(f"cannot write {self._path}: {reason(error)}; {self._how_to_go_on()}") from error
        self._readings.taken()
        self._store.forget(entry.file)
        if self._pieces is not None:
            self._pieces[next(self._todo)] = (self._end, entry)
        self._end = entry.end
        self._n_stored += 1
        self._n_failed += isinstance(result, FileError)

    def finish(self) -> None:
        """Give the file its name; the journal stays for a run that may be resumed, or of which some recordings failed.

        Where the format holds one recording, and that one failed, there is none: it would say that there was no event.
        """
        if self._stream is None:  # an earlier run had done it all
            self._lock.release()
            return
        if self._is_lone_failure:
            self._discard()
            return
        try:
            if self._pieces is None:
                self._finish_as_it_is(self._stream)
            else:
                self._finish_sorted(self._pieces)
        except FileExistsError as error:
            raise RunError(
                f"{self._path} has appeared during the run, and stays as it is; move it away: {self._how_to_go_on()}"
            ) from error
        except (OSError, OutputError) as error:
            raise RunError(f"cannot write {self._path}: {reason(error)}; {self._how_to_go_on()}") from error
        self._journal.end(self._resume or self._n_failed > 0)
        self._store.clear()
        self._lock.release()

    def abandon(self) -> str | None:
        """Keep the temporary file and its journal, unless there is nothing in them to go on with."""
        if self._stream is None:
            self._lock.release()
            return None
        nothing_done = self._n_stored == 0 and self._store.is_empty
        if nothing_done or self._is_lone_failure or not self._new_writer.resumable:
            self._discard()
            return None
        how = self._how_to_go_on()
        self._close_stream()
        self._journal.close()
        self._lock.release()
        return how

    @property
    def _is_lone_failure(self) -> bool:
        return self._n_failed > 0 and not self._new_writer.several

    def _discard(self) -> None:
        assert self._stream is not None
        discard(self._stream, self._part)
        self._journal.remove()
        self._store.clear()
        self._lock.release()

    def _close_stream(self) -> None:
        assert self._stream is not None
        with contextlib.suppress(OSError):  # what does not fit is not in the journal, and will be cut off
            self._stream.close()

    def _how_to_go_on(self) -> str:
        if not self._new_writer.resumable or not (self._raw.closed or is_at(self._raw.fileno(), self._part)):
            return "nothing of it is kept"
        return f"what is done is kept in {self._part}: run the same again with --resume to go on"

    def _look(self) -> None:
        """Check existing files. Raises :class:`OutputError` if they must not be touched."""
        writable_place(self._path, overwrite=self._overwrite or self._resume)
        self._lock.refuse_if_taken()  # before what the run leaves there is looked at
        has_part, has_journal = exists(self._part), exists(self._journal_path)
        if has_journal and not is_journal(self._journal_path):
            raise OutputError(f"{self._journal_path} is no journal of peaudio's: move it away, or choose another name")
        if has_part and not has_journal and _size(self._part) > 0:  # an empty one may be left of a full disk
            raise OutputError(
                f"{self._part} has no journal, and may be anybody's: move it away, or choose another name"
            )
        self.known = self._resume and has_journal and (has_part or exists(self._place))
        self._is_finished = (
            self._resume and not has_journal and is_finished(self._place, self._new_writer, self._options, self._files)
        )
        if self.known or self._overwrite or self._is_finished:
            return
        if exists(self._place):
            raise OutputError(f"{self._path} exists: choose another name, or --overwrite")
        if has_part and has_journal:
            goes_on = "--resume goes on, " if self._new_writer.resumable else ""
            raise OutputError(f"{self._part} is left of an interrupted run: {goes_on}--overwrite starts again")

    def _tidy(self) -> None:
        """Remove files of a killed run, which no other process writes now."""
        if exists(self._part) and file_id(self._part) == file_id(self._place) and exists(self._journal_path):
            self._part.unlink()  # it had got its name already
        remove_left(self._sorted, self._lock)
        if self._lock.left_behind:
            sweep(self._part)
            sweep(self._journal_path)

    def _create(self) -> Mapping[int, JournalEntry]:
        if exists(self._part):  # of a run that is not wanted, or of one that had no space for its journal
            open_helper(self._part).close()
            self._part.unlink()
        self._store.clear()
        replaceable = [content(os.fspath(self._place))] if self._overwrite and exists(self._place) else []
        has_journal = exists(self._journal_path)
        self._past = Past(replaceable=replaceable)
        self._journal = Journal.start(self._journal_path, self._settings, self._past, replace=has_journal)
        try:
            self._begin(create_alone(self._part), Past())
        except BaseException:
            self._journal.remove()
            raise
        return {}

    def _close_helpers(self) -> None:
        """Close what was opened of a run that cannot go on."""
        if self._stream is not None:
            with contextlib.suppress(OSError):
                self._stream.close()
        if hasattr(self, "_journal"):
            self._journal.close()

    def _reopen(self) -> Mapping[int, JournalEntry]:
        past = self._past = read_journal(self._journal_path, self._settings)
        done = matched(past.entries, self._files)
        is_finished = not exists(self._part)
        if exists(self._place) and not past.may_replace(self._place):
            what = "has changed since it was finished" if is_finished else "is not of the run that was interrupted"
            raise OutputError(f"cannot resume: {self._path} {what}; move it away, or start again with --overwrite")
        source = self._place if is_finished else self._part
        end = max((entry.end for entry in past.entries), default=0)
        if _size(source) < end:
            raise OutputError(f"{source} is shorter than its journal says: start again with --overwrite")
        n_in_order = _n_in_order(past.entries, done)
        if is_finished and n_in_order == len(past.entries) == len(self._files):
            return done
        stays_in_order = n_in_order == len(done) or not self._new_writer.movable
        if stays_in_order:
            done = {at: done[at] for at in range(n_in_order)}
            past = replace(past, entries=past.entries[:n_in_order])
            end = past.entries[-1].end if past.entries else 0
        if is_finished:
            with growing(self._part, overwrite=False) as copy, open_helper(self._place) as file:
                copy.writelines(_chunks(file, 0, end))
        if len(past.entries) < len(self._past.entries):
            Journal.start(self._journal_path, self._settings, past, replace=True).close()
        file = open_helper(self._part, "r+b")
        file.truncate(end)
        file.seek(end)
        self._journal = Journal(self._journal_path)
        self._begin(file, past, None if stays_in_order else done)
        return done

    def _begin(self, file: io.FileIO, past: Past, pieces_of: Mapping[int, JournalEntry] | None = None) -> None:
        """Begin or continue writing to a file, after the results of an earlier run, if any."""
        self._raw = file
        self._stream = text_stream(file)
        self._writer = self._new_writer(self._stream, self._options)
        self._n_stored = len(past.entries)
        if past.entries:
            try:
                self._writer.restore(past.entries[-1].state)
            except ValueError as error:
                raise OutputError(f"{self._journal_path} is damaged: start again with --overwrite") from error
        self._writer.open(self._n_stored)
        self._stream.flush()
        self._end = self._raw.tell()
        self._pieces: dict[int, tuple[int, JournalEntry]] | None = None
        if pieces_of is not None:
            ends = [self._opening(), *(entry.end for entry in past.entries)]
            begins = {id(entry): end for entry, end in zip(past.entries, ends, strict=False)}
            self._pieces = {at: (begins[id(entry)], entry) for at, entry in pieces_of.items()}

    def _opening(self) -> int:
        """Return the number of bytes before the first result."""
        text = io.StringIO(newline="")
        self._new_writer(text, self._options).open()
        return len(text.getvalue().encode())

    def _finish_as_it_is(self, stream: TextIO) -> None:
        self._writer.close()
        stream.flush()
        self._publish(self._raw, self._part)
        self._close_stream()

    def _finish_sorted(self, pieces: Mapping[int, tuple[int, JournalEntry]]) -> None:
        """Put the file together of the pieces of ``.part``, in the order of the inputs."""
        raw = create_alone(self._sorted)
        try:
            entries = []
            with text_stream(raw) as stream:
                writer = self._new_writer(stream, self._options)
                writer.open()
                for at in range(len(self._files)):
                    begin, entry = pieces[at]
                    writer.move(_chunks(self._raw, begin, entry.end))
                    stream.flush()
                    entries.append(replace(entry, end=raw.tell()))
                writer.close()
                stream.flush()
                if not is_at(self._raw.fileno(), self._part):
                    raise FileNotFoundError(errno.ENOENT, "its .part has been removed meanwhile")
                whole = self._publish(raw, self._sorted)
        except BaseException:
            with contextlib.suppress(OSError):
                self._sorted.unlink(missing_ok=True)
            raise
        self._journal.close()
        past = Past(entries, [whole])
        self._journal = Journal.start(self._journal_path, self._settings, past, replace=True)
        assert self._stream is not None
        discard(self._stream, self._part)

    def _publish(self, raw: io.FileIO, part: Path) -> Content:
        """Give a file that is whole the output's name, and note what may be replaced there from now on."""
        os.fsync(raw.fileno())
        if not is_at(raw.fileno(), part):
            raise FileNotFoundError(errno.ENOENT, f"{part.name} has been removed meanwhile")
        whole = content(os.fspath(part))
        self._journal.replaceable(whole)
        may_replace = self._overwrite or (exists(self._place) and self._past.may_replace(self._place))
        publish(part, self._place, overwrite=may_replace)
        sync_folder(self._place.parent)
        return whole


def _size(path: Path) -> int:
    with open_helper(path) as file:
        return file.seek(0, os.SEEK_END)


def _n_in_order(entries: Sequence[JournalEntry], done: Mapping[int, JournalEntry]) -> int:
    """Return the number of leading entries that are those of the leading inputs, in order, without a failure."""
    return next((at for at, entry in enumerate(entries) if done.get(at) is not entry), len(entries))


def _chunks(file: io.FileIO, begin: int, end: int) -> Iterator[bytes]:
    """Yield the bytes between two offsets in parts; the file's position is restored."""
    while begin < end:
        before = file.tell()
        file.seek(begin)
        chunk = file.read(min(COPY_BYTES, end - begin))
        file.seek(before)
        if not chunk:
            raise OSError(errno.EIO, "what was written before can no longer be read")
        begin += len(chunk)
        yield chunk
