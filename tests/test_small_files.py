"""Small files of others: what is too large, too deep or no file at all is an error that callers expect."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pe_audio_cli._small_files import parse_json, read_regular, read_small


def test_a_file_up_to_the_limit_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"abc")
    assert read_small(tmp_path / "list", 3) == read_regular(tmp_path / "list", 3) == b"abc"
    with pytest.raises(OSError, match="more than"):
        read_small(tmp_path / "list", 2)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no device here that never ends")
def test_a_device_without_end_is_read_to_the_limit() -> None:
    with pytest.raises(OSError, match="more than 1 MiB"):
        read_small("/dev/zero", 1 << 20)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
def test_what_is_no_file_is_not_opened_where_a_file_is_wanted(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # nobody writes to it: opening it would wait for ever
    with pytest.raises(OSError, match="it is a pipe, device or socket"):
        read_regular(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is a folder"):
        read_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{", "", "9" * 10_000, b"\xff"])
def test_json_that_cannot_be_parsed_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)
