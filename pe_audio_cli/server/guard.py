"""The right to ask: the host that a request names, the origin of the page that sends it, and the token.

A page from anywhere can let a browser send requests to this machine. Such requests name their origin, or, once the
page's own name has been made to lead here (DNS rebinding), a foreign host: both are refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pe_audio_cli.server.metrics import Metrics
from pe_audio_cli.server.refusals import Refusal, error_body

__all__ = ["Guard", "is_loopback", "send_refusal"]

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
LINGER_SECONDS = 5.0
CLIENT_GONE = 499  # no answer was sent: nginx's status for that, in metrics
SAFE_SITES = ("same-origin", "none")  # of Sec-Fetch-Site: the page itself, and what a person has typed
# An answer is never a page, unless its route says so by a policy of its own.
HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}


def is_loopback(host: str) -> bool:
    """True for an address, or a name, that only this machine reaches."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses requests of those who may not ask, adds the headers of safety to all answers, and counts them.

    Args:
        app: what answers.
        hosts: the names by which the server may be called, besides those of the loopback address.
        token: what each request must carry as ``Authorization: Bearer``; None where none is needed.
        metrics: what counts.
        paths: the paths that there are; all others are counted as one.
    """

    def __init__(
        self, app: ASGIApp, hosts: Sequence[str], token: str | None, metrics: Metrics, paths: Sequence[str]
    ) -> None:
        self._app, self._metrics = app, metrics
        self._hosts = {name.lower() for name in (*LOOPBACK_NAMES, *hosts)}
        self._token = None if token is None else token.encode()
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, status = time.perf_counter(), CLIENT_GONE

        async def send_safely(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            try:
                self._check(Headers(scope=scope), scope["scheme"])
            except Refusal as refusal:
                await send_refusal(refusal, send_safely, receive)
                return
            await self._app(scope, receive, send_safely)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.request(path, status, time.perf_counter() - began)

    def _check(self, headers: Headers, scheme: str) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _name_of(hosts[0]) not in self._hosts:
            message = "this server is not called by the name in the request: use its address, or add --host-name"
            raise Refusal("wrong-host", message)
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"{scheme}://{hosts[0]}".lower():
            raise Refusal("forbidden", "pages of other origins may not use this server")
        if headers.get("sec-fetch-site", "none") not in SAFE_SITES:
            raise Refusal("forbidden", "pages of other sites may not use this server")
        if self._token is not None and not self._is_known(headers.get("authorization", "")):
            message = "a token is needed: send it as Authorization: Bearer TOKEN; peaudio's commands use PEAUDIO_TOKEN"
            raise Refusal("unauthorized", message, headers={"www-authenticate": "Bearer"})

    def _is_known(self, authorization: str) -> bool:
        kind, _, token = authorization.partition(" ")
        assert self._token is not None
        return hmac.compare_digest(token.strip().encode(), self._token) and kind.lower() == "bearer"


def _name_of(host: str) -> str | None:
    """Return the name in a Host header, without its port; None for what is no host."""
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname if not (parts.path or parts.query or parts.fragment or parts.username) else None
    except ValueError:
        return None


async def send_refusal(refusal: Refusal, send: Send, receive: Receive | None = None) -> None:
    """Send the error object.

    A client that is still sending would see its connection closed, and not read why: with ``receive``, what it sends is
    dropped for :data:`LINGER_SECONDS` at most.
    """
    body = error_body(refusal.error)
    headers = {"content-type": "application/json", "content-length": str(len(body)), **refusal.headers}
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
    if receive is None:
        await send({"type": "http.response.body", "body": body})
        return
    await send({"type": "http.response.body", "body": body, "more_body": True})
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(_drop(receive), LINGER_SECONDS)
    await send({"type": "http.response.body", "body": b""})


async def _drop(receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
