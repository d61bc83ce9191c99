"""Differences between systems, and paths of both kinds on any of them."""

from __future__ import annotations

import ntpath
import os
import posixpath
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli import _system
from pe_audio_cli._files import fitting
from pe_audio_cli.audio.addresses import is_address

CONTENT = bytes(range(256))


@pytest.mark.parametrize("read", [_system.pread, _system.seek_and_read], ids=["the system's", "by seeking"])
@given(place=st.integers(0, 256), n_bytes=st.integers(0, 300), offset=st.integers(0, 300))
def test_reading_at_a_place_leaves_the_file_where_it_is(read, place: int, n_bytes: int, offset: int) -> None:
    import tempfile

    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(CONTENT)
        file.seek(place)
        assert read(file.fileno(), n_bytes, offset) == CONTENT[offset : offset + n_bytes]
        assert file.tell() == place


def test_a_lock_refuses_a_second_one_and_leaves_the_file_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(CONTENT)
    with path.open("r+b") as first, path.open("r+b") as second:
        first.seek(7)
        _system.lock(first.fileno())
        assert first.tell() == 7
        with pytest.raises(BlockingIOError):
            _system.lock(second.fileno())
        assert second.read() == CONTENT
        first.close()
        _system.lock(second.fileno())


def test_a_process_is_alive_until_it_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert _system.is_alive(process.pid)
        assert process.poll() is None  # the question does it no harm
        process.communicate(b"\n")
    assert not _system.is_alive(process.pid)
    assert _system.is_alive(os.getpid())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (r"C:\recordings\a.wav", False),
        ("C:/recordings/a.wav", False),
        (r"\\server\share\a.wav", False),
        (r"\\?\C:\recordings\a.wav", False),
        ("//server/share/a.wav", False),
        ("/recordings/a.wav", False),
        ("https://example.org/a.wav", True),
        ("s3://bucket/a.wav", True),
    ],
)
def test_a_path_of_either_kind_is_no_address(name: str, expected: bool) -> None:
    assert is_address(name) is expected


@pytest.mark.parametrize("flavour", [ntpath, posixpath], ids=["Windows", "POSIX"])
@given(name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters='/\\:\0<>|"?*'), min_size=1))
def test_a_shortened_name_is_one_name_on_either_system(flavour, name: str) -> None:
    short = fitting(name * 40, ".part")
    assert len(os.fsencode(short)) <= 255
    assert flavour.basename(short) == short and flavour.splitext(short)[1] == ".part"
