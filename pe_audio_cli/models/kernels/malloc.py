"""Memory allocation: settings of glibc's malloc that speed up the codec, and detection of out-of-memory errors."""

from __future__ import annotations

import ctypes
import platform

__all__ = ["configure_malloc", "is_out_of_memory"]

# CUDA has an exception class of its own. Elsewhere there are only messages: of torch's allocator
# (c10/core/impl/alloc_cpu.cpp), of the C++ library, of oneDNN for anything it could not set up, and of Apple's GPUs.
SIGNS = (
    "defaultcpuallocator",
    "can't allocate memory",
    "not enough memory",
    "bad_alloc",
    "could not create a primitive",
    "out of memory",
)

# Parameters of glibc's mallopt, by their numbers in malloc.h, and their values.
SETTINGS = {
    -3: 1 << 30,  # M_MMAP_THRESHOLD: blocks below this come from the heap
    -1: (1 << 31) - 1,  # M_TRIM_THRESHOLD: so much free heap is kept
    -8: 1,  # M_ARENA_MAX: one heap for all threads, so that each can reuse memory freed by another
}


def is_out_of_memory(error: Exception) -> bool:
    """True if torch has run out of memory, on any device."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in SIGNS)


def configure_malloc() -> bool:
    """Let glibc reuse large freed blocks for the next layer, instead of returning each to the kernel at once.

    The codec allocates and frees tensors of tens of megabytes, and every page of a new one costs a fault. A single heap
    serves all threads only if this is called before there are any, so before torch is imported. No result changes.
    Returns True if it was done; there is nothing to do without glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return all(libc.mallopt(parameter, value) for parameter, value in SETTINGS.items())
