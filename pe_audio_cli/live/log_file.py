"""A file to which lines are added for years: a new one each day, or each so many bytes."""

from __future__ import annotations

import logging
import os
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pe_audio_cli._paths import Unusable, reason
from pe_audio_cli.errors import OutputError, UsageError

__all__ = ["LogFile", "Rotation"]

SIZE = re.compile(r"(\d{1,6})\s*(kB|MB|GB)", re.IGNORECASE)
UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9}
LEAST_SIZE = 1_000  # bytes: a file of less holds a few lines only
MOST_HELD = 10_000  # lines that wait for room on the disk

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rotation:
    """The rule of a new file: each day, by local time, or before it would be larger than ``size`` bytes."""

    daily: bool = False
    size: int | None = None

    @classmethod
    def parse(cls, text: str) -> Rotation:
        """Read ``day`` or a size, such as ``10MB``. Raises :class:`UsageError` for others."""
        match = SIZE.fullmatch(text.strip())
        if text.strip() == "day":
            return cls(daily=True)
        size = 0 if match is None else int(match[1]) * UNITS[match[2].lower()]
        if size < LEAST_SIZE:
            raise UsageError(f"--rotate takes day, or a size of 1 kB or more such as 10MB: got {text!r}")
        return cls(size=size)


class LogFile:
    """Whole lines, added to the end of a file, which may be there already.

    When a new file begins, the old one is renamed: ``events.jsonl`` becomes ``events.2026-11-28.jsonl``, and the next
    of that day ``events.2026-11-28.2.jsonl``. Lines that do not fit on the disk wait in memory for a while, with one
    warning.
    """

    def __init__(
        self, path: Path, header: str = "", rotation: Rotation | None = None, today: Callable[[], date] = date.today
    ) -> None:
        """``header`` begins each file. Raises :class:`OutputError` if it cannot be opened."""
        self._path, self._header, self._today = path, header.encode(), today
        self._rotation = Rotation() if rotation is None else rotation
        self._held: deque[bytes] = deque()
        self._n_lost, self._is_full = 0, False
        try:
            self._open()
        except Unusable as error:
            raise OutputError(f"cannot write {path} ({reason(error)}): name another file with --output") from error

    def write(self, line: str) -> None:
        """Add a line, which ends in a newline."""
        self._held.append(line.encode())
        if len(self._held) > MOST_HELD:
            self._held.popleft()
            self._n_lost += 1
        try:
            while self._held:
                self._add(self._held[0])
                self._held.popleft()
        except OSError as error:
            if not self._is_full:
                logger.warning("cannot write %s (%s): lines wait until there is room", self._path, reason(error))
            self._is_full = True
            return
        if self._is_full:
            lost = f", but {self._n_lost} lines are lost" if self._n_lost else ""
            logger.info("%s can be written again%s", self._path, lost)
            self._is_full, self._n_lost = False, 0

    def close(self) -> None:
        """Close the file; what still waits is lost, with a warning."""
        if self._held:
            logger.warning("%s lacks %d lines, for which there was no room", self._path, len(self._held))
        self._file.close()

    def _open(self) -> None:
        self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115 - it is open as long as this object
        self._size = self._whole_lines()
        self._day = self._today() if self._size == 0 else date.fromtimestamp(os.fstat(self._file.fileno()).st_mtime)

    def _whole_lines(self) -> int:
        """Return the size of the file, without a line that a crash has torn, which is removed."""
        with open(self._path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - (1 << 20)))
            tail = file.read()
        if tail and not tail.endswith(b"\n"):
            size -= len(tail) - (tail.rfind(b"\n") + 1)
            self._file.truncate(size)
        return size

    def _add(self, line: bytes) -> None:
        """Add a line as a whole, or raise :class:`OSError` and leave the file as it was."""
        if self._size and self._is_due(line):
            self._rotate()
        content = line if self._size else self._header + line
        try:
            written = 0
            while written < len(content):
                written += self._file.write(content[written:])
        except OSError:
            self._file.truncate(self._size)
            raise
        self._size += len(content)

    def _is_due(self, line: bytes) -> bool:
        size = self._rotation.size
        too_large = size is not None and self._size + len(line) > size
        return too_large or (self._rotation.daily and self._today() > self._day)

    def _rotate(self) -> None:
        number = 1
        while (target := self._rotated(number)).exists():
            number += 1
        self._file.close()
        os.rename(self._path, target)
        self._open()

    def _rotated(self, number: int) -> Path:
        middle = self._day.isoformat() + (f".{number}" if number > 1 else "")
        return self._path.with_name(f"{self._path.stem}.{middle}{self._path.suffix}")
