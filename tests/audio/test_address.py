"""Recordings that lie at an address: fetched as a whole, decoded like any other, and never called by their secrets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import gzip
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import write_tone

from pe_audio_cli.audio.addresses import SCHEMES, Address, addressed, fetch, is_address, reached_by
from pe_audio_cli.audio.decoding import open_audio
from pe_audio_cli.audio.find import find_recordings
from pe_audio_cli.errors import InputError, RunError

SIGNED = "https://bucket.s3.amazonaws.com/a%20b.wav?X-Amz-Algorithm=AWS4&X-Amz-Date=2026&X-Amz-Signature=beefbeef"


class Silent(SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing of it."""

    def log_message(self, *said: object) -> None:
        pass


class Guarded(Silent):
    """Serves only whoever has the password, and the token in the address."""

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(b"alice:wonder land").decode()
        if self.headers.get("Authorization") != wanted or "token=t0psecret" not in self.path:
            self.send_error(403, "no")
            return
        super().do_GET()


class Packed(Silent):
    """Sends ten megabytes of zeros packed into ten kilobytes, whether that was accepted or not."""

    accepted: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        content = gzip.compress(bytes(10_000_000))
        self.accepted.append(self.headers.get("Accept-Encoding"))
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Slow(BaseHTTPRequestHandler):
    """Sends a file in pieces, with a pause between them; the last never comes if the path says so."""

    def __init__(self, content: bytes, *arguments: Any) -> None:
        self._content = content
        super().__init__(*arguments)

    def log_message(self, *said: object) -> None:
        pass

    def do_GET(self) -> None:
        if "never" in self.path:
            threading.Event().wait(8)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self._content)))
        self.end_headers()
        size = -(-len(self._content) // 8)
        for begin in range(0, len(self._content), size):
            threading.Event().wait(0.25)
            self.wfile.write(self._content[begin : begin + size])
            if "stalls" in self.path:
                threading.Event().wait(8)
                return


def serving(handler: Callable[..., Any]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The address of a server whose files are those in ``tmp_path``."""
    pytest.importorskip("aiohttp")
    yield from serving(functools.partial(Silent, directory=str(tmp_path)))


@pytest.fixture
def guarded_site(tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("aiohttp")
    yield from serving(functools.partial(Guarded, directory=str(tmp_path)))


@pytest.fixture
def slow_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that takes 2 s for a file, more than the second without a byte that is allowed."""
    pytest.importorskip("aiohttp")
    monkeypatch.setenv("PEAUDIO_MAX_STALL_SECONDS", "1")
    yield from serving(functools.partial(Slow, write_tone(tmp_path / "a.wav").read_bytes()))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], Any]], None]:
    """Makes ``s3://`` a file system that fetches as it is told to."""

    def install(get: Callable[[str], Any]) -> None:
        class Stub(fsspec.AbstractFileSystem):
            cachable = False

            def get_file(self, rpath: str, lpath: str, **options: Any) -> None:
                get(lpath)

        monkeypatch.setattr(fsspec, "get_filesystem_class", lambda protocol: Stub)

    return install


def decoded(file: str) -> np.ndarray:
    with open_audio(file) as stream:
        return np.concatenate(list(stream.blocks()))


def refusal(file: str) -> InputError:
    with pytest.raises(InputError) as caught, open_audio(file) as stream:
        list(stream.blocks())
    return caught.value


# Fetching


def test_what_a_server_has_sounds_like_the_file(tmp_path: Path, site: str) -> None:
    file = write_tone(tmp_path / "a b.wav", seconds=40.0, rate=44_100)
    np.testing.assert_array_equal(decoded(f"{site}/a%20b.wav"), decoded(str(file)))


def test_what_a_server_has_not_is_missing(site: str) -> None:
    error = refusal(f"{site}/gone.wav")
    assert (error.kind, error.file) == ("missing", f"{site}/gone.wav")


def test_a_server_that_does_not_answer_is_one_error(site: str) -> None:
    error = refusal("http://127.0.0.1:9/a.wav")
    assert error.kind == "unreadable"
    assert "\n" not in error.message


def test_no_room_for_it_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(RunError, match="TMPDIR"):
        open_audio("https://host/a.wav")


def test_a_slow_server_may_take_its_time(tmp_path: Path, slow_site: str) -> None:
    np.testing.assert_array_equal(decoded(f"{slow_site}/a.wav"), decoded(str(tmp_path / "a.wav")))


@pytest.mark.parametrize("path", ["never", "stalls"])
def test_a_server_that_sends_nothing_is_given_up_soon(slow_site: str, path: str) -> None:
    begun = time.monotonic()
    error = refusal(f"{slow_site}/{path}.wav")
    assert time.monotonic() - begun < 6
    assert (error.kind, "PEAUDIO_MAX_STALL_SECONDS" in error.message) == ("unreadable", True)


def test_a_file_system_that_hangs_is_given_up_soon(
    bucket: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEAUDIO_MAX_STALL_SECONDS", "0.5")
    released = threading.Event()
    bucket(lambda copy: released.wait())
    assert "PEAUDIO_MAX_STALL_SECONDS" in refusal("s3://bucket/a.wav").message
    released.set()


def test_a_file_system_that_writes_is_waited_for(
    bucket: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = write_tone(tmp_path / "a.wav").read_bytes()

    def write(copy: str) -> None:
        with open(copy, "wb", buffering=0) as file:
            for begin in range(0, len(content), 1 + len(content) // 8):
                threading.Event().wait(0.2)
                file.write(content[begin : begin + 1 + len(content) // 8])

    monkeypatch.setenv("PEAUDIO_MAX_STALL_SECONDS", "1")
    bucket(write)
    assert len(decoded("s3://bucket/a.wav")) == 48_000


def make_folder(copy: str) -> None:
    Path(copy).mkdir()


def fail_with(error: BaseException) -> Callable[[str], None]:
    def fail(copy: str) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("get", "said"),
    [
        (make_folder, "it is a folder"),
        (lambda copy: None, "it is a folder"),
        (fail_with(IsADirectoryError(21, "Is a directory")), "it is a folder"),
        (fail_with(asyncio.CancelledError()), "CancelledError"),
        (fail_with(RuntimeError("one\ntwo")), "one two"),
        (fail_with(SystemExit(3)), "cannot be fetched"),
        (fail_with(RecursionError("too deep")), "too deep"),
        (fail_with(PermissionError(13, "Forbidden")), "Forbidden"),
    ],
)
def test_a_folder_and_odd_failures_are_one_error(
    bucket: Callable[[Any], None], get: Callable[[str], None], said: str
) -> None:
    bucket(get)
    error = refusal("s3://bucket/a")
    assert (error.file, error.kind) == ("s3://bucket/a", "unreadable")
    assert said in error.message
    assert "\n" not in error.message


def test_what_a_server_says_is_told_in_part(bucket: Callable[[Any], None]) -> None:
    bucket(fail_with(ValueError("a bad status line: " + 100_000 * "x")))
    begin = time.thread_time()
    assert len(refusal("s3://bucket/a").message) < 500
    assert time.thread_time() - begin < 2


# Which addresses


@pytest.mark.parametrize(
    "prefix",
    [
        *("file://", "FILE://", "local://", "reference://", "memory://", "ftp://", "github://", "data://", "dask://"),
        *(
            "simplecache::file://",
            "filecache::https://host/a::file://",
            "https://host/a.zip::file://",
            "zip://a::file://",
        ),
        *("reference::file://", "s3://bucket/::file://", "dir::file://", "gopher-plus://"),
    ],
)
def test_no_other_kind_of_address_is_read(tmp_path: Path, prefix: str) -> None:
    address = prefix + str(write_tone(tmp_path / "a.wav"))
    assert find_recordings([address]) == [address]
    error = refusal(address)
    assert (error.kind, error.file) == ("unreadable", address)
    assert ": " in error.message


def test_the_colons_of_an_ipv6_address_chain_nothing() -> None:
    pytest.importorskip("aiohttp")
    assert "cannot be fetched" in refusal("http://[::1]:9/a.wav").message


@pytest.mark.parametrize("scheme", SCHEMES)
def test_these_kinds_are_asked_for(bucket: Callable[[Any], None], scheme: str, tmp_path: Path) -> None:
    content = write_tone(tmp_path / "a.wav").read_bytes()
    bucket(lambda copy: Path(copy).write_bytes(content))
    assert len(decoded(f"{scheme.upper()}://place/a.wav")) == 48_000


def test_what_is_at_an_address_is_not_looked_for_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recordings(["s3://bucket/*.wav", "https://host/a.wav"]) == ["s3://bucket/*.wav", "https://host/a.wav"]
    write_tone(tmp_path / "s3:" / "bucket" / "a.wav")
    assert find_recordings(["s3:"]) == ["s3:/bucket/a.wav"]
    assert len(decoded("s3://bucket/a.wav")) == 48_000


# What grants access


@pytest.mark.parametrize(
    ("full", "name"),
    [
        (SIGNED, "https://bucket.s3.amazonaws.com/a%20b.wav"),
        ("https://alice:pa%40ss@host:8443/a.wav", "https://host:8443/a.wav"),
        ("https://ghp_token@host/a.wav", "https://host/a.wav"),
        ("https://al@ice:p@ss@host/a.wav", "https://host/a.wav"),
        ("s3://KEY:SECRET@bucket/a?b.wav", "s3://bucket/a?b.wav"),
        ("az://box@account.dfs.core.windows.net/a.wav", "az://box@account.dfs.core.windows.net/a.wav"),
        ("https://a.blob.core.windows.net/c/a.wav?sv=2024&se=2026&sr=b&sp=r&sig=abc%3D", "https://a.blob.core.windows.net/c/a.wav"),
        ("https://storage.googleapis.com/b/a.wav?GoogleAccessId=x&Expires=1&Signature=y", "https://storage.googleapis.com/b/a.wav"),
        ("https://d.cloudfront.net/a.wav?Policy=p&Signature=s&Key-Pair-Id=K", "https://d.cloudfront.net/a.wav"),
        ("https://host/get?id=7&access_token=abcd&part=2", "https://host/get?id=7&part=2"),
        ("https://host/get?id=7&TOKEN=abcd#t=3", "https://host/get?id=7#t=3"),
        ("https://host/get?id=7&%74oken=abcd", "https://host/get?id=7"),
        ("https://host/get#access_token=abcd&state=1", "https://host/get#state=1"),
        ("https://host/a.wav;jsessionid=abcd;v=1?id=7", "https://host/a.wav;v=1?id=7"),
        ("https://host/x;sid=abcd/a.wav;%74oken=abcd", "https://host/x/a.wav"),
        ("https://host/get?id=7;token=ab;cd;part=2", "https://host/get?id=7;part=2"),
        ("https://host/get?token=abcd;id=7&part=2", "https://host/get?id=7&part=2"),
        ("https://host/a;b.wav?q=1;2", "https://host/a;b.wav?q=1;2"),
        ("https://host/get?id=7&expires=never", "https://host/get?id=7&expires=never"),
        ("https://host/get?author=eve&q=a%20b&&", "https://host/get?author=eve&q=a%20b&&"),
        ("simplecache::https://a:b@host/a.wav", "simplecache::https://host/a.wav"),
        ("https://[::1]:80/a.wav", "https://[::1]:80/a.wav"),
        ("https://alice:pa/ss@host/a.wav", "https://host/a.wav"),
        ("https://alice:p#a?s@s@host/a.wav?q=1", "https://host/a.wav?q=1"),
        ("https://host:80/a@b.wav", "https://host:80/a@b.wav"),
        ("https://host:/a@b.wav", "https://host:/a@b.wav"),
        ("hf://datasets/some/thing@main/a.wav", "hf://datasets/some/thing@main/a.wav"),
    ],
)  # fmt: skip
def test_a_recording_is_called_by_its_address_without_what_grants_access(full: str, name: str) -> None:
    (found,) = find_recordings([full])
    assert found == name
    assert is_address(name)
    assert isinstance(found, Address)
    assert reached_by(found) == full
    assert Address(name) == name


def test_what_is_reached_survives_a_trip_to_another_process() -> None:
    copied = pickle.loads(pickle.dumps(Address(SIGNED)))
    assert (copied, copied.full) == (Address(SIGNED), SIGNED)
    assert addressed(copied) is copied


SECRETS = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789%+=._~-", min_size=8, max_size=40)


@given(
    user=SECRETS, password=SECRETS, value=SECRETS, name=st.sampled_from(["sig", "token", "X-Amz-Signature", "API_KEY"])
)
def test_no_secret_is_in_a_name(user: str, password: str, value: str, name: str) -> None:
    full = f"https://{user}:{password}@host/a.wav?part=1&{name}={value}&other=2"
    address = Address(full)
    assert address == "https://host/a.wav?part=1&other=2"
    assert Address(address) == address


def test_recordings_that_differ_by_their_secrets_are_told_apart() -> None:
    one, other = "https://host/get?token=one1", "https://host/get?token=two2"
    found = find_recordings([one, other, one, "https://host/b?token=one1"])
    assert found == ["https://host/get", "https://host/get#2", "https://host/get", "https://host/b"]
    assert [reached_by(str_or_error) for str_or_error in found if isinstance(str_or_error, str)][:3] == [
        one,
        other,
        one,
    ]


def test_secrets_open_what_they_guard_and_are_told_to_nobody(tmp_path: Path, guarded_site: str) -> None:
    file = write_tone(tmp_path / "a.wav")
    host = guarded_site.removeprefix("http://")
    full = f"http://alice:{quote('wonder land')}@{host}/a.wav?token=t0psecret"
    np.testing.assert_array_equal(decoded(full), decoded(str(file)))
    for wrong in (full.replace("t0psecret", "wr0ngsecret"), full.replace("wonder", "under")):
        error = refusal(wrong)
        assert error.file == f"http://{host}/a.wav"
        assert "403" in error.message
        for secret in ("alice", "wonder", "under", "t0psecret", "wr0ngsecret"):
            assert secret not in str(error)


def test_what_a_server_has_packed_does_not_grow(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    with contextlib.contextmanager(serving)(Packed) as site:
        fetch(f"{site}/a.wav", str(tmp_path / "copy"))
    assert (tmp_path / "copy").stat().st_size < 100_000
    assert set(Packed.accepted) == {"identity"}


@pytest.mark.parametrize(
    "says",
    [
        lambda full: f"403, message='Forbidden', url='{full}'",
        lambda full: f"bad query: {full.partition('?')[2]}",
        lambda full: f"cannot log in as {full.partition('//')[2].partition('@')[0]}",
        lambda full: "cannot log in with p@ss word or p%40ss%20word",
    ],
)
def test_what_a_library_says_is_free_of_secrets(bucket: Callable[[Any], None], says: Callable[[str], str]) -> None:
    full = "s3://alice:p%40ss%20word@bucket/a.wav?token=t0p%2Fsecret"
    bucket(fail_with(RuntimeError(says(full))))
    error = refusal(full)
    assert error.__cause__ is None
    for secret in ("alice", "p%40ss", "p@ss", "t0p", "secret"):
        assert secret not in str(error)
