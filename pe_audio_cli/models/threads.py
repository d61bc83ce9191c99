"""Threads and torch: the wait policy of its OpenMP threads, and one thread of ours at a time."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

__all__ = ["let_waiting_threads_sleep", "torch_alone"]

# The setting of the OpenMP standard, for LLVM's and Intel's libraries, and that of GNU's, which with the former alone
# would still spin for a while.
SETTINGS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
THEIRS = ("KMP_BLOCKTIME", "KMP_LIBRARY")  # the same settings of Intel's library

_turn = threading.RLock()


def let_waiting_threads_sleep() -> bool:
    """Let waiting threads sleep instead of spin; no result changes. Call it before torch is imported.

    A spinning thread occupies a core, which on a busy machine delays the threads that it waits for: 100 short clips
    took ten times as long on two busy cores. The user's own settings take precedence. Returns True if they were
    changed.
    """
    if "torch" in sys.modules or any(name in os.environ for name in (*SETTINGS, *THEIRS)):
        return False
    os.environ.update(SETTINGS)
    return True


@contextlib.contextmanager
def torch_alone() -> Iterator[None]:
    """Wait until no other thread is within this, which may be nested.

    How many threads torch uses, and how cuDNN rounds, are settings of the whole process, which change while an encoder
    is at work: a second thread would meet those of the first. One call uses all cores, so that taking turns costs
    nothing.
    """
    with _turn:
        yield


def _forget_turns() -> None:
    """Give a forked process a lock of its own: the thread that held it does not exist there."""
    global _turn
    _turn = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_turns)
