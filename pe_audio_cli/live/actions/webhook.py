"""Posting each event to an address."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from pe_audio_cli._paths import reason
from pe_audio_cli.live.actions.addresses import Target, parse_target
from pe_audio_cli.live.actions.base import Failures, Notice
from pe_audio_cli.live.actions.lanes import Lanes

__all__ = ["POST_SECONDS", "Webhook"]

POST_SECONDS = 10.0  # for one event, from the connection to the head of the answer
MOST_WAITING = 1_000  # events


class Webhook:
    """Posts each event as a JSON object to an address of ``http`` or ``https``, one at a time and in order.

    An event that cannot be posted is not posted again. Redirects are not followed. Messages name the host alone, since
    the path of a webhook is often its password.
    """

    def __init__(self, address: str, timeout: float = POST_SECONDS) -> None:
        """Raises :class:`UsageError` for an address of another kind, or a faulty one. Connects to nothing."""
        self._target = parse_target(address, "--webhook", ("http", "https"))
        self.failures = Failures("--webhook")
        self._headers = {"Content-Type": "application/json", "User-Agent": "peaudio"} | _authorization(self._target)
        self._timeout = timeout
        self._opener = _opener(self._watch)
        self._queue = Lanes("webhook", self._post, self.failures, most_waiting=MOST_WAITING)

    def notify(self, notice: Notice) -> None:
        """Have the event posted."""
        self._queue.put(notice)

    def close(self, timeout: float) -> None:
        """Post what waits for ``timeout`` seconds at most."""
        n_left = self._queue.close(timeout)
        if n_left:
            self.failures.failed(f"{n_left} events were not posted to {self._target.place} by the end")

    def _post(self, notice: Notice) -> None:
        body = json.dumps(notice.fields(), ensure_ascii=False).encode("utf-8", "replace")
        request = urllib.request.Request(self._target.address, body, self._headers, method="POST")
        limit = self._limit = _TimeLimit(self._timeout)
        what = None
        try:
            with limit, self._opener.open(request, timeout=self._timeout):
                pass
        except Exception as error:  # of sockets, TLS and HTTP, and whatever a socket that is shut meanwhile raises
            is_late = isinstance(getattr(error, "reason", error), TimeoutError)
            what = f"did not answer within {self._timeout:g} s" if is_late else _told(error)
        if limit.is_over:
            what = f"did not answer within {self._timeout:g} s"
        if what is None:
            self.failures.succeeded()
        else:
            self.failures.failed(f"{self._target.place} {what}")

    def _watch(self, connection: http.client.HTTPConnection) -> http.client.HTTPConnection:
        """Pass on a connection that is used for the event in hand."""
        self._limit.connection = connection
        return connection


class _TimeLimit:
    """Shuts a connection when its time is over: a socket's own timeout begins anew with every byte."""

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self.connection: http.client.HTTPConnection | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *raised: object) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        self.is_over = True
        connection = getattr(self.connection, "sock", None)
        if connection is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # also below TLS, which has its own shutdown


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *redirect: Any) -> None:
        return None


def _opener(watch: Callable[[http.client.HTTPConnection], http.client.HTTPConnection]) -> urllib.request.OpenerDirector:
    """An opener that posts to addresses of http and https, by way of the proxy that the environment names, if any.

    It calls ``watch`` with each new connection.
    """

    class Http(urllib.request.HTTPHandler):
        def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(lambda host, **options: watch(http.client.HTTPConnection(host, **options)), request)

    class Https(urllib.request.HTTPSHandler):
        def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(
                lambda host, **options: watch(http.client.HTTPSConnection(host, context=context, **options)), request
            )

    context = ssl.create_default_context()
    return urllib.request.build_opener(Http, Https, _NoRedirects)


def _authorization(target: Target) -> dict[str, str]:
    if target.user is None:
        return {}
    pair = f"{target.user}:{target.password or ''}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _told(error: Exception) -> str:
    """The rest of a sentence that begins with the host; nothing in it comes from the server."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        if 300 <= error.code < 400:
            return f"redirects ({error.code}), which is not followed: name the address that it leads to"
        return f"answered {error.code} {http.client.responses.get(error.code, '')}".rstrip()
    cause = getattr(error, "reason", error)
    return f"cannot be reached: {reason(cause)}" if isinstance(cause, OSError) else f"failed: {type(error).__name__}"
