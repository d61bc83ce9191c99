"""A copy of an index's embeddings that is laid out to be read at the speed of memory: ``INDEX.vectors``.

It is derived from the database, and tells of which state of it; one of another state, or that is not whole, is made
anew. Where it cannot be written, the database itself is read, which takes longer and finds the same.

The file is a header of 4,096 bytes (a line of JSON, filled up with blanks), the embeddings (float32, row by row), the
windows' ids (int64) and the embeddings' Euclidean norms (float32), all of them little-endian.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from pe_audio_cli.store.database import BLOCK, Database

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Block", "blocks_of", "is_fresh", "refresh", "sweep", "vectors_path"]

FORMAT = "peaudio vectors 1"
HEADER = 4096  # bytes, so that embeddings begin on a page of memory
NUMBER, ID = np.dtype("<f4"), np.dtype("<i8")


@dataclass(frozen=True, slots=True)
class Block:
    """Some windows: ``ids`` ``(n,)``, ``embeddings`` ``(n, width)``, and their Euclidean norms ``(n,)``."""

    ids: NDArray[np.int64]
    embeddings: NDArray[np.float32]
    norms: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Header:
    """What a file is a copy of."""

    state: str
    width: int
    n_windows: int
    format: str = FORMAT

    @classmethod
    def of(cls, database: Database) -> _Header:
        return cls(database.state, database.about.width, database.counts()[1])

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode().ljust(HEADER - 1) + b"\n"

    @property
    def n_bytes(self) -> int:
        return HEADER + self.n_windows * ((self.width + 1) * NUMBER.itemsize + ID.itemsize)


def vectors_path(index: Path) -> Path:
    """Where the copy of an index lies."""
    return index.with_name(f"{index.name}.vectors")


def blocks_of(database: Database) -> Iterator[Block]:
    """All windows by rising id, from a copy that is up to date, or failing that from the database."""
    header = _Header.of(database)
    if not _is_copy(vectors_path(database.path), header):
        with contextlib.suppress(OSError):
            refresh(database)
    if _is_copy(vectors_path(database.path), header):
        yield from _mapped(vectors_path(database.path), header)
    else:
        yield from _read(database)


def is_fresh(database: Database) -> bool:
    """Whether the copy is there, and of what the index holds now."""
    return _is_copy(vectors_path(database.path), _Header.of(database))


def refresh(database: Database) -> None:
    """Bring the copy up to date; it appears whole or not at all. Raises :class:`OSError` if it cannot be written."""
    target, header = vectors_path(database.path), _Header.of(database)
    if _is_copy(target, header):
        return
    # Any number of searches may make one at once, each under a name of its own.
    handle, part = tempfile.mkstemp(dir=target.parent, prefix=f"{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as opened:
            # Whoever may read the index may read its copy, and nobody else.
            os.fchmod(handle, stat.S_IMODE(os.stat(database.path).st_mode))
            _write(opened, header, database)
        os.replace(part, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def sweep(index: Path) -> None:
    """Remove what killed processes have left; only for who alone has the index open."""
    for part in index.parent.glob(f"{vectors_path(index).name}.*.part"):
        part.unlink(missing_ok=True)


def _is_copy(path: Path, header: _Header) -> bool:
    try:
        with path.open("rb") as opened:
            return opened.read(HEADER) == header.encode() and os.fstat(opened.fileno()).st_size == header.n_bytes
    except OSError:
        return False


def _write(opened: BinaryIO, header: _Header, database: Database) -> None:
    small = []  # what stands behind all embeddings
    opened.write(header.encode())
    for block in _read(database):
        opened.write(block.embeddings.astype(NUMBER, copy=False).data)
        small.append((block.ids.astype(ID).tobytes(), block.norms.astype(NUMBER).tobytes()))
    for parts in zip(*small, strict=True):
        opened.writelines(parts)
    opened.flush()
    os.fsync(opened.fileno())


def _mapped(path: Path, header: _Header) -> Iterator[Block]:
    n, width = header.n_windows, header.width
    if n == 0:
        return
    whole = np.memmap(path, np.uint8, "r")
    embeddings, ids, norms = np.split(whole[HEADER:], np.cumsum([n * width * NUMBER.itemsize, n * ID.itemsize]))
    for first in range(0, n, BLOCK):
        rows = slice(first, first + BLOCK)
        yield Block(ids.view(ID)[rows], embeddings.view(NUMBER).reshape(n, width)[rows], norms.view(NUMBER)[rows])


def _read(database: Database) -> Iterator[Block]:
    for ids, embeddings in database.blocks():
        squares = np.einsum("ij,ij->i", embeddings, embeddings, dtype=np.float64)
        yield Block(ids, embeddings, np.sqrt(squares).astype(np.float32))
