"""The body of an answer: written in the thread of a request, sent by the thread of the event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import io
from collections.abc import Callable, Iterator
from typing import Any, TextIO, cast

from pe_audio_cli.server.tickets import Ticket

__all__ = ["Pipe", "text_stream"]

BLOCK = 1 << 16  # bytes that are sent at once; an answer that is shorter is sent as a whole, with its length
READY = 4  # blocks that may wait for a slow client
POLL_SECONDS = 0.2


class Pipe:
    """Blocks of bytes from a thread to the event loop."""

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(READY)
        self._block = bytearray()

    def emit(self, content: bytes) -> None:
        """Take bytes, from a thread; waits while the client is slow. Raises :class:`GivenUp` if it has gone."""
        self._block += content
        while len(self._block) >= BLOCK:
            block = bytes(self._block[:BLOCK])
            del self._block[:BLOCK]
            put = asyncio.run_coroutine_threadsafe(self._queue.put(block), self._loop)
            while True:
                try:
                    put.result(POLL_SECONDS)
                    break
                except concurrent.futures.TimeoutError:
                    if self._ticket.reason is not None:
                        put.cancel()
                        self._ticket.check()

    @property
    def rest(self) -> bytes:
        """The bytes that are left when all has been written."""
        return bytes(self._block)

    async def next(self, work: asyncio.Future[Any]) -> bytes | None:
        """Return the next block; None when the work is done and all blocks but the rest are taken."""
        if not self._queue.empty():
            return self._queue.get_nowait()
        getting = asyncio.ensure_future(self._queue.get())
        try:
            await asyncio.wait([getting, work], return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                return getting.result()
            return self._queue.get_nowait() if not self._queue.empty() else None
        finally:
            getting.cancel()


@contextlib.contextmanager
def text_stream(emit: Callable[[bytes], None]) -> Iterator[TextIO]:
    """Provide a stream of text that goes where ``emit`` takes it, with the bytes that standard output would have."""
    raw = cast("io.RawIOBase", _Raw(emit))
    stream = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", newline="\n")
    yield stream
    stream.flush()
    stream.detach()


class _Raw(io.RawIOBase):
    def __init__(self, emit: Callable[[bytes], None]) -> None:
        self._emit = emit

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._emit(bytes(content))
        return len(content)
