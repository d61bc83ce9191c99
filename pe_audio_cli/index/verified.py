"""The record of large files whose checksums were verified lately, so that not every search verifies them.

A small file in the user's cache for each says what the system knew of it then: any program that changes a file leaves
another time of change. What changes without one, as on a disk that fails, is found a day later.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from platformdirs import user_cache_path

from pe_audio_cli._files import growing, open_helper
from pe_audio_cli.errors import OutputError

__all__ = ["distrust", "is_verified", "remember"]

DAY = 24 * 60 * 60.0  # seconds for which a file is believed
SETTLED = 2.0  # seconds after which another change has another time, even on old file systems
MOST_BYTES = 1000  # of what is remembered of a file


def is_verified(path: Path) -> bool:
    """Return True if the file was verified less than a day ago and is unchanged."""
    try:
        with open_helper(_place(path)) as opened:
            if hasattr(os, "geteuid") and os.fstat(opened.fileno()).st_uid != os.geteuid():
                return False
            known = json.loads(opened.read(MOST_BYTES))
        return bool(known[:-1] == _identity(path) and 0 <= time.time() - known[-1] < DAY)
    except (OSError, OutputError, ValueError, TypeError, LookupError):
        return False


def remember(path: Path) -> None:
    """Record that the file was verified or written just now. A cache that cannot be written is ignored."""
    with contextlib.suppress(OSError, OutputError):
        identity, now = _identity(path), time.time()
        if now - os.stat(path).st_mtime < SETTLED:
            return  # one more change might leave the same time
        place = _place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        with growing(place) as opened:
            opened.write(json.dumps([*identity, now]).encode())


def distrust(path: Path) -> None:
    """Drop the record of the file."""
    with contextlib.suppress(OSError):
        _place(path).unlink()


def _identity(path: Path) -> list[int]:
    status = os.stat(path)
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _place(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()
    try:
        cache = user_cache_path("peaudio")
    except (RuntimeError, KeyError) as error:  # a user without a home folder
        raise FileNotFoundError(f"there is no place for a cache ({error})") from error
    if str(cache).startswith("~"):  # as older releases of platformdirs leave it
        raise FileNotFoundError("there is no place for a cache")
    return cache / "verified" / name
