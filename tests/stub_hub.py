"""A hub on localhost, for tests: what ``huggingface_hub`` asks of one to fetch a checkpoint, and no more.

As on the real hub, weights and other large files have their SHA-256 for a tag, and can be asked for from some byte on.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 10_000  # bytes from which on a file is kept as a large one


@dataclass
class StubHub:
    """Checkpoints by their hub ids; what it refuses, and where it breaks off, can be set.

    ``asked`` notes each request for a file's content: its name, and the byte from which on.
    """

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    commit: str = COMMIT
    gated: set[str] = field(default_factory=set)
    damaged: bool = False
    failing: bool = False
    breaks_after: int | None = None  # bytes of a large file after which the connection breaks, each time
    stalls: bool = False  # whether it stays open then, and silent
    sizes: dict[str, int] = field(default_factory=dict)  # what is said of a file, if not the truth
    lies: dict[str, dict] = field(default_factory=dict)  # what else is said of one
    etag: str | None = None  # what all files are called in the answer to a request for one
    endless: bool = False  # whether a file is followed by more than there should be
    asked: list[tuple[str, int]] = field(default_factory=list)
    endpoint: str = ""

    def add(self, repo: str, folder: Path, **more: bytes) -> None:
        """Publish a folder."""
        self.repos[repo] = {file.name: file.read_bytes() for file in sorted(folder.iterdir())} | more


class Answer(BaseHTTPRequestHandler):
    """One request."""

    hub: ClassVar[StubHub]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if described := re.fullmatch(r"/api/models/([^/]+/[^/?]+)(?:/revision/([^/?]+))?(?:\?.*)?", self.path):
            self.describe(described[1], described[2])
        else:
            self.send_file()

    def do_HEAD(self) -> None:
        self.send_file()

    def describe(self, repo: str, revision: str | None) -> None:
        if self.hub.failing:
            self.refuse(500)
        elif repo not in self.hub.repos:
            self.refuse(401, "RepoNotFound")
        elif revision not in (None, "main", self.hub.commit):
            self.refuse(404, "RevisionNotFound")
        else:
            files = [self.describe_file(name, content) for name, content in self.hub.repos[repo].items()]
            self.send(json.dumps({"id": repo, "sha": self.hub.commit, "siblings": files}).encode())

    def describe_file(self, name: str, content: bytes) -> dict:
        """A file as the API lists it."""
        size = self.hub.sizes.get(name, len(content))
        lfs = {"lfs": {"sha256": tag(content), "size": size, "pointerSize": 130}} if len(content) >= LARGE else {}
        return {"rfilename": name, "size": size, "blobId": git_id(content), **lfs} | self.hub.lies.get(name, {})

    def send_file(self) -> None:
        asked = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", self.path)
        repo, name = asked.groups() if asked else ("", "")
        content = self.hub.repos.get(repo, {}).get(name)
        if content is None:
            self.refuse(404, "EntryNotFound")
        elif repo in self.hub.gated:
            self.refuse(403, "GatedRepo")
        else:
            self.send(content, name)

    def send(self, content: bytes, name: str | None = None) -> None:
        start = int(re.match(r"bytes=(\d+)-|", self.headers.get("Range", ""))[1] or 0)
        if name is not None and self.command == "GET":
            self.hub.asked.append((name, start))
        self.send_response(206 if start else 200)
        if name is not None and self.hub.endless:
            content += bytes(10_000_000)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("X-Repo-Commit", self.hub.commit if self.hub.etag is None else self.hub.etag)
        self.send_header("ETag", f'"{tag(content) if self.hub.etag is None else self.hub.etag}"')
        self.end_headers()
        if self.command == "HEAD":
            return
        if len(content) >= LARGE and self.hub.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        piece = content[start:][: self.hub.breaks_after if len(content) >= LARGE else None]
        self.wfile.write(piece)
        if start + len(piece) < len(content):
            self.close_connection = True
            if self.hub.stalls:
                self.rfile.read()  # until the other side hangs up

    def refuse(self, status: int, code: str = "") -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def tag(content: bytes) -> str:
    """Return the name of a file in the hub's cache."""
    return hashlib.sha256(content).hexdigest() if len(content) >= LARGE else git_id(content)


def git_id(content: bytes) -> str:
    """Return git's id of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Server(ThreadingHTTPServer):
    """Says nothing of those who hang up in the middle."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextmanager
def serving(hub: StubHub) -> Iterator[StubHub]:
    """The hub, on a port of its own."""
    with Server(("127.0.0.1", 0), type("Answer", (Answer,), {"hub": hub})) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        yield hub
        server.shutdown()
        thread.join()
