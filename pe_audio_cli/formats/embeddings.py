"""Formats of embeddings for other programs: Parquet tables and NumPy archives.

A row holds ``file``, ``start``, ``end``, ``duration`` (seconds), ``fingerprint`` (of the checkpoint) and ``embedding``.
An archive holds the fingerprint, which is the same for all rows, once.
"""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from os.path import splitext
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal, TypeAlias

import numpy as np

from pe_audio_cli._extras import require_extra
from pe_audio_cli.errors import RunError, UsageError
from pe_audio_cli.formats.draft import unwritten
from pe_audio_cli.formats.escaping import utf8_text
from pe_audio_cli.formats.memmap import MemmapRows
from pe_audio_cli.results import EmbedResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "EMBEDDING_WRITERS",
    "EmbeddingWriter",
    "NpzEmbeddingWriter",
    "ParquetEmbeddingWriter",
    "Precision",
    "embedding_writer",
]

Precision: TypeAlias = Literal["float32", "float16"]

ROW_GROUP = 8192  # rows that are written, and read, at once: 32 MiB of 1,024 float32 each


class EmbeddingWriter(ABC):
    """Writes results to one binary stream: ``write`` for each, all of one checkpoint, then ``close`` once.

    The caller closes the stream.
    """

    extension: ClassVar[str]
    extra: ClassVar[str | None] = None
    """The optional dependencies that it needs, or None."""

    def __init__(self, stream: BinaryIO, precision: Precision) -> None:
        self._stream = stream
        self._type = np.dtype(precision)

    @abstractmethod
    def write(self, result: EmbedResult) -> None:
        """Write the rows of one recording; all of them or, where that raises :class:`InputError`, none."""

    @abstractmethod
    def close(self) -> None:
        """End the file."""


class ParquetEmbeddingWriter(EmbeddingWriter):
    """A table (https://parquet.apache.org), a row group at a time.

    In float16, the numbers are of Parquet's logical type FLOAT16.
    """

    extension = ".parquet"
    extra = "parquet"

    def __init__(self, stream: BinaryIO, precision: Precision) -> None:
        super().__init__(stream, precision)
        self._writer: Any = None
        self._waiting: list[Any] = []
        self._n_waiting = 0

    def write(self, result: EmbedResult) -> None:
        """Write the rows of one recording, as soon as they fill a row group."""
        waiting, n_waiting, was_flushed = list(self._waiting), self._n_waiting, False
        for rows in _slices(len(result.embeddings)):
            try:
                self._waiting.append(self._batch(result, rows))
            except Exception as error:
                if was_flushed:  # part of it is in the file already
                    raise RunError(f"{result.recording.file}: its rows cannot be made ({error!r})") from error
                self._waiting, self._n_waiting = waiting, n_waiting
                raise unwritten(result, error) from error
            self._n_waiting += self._waiting[-1].num_rows
            if self._n_waiting >= ROW_GROUP:
                self._flush()
                was_flushed = True

    def close(self) -> None:
        """Write the remaining rows and the footer."""
        if self._waiting:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def _batch(self, result: EmbedResult, rows: slice) -> Any:
        import pyarrow as pa

        embeddings = np.ascontiguousarray(result.embeddings[rows], self._type)
        n, width = embeddings.shape
        columns = {
            "file": pa.array([utf8_text(result.recording.file)] * n),
            "start": pa.array(result.starts[rows]),
            "end": pa.array(result.ends[rows]),
            "duration": pa.array(np.full(n, result.recording.duration)),
            "fingerprint": pa.array([result.fingerprint] * n),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(embeddings.reshape(-1)), width),
        }
        return pa.record_batch(columns)

    def _flush(self) -> None:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter as Writer

        table = pa.Table.from_batches(self._waiting)
        if self._writer is None:
            # Numbers of an embedding hardly ever come twice: a dictionary of them would only cost time.
            self._writer = Writer(self._stream, table.schema, use_dictionary=["file", "fingerprint"])
        self._writer.write_table(table)
        self._waiting, self._n_waiting = [], 0


class NpzEmbeddingWriter(EmbeddingWriter):
    """An archive of arrays, one per column, for ``numpy.load``; embeddings wait in a temporary file until ``close``."""

    extension = ".npz"

    def __init__(self, stream: BinaryIO, precision: Precision) -> None:
        super().__init__(stream, precision)
        self._embeddings = MemmapRows()
        self._results: list[tuple[str, float, NDArray[np.float64], NDArray[np.float64]]] = []
        self._fingerprint = ""

    def write(self, result: EmbedResult) -> None:
        """Take the rows of one recording."""
        n_rows = len(self._embeddings)
        for rows in _slices(len(result.embeddings)):
            try:
                numbers = result.embeddings[rows].astype(self._type)
            except Exception as error:
                self._embeddings.cut(n_rows)
                raise unwritten(result, error) from error
            self._embeddings.append(numbers)
        self._results.append((result.recording.file, result.recording.duration, result.starts, result.ends))
        self._fingerprint = result.fingerprint

    def close(self) -> None:
        """Write the archive."""
        if not self._results:
            return
        files, durations, starts, ends = zip(*self._results, strict=True)
        counts = [len(each) for each in starts]
        columns = {
            "file": np.repeat(files, counts),
            "start": np.concatenate(starts),
            "end": np.concatenate(ends),
            "duration": np.repeat(durations, counts),
            "fingerprint": np.array(self._fingerprint),
            "embedding": self._embeddings.array(),
        }
        # As numpy.savez does it, which can name no array ``file``: that is one of its own arguments.
        with zipfile.ZipFile(self._stream, "w") as archive:
            for name, column in columns.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, column, allow_pickle=False)


EMBEDDING_WRITERS: tuple[type[EmbeddingWriter], ...] = (ParquetEmbeddingWriter, NpzEmbeddingWriter)


def embedding_writer(path: str) -> type[EmbeddingWriter]:
    """Return the writer for the extension of ``path``.

    Raises:
        UsageError: there is none of that extension, or it needs a package that is not installed.
    """
    for writer in EMBEDDING_WRITERS:
        if splitext(path)[1].lower() == writer.extension:
            if writer.extra is not None:
                require_extra(writer.extra, path)
            return writer
    known = " or ".join(writer.extension for writer in EMBEDDING_WRITERS)
    raise UsageError(f"embeddings go into a file whose name ends in {known}: got {path}")


def _slices(n_rows: int) -> Iterator[slice]:
    """Yield the slices of the row groups."""
    return (slice(first, first + ROW_GROUP) for first in range(0, n_rows, ROW_GROUP))
