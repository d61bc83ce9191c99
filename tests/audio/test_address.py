"""Recordings that lie at an address are fetched as a whole, and decoded like any other."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from support import write_tone

from pe_audio_cli.audio.decode import open_audio
from pe_audio_cli.audio.find import find_recordings
from pe_audio_cli.errors import InputError, RunError


class Silent(SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing of it."""

    def log_message(self, *said: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The address of a server whose files are those in ``tmp_path``."""
    handler = functools.partial(Silent, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def decoded(file: str) -> np.ndarray:
    with open_audio(file) as stream:
        return np.concatenate(list(stream.blocks()))


def refusal(file: str) -> InputError:
    with pytest.raises(InputError) as caught, open_audio(file) as stream:
        list(stream.blocks())
    return caught.value


def test_what_a_server_has_sounds_like_the_file(tmp_path: Path, site: str) -> None:
    pytest.importorskip("aiohttp")
    file = write_tone(tmp_path / "a b.wav", seconds=40.0, rate=44_100)
    np.testing.assert_array_equal(decoded(f"{site}/a%20b.wav"), decoded(str(file)))


def test_what_a_server_has_not_is_missing(site: str) -> None:
    pytest.importorskip("aiohttp")
    error = refusal(f"{site}/gone.wav")
    assert (error.kind, error.file) == ("missing", f"{site}/gone.wav")


def test_a_server_that_does_not_answer_is_one_error(site: str) -> None:
    pytest.importorskip("aiohttp")
    error = refusal("http://127.0.0.1:9/a.wav")
    assert error.kind == "unreadable"
    assert "\n" not in error.message


def test_any_file_system_will_do(tmp_path: Path) -> None:
    file = write_tone(tmp_path / "a.wav")
    np.testing.assert_array_equal(decoded(file.as_uri()), decoded(str(file)))


def test_no_room_for_it_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(RunError, match="TMPDIR"):
        open_audio("https://host/a.wav")


def test_an_unknown_kind_of_address_is_one_error() -> None:
    error = refusal("gopher-plus://host/a.wav")
    assert (error.kind, error.file) == ("unreadable", "gopher-plus://host/a.wav")
    assert "gopher-plus" in error.message


def test_what_is_at_an_address_is_not_looked_for_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recordings(["s3://bucket/*.wav", "https://host/a.wav"]) == ["s3://bucket/*.wav", "https://host/a.wav"]
    write_tone(tmp_path / "s3:" / "bucket" / "a.wav")
    assert find_recordings(["s3:"]) == ["s3:/bucket/a.wav"]
    assert len(decoded("s3://bucket/a.wav")) == 48_000
