"""The one queue before the encoder: clients take turns, and windows of several requests share a batch.

A call of the encoder is a chunk of at most 10 s of sound, or a window: so a client with an hour of sound delays others
by no more than that. A call runs in the thread that makes it, once it has its turn.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pe_audio_cli.models.encoder import Encoder
from pe_audio_cli.results import Embeddings
from pe_audio_cli.server.tickets import Ticket

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Gate", "GatedEncoder"]

POLL_SECONDS = 0.2  # after which a waiting call notices that nobody wants it any more


class _Call:
    """A call that waits for its turn; one with ``features`` may be answered within another's batch."""

    def __init__(self, ticket: Ticket, features: NDArray[np.float32] | None = None) -> None:
        self.ticket, self.features = ticket, features
        self.ready = threading.Event()
        self.others: list[_Call] | None = None  # of its batch, once it is its turn
        self.outcome: Embeddings | Exception | None = None  # by another's batch

    def fits(self, other: _Call) -> bool:
        """True if the windows of both are of one length."""
        if self.features is None or other.features is None:
            return False
        return self.features.shape[1:] == other.features.shape[1:]


class Gate:
    """Lets ``n_parallel`` calls through at once, one client after the other."""

    def __init__(self, n_parallel: int, batch_size: int = 1) -> None:
        self._free, self._batch_size = n_parallel, batch_size
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, deque[_Call]] = OrderedDict()  # by client; the first is next
        self.seconds = 0.0  # that calls took

    @property
    def n_waiting(self) -> int:
        """The number of calls that wait for their turn."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def run(self, ticket: Ticket, work: Callable[[], Any]) -> Any:
        """Return what ``work`` does, at the client's turn. Raises :class:`GivenUp` if it is not wanted any more."""
        self._wait(call := _Call(ticket))
        assert call.others is not None
        with _Turn(self):
            return work()

    def encode_windows(self, ticket: Ticket, encoder: Encoder, features: NDArray[np.float32]) -> Embeddings:
        """Encode windows at the client's turn, or in a batch with those of others."""
        self._wait(call := _Call(ticket, features))
        if call.others is not None:
            with _Turn(self):
                _encode([call, *call.others], encoder)
        if isinstance(call.outcome, Exception):
            raise call.outcome
        assert call.outcome is not None
        return call.outcome

    def _wait(self, call: _Call) -> None:
        with self._lock:
            self._waiting.setdefault(call.ticket.client, deque()).append(call)
            self._let_through()
        while not call.ready.wait(POLL_SECONDS):
            if call.ticket.reason is not None and self._withdrawn(call):
                call.ticket.check()
        if call.others == [] and call.ticket.reason is not None:  # nobody else waits for what it would do
            self.leave(0.0)
            call.ticket.check()

    def _withdrawn(self, call: _Call) -> bool:
        """Take a call back; False if it is its turn already."""
        with self._lock:
            queue = self._waiting.get(call.ticket.client)
            if queue is None or call not in queue:
                return False
            queue.remove(call)
            if not queue:
                del self._waiting[call.ticket.client]
            return True

    def leave(self, seconds: float) -> None:
        """End a turn, which took so long."""
        with self._lock:
            self._free += 1
            self.seconds += seconds
            self._let_through()

    def _let_through(self) -> None:
        while self._free > 0 and self._waiting:
            self._free -= 1
            call = self._next()
            call.others = self._batch(call)
            call.ready.set()

    def _next(self) -> _Call:
        """Take the first call of the client whose turn it is, who goes to the end of the line."""
        client, queue = self._waiting.popitem(last=False)
        call = queue.popleft()
        if queue:
            self._waiting[client] = queue
        return call

    def _batch(self, call: _Call) -> list[_Call]:
        """Take calls of other clients, or of this one, that fit into a batch with ``call``."""
        if self._batch_size == 1 or call.features is None:
            return []
        room = self._batch_size - len(call.features)
        taken = []
        for client, queue in list(self._waiting.items()):
            first = queue[0]
            if call.fits(first) and first.features is not None and len(first.features) <= room:
                room -= len(first.features)
                taken.append(queue.popleft())
                if not queue:
                    del self._waiting[client]
        return taken


class _Turn:
    """The turn of a call, which ends whatever happens."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *raised: object) -> None:
        self._gate.leave(time.perf_counter() - self._began)


def _encode(calls: Sequence[_Call], encoder: Encoder) -> None:
    """Answer calls together; if that fails, each by itself, for one of them may be at fault."""
    features = [call.features for call in calls if call.features is not None]
    try:
        embeddings = encoder.encode_windows(features[0] if len(features) == 1 else np.concatenate(features))
    except Exception as error:
        if len(calls) == 1:
            calls[0].outcome = error
            calls[0].ready.set()
            return
        for call in calls:
            _encode([call], encoder)
        return
    place = 0
    for call, windows in zip(calls, features, strict=True):
        part = slice(place, place + len(windows))
        call.outcome = Embeddings(embeddings.clips[part], embeddings.frames[part])
        place += len(windows)
        call.ready.set()


class GatedEncoder:
    """An :class:`Encoder` for one request: its calls wait for their turn at the gate."""

    def __init__(self, encoder: Encoder, gate: Gate, ticket: Ticket) -> None:
        self.facts = encoder.facts
        self._encoder, self._gate, self._ticket = encoder, gate, ticket

    def encode_text(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """Text embeddings of shape ``(n_labels, dim)``."""
        self._ticket.check()
        return self._encoder.encode_text(labels)

    def encode_codec(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Codec features, ``(n_frames, width)``, of frames of samples, ``(n_frames, 1920)``."""
        features: NDArray[np.float32] = self._gate.run(self._ticket, lambda: self._encoder.encode_codec(frames))
        return features

    def encode_windows(self, features: NDArray[np.float32]) -> Embeddings:
        """Embeddings of equal windows of codec features, ``(batch, n_frames, width)``; RunError if it fails."""
        return self._gate.encode_windows(self._ticket, self._encoder, features)
