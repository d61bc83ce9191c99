"""How the C library hands memory back, which the codec's speed hangs on."""

from __future__ import annotations

import ctypes
import platform

__all__ = ["keep_big_blocks"]

# glibc's mallopt parameters by their numbers in malloc.h, and what they are set to.
SETTINGS = {
    -3: 1 << 30,  # M_MMAP_THRESHOLD: blocks below this come from the heap
    -1: (1 << 31) - 1,  # M_TRIM_THRESHOLD: so much free heap is kept
    -8: 1,  # M_ARENA_MAX: one heap for all threads, in which each finds what another has freed
}


def keep_big_blocks() -> bool:
    """Let glibc keep big freed blocks for the next layer, instead of giving each back to the kernel at once.

    The codec makes and frees tensors of tens of megabytes, and every page of a new one costs a fault. A single heap
    serves all threads only if this is called before there are any, so before torch is imported. No result changes.
    Returns whether it was done: elsewhere than on glibc there is nothing to do.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return all(libc.mallopt(parameter, value) for parameter, value in SETTINGS.items())
