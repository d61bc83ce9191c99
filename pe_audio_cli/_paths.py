"""Checks of paths from users, which never raise.

A path may lie in a folder that may not be read, be longer than the system allows, hold a NUL, begin with ``~`` and the
name of a user who doesn't exist, or lead through links that go in circles. The functions of :mod:`os.path` answer some
of that with False and some with an exception, those of :mod:`pathlib` more with exceptions, and which depends on the
release of Python. These answer the same everywhere: what cannot be looked at is not there, and :func:`hindrance` says
why it cannot.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["AnyPath", "Unusable", "exists", "expanduser", "hindrance", "is_dir", "is_file", "is_link", "reason"]
__all__ += ["unnameable"]

AnyPath: TypeAlias = "str | os.PathLike[str]"

# What functions of the system raise for a path: a ValueError for one with a NUL in it or that cannot be encoded.
Unusable = (OSError, ValueError)


def exists(path: AnyPath) -> bool:
    """Return True if anything is there, including a link without a target."""
    return _mode(path, os.lstat) is not None


def is_file(path: AnyPath) -> bool:
    """Return True for a regular file, or a link to one."""
    mode = _mode(path, os.stat)
    return mode is not None and stat.S_ISREG(mode)


def is_dir(path: AnyPath) -> bool:
    """Return True for a folder, or a link to one."""
    mode = _mode(path, os.stat)
    return mode is not None and stat.S_ISDIR(mode)


def is_link(path: AnyPath) -> bool:
    """Return True for a symbolic link."""
    mode = _mode(path, os.lstat)
    return mode is not None and stat.S_ISLNK(mode)


def hindrance(path: AnyPath) -> str | None:
    """Return the reason why the system denies access to ``path``; None if it grants it, or nothing is there."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Unusable as error:
        return reason(error)
    return None


def unnameable(path: AnyPath) -> str | None:
    """Return the reason why no file can have this name on this system; None if one can."""
    try:
        return "there is a NUL character in it" if b"\0" in os.fsencode(path) else None
    except UnicodeError as error:
        return reason(error)


def expanduser(path: AnyPath) -> str:
    """``path`` with the home folder in place of ``~`` or ``~name``, and as it is where there is no such folder."""
    given = os.fspath(path)
    try:
        return os.path.expanduser(given)
    except (KeyError, RuntimeError, *Unusable):  # a user that the system doesn't know
        return given


def reason(error: BaseException) -> str:
    """Return the system's message about a path on one line, without the path that it adds."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnicodeError):
        return "the system's encoding has no such characters"
    if isinstance(error, ValueError) and "null" in str(error):
        return "there is a NUL character in it"
    return " ".join(str(error).split()) or type(error).__name__


def _mode(path: AnyPath, ask: Callable[[AnyPath], os.stat_result]) -> int | None:
    try:
        return ask(path).st_mode
    except Unusable:
        return None
