"""Requests that are at the server: how many at once, and how many of one client are worked on."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict, deque
from collections.abc import Iterator

from pe_audio_cli.server.refusals import Refusal

__all__ = ["Lobby"]

SHARE = 0.75  # of all places, that one client may take
SECONDS_EACH = 1  # of waiting that a client is told, for each place that is taken; more or less what a clip takes
LONGEST_WAIT = 30  # seconds that a client is told to wait


class Lobby:
    """Counts requests; all of it is called by the thread of the event loop.

    Args:
        size: the number of requests at once.
        active: the number of requests of one client that are worked on at once, others wait.
    """

    def __init__(self, size: int, active: int) -> None:
        self._size, self._active = size, active
        self._present: Counter[str] = Counter()
        self._busy: Counter[str] = Counter()
        self._waiting: defaultdict[str, deque[asyncio.Future[None]]] = defaultdict(deque)

    @property
    def n_present(self) -> int:
        """The number of requests."""
        return self._present.total()

    @contextlib.contextmanager
    def place(self, client: str) -> Iterator[None]:
        """Hold a place for a request. Raises :class:`Refusal` if there is none left."""
        n_present = self.n_present
        if n_present >= self._size or self._present[client] >= max(1, self._size * SHARE):
            seconds = min(max(1, n_present * SECONDS_EACH), LONGEST_WAIT)
            message = f"{n_present} requests are waiting already: try again in {seconds} s"
            raise Refusal("busy", message, headers={"retry-after": str(seconds)})
        self._present[client] += 1
        try:
            yield
        finally:
            self._less(self._present, client)

    async def enter(self, client: str) -> None:
        """Wait until fewer of the client's requests are worked on than may be; then count as one, until it leaves."""
        while self._busy[client] >= self._active:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[client].append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._waiting[client].remove(turn) if turn in self._waiting[client] else self._call_next(client)
                raise
        self._busy[client] += 1

    def leave(self, client: str) -> None:
        """End the work on a request that has entered."""
        self._less(self._busy, client)
        self._call_next(client)

    def _call_next(self, client: str) -> None:
        queue = self._waiting[client]
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                break
        if not queue:
            del self._waiting[client]

    @staticmethod
    def _less(counter: Counter[str], client: str) -> None:
        counter[client] -= 1
        if counter[client] <= 0:
            del counter[client]
