"""Safe reading of small files of unknown origin: up to a limit of size and nesting.

A list of labels, a configuration or a manifest may be a device that never ends, or be nested so deeply that a parser
runs out of stack. What comes of that is an :class:`OSError` or a :class:`ValueError`, which callers expect anyway.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import Any

__all__ = ["MOST_BYTES", "parse_json", "read_regular", "read_small"]

MOST_BYTES = 64 << 20  # of a list or a configuration, where nothing else is said


def read_small(path: str | os.PathLike[str], most: int = MOST_BYTES) -> bytes:
    """The content of a file, or what comes through a pipe.

    Raises :class:`OSError` if it cannot be read or has more than ``most`` bytes; its ``strerror`` says which.
    """
    with open(path, "rb") as opened:
        content = opened.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it holds more than {most >> 20} MiB")
    return content


def read_regular(path: str | os.PathLike[str], most: int = MOST_BYTES) -> bytes:
    """Read a regular file as :func:`read_small` does; refuse a pipe, device or socket before it is opened."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe, device or socket"
        raise OSError(errno.EINVAL, f"it is {what}, and no file")
    return read_small(path, most)


def parse_json(text: str | bytes) -> Any:
    """Parse JSON. Raises :class:`ValueError` for all errors in it, including nesting that is too deep."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
