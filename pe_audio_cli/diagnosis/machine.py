"""The processor, the memory and the disks of this machine."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from pe_audio_cli._system import available_cores

__all__ = ["disk", "memory", "processor"]

CPU_INFO, MEMORY_INFO = Path("/proc/cpuinfo"), Path("/proc/meminfo")
CONTROL_GROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
# LLVM's names of the instruction sets that the engines' kernels are made for, of x86 and of Arm.
INSTRUCTION_SETS = (
    *("sse4.2", "avx", "avx2", "fma", "f16c", "avxvnni", "avx512f", "avx512bw", "avx512vl", "avx512vnni"),
    *("avx512bf16", "avx512fp16", "amx-tile", "amx-int8", "amx-bf16"),
    *("neon", "dotprod", "fullfp16", "bf16", "i8mm", "sve", "sve2"),
)


def processor() -> dict[str, Any]:
    """Name, architecture, instruction sets, and the cores of the machine and those that this process may use.

    ``instruction_sets`` is None where LLVM cannot tell.
    """
    return {
        "name": _stated(CPU_INFO, "model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "instruction_sets": _instruction_sets(),
        "cores": os.cpu_count() or 1,
        "threads": available_cores(),
    }


def memory() -> dict[str, int | None]:
    """Bytes of the machine's memory, those that are available, and the limit of a container; None if unknown."""
    return {"total": _total(), "available": _kibibytes("MemAvailable"), "limit": _limit()}


def disk(use: str, folder: Path) -> dict[str, Any]:
    """Bytes of the disk that a folder is on, or will be on, and those that are free; None if that cannot be told."""
    with contextlib.suppress(OSError, ValueError):
        there = next(each for each in (folder, *folder.parents) if each.is_dir())
        usage = shutil.disk_usage(there)
        return {"use": use, "folder": str(folder), "total": usage.total, "free": usage.free}
    return {"use": use, "folder": str(folder), "total": None, "free": None}


def _instruction_sets() -> list[str] | None:
    try:
        from llvmlite import binding

        features = binding.get_host_cpu_features()
    except Exception:  # a broken library raises anything
        return None
    return [name for name in INSTRUCTION_SETS if features.get(name)]


def _total() -> int | None:
    if sys.platform == "win32":
        return _total_of_windows()
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):  # a name that the system does not know
        return None


def _total_of_windows() -> int | None:
    if sys.platform != "win32":
        return None
    import ctypes

    kibibytes = ctypes.c_ulonglong()
    found = ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kibibytes))
    return kibibytes.value * 1024 if found else None


def _limit() -> int | None:
    """Return the limit of the control group; the older kind states a huge number for none."""
    for file in CONTROL_GROUPS:
        with contextlib.suppress(OSError, ValueError):
            stated = int(file.read_text())
            total = _total()
            return stated if total is None or stated < total else None
    return None


def _kibibytes(key: str) -> int | None:
    """Return a value of Linux's table of memory, in bytes."""
    number = _stated(MEMORY_INFO, key).split()[:1]
    return int(number[0]) * 1024 if number and number[0].isdecimal() else None


def _stated(table: Path, key: str) -> str:
    """Return the first value of a key in a table of Linux; empty if there is none."""
    with contextlib.suppress(OSError):
        for line in table.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return ""
