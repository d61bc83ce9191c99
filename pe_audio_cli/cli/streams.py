"""The standard streams and what the environment says about terminals, made fit for all that comes after."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

__all__ = ["flush_standard_output", "leave_standard_output", "prepare"]

STANDARD_INPUT, STANDARD_OUTPUT, STANDARD_ERROR = 0, 1, 2
# The null device is opened the wrong way round for data, so that reading or writing fails rather than being lost.
NULL_DEVICE = {STANDARD_INPUT: os.O_WRONLY, STANDARD_OUTPUT: os.O_RDONLY, STANDARD_ERROR: os.O_WRONLY}
MOST_COLUMNS = 10_000  # of a terminal; libraries believe what COLUMNS says, and pad their lines to it
SIZES = ("COLUMNS", "LINES", "TERMINAL_WIDTH")  # the last is Typer's


def prepare() -> None:
    """Open what is closed of the standard streams, make them write UTF-8, and forget sizes that make no sense.

    A descriptor that is closed would be the next file's that is opened, and what libraries say would go into that.
    """
    for descriptor in NULL_DEVICE:
        _open_if_closed(descriptor)
    sys.stdout = _there(sys.stdout, STANDARD_OUTPUT)
    sys.stderr = _there(sys.stderr, STANDARD_ERROR)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # The same bytes on every machine: UTF-8, and newlines as the formats define them.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    for name in SIZES:
        if name in os.environ and not _is_size(os.environ[name]):
            del os.environ[name]


def flush_standard_output() -> OSError | None:
    """Write what is left; the error, if that fails, after which standard output is left alone."""
    try:
        sys.stdout.flush()
    except OSError as error:
        leave_standard_output()
        return error
    return None


def leave_standard_output() -> None:
    """Discard the rest of standard output: Python would report the error again at exit."""
    with contextlib.suppress(OSError, ValueError):  # a stream that is no file of the system's has no descriptor
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _open_if_closed(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # without a null device, things stay as they were
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, NULL_DEVICE[descriptor])
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)


def _there(stream: TextIO | None, descriptor: int) -> TextIO:
    """The stream, or one where Python found none because the descriptor was closed."""
    if stream is not None:
        return stream
    return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n", closefd=False)


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text[:9]) <= MOST_COLUMNS
