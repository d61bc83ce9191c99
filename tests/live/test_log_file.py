"""A file of lines for years: rotated, whole after a crash and on a full disk."""

from __future__ import annotations

import errno
import json
from datetime import date
from pathlib import Path

import pytest
from support import logged

from pe_audio_cli.errors import OutputError, UsageError
from pe_audio_cli.live.log_file import LogFile, Rotation


def test_lines_are_added_to_what_is_there_under_one_header(tmp_path: Path) -> None:
    for line in ("a\n", "b\n"):
        file = LogFile(tmp_path / "x.csv", "head\n")
        file.write(line)
        file.close()
    assert (tmp_path / "x.csv").read_text() == "head\na\nb\n"


def test_a_line_that_a_crash_has_torn_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n{"a": ')
    file = LogFile(path)
    file.write('{"a": 2}\n')
    file.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"a": 1}, {"a": 2}]


def test_each_day_has_a_file(tmp_path: Path) -> None:
    days = [date(2026, 11, 27), date(2026, 11, 27), date(2026, 11, 28), date(2026, 11, 30)]
    today = days[0]
    file = LogFile(tmp_path / "x.csv", "head\n", Rotation.parse("day"), lambda: today)
    for today in days:
        file.write(f"{today}\n")
    file.close()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "x.2026-11-27.csv": "head\n2026-11-27\n2026-11-27\n",
        "x.2026-11-28.csv": "head\n2026-11-28\n",
        "x.csv": "head\n2026-11-30\n",
    }


def test_no_file_is_larger_than_was_asked_for_and_no_line_is_lost(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "x.jsonl", "", Rotation.parse("1kB"))
    lines = [f"{number:099}\n" for number in range(35)]
    for line in lines:
        file.write(line)
    file.close()
    parts = sorted(tmp_path.iterdir(), key=lambda path: path.read_text())
    assert [path.stat().st_size for path in parts] == [1000, 1000, 1000, 500]
    assert "".join(path.read_text() for path in parts) == "".join(lines)
    assert parts[-1].name == "x.jsonl"


class Full:
    """A file on a disk with room for some bytes only."""

    def __init__(self, file, room: int) -> None:
        self._file, self.room = file, room

    def write(self, content: bytes) -> int:
        written = self._file.write(content[: self.room])
        self.room -= written
        if written < len(content) and not written:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written

    def __getattr__(self, name: str):
        return getattr(self._file, name)


def test_lines_wait_until_a_full_disk_has_room(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    file = LogFile(path)
    full = file._file = Full(file._file, room=15)
    with logged() as messages:
        for number in range(4):
            file.write(f"{number:09}\n")
        assert path.read_text() == "000000000\n"  # no part of a line
        full.room = 1_000
        file.write("last\n")
    file.close()
    assert path.read_text() == "000000000\n000000001\n000000002\n000000003\nlast\n"
    assert len(messages) == 2 and "No space left" in messages[0] and "again" in messages[1]


@pytest.mark.parametrize("text", ["", "daily", "10", "10TB", "1B", "0MB", "-1MB"])
def test_other_rotations_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--rotate takes day, or a size"):
        Rotation.parse(text)


def test_a_file_that_cannot_be_written_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        LogFile(tmp_path / "missing" / "x.jsonl")
