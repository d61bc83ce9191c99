"""Files that appear whole or not at all, and whose helpers touch nothing that is not theirs.

What is written grows under another name beside its place and is renamed when it is complete. Such helpers (``.part``,
``.journal``, ``.lock``) are created exclusively: what is there already under their names, a link or a file of somebody
else, is refused, and neither followed nor replaced. A :class:`Lock` keeps a second process from the same output.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import secrets
import stat
import sys
from collections.abc import Iterator
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeAlias

from pe_audio_cli._paths import Unusable, exists, is_link, reason
from pe_audio_cli._system import is_alive, lock
from pe_audio_cli.errors import OutputError

__all__ = [
    "FileId",
    "Lock",
    "NewFile",
    "create",
    "create_alone",
    "discard",
    "file_id",
    "fitting",
    "growing",
    "helper",
    "is_at",
    "open_helper",
    "publish",
    "remove_left",
    "sweep",
    "sync_folder",
    "writable_place",
]

MOST_BYTES = 255  # of a name, on nearly every file system
MARK = "peaudio-"  # in names that are made up
HASH_DIGITS = 12  # of a name that was shortened: enough to tell any two apart

OWNER = re.compile(rb"peaudio (\d{1,10}) ([^\s]*)\n")  # what stands in a lock: its holder's process and machine
NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}  # on some file systems of clusters
NO_LINKS = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EINVAL}
NO_FOLLOWING = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

# What tells a file from all others, whatever its names: its device and its inode.
FileId: TypeAlias = "tuple[int, int]"


def file_id(path: str | os.PathLike[str]) -> FileId | None:
    """Return the identity of the file at ``path``, links followed; None if nothing can be found there."""
    try:
        status = os.stat(path)
    except Unusable:
        return None
    return status.st_dev, status.st_ino


def fitting(name: str, ending: str = "", most: int = MOST_BYTES) -> str:
    """``name + ending``, shortened to ``most`` bytes.

    A name that is too long loses its end, at the border of a character, for a ``~`` and the first 12 hexadecimal digits
    of the SHA-256 of the whole of it; ``ending`` stays. The same name is always shortened to the same.
    """
    whole = os.fsencode(name)
    room = most - len(os.fsencode(ending))
    if len(whole) <= room:
        return name + ending
    mark = "~" + hashlib.sha256(whole).hexdigest()[:HASH_DIGITS]
    begin = name[: room - len(mark)]
    while len(os.fsencode(begin)) > room - len(mark):
        begin = begin[:-1]
    return begin + mark + ending


def helper(path: Path, ending: str) -> Path:
    """Return the path of a helper of the file at ``path``."""
    return path.with_name(fitting(path.name, ending))


def create(path: Path) -> FileIO:
    """Create a file, unbuffered. Raises :class:`FileExistsError` if anything is there, even a dangling link."""
    return FileIO(path, "x+b")


def open_helper(path: Path, mode: str = "rb") -> FileIO:
    """Open an existing helper file (``rb`` or ``r+b``), unbuffered.

    Raises :class:`OutputError` if it is a link, has a second name, or is no plain file at all: nothing of ours.
    """
    flags = os.O_RDWR if "+" in mode else os.O_RDONLY
    try:
        if is_link(path):  # where the system cannot refuse to follow it
            raise _foreign(path)
        descriptor = os.open(path, flags | NO_FOLLOWING)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise _foreign(path) from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise _foreign(path)
    return FileIO(descriptor, mode)


def _foreign(path: Path) -> OutputError:
    return OutputError(f"{path} is in the way, and no file of peaudio's: move it away, or choose another output")


def writable_place(path: Path, *, overwrite: bool = False, advice: str = "choose another name, or --overwrite") -> Path:
    """Return the path at which the file named ``path`` is written: that path, or the target of a link.

    Raises :class:`OutputError` if it is a device, a pipe, a socket or a folder, or exists and may not be replaced.
    """
    try:
        real = Path(os.path.realpath(path)) if is_link(path) else path
        mode = real.stat().st_mode
    except FileNotFoundError:
        if is_link(path) and not overwrite:
            raise OutputError(f"{path} is a dangling link: remove it, or --overwrite writes to its target") from None
        return real
    except Unusable as error:
        raise OutputError(f"cannot write {path}: {reason(error)}") from error
    if stat.S_ISDIR(mode):
        raise OutputError(f"cannot write {path}: it is a folder; name a file")
    if not stat.S_ISREG(mode):
        raise OutputError(
            f"{path} is a device, a pipe or a socket, not a file: write to standard output, and lead that there"
        )
    if not overwrite:
        raise OutputError(f"{path} exists: {advice}")
    return real


def publish(part: Path, target: Path, *, overwrite: bool = False) -> None:
    """Give a file that is whole its name, at once or not at all.

    Raises :class:`FileExistsError` if something has appeared there that may not be replaced.
    """
    if overwrite:
        with contextlib.suppress(OSError):  # who may read it stays as it was
            os.chmod(part, stat.S_IMODE(os.stat(target).st_mode))
        os.replace(part, target)
        return
    if sys.platform == "win32":
        os.rename(part, target)  # which replaces nothing there
        return
    try:
        os.link(part, target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if os.path.lexists(target):  # as good as it gets without links
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        os.replace(part, target)
    else:
        os.unlink(part)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut, where the system supports that."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Lock:
    """A lock that keeps other processes from an output: a small file next to it, locked by the system.

    The system lets go of it when its holder dies, so that the lock of a run that was killed holds nobody up; what it
    left there tells (``left_behind``). Where a file system knows no locks, the process that is named in the file
    counts, if it runs on this machine and is alive.
    """

    def __init__(self, path: Path, output: Path) -> None:
        """``path`` is the lock's own place, ``output`` what messages call what it guards. This touches nothing."""
        self.path = path
        self.left_behind = False
        self._output = output
        self._descriptor: int | None = None

    def take(self) -> None:
        """Lock the output.

        Raises :class:`OutputError` if another process has, or something else lies in the lock's place, and
        :class:`OSError` if no lock can be made there.
        """
        while self._descriptor is None:
            descriptor = self._opened()
            try:
                self._claim(descriptor)
                if is_at(descriptor, self.path):  # else its holder has just removed it
                    self._sign(descriptor)
                    self._descriptor, descriptor = descriptor, -1
            finally:
                if descriptor >= 0:
                    os.close(descriptor)

    def refuse_if_taken(self) -> None:
        """Raise :class:`OutputError` if another process has locked the output; this touches nothing."""
        if self._descriptor is not None or not exists(self.path):
            return
        with open_helper(self.path) as file:
            self._claim(file.fileno())

    def holds(self) -> bool:
        """Return True if the lock file is still there: its folder may have been removed, or made anew by others."""
        return self._descriptor is not None and is_at(self._descriptor, self.path)

    def release(self) -> None:
        """Release the output, and remove the lock."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        _remove_open(descriptor, self.path)
        os.close(descriptor)
        if sys.platform == "win32":
            with contextlib.suppress(OSError):
                os.unlink(self.path)

    def _opened(self) -> int:
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | NO_FOLLOWING, 0o666)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
                raise _foreign(self.path) from error
            raise

    def _claim(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise _foreign(self.path)
        owner = _content(descriptor)
        try:
            lock(descriptor)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise OutputError(
                    f"{self._output} is being written by another run{_named(owner)}: wait for its end, or name another"
                ) from error
            self._refuse_if_alive(owner)

    def _refuse_if_alive(self, owner: bytes) -> None:
        """Raise :class:`OutputError` if the owner is alive: the only check on file systems without locks."""
        named = OWNER.fullmatch(owner)
        if named is None or (named[2].decode(errors="replace") == _machine() and not is_alive(int(named[1]))):
            return
        raise OutputError(
            f"{self._output} seems to be written by another run{_named(owner)}: wait for its end, or remove {self.path}"
        )

    def _sign(self, descriptor: int) -> None:
        before = _content(descriptor)
        self.left_behind = OWNER.fullmatch(before) is not None
        if before and not self.left_behind:
            raise _foreign(self.path)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.ftruncate(descriptor, 0)
        try:
            os.write(descriptor, f"peaudio {os.getpid()} {_machine()}\n".encode())
        except OSError:
            _remove_open(descriptor, self.path)  # a full disk
            raise


def _content(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, 512)


def _remove_open(descriptor: int, path: Path) -> None:
    """Remove an open file, if it is still the one at ``path``; not on Windows, which cannot."""
    if sys.platform != "win32" and is_at(descriptor, path):
        with contextlib.suppress(OSError):
            os.unlink(path)


def is_at(descriptor: int, path: Path) -> bool:
    """Return True if an open file is the one at ``path``."""
    try:
        there = os.lstat(path)
    except OSError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)


def _named(owner: bytes) -> str:
    named = OWNER.fullmatch(owner)
    return "" if named is None else f" (process {named[1].decode()})"


def _machine() -> str:
    return "".join(platform.node().split())


class NewFile:
    """A file that grows as ``.part`` and gets its name when it is whole; only one process at a time makes it."""

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        """Touches nothing. Raises :class:`OutputError` if it cannot be written there, or may not."""
        self.path, self._overwrite = path, overwrite
        self._place = writable_place(path, overwrite=overwrite)
        self.part = helper(self._place, ".part")
        self._lock = Lock(helper(self._place, ".lock"), path)

    def open(self) -> BinaryIO:
        """The file to write to.

        Raises :class:`OutputError` if another process is at it, it exists by now, or its ``.part`` is not ours, and
        :class:`OSError` if nothing can be written there.
        """
        self._lock.take()
        try:
            remove_left(self.part, self._lock)
            writable_place(self.path, overwrite=self._overwrite)
            self._file: BinaryIO = BufferedWriter(create_alone(self.part))
        except BaseException:
            self._lock.release()
            raise
        return self._file

    def publish(self) -> None:
        """Give the complete file its name.

        Raises :class:`OSError` if that cannot be done, and keeps it as it is, under its other name, if that is because
        something has appeared in its place (:class:`FileExistsError`).
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        if not is_at(self._file.fileno(), self.part):
            raise FileNotFoundError(errno.ENOENT, f"{self.part} has been removed meanwhile")
        if sys.platform == "win32":
            self._file.close()  # what is open there cannot be renamed
        try:
            publish(self.part, self._place, overwrite=self._overwrite)
            sync_folder(self._place.parent)
        except FileExistsError:
            self.close()
            raise
        self.close()

    def close(self) -> None:
        """Leave everything as it is, and let others at it."""
        with contextlib.suppress(OSError):
            self._file.close()
        self._lock.release()

    def discard(self) -> None:
        """Remove what there is of it, unless it has been published; a second call does nothing."""
        if hasattr(self, "_file"):
            discard(self._file, self.part)
        self._lock.release()


def discard(file: IO[Any], path: Path) -> None:
    """Close and remove an abandoned file, unless it is closed, or another file has taken its path."""
    if file.closed:
        return
    is_there = is_at(file.fileno(), path)
    if is_there and sys.platform != "win32":  # where what is open cannot be removed
        with contextlib.suppress(OSError):
            os.unlink(path)
    with contextlib.suppress(OSError):  # what is left in its buffer may not fit on the disk
        file.close()
    if is_there and sys.platform == "win32":
        with contextlib.suppress(OSError):
            os.unlink(path)


def remove_left(part: Path, lock: Lock) -> None:
    """Remove a helper file of a run that died while it held this lock.

    Raises :class:`OutputError` if something else is there.
    """
    if lock.left_behind and exists(part):
        open_helper(part).close()
        os.unlink(part)


def create_alone(part: Path) -> FileIO:
    """Create a helper file. Raises :class:`OutputError` if anything is there."""
    try:
        return create(part)
    except FileExistsError:
        raise _foreign(part) from None


@contextlib.contextmanager
def growing(target: Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """A file to write ``target`` to, which gets its name when it is whole, and is gone if that fails.

    Any number of processes may do so at once, each under a name of its own; the last one wins, or without
    ``overwrite`` the first one, and the others meet a :class:`FileExistsError`. What a process leaves that is killed
    meanwhile, :func:`sweep` removes.
    """
    part = helper(target, f".{MARK}{secrets.token_hex(8)}.part")
    with BufferedWriter(create(part)) as file:
        try:
            with contextlib.suppress(OSError):  # tells sweep() that somebody is at it; on Windows being open does
                lock(file.fileno())
            yield file
            file.flush()
            os.fsync(file.fileno())
            if sys.platform == "win32":
                file.close()
            publish(part, target, overwrite=overwrite)
        except BaseException:
            with contextlib.suppress(OSError):  # what is left in the buffer may not fit on the disk
                file.close()
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise


def sweep(target: Path) -> None:
    """Remove what processes left that were killed while they wrote ``target`` as :func:`growing` does."""
    end = f".{MARK}{'0' * 16}.part"
    left = re.compile(re.escape(helper(target, end).name.removesuffix(end)) + rf"\.{MARK}[0-9a-f]{{16}}\.part")
    with contextlib.suppress(OSError):
        for name in os.listdir(target.parent):
            if left.fullmatch(name):
                _remove_if_idle(target.with_name(name))


def _remove_if_idle(part: Path) -> None:
    with contextlib.suppress(OSError, OutputError):  # it is being written, or was never ours
        with open_helper(part, "r+b") as file:
            lock(file.fileno())
            _remove_open(file.fileno(), part)
        if sys.platform == "win32":
            os.unlink(part)
