"""Connections that bring nothing: a limit of their number and of their time, which uvicorn alone does not have.

uvicorn closes a connection that is idle behind an answer, but waits for ever for the first byte of one, or for the end
of a request's head. Here a head has :data:`HEAD_SECONDS`; and of more connections than there may be, the one that has
been without a request for longest is closed, so that a new one always gets through.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["HEAD_SECONDS", "limited"]

HEAD_SECONDS = 10.0  # for the head of a request to arrive


def limited(most: int, head_seconds: float = HEAD_SECONDS) -> type[H11Protocol]:
    """Return uvicorn's protocol with at most so many connections."""
    idle: dict[Any, None] = {}  # connections without a request, the oldest first
    every: set[Any] = set()

    class Limited(H11Protocol):
        """A connection."""

        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            every.add(self)
            self._wait()
            if len(every) > most:
                for each in [each for each in every if each.transport.is_closing()]:  # whose client reads nothing
                    each._close()
            while len(every) > most and idle:
                next(iter(idle))._close()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            super().connection_lost(exc)

        def handle_events(self) -> None:
            cycle = self.cycle
            super().handle_events()
            if self.cycle is not cycle:
                self._work()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self in every and self.cycle is not None and self.cycle.response_complete:
                self._wait()

        def _wait(self) -> None:
            """Begin to wait for a request."""
            idle[self] = None
            self._stop_timer()
            self._timer = self.loop.call_later(head_seconds, self._close)

        def _work(self) -> None:
            """A request is there."""
            idle.pop(self, None)
            self._stop_timer()

        def _close(self) -> None:
            self._forget()
            self.transport.abort()

        def _forget(self) -> None:
            every.discard(self)
            idle.pop(self, None)
            self._stop_timer()

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Limited
