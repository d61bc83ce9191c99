"""Questions about paths that somebody named, answered without raising.

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
    """Whether anything is there, be it a link whose target is gone."""
    return _mode(path, os.lstat) is not None


def is_file(path: AnyPath) -> bool:
    """Whether a regular file is there, perhaps behind links."""
    mode = _mode(path, os.stat)
    return mode is not None and stat.S_ISREG(mode)


def is_dir(path: AnyPath) -> bool:
    """Whether a folder is there, perhaps behind links."""
    mode = _mode(path, os.stat)
    return mode is not None and stat.S_ISDIR(mode)


def is_link(path: AnyPath) -> bool:
    """Whether a symbolic link is there."""
    mode = _mode(path, os.lstat)
    return mode is not None and stat.S_ISLNK(mode)


def hindrance(path: AnyPath) -> str | None:
    """Why the system will not say what is at ``path``, in a few words; None if it says, be it that nothing is there."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Unusable as error:
        return reason(error)
    return None


def unnameable(path: AnyPath) -> str | None:
    """Why nothing could ever be called so on this system, in a few words; None if something could."""
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
    """What the system says about a path, in a few words on one line, without the path that it adds."""
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
