"""What torch's threads do while they wait for one another."""

from __future__ import annotations

import os
import sys

__all__ = ["let_waiting_threads_sleep"]

# The OpenMP standard's word for it, which LLVM's and Intel's libraries heed, and the one that GNU's heeds at once: it
# would spin for a while even if it is told to be passive, and for long if it isn't.
SETTINGS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
THEIRS = ("KMP_BLOCKTIME", "KMP_LIBRARY")  # say the same to Intel's library


def let_waiting_threads_sleep() -> bool:
    """Let threads that wait sleep instead of spinning; no result changes. Call it before torch is imported.

    A thread that spins holds a core. Where other programs want it too, those that it waits for don't get on: 100 short
    clips took ten times as long on two busy cores. What the user has set stands. Returns whether it was done.
    """
    if "torch" in sys.modules or any(name in os.environ for name in (*SETTINGS, *THEIRS)):
        return False
    os.environ.update(SETTINGS)
    return True
