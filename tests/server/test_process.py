"""``peaudio serve`` as a process: curl, signals, and a start after a sudden end."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import EXAMPLES

LISTENING = "peaudio: listening on http://127.0.0.1:"
PEAUDIO = Path(sys.executable).with_name("peaudio")


@contextlib.contextmanager
def started(*flags: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server in a process of its own, and its port."""
    with subprocess.Popen(
        [PEAUDIO, "serve", *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stderr is not None
            line = server.stderr.readline()
            assert line.startswith(LISTENING), line
            yield server, int(line.removeprefix(LISTENING))
        finally:
            server.kill()


def curl(*arguments: str) -> bytes:
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    return subprocess.run(["curl", "-sS", "--noproxy", "*", *arguments], capture_output=True, check=True).stdout


def ask(port: int) -> dict:
    body = f"@{EXAMPLES / 'dog.flac'}"
    return json.loads(curl("--data-binary", body, f"http://127.0.0.1:{port}/v1/tag?labels=rain"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_server_answers_curl_ends_on_a_signal_and_starts_again_after_a_kill() -> None:
    with started("--port", "0") as (server, port):
        assert ask(port)["schema"] == "peaudio.tag/1"
        form = curl("-F", f"file=@{EXAMPLES / 'dog.flac'}", "-F", "labels=rain", f"http://127.0.0.1:{port}/v1/tag")
        assert json.loads(form)["file"] == "dog.flac"
        server.kill()
        server.wait(30)
        with started("--port", str(port)) as (again, same):
            assert same == port and ask(port)["tags"]
            again.send_signal(signal.SIGTERM)
            out, err = again.communicate(timeout=60)
            assert (again.returncode, out, err) == (0, "", "")
