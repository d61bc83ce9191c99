"""Differences between systems: cores, reading at an offset, file locks, and checking for a live process."""

from __future__ import annotations

import os
import sys

__all__ = ["available_cores", "is_alive", "lock", "pread"]


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def seek_and_read(descriptor: int, n_bytes: int, offset: int) -> bytes:
    """Stand in for ``os.pread`` where it is missing: the file's position is restored afterwards.

    Unlike with ``os.pread``, no two threads may read from one descriptor at a time; each recording has one reader.
    """
    before = os.lseek(descriptor, 0, os.SEEK_CUR)
    try:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, n_bytes)
    finally:
        os.lseek(descriptor, before, os.SEEK_SET)


if sys.platform == "win32":
    import ctypes
    import errno
    import msvcrt

    pread = seek_and_read

    LOCKED_BYTE = 1 << 20  # locks are mandatory there: far from what a lock file says, so that others can read it
    SYNCHRONIZE, WAIT_TIMEOUT, ERROR_ACCESS_DENIED = 0x0010_0000, 0x102, 5

    def lock(descriptor: int) -> None:
        """Lock an open file until it is closed.

        Raises :class:`BlockingIOError` if another process has, and :class:`OSError` where the file system knows none.
        """
        before = os.lseek(descriptor, 0, os.SEEK_CUR)
        try:
            os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK)) from error
        finally:
            os.lseek(descriptor, before, os.SEEK_SET)

    def is_alive(process: int) -> bool:
        """Return True if a process of this machine runs; here, ``os.kill`` with signal 0 would send it Ctrl-C."""
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = kernel.OpenProcess(SYNCHRONIZE, False, process)
        if handle is None:
            return ctypes.get_last_error() == ERROR_ACCESS_DENIED
        try:
            return bool(kernel.WaitForSingleObject(ctypes.c_void_p(handle), 0) == WAIT_TIMEOUT)
        finally:
            kernel.CloseHandle(ctypes.c_void_p(handle))

else:
    import fcntl

    pread = os.pread

    def lock(descriptor: int) -> None:
        """Lock an open file until it is closed.

        Raises :class:`BlockingIOError` if another process has, and :class:`OSError` where the file system knows none.
        """
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def is_alive(process: int) -> bool:
        """Return True if a process of this machine runs."""
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True
