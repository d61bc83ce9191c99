"""The wait policy of torch's OpenMP threads."""

from __future__ import annotations

import os
import sys

__all__ = ["let_waiting_threads_sleep"]

# The setting of the OpenMP standard, for LLVM's and Intel's libraries, and that of GNU's, which with the former alone
# would still spin for a while.
SETTINGS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
THEIRS = ("KMP_BLOCKTIME", "KMP_LIBRARY")  # the same settings of Intel's library


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
