"""Recordings on the server's own disk: only below the folders of ``--root``, and through no symbolic link."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from pe_audio_cli.errors import UsageError
from pe_audio_cli.server.refusals import Refusal

__all__ = ["Roots"]

NO_LINK = getattr(os, "O_NOFOLLOW", 0)
FOLDER = getattr(os, "O_DIRECTORY", 0) | NO_LINK | os.O_RDONLY
# Without O_NONBLOCK, a pipe would wait for a writer.
FILE = os.O_RDONLY | NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Roots:
    """Folders whose recordings clients may name.

    A file is opened from folder to folder, so that what is exchanged for a link meanwhile is refused, too.
    """

    def __init__(self, folders: Sequence[str | os.PathLike[str]]) -> None:
        """Raises :class:`UsageError` for what is not a folder."""
        for folder in folders:
            if not os.path.isdir(folder):
                raise UsageError(f"--root {os.fspath(folder)} is not a folder: check the path")
        self._folders = [Path(os.path.realpath(folder)) for folder in folders]

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading: an absolute path below a root, or one relative to a root.

        Raises :class:`Refusal` for all else, which does not tell whether it exists.
        """
        if not self._folders:
            message = "this server reads no files of its machine: upload the recording, or start it with --root"
            raise Refusal("forbidden", message, path)
        for root in self._folders:
            parts = _parts_below(root, path)
            if parts is not None:
                with contextlib.suppress(OSError, ValueError):
                    return _open(root, parts)
        message = "no such file below the folders of --root, or a link in its path: check the path"
        raise Refusal("missing", message, path)


def _parts_below(root: Path, path: str) -> list[str] | None:
    """Return the names from the root to a path; None if it is not below the root, or not named plainly."""
    if os.path.isabs(path):
        try:
            relative = Path(path).relative_to(root)
        except ValueError:
            return None
    else:
        relative = Path(path)
    parts = list(relative.parts)
    is_plain = parts and not any(part in (os.pardir, os.curdir) or os.path.isabs(part) for part in parts)
    return parts if is_plain and not relative.drive else None


def _open(root: Path, parts: Sequence[str]) -> BinaryIO:
    if os.open not in os.supports_dir_fd or not NO_LINK:  # Windows, where a link takes an administrator to make
        whole = root.joinpath(*parts)
        if Path(os.path.realpath(whole)) != whole:
            raise OSError("a link")
        return open(whole, "rb")
    with contextlib.ExitStack() as opened:
        folder = _descriptor(opened, os.open(root, FOLDER & ~NO_LINK))
        for name in parts[:-1]:
            folder = _descriptor(opened, os.open(name, FOLDER, dir_fd=folder))
        descriptor = os.open(parts[-1], FILE, dir_fd=folder)
        file = os.fdopen(descriptor, "rb")
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            file.close()
            raise OSError("not a file")
        return file


def _descriptor(opened: contextlib.ExitStack, descriptor: int) -> int:
    opened.callback(os.close, descriptor)
    return descriptor
