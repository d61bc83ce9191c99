"""Webhooks: what is posted, and servers that hang, trickle, redirect, refuse and are not there."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from live.actions.heard import ODD_LABELS, eventually, notice, warnings

from pe_audio_cli.errors import UsageError
from pe_audio_cli.live.actions.webhook import Webhook


@dataclass
class Server:
    """A webhook on localhost; ``answer`` is a status, and where a redirect leads to."""

    answer: tuple[int, str | None] = (204, None)
    posted: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0


@contextlib.contextmanager
def serving(server: Server) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.posted.append((self.path, dict(self.headers), body))
            status, location = server.answer
            self.send_response(status)
            if location is not None:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            server.posted.append((self.path, dict(self.headers), b""))
            self.send_error(400)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server.port = listening.server_port
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serving(Server()) as served:
        yield served


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """A port on localhost at which each connection is given to ``answer``."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connections = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    connections.append(connection)
                    threading.Thread(target=attempt, args=(connection,), daemon=True).start()

        def attempt(connection: socket.socket) -> None:
            with contextlib.suppress(OSError):
                answer(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in connections:
                connection.close()


def test_each_event_is_posted_as_json_in_order(server: Server) -> None:
    webhook = Webhook(f"http://127.0.0.1:{server.port}/hook/a%20b?room=Küche#fragment")
    notices = [notice("start"), notice("end"), notice("clip", clip="x.flac")]
    with warnings() as told:
        for each in notices:
            webhook.notify(each)
        webhook.close(60)
    assert told == []
    assert [path for path, _, _ in server.posted] == ["/hook/a%20b?room=K%C3%BCche"] * 3
    assert [json.loads(body) for _, _, body in server.posted] == [each.fields() for each in notices]
    assert {headers["Content-Type"] for _, headers, _ in server.posted} == {"application/json"}


def test_any_label_is_posted(server: Server) -> None:
    webhook = Webhook(f"http://127.0.0.1:{server.port}")
    for label in ODD_LABELS:
        webhook.notify(notice(label=label))
    webhook.close(60)
    assert [json.loads(body)["label"] for _, _, body in server.posted] == [
        label.replace("\udc80", "?") for label in ODD_LABELS
    ]


def test_user_and_password_are_sent_as_such_and_never_told(server: Server) -> None:
    server.answer = (401, None)
    webhook = Webhook(f"http://me:p%40ss-word@127.0.0.1:{server.port}/token-in-path?key=token-in-query")
    with warnings() as told:
        webhook.notify(notice())
        webhook.close(60)
    (_, headers, _) = server.posted[0]
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"me:p@ss-word"
    assert len(told) == 1
    assert told[0].startswith(f"--webhook: 127.0.0.1:{server.port} answered 401 Unauthorized")
    assert not any(secret in told[0] for secret in ("ss-word", "me:", "token"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(server: Server, status: int) -> None:
    with serving(Server()) as elsewhere:
        server.answer = (status, f"http://127.0.0.1:{elsewhere.port}/secret")
        webhook = Webhook(f"http://127.0.0.1:{server.port}/")
        with warnings() as told:
            webhook.notify(notice())
            webhook.close(60)
        assert elsewhere.posted == []
    assert len(server.posted) == len(told) == 1
    assert f"redirects ({status}), which is not followed" in told[0]
    assert "secret" not in told[0]


def test_a_failing_server_is_one_warning_and_what_comes_later_is_posted(server: Server) -> None:
    server.answer = (503, None)
    webhook = Webhook(f"http://127.0.0.1:{server.port}/")
    with warnings() as told:
        for _ in range(5):
            webhook.notify(notice())
        assert eventually(lambda: len(server.posted) == 5)
        server.answer = (200, None)
        webhook.notify(notice("end"))
        webhook.close(60)
    assert len(server.posted) == 6
    assert len(told) == 1


def never(connection: socket.socket) -> None:
    connection.recv(1)


def trickle(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Endless: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)


def trickle_tls(connection: socket.socket) -> None:
    """A handshake that goes on for ever: a record of 16 KiB, byte by byte."""
    connection.sendall(b"\x16\x03\x03\x40\x00")
    while True:
        connection.sendall(b"\x02")
        time.sleep(0.02)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("answer", [never, trickle, trickle_tls])
def test_a_server_that_hangs_is_given_up_in_time(
    server: Server, scheme: str, answer: Callable[[socket.socket], object]
) -> None:
    with answering(answer) as port, warnings() as told:
        webhook = Webhook(f"{scheme}://127.0.0.1:{port}/", timeout=0.5)
        before = time.monotonic()
        webhook.notify(notice())
        assert eventually(lambda: told)
        assert time.monotonic() - before < 20
        webhook.close(60)
    assert len(told) == 1


def test_a_server_that_hangs_makes_nobody_wait(server: Server) -> None:
    with answering(never) as port, warnings() as told:
        webhook = Webhook(f"http://127.0.0.1:{port}/")
        before = time.thread_time()
        for _ in range(5_000):
            webhook.notify(notice())
        assert time.thread_time() - before < 5
        before = time.monotonic()
        webhook.close(0.3)
        assert time.monotonic() - before < 5
    assert len(told) == 1
    assert "1000 events wait for it" in told[0]


def test_a_burst_of_a_thousand_is_posted(server: Server) -> None:
    webhook = Webhook(f"http://127.0.0.1:{server.port}/")
    with warnings() as told:
        for number in range(1_000):
            webhook.notify(notice(label=str(number)))
        webhook.close(60)
    assert told == []
    assert [json.loads(body)["label"] for _, _, body in server.posted] == list(map(str, range(1_000)))


def test_nobody_there_is_one_warning(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    webhook = Webhook(f"http://127.0.0.1:{port}/")
    with warnings() as told:
        for _ in range(3):
            webhook.notify(notice())
        webhook.close(60)
    assert len(told) == 1
    assert told[0].startswith(f"--webhook: 127.0.0.1:{port} cannot be reached: Connection refused")


@pytest.mark.parametrize("junk", [b"", b"junk\r\n\r\n", b"HTTP/1.1 99999\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_is_no_answer_is_one_warning(server: Server, junk: bytes, scheme: str) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(junk)
        connection.shutdown(socket.SHUT_RDWR)

    with answering(answer) as port, warnings() as told:
        webhook = Webhook(f"{scheme}://127.0.0.1:{port}/")
        for _ in range(2):
            webhook.notify(notice())
        webhook.close(60)
    assert len(told) == 1


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host/",
        "file:///etc/passwd",
        "host/path",
        "",
        "http://",
        "http:///path",
        "http://host:port-secret/",
        "http://host:99999/",
        "http://[::1/",
        "http://ho st/",
        "http://host/\r\nX-Secret: 1",
        f"http://{'x' * 64}.example/",
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(UsageError, match="--webhook: ") as raised:
        Webhook(address)
    assert "secret" not in str(raised.value).lower()
