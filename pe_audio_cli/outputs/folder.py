"""A file for each recording, in a tree like that of the inputs."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Mapping, Sequence
from pathlib import Path

from pe_audio_cli._files import (
    Lock,
    create_alone,
    helper,
    open_helper,
    publish,
    sweep,
    writable_place,
)
from pe_audio_cli._paths import exists, is_dir, is_file, reason
from pe_audio_cli.errors import InputError, OutputError, RunError
from pe_audio_cli.formats.base import WriteOptions, Writer
from pe_audio_cli.outputs.base import everything, file_of, refused, text_stream, unknown_past
from pe_audio_cli.outputs.feature_store import FeatureStore
from pe_audio_cli.outputs.files import Tree, refuse_inputs_among
from pe_audio_cli.outputs.finished import is_finished
from pe_audio_cli.outputs.journal import (
    Journal,
    JournalEntry,
    Past,
    RunSettings,
    is_journal,
    matched,
    read_journal,
)
from pe_audio_cli.outputs.readings import JournaledOutput
from pe_audio_cli.results import FileError, Result

__all__ = ["FOLDER_JOURNAL", "FOLDER_LOCK", "FolderOutput"]

FOLDER_HELPERS = ".peaudio"  # what the names of helper files in a folder begin with

FOLDER_JOURNAL = FOLDER_HELPERS + ".journal"

FOLDER_LOCK = FOLDER_HELPERS + ".lock"

# What the system says of a place that cannot be written to, though others can.
BAD_PLACE = {errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP, errno.EACCES}

BAD_PLACE |= {errno.EPERM, errno.EINVAL, errno.EILSEQ}


class FolderOutput(JournaledOutput):
    """A file for each recording, in a tree like that of the inputs (:class:`~pe_audio_cli.outputs.files.Tree`).

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
        """Raises :class:`OutputError` if one of its files exists without ``overwrite`` or ``resume``."""
        super().__init__()
        self._folder, self._writer, self._options, self._files = folder, writer, options, files
        self._overwrite, self._resume = overwrite, resume
        self._tree = Tree(folder, writer.extensions[0], files)
        self._journal_path = folder / FOLDER_JOURNAL
        self._lock = Lock(folder / FOLDER_LOCK, folder)
        self.store = self._store = FeatureStore(folder / FOLDER_HELPERS)
        with refused(f"cannot write into {folder}"):
            self._look()

    def open(self, settings: RunSettings) -> Mapping[int, JournalEntry]:
        """Make the folder, and begin or read its journal."""
        with refused(f"cannot write into {self._folder}"), contextlib.ExitStack() as on_failure:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.take()
            on_failure.callback(self._lock.release)
            self._look()
            if self._lock.left_behind:
                sweep(self._journal_path)
            done = everything(self._files) if self._is_finished else self._begin(settings)
            self.remark = unknown_past(self._folder) if self._is_finished else None
            on_failure.pop_all()
        self._n_kept, self._n_failed = len(done), 0
        return done

    def write(self, result: Result) -> None:
        """Write its own file, then note it in the journal."""
        entry = self._readings.entry(result)
        file = file_of(result)
        self._refuse_another_folder()
        try:
            if not isinstance(result, FileError):
                self._journal.begin(file)
                self._write_whole(file, result)
            self._journal.add(entry)
        except OSError as error:
            if error.errno in BAD_PLACE and not isinstance(result, FileError):
                raise InputError(file, "output", self._why_not(file, error)) from error
            raise RunError(f"cannot write {self._tree.place(file)}: {reason(error)}; what is done is kept") from error
        self._readings.taken()
        self._store.forget(entry.file)
        self._n_failed += isinstance(result, FileError)
        self._n_kept += 1

    def finish(self) -> None:
        """Remove the journal, unless the run may be resumed, or some recordings failed, which can be tried again.

        Raises :class:`RunError` if what was written is no longer there.
        """
        if self._is_finished:  # and nothing was to do
            self._lock.release()
            return
        self._refuse_another_folder()
        gone = [place for place in self._written if not exists(place)]
        if gone:
            raise RunError(
                f"{gone[0]} has been removed during the run, {len(gone)} files in all: run again with --resume"
            )
        self._journal.end(self._resume or self._n_failed > 0)
        self._store.clear()
        self._lock.release()

    def abandon(self) -> str | None:
        """Keep the journal beside the files that are done."""
        if self._is_finished:
            self._lock.release()
            return None
        is_kept = self._lock.holds() and not (self._n_kept == 0 and self._store.is_empty)
        if self._lock.holds() and not is_kept:
            self._journal.remove()
        self._journal.close()
        self._lock.release()
        if not is_kept:
            return None
        return f"what is done is kept in {self._folder}: run the same again with --resume to go on"

    def _look(self) -> None:
        self._lock.refuse_if_taken()
        has_journal = exists(self._journal_path)
        if has_journal and not is_journal(self._journal_path):
            raise OutputError(
                f"{self._journal_path} is no journal of peaudio's: move it away, or choose another folder"
            )
        self.known, self._is_finished = self._resume and has_journal, False
        if self._overwrite:
            refuse_inputs_among(map(self._tree.place, self._files), self._files)
        if self.known or self._overwrite:
            return
        if has_journal:
            raise OutputError(
                f"{self._folder} exists, with a run that is not complete: --resume goes on, --overwrite starts again"
            )
        places = {file: self._tree.place(file) for file in self._files if self._resume}
        self._is_finished = bool(places) and all(
            is_finished(place, self._writer, self._options, [file]) for file, place in places.items()
        )
        if self._is_finished:
            return
        for file in self._files:
            if is_file(self._tree.place(file)):  # what else may be there is this one's error
                raise OutputError(f"{self._tree.place(file)} exists: choose another folder, or --overwrite")

    def _begin(self, settings: RunSettings) -> Mapping[int, JournalEntry]:
        past = read_journal(self._journal_path, settings) if self.known else Past()
        done = matched(past.entries, self._files)
        places = {self._tree.place(entry.file) for entry in done.values()}
        for place in sorted(places):
            if not exists(place):
                raise OutputError(f"cannot resume: {place} is gone; start again with --overwrite")
        self._begun, self._written = set(past.begun), places
        if self.known:
            self._journal = Journal(self._journal_path)
        else:
            self._store.clear()
            self._journal = Journal.start(self._journal_path, settings, replace=exists(self._journal_path))
        return done

    def _write_whole(self, file: str, result: Result) -> None:
        target = self._tree.place(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        overwrite = self._overwrite or target in self._written or file in self._begun
        try:
            place = writable_place(target, overwrite=overwrite)
            part = helper(place, ".part")
            if file in self._begun and exists(part):  # it is of a run that was killed
                open_helper(part).close()
                part.unlink()
            raw = create_alone(part)
        except OutputError as error:
            raise InputError(file, "output", str(error)) from error
        try:
            with text_stream(raw) as stream:
                writer = self._writer(stream, self._options)
                writer.open()
                writer.put(result)
                writer.close()
            publish(part, place, overwrite=overwrite)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        self._written.add(target)

    def _refuse_another_folder(self) -> None:
        if not self._lock.holds():
            raise RunError(f"{self._folder} has been removed or replaced during the run, and what was in it is lost")

    def _why_not(self, file: str, error: OSError) -> str:
        target = self._tree.place(file)
        if is_dir(target):
            return f"its results cannot be written: {target} is a folder; move it away"
        if isinstance(error, FileExistsError):
            return f"its results cannot be written: {target} has appeared during the run; move it away"
        return f"its results cannot be written to {target}: {reason(error)}"
