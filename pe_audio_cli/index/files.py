"""The files of an index, checked before DuckDB opens them.

DuckDB follows links, waits for named pipes, and takes a file that it does not know for a log of its own. So each file
is checked here first: whether it is a plain file, begins like one of DuckDB's, and belongs to who may write it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from pe_audio_cli import _paths
from pe_audio_cli._files import helper
from pe_audio_cli.errors import StoreError

__all__ = [
    "check_index",
    "check_log",
    "clear_way",
    "is_ours",
    "is_plain",
    "log_of",
    "place_of",
    "private_folder",
    "sweep_folders",
]

IN_MAKING = ".peaudio-{}.part"  # ends the name of a folder in which an index is made

MAGIC, MAGIC_AT = b"DUCK", 8  # in a database, https://duckdb.org/docs/stable/internals/storage
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
LOG_BEGINS = b"d\0b"  # field 100, the type of an entry: 98, the version with which each log begins


def place_of(path: Path) -> Path:
    """Resolve the path of an index, which may be a link: DuckDB's log and all locks are next to the file itself."""
    return Path(os.path.realpath(path))


def log_of(path: Path) -> Path:
    """The path of DuckDB's write-ahead log of a database."""
    return path.with_name(f"{path.name}.wal")


def is_plain(path: Path) -> bool:
    """Return True for a regular file that is not a link."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except _paths.Unusable:
        return False


def is_ours(path: Path, index: Path) -> bool:
    """Return True for a regular file of a user who can also change or create the index."""
    if not is_plain(path):
        return False
    if not hasattr(os, "geteuid"):
        return True
    try:
        owner = os.lstat(path).st_uid
        status = os.stat(index) if _paths.exists(index) else None
    except _paths.Unusable:
        return False
    if owner == os.geteuid():
        return True
    return status is not None and (owner in (0, status.st_uid) or bool(status.st_mode & WRITABLE_BY_OTHERS))


def check_index(path: Path) -> None:
    """Raise :class:`StoreError` if the file cannot be an index, or its log not a log."""
    if _paths.is_dir(path):
        raise StoreError(f"{path} is a folder, and an index is a file")
    hindrance = _paths.hindrance(path)
    if hindrance is not None:
        raise StoreError(f"{path} cannot be opened ({hindrance}): check the path and its permissions")
    place = place_of(path)
    if not _paths.exists(place):
        raise StoreError(f"there is no index at {path}: make one with peaudio index PATH... --index {path}")
    if not _paths.is_file(place):
        raise StoreError(f"{path} is a device, a pipe or a socket, and an index is a file")
    if _beginning(path, place)[MAGIC_AT:] != MAGIC:
        raise StoreError(
            f"{path} cannot be read as an index (it is no DuckDB database): index the recordings again, into another "
            "file"
        )
    check_log(path)


def check_log(path: Path) -> None:
    """Raise :class:`StoreError` if another file, or that of another user, has the path of an index's log."""
    place = place_of(path)
    log = log_of(place)
    if _paths.exists(log) and not (is_ours(log, place) and _is_log(log)):
        raise StoreError(f"{log} is in the way, and no log of this index: move it away")


def _clear_away(left: Path, index: Path) -> None:
    """Remove what an index that is gone, or was never finished, has left: a database of DuckDB or a log of one.

    Raises :class:`StoreError` if anything else is there, which is nobody's to remove.
    """
    if not _paths.exists(left):
        return
    if not (is_ours(left, index) and (_is_log(left) or _beginning(left, left)[MAGIC_AT:] == MAGIC)):
        raise StoreError(f"{left} is in the way, and no file of peaudio's: move it away, or name another index")
    os.unlink(left)


@contextlib.contextmanager
def private_folder(index: Path) -> Iterator[Path]:
    """Create a private folder next to an index, which is removed at the end with its content."""
    folder = helper(index, IN_MAKING.format(secrets.token_hex(8)))
    os.mkdir(folder, 0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep_folders(index: Path) -> None:
    """Remove the folders that killed processes have left; only for who holds the index's lock."""
    end = IN_MAKING.format("0" * 16)
    begin = helper(index, end).name.removesuffix(end)
    left = re.compile(re.escape(begin) + re.escape(end).replace("0" * 16, "[0-9a-f]{16}"))
    with contextlib.suppress(OSError):
        for name in filter(left.fullmatch, os.listdir(index.parent)):
            folder = index.with_name(name)
            if not folder.is_symlink() and set(os.listdir(folder)) <= {"index", "index.wal"}:
                shutil.rmtree(folder, ignore_errors=True)


def clear_way(index: Path) -> None:
    """Remove what an index that is gone has left, of which nothing must come into a new one.

    Raises :class:`StoreError` if something else is in its place, or in that of its log.
    """
    if _paths.is_link(index):
        raise StoreError(f"{index} is a dangling link: remove it, or name another index")
    part = helper(index, ".part")  # under which earlier versions made one
    for left in (part, log_of(part), log_of(index)):
        _clear_away(left, index)


def _is_log(path: Path) -> bool:
    begin = _beginning(path, path)
    return not begin or begin.startswith(LOG_BEGINS)


def _beginning(path: Path, place: Path) -> bytes:
    try:
        with place.open("rb") as opened:
            return opened.read(MAGIC_AT + len(MAGIC))
    except _paths.Unusable as error:
        raise StoreError(f"{path} cannot be opened ({_paths.reason(error)}): check its permissions") from error
