"""The server itself: its socket, and uvicorn with its limits."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Sequence

import uvicorn

from pe_audio_cli._paths import reason
from pe_audio_cli.errors import UsageError
from pe_audio_cli.server.app import make_app
from pe_audio_cli.server.connections import limited
from pe_audio_cli.server.guard import is_loopback
from pe_audio_cli.server.service import Service

__all__ = ["check_safe", "listen", "make_server", "serve"]

BACKLOG = 1_024  # connections that the system holds until they are accepted
KEEP_ALIVE_SECONDS = 30
LAST_SECONDS = 5  # for answers that are being sent when the server is stopped


def check_safe(host: str, token: str | None) -> None:
    """Raise :class:`UsageError` for an address that others reach, without a token."""
    if token is not None and (not token.isascii() or not token.isprintable() or not token.strip()):
        raise UsageError("a token is printable ASCII: choose another, such as the output of openssl rand -hex 32")
    if token is None and not is_loopback(host):
        raise UsageError(
            f"others reach this machine at {host}: set a token, which every request then needs, in PEAUDIO_TOKEN "
            "or with --token"
        )


def listen(host: str, port: int) -> socket.socket:
    """Open the socket. Raises :class:`UsageError` if the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        what = reason(error) if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"cannot listen on {host} port {port} ({what}): choose another with --host or --port"
        ) from error


def make_server(service: Service, hosts: Sequence[str], token: str | None) -> uvicorn.Server:
    """Return the server of an application that is not running yet."""
    config = uvicorn.Config(
        make_app(service, hosts, token),
        loop="asyncio",
        http=limited(service.limits.max_connections),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=LAST_SECONDS,
    )
    return uvicorn.Server(config)


def serve(
    service: Service,
    opened: socket.socket,
    hosts: Sequence[str],
    token: str | None,
    say: Callable[[str], None],
) -> None:
    """Answer requests until a signal stops it."""
    host, port = opened.getsockname()[:2]
    say(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")
    with contextlib.suppress(KeyboardInterrupt), opened:
        make_server(service, hosts, token).run(sockets=[opened])
