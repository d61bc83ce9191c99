"""Servers that run in this process, each in a thread of its own, for tests."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pe_audio_cli.models.encoder import DeviceOptions
from pe_audio_cli.models.registry import ModelOptions
from pe_audio_cli.server.limits import ServerLimits

if TYPE_CHECKING:
    import httpx2

    from pe_audio_cli.server.service import Service

__all__ = ["EXAMPLES", "Running", "running"]

for module in ("starlette", "uvicorn", "python_multipart", "httpx2"):
    pytest.importorskip(module, reason="a server, and its tests, need the extra 'serve' and httpx2")

EXAMPLES = Path(__file__).parents[1] / "examples" / "recordings"


@dataclass
class Running:
    """A server that runs, and a client of other people's."""

    service: Service
    port: int
    client: httpx2.Client

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, content: bytes | Path | None = None, **more: Any) -> httpx2.Response:
        """Send a recording, and parameters."""
        body = content.read_bytes() if isinstance(content, Path) else content
        return self.client.post(path, content=body, **more)

    def connect(self) -> socket.socket:
        """A connection on which nothing has been said."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


@contextlib.contextmanager
def running(
    limits: ServerLimits | None = None,
    roots: Sequence[str] = (),
    token: str | None = None,
    hosts: Sequence[str] = (),
    prepare: Callable[[Service], None] = lambda service: None,
    **more: Any,
) -> Iterator[Running]:
    """Run a server of the shipped model until the end of the block."""
    import httpx2

    from pe_audio_cli.server.running import listen, make_server
    from pe_audio_cli.server.service import Service

    service = Service(ModelOptions(), DeviceOptions(), limits or ServerLimits(), roots, **more)
    prepare(service)
    with contextlib.closing(service), listen("127.0.0.1", 0) as opened:
        server = make_server(service, hosts, token)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
        thread.start()
        port = opened.getsockname()[1]
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            headers = {} if token is None else {"authorization": f"Bearer {token}"}
            with httpx2.Client(
                base_url=f"http://127.0.0.1:{port}", timeout=90, headers=headers, trust_env=False
            ) as client:
                yield Running(service, port, client)
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()
