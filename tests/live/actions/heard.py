"""Events for tests of actions, and what they log."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pe_audio_cli._system import is_alive
from pe_audio_cli.live.actions.base import Kind, Notice
from pe_audio_cli.live.event import LiveEvent

# Labels that somebody may give: of other scripts, with what shells, paths, topics and headers give a meaning.
ODD_LABELS = (
    "a dog's bark; rm -rf ~",
    "../../etc/passwd",
    "犬の鳴き声",
    '$(reboot) `date` "quoted"',
    "#/+/#",
    "CON",
    "line\nbreak\r\tand tab",
    "...",
    "🔥" * 100,
    "x" * 2_000,
    "lone \udc80 surrogate",
    "nul \0 inside",
)


def heard(label: str = "a dog barking", onset: float = 1.0, offset: float | None = None) -> LiveEvent:
    """An event of a listening that began at noon."""

    def wall(seconds: float) -> str:
        return f"2026-11-28T12:{int(seconds) // 60 % 60:02}:{seconds % 60:06.3f}+01:00"

    ended_at = None if offset is None else wall(offset)
    return LiveEvent(label, onset, wall(onset), 0.9, offset, ended_at)


def notice(kind: Kind = "start", label: str = "a dog barking", clip: str | None = None) -> Notice:
    return Notice(kind, heard(label, 1.0, None if kind == "start" else 2.5), clip)


def eventually(is_so: Callable[[], object], seconds: float = 30.0) -> bool:
    """Return True as soon as it is so, and False if it is not after many seconds."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def runs(pid: int) -> bool:
    """Return True for a process that is alive and no zombie, which nobody may collect in a container."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return is_alive(pid) and not Path("/proc/self").exists()


@contextlib.contextmanager
def warnings() -> Iterator[list[str]]:
    """The warnings that are logged meanwhile."""
    logger, told = logging.getLogger("pe_audio_cli"), []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        yield told
    finally:
        logger.removeHandler(handler)
