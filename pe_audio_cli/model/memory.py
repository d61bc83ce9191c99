"""How the C library hands memory back, which the codec's speed hangs on."""

from __future__ import annotations

import ctypes
import platform

__all__ = ["keep_big_blocks"]

# glibc's mallopt parameters (malloc.h), and what they are set to.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEEP_BYTES, BLOCK_BYTES = (1 << 31) - 1, 1 << 30


def keep_big_blocks() -> bool:
    """Let glibc keep big freed blocks for the next layer, instead of giving each back to the kernel at once.

    The codec makes and frees tensors of tens of megabytes, and every page of a new one costs a fault. No result
    changes. Returns whether it was done: elsewhere than on glibc there is nothing to do.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(M_MMAP_THRESHOLD, BLOCK_BYTES)) and bool(libc.mallopt(M_TRIM_THRESHOLD, KEEP_BYTES))
