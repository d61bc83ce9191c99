"""A copy of an index's embeddings that is laid out to be read at the speed of memory: ``INDEX.vectors``.

It is derived from the database, and tells of which state of it; one of another state, or that is not whole, is made
anew. Where it cannot be written, the database itself is read, which takes longer and finds the same.

The file is a header of 4,096 bytes (a line of JSON, filled up with blanks), the embeddings (float32, row by row), the
windows' ids (int64) and the embeddings' Euclidean norms (float32), all of them little-endian. The header has a CRC-32
for each of some equal parts of windows, of their embeddings, then their ids, then their norms. They are compared
when the file has changed since it was written or last compared, or that was a day ago; what does not match is made
anew.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import re
import shutil
import stat
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from pe_audio_cli import _files, _paths
from pe_audio_cli.index import verified
from pe_audio_cli.index.database import BLOCK_WINDOWS, Database
from pe_audio_cli.index.files import is_ours, place_of
from pe_audio_cli.index.schema import damaged

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from numpy.typing import NDArray

__all__ = ["WindowBlock", "blocks_of", "distrust", "is_foreign", "is_fresh", "refresh", "sweep", "vectors_path"]

logger = logging.getLogger(__name__)

FORMAT = "peaudio vectors 2"
MARK = b'"peaudio vectors '  # somewhere in every header that was ever written
HEADER = 4096  # bytes, so that embeddings begin on a page of memory
NUMBER, ID = np.dtype("<f4"), np.dtype("<i8")
MOST_SUMS = 256  # that the header has room for
SUM_DIGITS = 8  # hexadecimal
AGE = 10.0  # seconds by which a new copy is dated back, so that any change to it leaves another time
OLD_PART = r"\.vectors\.[a-z0-9_]{6,8}\.part"  # how copies were called while earlier versions made them


@dataclass(frozen=True, slots=True)
class WindowBlock:
    """Some windows: ``ids`` ``(n,)``, ``embeddings`` ``(n, width)``, and their Euclidean norms ``(n,)``."""

    ids: NDArray[np.int64]
    embeddings: NDArray[np.float32]
    norms: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Header:
    """The header of a copy: the index that it is of, and the checksums of its parts, in order."""

    state: str
    width: int
    n_windows: int
    sums: str = ""
    format: str = FORMAT

    @classmethod
    def of(cls, database: Database) -> _Header:
        return cls(database.state, database.about.width, database.counts()[1])

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode().ljust(HEADER - 1) + b"\n"

    @property
    def n_bytes(self) -> int:
        return HEADER + self.n_windows * ((self.width + 1) * NUMBER.itemsize + ID.itemsize)

    @property
    def n_together(self) -> int:
        """The number of windows per checksum, except for the last ones."""
        return BLOCK_WINDOWS * max(-(-self.n_windows // (BLOCK_WINDOWS * MOST_SUMS)), 1)

    def sum_of(self, part: int) -> str:
        return self.sums[part * SUM_DIGITS : (part + 1) * SUM_DIGITS]


def vectors_path(index: Path) -> Path:
    """Return the path of the copy of an index."""
    return _files.helper(index, ".vectors")


def blocks_of(database: Database) -> Iterator[WindowBlock]:
    """Yield all windows by rising id, from a copy that is up to date and undamaged, else from the database.

    It is logged if the copy was damaged. Raises :class:`StoreError` if the index is.
    """
    path, n_windows, n_done = vectors_path(database.path), database.counts()[1], 0
    copy = _copy_of(database) or _new_copy(database)
    for _ in range(2):
        if copy is None:
            break
        for block in _after(n_done, _mapped(path, copy)):
            yield block
            n_done += len(block.ids)
        if n_done == n_windows:
            return
        logger.warning("%s is damaged: it is made anew from the index", path)
        copy = _new_copy(database)
    yield from _after(n_done, _read(database))


def is_fresh(database: Database) -> bool:
    """Return True if the copy exists and has the current content of the index."""
    return _copy_of(database) is not None


def is_foreign(index: Path) -> bool:
    """Return True if the copy's path has a file that peaudio did not make for this index: a link, another's file."""
    path = vectors_path(index)
    if not _paths.exists(path):
        return False
    if not is_ours(path, place_of(index)):
        return True
    try:
        with path.open("rb") as opened:
            begin = opened.read(HEADER)
    except OSError:
        return False
    return bool(begin) and MARK not in begin


def distrust(database: Database) -> None:
    """The next one to read the copy compares its sums, whatever is known of it."""
    verified.distrust(vectors_path(database.path))


def refresh(database: Database, *, anew: bool = False) -> None:
    """Bring the copy up to date, or make it ``anew`` in any case; it appears whole or not at all.

    Raises :class:`OSError` if it cannot be written, and :class:`StoreError` if the index is damaged.
    """
    target = vectors_path(database.path)
    if not anew and is_fresh(database):
        return
    if is_foreign(database.path):
        raise FileExistsError(errno.EEXIST, "something is there that is no copy of this index: move it away")
    sweep(database.path)
    mode = stat.S_IMODE(os.stat(database.path).st_mode)  # who may read the index may read its copy, and nobody else
    with contextlib.suppress(OSError):
        os.chmod(target, mode)  # which a new one takes over
    # Any number of searches may make one at once, each under a name of its own.
    with _files.growing(target) as opened:
        os.chmod(opened.name, mode)
        _write(opened, _Header.of(database), database)
        then = time.time() - AGE
        os.utime(opened.name, (then, then))
    verified.remember(target)


def sweep(index: Path) -> None:
    """Remove what processes left that were killed while they made a copy."""
    target = vectors_path(index)
    _files.sweep(target)
    left = re.compile(re.escape(index.name) + OLD_PART)
    with contextlib.suppress(OSError):
        for name in filter(left.fullmatch, os.listdir(target.parent)):
            if is_ours(target.with_name(name), place_of(index)):
                target.with_name(name).unlink()


def _new_copy(database: Database) -> _Header | None:
    """The header of a copy that was made just now; None if it cannot be written."""
    try:
        refresh(database, anew=True)
    except OSError:
        return None
    return _copy_of(database)


def _copy_of(database: Database) -> _Header | None:
    """Return the header of the copy, if it exists and is up to date."""
    path, header = vectors_path(database.path), _Header.of(database)
    if not is_ours(path, place_of(database.path)):
        return None
    try:
        with path.open("rb") as opened:
            content, n_bytes = opened.read(HEADER), os.fstat(opened.fileno()).st_size
        sums = json.loads(content)["sums"]
        if not isinstance(sums, str):
            return None
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None
    header = replace(header, sums=sums)
    is_whole = content == header.encode() and n_bytes == header.n_bytes
    return header if is_whole else None


def _write(opened: BinaryIO, header: _Header, database: Database) -> None:
    if shutil.disk_usage(os.path.dirname(opened.name) or os.curdir).free < header.n_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    small = []  # what stands behind all embeddings
    opened.write(header.encode())
    for block in _read(database):
        opened.write(block.embeddings.astype(NUMBER, copy=False).data)
        small.append((block.ids.astype(ID).tobytes(), block.norms.astype(NUMBER).tobytes()))
    for parts in zip(*small, strict=True):
        opened.writelines(parts)
    opened.flush()
    with _pool() as pool:
        content = _Content.of(Path(opened.name), header)
        sums = "".join(pool.map(content.sum, content.parts))
    opened.seek(0)
    opened.write(replace(header, sums=sums).encode())
    opened.flush()


@dataclass(frozen=True, slots=True)
class _Content:
    """The arrays after the header: embeddings ``(n, width)``, ids ``(n,)`` and norms ``(n,)``."""

    embeddings: NDArray[np.float32]
    ids: NDArray[np.int64]
    norms: NDArray[np.float32]
    n_together: int  # windows that have one sum

    @classmethod
    def of(cls, path: Path, header: _Header) -> _Content:
        n, width = header.n_windows, header.width
        whole = np.memmap(path, np.uint8, "r")[HEADER:]
        embeddings, ids, norms = np.split(whole, np.cumsum([n * width * NUMBER.itemsize, n * ID.itemsize]))
        return cls(embeddings.view(NUMBER).reshape(n, width), ids.view(ID), norms.view(NUMBER), header.n_together)

    @property
    def parts(self) -> list[slice]:
        return [slice(first, first + self.n_together) for first in range(0, len(self.ids), self.n_together)]

    def sum(self, rows: slice) -> str:
        total = 0
        for part in (self.embeddings[rows], self.ids[rows], self.norms[rows]):
            total = zlib.crc32(part.view(np.uint8).data, total)
        return f"{total:08x}"

    def blocks(self, rows: slice) -> Iterator[WindowBlock]:
        for first in range(rows.start, min(rows.stop, len(self.ids)), BLOCK_WINDOWS):
            part = slice(first, min(first + BLOCK_WINDOWS, rows.stop))
            yield WindowBlock(self.ids[part], self.embeddings[part], self.norms[part])


def _mapped(path: Path, header: _Header) -> Iterator[WindowBlock]:
    """Yield the windows of a copy up to the first damage."""
    if header.n_windows == 0:
        return
    content = _Content.of(path, header)
    if verified.is_verified(path):
        for rows in content.parts:
            yield from content.blocks(rows)
        return
    verified.distrust(path)
    with _pool() as pool:
        for number, total in enumerate(pool.map(content.sum, content.parts)):
            if total != header.sum_of(number):
                return
            yield from content.blocks(content.parts[number])
    verified.remember(path)


@contextlib.contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    """A thread pool for checksums, which zlib computes without the GIL; pending ones are cancelled at the end."""
    from concurrent.futures import ThreadPoolExecutor  # most searches compute no checksums

    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _after(n: int, blocks: Iterable[WindowBlock]) -> Iterator[WindowBlock]:
    """Yield the windows after the first ``n``."""
    for block in blocks:
        if n < len(block.ids):
            yield WindowBlock(block.ids[n:], block.embeddings[n:], block.norms[n:])
        n = max(n - len(block.ids), 0)


def _read(database: Database) -> Iterator[WindowBlock]:
    for ids, embeddings in database.blocks():
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.einsum("ij,ij->i", embeddings, embeddings, dtype=np.float64)
            norms = np.sqrt(squares).astype(np.float32)
        if not np.isfinite(norms).all():
            raise damaged(database.path, "an embedding that is not finite")
        yield WindowBlock(ids, embeddings, norms)
