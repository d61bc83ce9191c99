"""What a server refuses, and what it survives."""

from __future__ import annotations

import contextlib
import errno
import http.server
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from invoked import Result
from serving import EXAMPLES, Running, running

from pe_audio_cli.server.limits import ServerLimits
from pe_audio_cli.server.refusals import Refusal
from pe_audio_cli.server.tickets import Ticket

DOG = EXAMPLES / "dog.flac"
SHELL_METACHARACTERS = 'a"; \r\nx-injected: yes\r\n\r\n<script>alert(1)</script>.wav'


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def kind(answer: Any) -> str:
    return answer.json()["error"]["kind"]


@contextlib.contextmanager
def busy(server: Running) -> Iterator[None]:
    """All of the encoder's places are taken until the end of the block."""
    over, threads = threading.Event(), []
    for place in range(server.service.n_parallel):
        begun = threading.Event()

        def hold(begun: threading.Event = begun) -> None:
            begun.set()
            over.wait()

        work = (Ticket(f"holder {place}", 600), hold)
        threads.append(threading.Thread(target=server.service.gate.run, args=work))
        threads[-1].start()
        assert begun.wait(30)
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def alive(server: Running) -> bool:
    answer = server.post("/v1/tag", DOG, params={"labels": "rain"})
    return answer.status_code == 200


def noise(seconds: float) -> bytes:
    """A recording that nobody has sent before."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        samples = np.random.default_rng(time.monotonic_ns()).normal(scale=0.01, size=round(seconds * 8000))
        soundfile.write(file.name, samples, 8000)
        return Path(file.name).read_bytes()


# Who may ask


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8765", "localhost@evil", ""])
def test_a_request_for_another_host_is_refused(served: Running, host: str) -> None:
    answer = served.client.get("/v1/models", headers={"host": host})
    assert answer.status_code in (421, 400) and b"mini" not in answer.content


def test_the_hosts_own_names_are_known(served: Running) -> None:
    for host in ("127.0.0.1", f"localhost:{served.port}", "[::1]:80", "LOCALHOST"):
        assert served.client.get("/healthz", headers={"host": host}).status_code == 200
    with running(hosts=["sounds.example"], token="x") as server:
        assert server.client.get("/healthz", headers={"host": "sounds.example:80"}).status_code == 200


def test_requests_of_other_sites_pages_are_refused(served: Running) -> None:
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        answer = served.client.post("/v1/tag", content=DOG.read_bytes(), headers=headers)
        assert (answer.status_code, kind(answer)) == (403, "forbidden")
    for headers in ({"origin": served.url}, {"sec-fetch-site": "same-origin"}):
        assert served.client.get("/healthz", headers=headers).status_code == 200


def test_a_server_with_a_token_wants_it_in_every_request() -> None:
    with running(token="secret") as server:
        for path in ("/", "/healthz", "/metrics", "/openapi.json", "/v1/models", "/v1/search?q=x", "/nothing"):
            for given in ("", "Bearer", "Bearer wrong", "Bearer secre", "Basic secret", "secret", "Bearer s\u00e9cret"):
                headers = {"authorization": given.encode("utf-8")}
                answer = server.client.get(path, headers=headers)
                assert (answer.status_code, kind(answer)) == (401, "unauthorized")
        assert server.client.get("/healthz").status_code == 200
        assert server.client.get("/healthz", headers={"authorization": "bearer secret"}).status_code == 200


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from pe_audio_cli.server import guard

    compared = []
    monkeypatch.setattr(guard.hmac, "compare_digest", lambda *pair: compared.append(pair) or False)
    with running(token="secret") as server:
        assert server.client.get("/healthz").status_code == 401
    assert compared == [(b"secret", b"secret")]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "sounds.example"])
def test_others_reach_no_server_without_a_token(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PEAUDIO_TOKEN", raising=False)
    ran = Result("serve", "--host", host, "--port", "0")
    assert ran.code == 2 and "PEAUDIO_TOKEN" in ran.err
    ran = Result("serve", "--host", host, "--port", "0", "--token", "caf\u00e9")
    assert ran.code == 2 and "ASCII" in ran.err


def test_a_port_that_is_taken_is_told(served: Running) -> None:
    ran = Result("serve", "--port", str(served.port))
    assert ran.code == 2 and "--port" in ran.err and "Traceback" not in ran.err


def test_every_answer_has_the_headers_of_safety(served: Running) -> None:
    for path in ("/", "/healthz", "/nothing", "/openapi.json"):
        headers = served.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "http:" not in policy and "*" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers and "server" not in headers
    page = served.client.get("/").text
    assert "style=" not in page and "<style" not in page and " on" not in page.replace(" over", "").split("<h1")[0]


# Files of the server's machine


@pytest.fixture(scope="module")
def rooted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    """A server with a root, beside which lies what nobody may read."""
    place = tmp_path_factory.mktemp("rooted")
    root = place / "root"
    (root / "inner").mkdir(parents=True)
    for file in (root / "a.flac", root / "inner" / "b.flac", place / "secret.flac"):
        file.write_bytes(DOG.read_bytes())
    if sys.platform != "win32":
        (root / "link.flac").symlink_to(place / "secret.flac")
        (root / "within.flac").symlink_to(root / "a.flac")
        (root / "out").symlink_to(place)
        os.mkfifo(root / "pipe.flac")
    with running(roots=[str(root)]) as server:
        yield server, root


def test_files_below_a_root_are_read(rooted: tuple[Running, Path]) -> None:
    server, root = rooted
    for path in ("a.flac", "inner/b.flac", str(root / "a.flac"), str(root / "inner" / "b.flac")):
        answer = server.client.post("/v1/tag", json={"path": path, "labels": ["rain"]})
        assert (answer.status_code, answer.json()["file"]) == (200, path)


@pytest.mark.skipif(sys.platform == "win32", reason="links need an administrator there")
def test_nothing_else_is_read(rooted: tuple[Running, Path]) -> None:
    server, root = rooted
    others = ["../secret.flac", "inner/../../secret.flac", "inner/../a.flac", str(root.parent / "secret.flac")]
    others += [f"{root}/../secret.flac", "/etc/passwd", "link.flac", "within.flac", "out/secret.flac", "pipe.flac"]
    others += [
        "inner",
        "",
        ".",
        "/",
        "no\0name.flac",
        "x" * 5000,
        "-",
        "https://example.org/a.wav",
        "file:///etc/passwd",
    ]
    said = set()
    for path in others:
        answer = server.client.post("/v1/tag", json={"path": path, "labels": ["rain"]})
        assert (answer.status_code, kind(answer)) == (404, "missing"), path
        said.add(answer.json()["error"]["message"])
    assert len(said) == 1  # whether something is there is not told


def test_a_link_that_replaces_a_folder_meanwhile_is_not_followed(rooted: tuple[Running, Path], tmp_path: Path) -> None:
    """Opening goes from folder to folder: what was looked at is what is opened."""
    if sys.platform == "win32":
        pytest.skip("links need an administrator there")
    _, root = rooted
    from pe_audio_cli.server.roots import Roots

    roots = Roots([root])
    (root / "swapped").symlink_to(tmp_path)
    (tmp_path / "a.flac").write_bytes(DOG.read_bytes())
    with pytest.raises(Refusal):
        roots.open("swapped/a.flac")
    (root / "swapped").unlink()


def test_a_server_without_roots_reads_no_file() -> None:
    with running() as server:
        answer = server.client.post("/v1/tag", json={"path": str(DOG), "labels": ["rain"]})
        assert (answer.status_code, kind(answer)) == (403, "forbidden")
    assert Result("serve", "--root", EXAMPLES / "nothing", "--port", "0").code == 2


class Files(http.server.BaseHTTPRequestHandler):
    """An address that notes who asks."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = DOG.read_bytes()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, *said: object) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    handler = type("Handler", (Files,), {"asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/dog.flac", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_nothing_is_fetched_for_a_client(served: Running, elsewhere: tuple[str, list[str]]) -> None:
    address, asked = elsewhere
    answer = served.client.post("/v1/tag", json={"url": address, "labels": ["rain"]})
    assert (answer.status_code, kind(answer)) == (403, "forbidden")
    assert served.client.post("/v1/tag", json={"path": address, "labels": ["rain"]}).status_code == 404
    assert served.post("/v1/tag", DOG, params={"labels": "rain", "name": address}).status_code == 200
    assert served.post("/v1/tag", b"", params={"labels": "rain", "name": address}).status_code == 400
    assert asked == []


def test_an_address_is_fetched_where_that_is_allowed(elsewhere: tuple[str, list[str]]) -> None:
    pytest.importorskip("aiohttp", reason="addresses need the extra 'ray'")
    address, asked = elsewhere
    with running(allow_urls=True) as server:
        answer = server.client.post("/v1/tag", json={"url": address, "labels": ["rain"]})
        assert answer.status_code == 200 and answer.json()["file"] == address and asked
        for other in ("/etc/passwd", "file:///etc/passwd"):
            assert server.client.post("/v1/tag", json={"url": other, "labels": ["rain"]}).status_code in (400, 422)


# What is uploaded


def test_a_name_is_data_wherever_it_comes_from(served: Running) -> None:
    by_form = served.client.post(
        "/v1/tag", files={"file": (SHELL_METACHARACTERS, DOG.read_bytes())}, data={"labels": "rain"}
    )
    by_query = served.post("/v1/tag", DOG, params={"labels": "rain", "name": SHELL_METACHARACTERS})
    bad = served.post("/v1/tag", b"no sound", params={"labels": "rain", "name": SHELL_METACHARACTERS})
    for answer in (by_form, by_query, bad):
        assert "x-injected" not in answer.headers and "x-injected" in answer.text
        assert answer.headers["content-type"] in ("application/x-ndjson", "application/json")
    assert by_query.json()["file"] == bad.json()["file"] == SHELL_METACHARACTERS
    assert served.post("/v1/tag", DOG, params={"labels": "rain", "name": "../../etc/passwd"}).status_code == 200


def test_an_upload_is_gone_when_the_request_ends(
    served: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    descriptors = Path("/proc/self/fd")

    def ask() -> None:
        assert alive(served)
        assert served.post("/v1/tag", b"no sound", params={"labels": "rain"}).status_code == 422
        assert served.post("/v1/tag", DOG, params={"unknown": "1"}).status_code == 400
        form = served.client.post("/v1/tag", files={"file": ("a", DOG.read_bytes())}, data={"labels": ","})
        assert form.status_code == 400

    ask()
    before = len(list(descriptors.iterdir())) if descriptors.is_dir() else 0
    for _ in range(5):
        ask()
    assert list(tmp_path.iterdir()) == []
    if descriptors.is_dir():
        until(lambda: len(list(descriptors.iterdir())) <= before)


def test_a_full_disk_is_told_and_survived(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from pe_audio_cli.server import uploads

    class Full:
        def write(self, content: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            pass

    with monkeypatch.context() as patch:
        patch.setattr(uploads, "_temporary_file", Full)
        whole = served.post("/v1/tag", DOG, params={"labels": "rain"})
        form = served.client.post("/v1/tag", files={"file": ("a", DOG.read_bytes())}, data={"labels": "rain"})
    assert [(each.status_code, kind(each)) for each in (whole, form)] == [(507, "no-space")] * 2
    assert alive(served)


# Limits


def test_an_upload_that_is_too_large_is_refused_before_it_has_come() -> None:
    with running(ServerLimits(max_upload=0.5)) as server:
        with server.connect() as connection:
            head = f"POST /v1/tag HTTP/1.1\r\nHost: localhost\r\nContent-Length: {2 << 30}\r\n\r\n"
            connection.sendall(head.encode() + bytes(100_000))
            assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")
        too_much = bytes(2 << 20)
        assert kind(server.post("/v1/tag", too_much)) == "too-large"
        chunks = (bytes(1 << 16) for _ in range(32))  # without a length
        assert kind(server.client.post("/v1/tag", content=chunks)) == "too-large"
        form = server.client.post("/v1/tag", files={"file": ("a", too_much)}, data={"labels": "rain"})
        assert (form.status_code, kind(form)) == (413, "too-large")
        assert alive(server)


def test_a_recording_that_is_too_long_is_refused() -> None:
    with running(ServerLimits(max_length=4)) as server:
        for seconds in (5, 45):
            answer = server.post("/v1/tag", noise(seconds), params={"labels": "rain"})
            assert (answer.status_code, kind(answer)) == (413, "too-long")
        assert server.post("/v1/tag", noise(3), params={"labels": "rain"}).status_code == 200


def test_a_busy_server_says_when_to_come_back() -> None:
    with running(ServerLimits(queue=2)) as server, ThreadPoolExecutor(2) as pool:
        with busy(server):
            waiting = [pool.submit(server.post, "/v1/tag", noise(1), params={"labels": "rain"}) for _ in range(2)]
            until(lambda: "peaudio_requests_present 2" in server.client.get("/metrics").text)
            refused = server.post("/v1/tag", DOG, params={"labels": "rain"})
            assert (refused.status_code, kind(refused)) == (503, "busy") and int(refused.headers["retry-after"]) > 0
            assert server.client.get("/healthz").status_code == 200
        assert [each.result(30).status_code for each in waiting] == [200, 200]
        assert alive(server)


def test_an_answer_has_a_time_limit() -> None:
    with running(ServerLimits(timeout=0.3)) as server, busy(server):
        answer = server.post("/v1/tag", noise(1), params={"labels": "rain"})
        assert (answer.status_code, kind(answer)) == (504, "timeout")


def test_a_client_that_goes_away_stops_costing() -> None:
    with running() as server, busy(server):
        content = noise(1)
        head = f"POST /v1/tag?labels=rain HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
        connections = [server.connect() for _ in range(3)]
        for connection in connections:
            connection.sendall(head.encode() + content)
        until(lambda: server.service.gate.n_waiting == 3)
        for connection in connections:
            connection.close()
        until(lambda: server.service.gate.n_waiting == 0)
        until(lambda: "peaudio_requests_present 0" in server.client.get("/metrics").text)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A server that waits half a second for heads and bodies, and takes eight connections."""
    from pe_audio_cli.server import running as module
    from pe_audio_cli.server.connections import limited

    monkeypatch.setattr(module, "limited", lambda most: limited(most, head_seconds=0.5))
    with running(ServerLimits(upload_timeout=0.5, max_connections=8)) as server:
        yield server


def closed(connection: socket.socket) -> bool:
    """True once the server has closed it; what it says before is dropped."""
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("said", [b"", b"GET /healthz HTTP/1.1\r\nHost: loc", b"\r\n"])
def test_a_head_that_does_not_arrive_costs_a_connection_for_a_moment(impatient: Running, said: bytes) -> None:
    with impatient.connect() as connection:
        connection.sendall(said)
        began = time.monotonic()
        assert closed(connection)
        assert time.monotonic() - began < 20


def test_a_head_that_comes_byte_by_byte_is_cut_off_too(impatient: Running) -> None:
    with impatient.connect() as connection, contextlib.suppress(ConnectionError):
        for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 200:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)
        pytest.fail("it was listened to for 4 s")


def test_a_body_that_does_not_arrive_is_refused(impatient: Running) -> None:
    with impatient.connect() as connection:
        connection.sendall(b"POST /v1/tag HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")
    assert alive(impatient)


def test_connections_that_say_nothing_keep_nobody_out(impatient: Running) -> None:
    held = [impatient.connect() for _ in range(100)]
    try:
        assert alive(impatient)
        assert all(closed(connection) for connection in held)
    finally:
        for connection in held:
            connection.close()
    assert alive(impatient)


def test_a_connection_is_kept_between_requests(impatient: Running) -> None:
    with impatient.connect() as connection:
        for _ in range(3):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
                answer += connection.recv(1 << 16)
            assert answer.startswith(b"HTTP/1.1 200 ")
            time.sleep(0.2)


def test_nonsense_is_survived(served: Running) -> None:
    for said in (
        b"\0" * 1000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"x" * 200_000,
    ):
        with served.connect() as connection, contextlib.suppress(OSError):
            connection.sendall(said)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(4096)
    assert alive(served)
    assert json.loads(served.client.get("/healthz").content)["status"] == "ok"
