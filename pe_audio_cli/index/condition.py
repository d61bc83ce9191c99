"""Conditions in SQL from users, with limits of time and memory.

DuckDB heeds an interruption between two portions of rows. So the query runs in a thread of its own, and whoever waits
for it can be interrupted, or lose patience, at any time.
"""

from __future__ import annotations

import atexit
import math
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pe_audio_cli.errors import UsageError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["LIMIT", "MEMORY_LIMIT", "bytes_allowed", "seconds_allowed", "within"]

LIMIT = "PEAUDIO_MAX_WHERE_SECONDS"
DEFAULT_SECONDS = 10.0  # a condition on ten million windows takes two
MEMORY_LIMIT = "PEAUDIO_MAX_WHERE_BYTES"
DEFAULT_BYTES = 2 << 30  # DuckDB's own limit does not count the text and lists that an expression makes
PATIENCE = 1.0  # seconds for a query to end that has been interrupted
POLL_SECONDS = 0.2  # after which a Ctrl-C takes effect on systems where it does not end a wait

AnswerT = TypeVar("AnswerT")


def seconds_allowed() -> float:
    """Return the time limit in seconds. Raises :class:`UsageError` if the environment sets an invalid number."""
    return _allowed(LIMIT, "seconds", DEFAULT_SECONDS)


def bytes_allowed() -> float:
    """Return the memory limit in bytes. Raises :class:`UsageError` if the environment sets an invalid number."""
    return _allowed(MEMORY_LIMIT, "bytes", DEFAULT_BYTES)


def _allowed(variable: str, unit: str, default: float) -> float:
    given = os.environ.get(variable, "")
    try:
        value = float(given) if given else default
    except ValueError:
        value = math.nan
    if not value > 0:
        raise UsageError(f"{variable} is a number of {unit} above 0: got {given!r}")
    return value


def within(
    seconds: float, memory: float, connection: DuckDBPyConnection, ask: Callable[[DuckDBPyConnection], AnswerT]
) -> AnswerT:
    """Run ``ask`` on ``connection``, which nothing else uses, close it, and return the result.

    A query that does not even heed its interruption, because DuckDB is within one expression, is left to itself.

    Raises :class:`TimeoutError` if it takes longer, :class:`MemoryError` if the process grows by more than ``memory``
    bytes meanwhile, and what ``ask`` raises.
    """
    answers: list[AnswerT] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            answers.append(ask(connection))
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()
            done.set()

    threading.Thread(target=work, daemon=True).start()
    try:
        if not _wait(done, seconds, _most_memory() + memory):
            raise TimeoutError
    except BaseException:
        connection.interrupt()
        if not done.wait(PATIENCE):
            atexit.register(_hush)
        raise
    if errors:
        raise errors[0]
    return answers[0]


def _wait(done: threading.Event, seconds: float, most: float) -> bool:
    while seconds > 0 and not done.wait(min(seconds, POLL_SECONDS)):
        seconds -= POLL_SECONDS
        if _most_memory() > most:
            raise MemoryError
    return done.is_set()


def _most_memory() -> int:
    """The most bytes that this process has had in memory; 0 on Windows, where only the time is limited."""
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _hush() -> None:
    """DuckDB's bindings would report what an abandoned query still holds, line by line, when the interpreter ends."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
