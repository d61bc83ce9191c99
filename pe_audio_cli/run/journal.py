"""What an interrupted run had finished, so that the next one goes on from there.

A journal is a text file of JSON lines beside the output. The first line holds the settings of the run; each further
line stands for one finished input: its path, its size and time of change when it was read, where the output ended after
it, and what its writer has to know to go on. A line is written after the result that it stands for, so it never
promises too much, and a line torn by a power cut is not a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pe_audio_cli.errors import OutputError
from pe_audio_cli.run.places import whole_file

__all__ = ["Entry", "Journal", "Settings", "read_journal", "stamp"]

VERSION = 1
WIDTH = 80  # characters of a setting that a message has room for

# Everything about a run that changes its results, as JSON values.
Settings: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One finished input; ``end`` is the length of the output in bytes after its result.

    ``error`` is what was wrong with it, or None; ``state`` is the writer's after it.
    """

    file: str
    size: int | None
    mtime_ns: int | None
    end: int
    error: str | None = None
    state: Any = None


class Journal:
    """The journal of one output, open for appending."""

    def __init__(self, path: Path) -> None:
        """Open it, and drop a line that was torn when an earlier run ended."""
        self._path = path
        if path.exists():
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
        self._file = path.open("a", encoding="utf-8", errors="surrogateescape")

    @classmethod
    def start(cls, path: Path, settings: Settings, done: Sequence[Entry] = ()) -> Journal:
        """A new journal for a run with these settings that has done so much; an older one is replaced."""
        with whole_file(path) as part, part.open("w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(json.dumps({"journal": VERSION, "settings": settings}) + "\n")
            file.writelines(json.dumps(asdict(entry)) + "\n" for entry in done)
        return cls(path)

    def add(self, entry: Entry) -> None:
        """Note a finished input, whose result is in the output already."""
        self._file.write(json.dumps(asdict(entry)) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; the journal stays."""
        with contextlib.suppress(OSError):  # a full disk; what is missing is not promised
            self._file.close()

    def end(self, keep: bool) -> None:
        """The run is complete: the journal stays only for one that may be resumed again."""
        if keep:
            self.close()
        else:
            self.remove()

    def remove(self) -> None:
        """Close and delete it: there is nothing to go on with."""
        self.close()
        self._path.unlink(missing_ok=True)


def read_journal(path: Path, settings: Settings, files: Sequence[str]) -> list[Entry]:
    """What an interrupted run had finished: the first of ``files``, in their order.

    Raises :class:`OutputError` that names the difference if the run had other settings or other inputs, or if an input
    has changed since.
    """
    lines = _whole_lines(path)
    if not lines or lines[0].get("journal") != VERSION:
        raise OutputError(f"{path} is not a journal of this version: start again with --overwrite")
    _compare(lines[0]["settings"], settings)
    entries = [Entry(**line) for line in lines[1:]]
    for position, entry in enumerate(entries):
        _check(entry, files[position] if position < len(files) else None)
    return entries


def stamp(file: str) -> tuple[int | None, int | None]:
    """Size in bytes and time of change in nanoseconds of a file; None for what has neither, like standard input."""
    try:
        status = os.stat(file)
    except (OSError, ValueError):
        return None, None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else (None, None)


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")[:-1]:
        try:
            lines.append(json.loads(line))
        except ValueError as error:
            raise OutputError(f"{path} is damaged in line {len(lines) + 1}: start again with --overwrite") from error
    return lines


def _compare(before: Settings, now: Settings) -> None:
    now = json.loads(json.dumps(now))  # in which tuples have become lists, as in the journal
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            was, is_now = _told_apart(before.get(name), now.get(name))
            raise OutputError(
                f"cannot resume: {name.replace('_', ' ')} was {was} and is now {is_now}; use the same again, or start "
                "again with --overwrite"
            )


def _told_apart(*values: Any) -> list[str]:
    """Two values as JSON, and of long ones what is about the place from which on they differ."""
    texts = [json.dumps(value, ensure_ascii=False) for value in values]
    same = next((at for at, (one, other) in enumerate(zip(*texts, strict=False)) if one != other), 0)
    start = max(same - WIDTH // 2, 0)
    return [text if len(text) <= WIDTH else _excerpt(text, start) for text in texts]


def _excerpt(text: str, start: int) -> str:
    stop = start + WIDTH
    return f"{'...' if start else ''}{text[start:stop]}{'...' if stop < len(text) else ''}"


def _check(entry: Entry, file: str | None) -> None:
    if entry.file != file:
        now = "no input" if file is None else file
        raise OutputError(
            f"cannot resume: the finished run had {entry.file} where now is {now}; give the same inputs in the same "
            "order, or start again with --overwrite"
        )
    if (entry.size, entry.mtime_ns) != stamp(entry.file):
        raise OutputError(f"cannot resume: {entry.file} has changed since it was done; start again with --overwrite")
