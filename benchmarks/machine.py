"""The machine and the versions that numbers hold for."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

__all__ = ["commit", "describe", "gpu", "has_bfloat16", "has_compiler"]

CPU_INFO = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # x86 twice, Arm
PACKAGES = ("torch", "transformers", "numpy")


def describe() -> str:
    """CPU, CUDA GPU if any, and versions, in one line."""
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in PACKAGES)
    name = gpu()
    return (
        f"{_cpu()}, {os.cpu_count()} logical cores; {'no CUDA GPU' if name is None else name}; "
        f"{platform.system()}, Python {platform.python_version()}, {versions}."
    )


def commit() -> str:
    """The commit that runs, with a mark if the files differ from it; what git cannot tell is said so."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def has_bfloat16() -> bool:
    """Return True if the CPU multiplies bfloat16; False if it does not tell."""
    flags = f"{_stated('flags')} {_stated('Features')}".split()
    return not BFLOAT16_FLAGS.isdisjoint(flags)


def has_compiler() -> bool:
    """Return True if ``--compile`` finds the C++ compiler that it needs, by the name that torch uses."""
    usual = "clang++" if sys.platform == "darwin" else "g++"
    return shutil.which(os.environ.get("CXX", usual)) is not None


@cache
def gpu() -> str | None:
    """The CUDA GPU's name, if there is one."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _cpu() -> str:
    stated = _stated("model name")
    return stated if stated else platform.processor() or platform.machine()


def _stated(key: str) -> str:
    """Return a value of the first core from Linux."""
    if not CPU_INFO.is_file():
        return ""
    for line in CPU_INFO.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
