"""Embeddings go into one file, which appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pe_audio_cli.errors import OutputError, RunError
from pe_audio_cli.results import EmbedResult, FileError
from pe_audio_cli.run.places import reason
from pe_audio_cli.write.embeddings import EmbeddingWriter, Precision

__all__ = ["EmbeddingFile"]


class EmbeddingFile:
    """Takes results one by one, in input order; the file grows as ``.part``. Making this touches nothing."""

    def __init__(
        self, path: Path, writer: type[EmbeddingWriter], precision: Precision, *, overwrite: bool = False
    ) -> None:
        """Raises :class:`OutputError` if the file exists and may not be replaced."""
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists: choose another name, or --overwrite")
        self._path, self._new_writer, self._precision = path, writer, precision
        self._part = path.with_name(path.name + ".part")
        self._n_results = 0

    def open(self) -> None:
        """Begin the file under its temporary name. Raises :class:`OutputError` if it cannot be written."""
        try:
            self._stream: BinaryIO = self._part.open("wb")
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {reason(error)}") from error
        self._writer = self._new_writer(self._stream, self._precision)

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
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            os.replace(self._part, self._path)

    def abandon(self) -> None:
        """The run stops early: no file."""
        with contextlib.suppress(OSError):  # what is left in the buffer may not fit on the disk
            self._stream.close()
        self._part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _errors_explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(f"cannot write {self._path}: {reason(error)}; nothing of it is kept") from error
