"""A condition in SQL that a user gives, within a time that a user sets.

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

__all__ = ["LIMIT", "seconds_allowed", "within"]

LIMIT = "PEAUDIO_MAX_WHERE_SECONDS"
DEFAULT_SECONDS = 10.0  # a condition on ten million windows takes two
PATIENCE = 1.0  # seconds for a query to end that has been interrupted
POLL_SECONDS = 0.2  # in which a Ctrl-C is heard on systems where it does not end a wait

AnswerT = TypeVar("AnswerT")


def seconds_allowed() -> float:
    """How long a condition may take. Raises :class:`UsageError` if the environment sets no sensible number."""
    given = os.environ.get(LIMIT, "")
    try:
        seconds = float(given) if given else DEFAULT_SECONDS
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise UsageError(f"{LIMIT} is a number of seconds above 0: got {given!r}")
    return seconds


def within(seconds: float, connection: DuckDBPyConnection, ask: Callable[[DuckDBPyConnection], AnswerT]) -> AnswerT:
    """What ``ask`` gets from ``connection``, which nobody else uses and which is closed in the end.

    A query that does not even heed its interruption, because DuckDB is within one expression, is left to itself.

    Raises :class:`TimeoutError` if it takes longer, and what ``ask`` raises.
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
        if not _wait(done, seconds):
            raise TimeoutError
    except BaseException:
        connection.interrupt()
        if not done.wait(PATIENCE):
            atexit.register(_hush)
        raise
    if errors:
        raise errors[0]
    return answers[0]


def _wait(done: threading.Event, seconds: float) -> bool:
    while seconds > 0 and not done.wait(min(seconds, POLL_SECONDS)):
        seconds -= POLL_SECONDS
    return done.is_set()


def _hush() -> None:
    """DuckDB's bindings would report what an abandoned query still holds, line by line, when the interpreter ends."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
