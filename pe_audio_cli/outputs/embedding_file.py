"""Embeddings go into one file, which appears whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pe_audio_cli._files import NewFile
from pe_audio_cli._paths import reason
from pe_audio_cli.errors import OutputError, RunError
from pe_audio_cli.formats.embeddings import EmbeddingWriter, Precision
from pe_audio_cli.results import EmbedResult, FileError

__all__ = ["EmbeddingFile"]


class EmbeddingFile:
    """Takes results one by one, in input order; the file grows as ``.part``. Making this touches nothing."""

    def __init__(
        self, path: Path, writer: type[EmbeddingWriter], precision: Precision, *, overwrite: bool = False
    ) -> None:
        """Raises :class:`OutputError` if the file exists and may not be replaced."""
        self._path, self._new_writer, self._precision = path, writer, precision
        self._file = NewFile(path, overwrite=overwrite)
        self._n_results = 0

    def open(self) -> None:
        """Begin the file under its temporary name. Raises :class:`OutputError` if it cannot be written."""
        try:
            self._stream: BinaryIO = self._file.open()
            self._writer = self._new_writer(self._stream, self._precision)
        except OSError as error:
            self._file.discard()
            raise OutputError(f"cannot write {self._path}: {reason(error)}") from error

    def write(self, result: EmbedResult | FileError) -> None:
        """Take one result; an error has no row. Raises :class:`RunError` if it cannot be written."""
        if isinstance(result, FileError):
            return
        with self._errors_explained():
            self._writer.write(result)
        self._n_results += 1

    def finish(self) -> None:
        """Give the file its name, if there is anything in it. Raises :class:`RunError` if it cannot be written."""
        if self._n_results == 0:
            self.abandon()
            return
        with self._errors_explained():
            self._writer.close()
            self._file.publish()

    def abandon(self) -> None:
        """End an interrupted run, without a file."""
        self._file.discard()

    @contextlib.contextmanager
    def _errors_explained(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError as error:
            raise RunError(
                f"{self._path} has appeared since this run began, and stays as it is: the embeddings are in "
                f"{self._file.part}, which can be renamed"
            ) from error
        except OSError as error:
            raise RunError(f"cannot write {self._path}: {reason(error)}; nothing of it is kept") from error
