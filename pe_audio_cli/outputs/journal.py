"""The journal of a run, from which an interrupted run is resumed.

A journal is a text file of JSON lines beside the output. The first line holds the settings of the run; each further
line stands for one input that is done with: its path, its size and time of change when it was read and a digest of
its ends, where the output ended after it, and what its writer has to know to go on. A line is written after the result
that it stands for, so it never promises too much, and a line torn by a power cut is not a line. Two more kinds of lines
tell what may be replaced: ``output``, what a file is that this run has put in the output's place, or was told to
overwrite there; ``begun``, an input whose own file is about to get its name.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import stat
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias

from pe_audio_cli._files import growing, open_helper
from pe_audio_cli._paths import Unusable
from pe_audio_cli.errors import OutputError

__all__ = [
    "COARSE",
    "Content",
    "Journal",
    "JournalEntry",
    "Past",
    "RunSettings",
    "content",
    "is_journal",
    "matched",
    "read_journal",
    "stamp",
]

VERSION = 2
READABLE = (1, VERSION)  # the first had no digests, and did not tell what may be replaced
WIDTH = 80  # characters of a setting that a message has room for
BEGIN = b'{"journal": '

END_BYTES = 1 << 14  # of a file's beginning, and of its end, that go into its digest
SECOND = 10**9  # nanoseconds
COARSE = 2 * SECOND  # the times of FAT come in steps of so much, and in local time: see Content.same
SHIFT = 900 * SECOND  # time zones differ by whole quarters of an hour
MOST_SHIFT = 26 * 3600 * SECOND  # from UTC-12 to UTC+14

# Everything about a run that changes its results, as JSON values.
RunSettings: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Content:
    """The identity of a file's content: size in bytes, time of change in nanoseconds, and a
    digest of its ends; all None for inputs without them, such as standard input.
    """

    size: int | None = None
    mtime_ns: int | None = None
    digest: str | None = None

    def same(self, now: Content) -> bool:
        """Return True if the file still has this content.

        Where the time of change differs as a clock that was put forward or back changes it on a FAT file system, by
        whole quarters of an hour give or take its steps of 2 s, the digest decides.
        """
        if self.size != now.size or self.mtime_ns == now.mtime_ns:
            return self.size == now.size
        if self.mtime_ns is None or now.mtime_ns is None:
            return False
        by = abs(self.mtime_ns - now.mtime_ns)
        is_clock = by <= MOST_SHIFT + COARSE and (by + COARSE) % SHIFT <= 2 * COARSE
        return is_clock and self.digest in (None, now.digest)


@dataclass(frozen=True)
class JournalEntry:
    """One input that is done with; ``end`` is the length of the output in bytes after its result.

    ``error`` is what was wrong with it, or None; ``state`` is the writer's after it; ``shard`` is the number of the
    shard that it is in, where there are shards.
    """

    file: str
    size: int | None
    mtime_ns: int | None
    end: int = 0
    error: str | None = None
    state: Any = None
    digest: str | None = None
    shard: int | None = None

    @property
    def content(self) -> Content:
        """The content of the input when it was read."""
        return Content(self.size, self.mtime_ns, self.digest)


@dataclass(frozen=True)
class Past:
    """All that a journal tells: what is done, in the order in which it was done, and what may be replaced.

    ``replaceable`` is None in a journal that does not tell.
    """

    entries: Sequence[JournalEntry] = ()
    replaceable: Sequence[Content] | None = ()
    begun: frozenset[str] = field(default_factory=frozenset)

    def may_replace(self, path: Path) -> bool:
        """Return True if the file at ``path`` is the run's own, or one that it was told to overwrite."""
        if self.replaceable is None:
            return True
        now = content(os.fspath(path))
        return any(each.same(now) for each in self.replaceable)


class Journal:
    """The journal of one output, open for appending."""

    def __init__(self, path: Path) -> None:
        """Open an existing journal, and drop an incomplete last line."""
        self._path = path
        file = open_helper(path, "r+b")
        whole = _read(file).rfind(b"\n") + 1
        if file.seek(0, os.SEEK_END) > whole:
            file.truncate(whole)
            file.seek(whole)
        self._file = io.TextIOWrapper(io.BufferedWriter(file), encoding="utf-8", errors="surrogateescape", newline="")

    @classmethod
    def start(cls, path: Path, settings: RunSettings, past: Past | None = None, *, replace: bool = False) -> Journal:
        """A new journal for a run with these settings, and what an earlier one has done.

        Raises :class:`FileExistsError` if there is one and nobody said to ``replace`` it.
        """
        past = Past() if past is None else past
        with growing(path, overwrite=replace) as file:
            lines = [{"journal": VERSION, "settings": settings}, *map(_output_line, past.replaceable or ())]
            file.writelines(map(_line, lines))
            file.writelines(map(_line, map(asdict, past.entries)))
        return cls(path)

    def add(self, entry: JournalEntry) -> None:
        """Note an input that is done with, whose result is in the output already."""
        self._add(asdict(entry))

    def begin(self, file: str) -> None:
        """Note that an input's own file is about to get its name."""
        self._add({"begun": file})

    def replaceable(self, what: Content) -> None:
        """Note what may be replaced in the output's place."""
        self._add(_output_line(what))

    def close(self) -> None:
        """Close the file; the journal stays."""
        with contextlib.suppress(OSError):  # a full disk; what is missing is not promised
            self._file.close()

    def end(self, keep: bool) -> None:
        """The run is complete: the journal stays for one that may be resumed."""
        if keep:
            self.close()
        else:
            self.remove()

    def remove(self) -> None:
        """Close and delete it: there is nothing to go on with."""
        self.close()
        with contextlib.suppress(OSError):  # its folder may be gone
            self._path.unlink(missing_ok=True)

    def _add(self, line: Mapping[str, Any]) -> None:
        self._file.write(_line(line).decode())
        self._file.flush()


def content(file: str) -> Content:
    """Return what identifies the content of a file now."""
    size, mtime_ns = stamp(file)
    return Content() if size is None else Content(size, mtime_ns, _digest(file))


def stamp(file: str) -> tuple[int | None, int | None]:
    """Size in bytes and time of change in nanoseconds of a file; None for what has neither, like standard input."""
    try:
        status = os.stat(file)
    except Unusable:
        return None, None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else (None, None)


def is_journal(path: Path) -> bool:
    """Return True if a file is a journal, even one that a power cut has truncated.

    Raises :class:`OutputError` if it is no plain file.
    """
    with open_helper(path) as file:
        begin = file.read(len(BEGIN)) or b""
    return begin == BEGIN[: len(begin)]


def read_journal(path: Path, settings: RunSettings) -> Past:
    """Read the journal of an earlier run.

    Raises :class:`OutputError` if it cannot be used, and one that names the difference if the run had other settings.
    """
    with open_helper(path) as file:
        lines = _read(file).decode("utf-8", "surrogateescape").split("\n")[:-1]
    head = _parsed(path, 1, lines[0]) if lines else {}
    version, before = head.get("journal"), head.get("settings")
    if version not in READABLE or not isinstance(before, dict):
        raise OutputError(f"{path} is not a journal of this version: start again with --overwrite")
    _compare(before, settings)
    entries: list[JournalEntry] = []
    replaceable: list[Content] = []
    begun: set[str] = set()
    for number, text in enumerate(lines[1:], start=2):
        line = _parsed(path, number, text)
        try:
            if "output" in line:
                replaceable.append(_checked(Content, line["output"]))
            elif "begun" in line:
                begun.add(_text(line["begun"]))
            else:
                entries.append(_checked(JournalEntry, line))
                begun.discard(entries[-1].file)
                if len(entries) > 1 and entries[-1].end < entries[-2].end:
                    raise ValueError(entries[-1].end)
        except (TypeError, ValueError) as error:
            raise _damaged(path, number) from error
    return Past(entries, None if version == 1 else replaceable, frozenset(begun))


def matched(entries: Iterable[JournalEntry], files: Sequence[str]) -> dict[int, JournalEntry]:
    """Return the inputs that an earlier run completed, by position; those that failed are left out.

    An input is known by its path; one that is given several times may be done as often.

    Raises :class:`OutputError` that names the difference if something that was done is no longer among the inputs, or
    has changed since.
    """
    waiting: dict[str, deque[JournalEntry]] = defaultdict(deque)
    given = list(entries)
    for entry in given:
        if entry.error is None:
            waiting[entry.file].append(entry)
    done = {at: waiting[file].popleft() for at, file in enumerate(files) if waiting.get(file)}
    taken = set(map(id, done.values()))
    for at, entry in enumerate(given):
        if entry.error is None and id(entry) not in taken:
            now = files[at] if at < len(files) else "no input"
            raise OutputError(
                f"cannot resume: the finished run had {entry.file} where now is {now}; give it as well, or start again "
                "with --overwrite"
            )
        if id(entry) in taken and not _is_unchanged(entry):
            raise OutputError(
                f"cannot resume: {entry.file} has changed since it was done; start again with --overwrite"
            )
    return done


def _is_unchanged(entry: JournalEntry) -> bool:
    now = Content(*stamp(entry.file))
    return (entry.size, entry.mtime_ns) == (now.size, now.mtime_ns) or entry.content.same(content(entry.file))


def _digest(file: str) -> str | None:
    """Return a digest of the first and the last bytes of a file: an overwritten recording differs in them."""
    try:
        with open(file, "rb", buffering=0) as opened:
            begin = opened.read(END_BYTES)
            opened.seek(max(os.fstat(opened.fileno()).st_size - END_BYTES, 0))
            return hashlib.blake2b(begin + opened.read(END_BYTES), digest_size=8).hexdigest()
    except OSError:
        return None


def _read(file: io.FileIO) -> bytes:
    file.seek(0)
    return file.readall()


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _output_line(what: Content) -> dict[str, Any]:
    return {"output": asdict(what)}


def _parsed(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, number) from error
    if not isinstance(value, dict):
        raise _damaged(path, number)
    return value


def _damaged(path: Path, number: int) -> OutputError:
    return OutputError(f"{path} is damaged in line {number}: start again with --overwrite")


def _checked(kind: type[Any], values: Any) -> Any:
    """An entry or a content of what was read. Raises :class:`TypeError` or :class:`ValueError` for what is neither."""
    made = kind(**values)
    for each in fields(kind):
        value = getattr(made, each.name)
        if each.name in ("size", "mtime_ns", "end", "shard"):
            _number(value, least=-(1 << 63) if each.name == "mtime_ns" else 0, optional=each.name != "end")
        elif each.name != "state" and not (value is None and each.name != "file"):
            _text(value)
    return made


def _number(value: Any, least: int, optional: bool) -> None:
    if value is None and optional:
        return
    if type(value) is not int or not least <= value < 1 << 63:
        raise ValueError(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _compare(before: RunSettings, now: RunSettings) -> None:
    now = json.loads(json.dumps(now))  # in which tuples have become lists, as in the journal
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            was, is_now = _shown_difference(before.get(name), now.get(name))
            raise OutputError(
                f"cannot resume: {name.replace('_', ' ')} was {was} and is now {is_now}; use the same again, or start "
                "again with --overwrite"
            )


def _shown_difference(*values: Any) -> list[str]:
    """Two values as JSON, and of long ones what is about the place from which on they differ."""
    texts = [json.dumps(value, ensure_ascii=False) for value in values]
    same = next((at for at, (one, other) in enumerate(zip(*texts, strict=False)) if one != other), 0)
    start = max(same - WIDTH // 2, 0)
    return [text if len(text) <= WIDTH else _excerpt(text, start) for text in texts]


def _excerpt(text: str, start: int) -> str:
    stop = start + WIDTH
    return f"{'...' if start else ''}{text[start:stop]}{'...' if stop < len(text) else ''}"
