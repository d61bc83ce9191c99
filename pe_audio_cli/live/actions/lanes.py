"""Work in the background, in lanes: in each, one item at a time and in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from pe_audio_cli._paths import reason
from pe_audio_cli.live.actions.base import Failures

__all__ = ["Lanes"]

ItemT = TypeVar("ItemT")


class Lanes(Generic[ItemT]):
    """Daemon threads that do ``work`` on items, those of different lanes side by side.

    Whoever puts an item never waits. A lane holds ``most_waiting`` items at most; then the oldest gives way, since the
    latest tells how things are now. Both that and an exception of ``work`` is one of the ``failures``.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[ItemT], None],
        failures: Failures,
        *,
        most_waiting: int,
        n_threads: int = 1,
    ) -> None:
        self._name, self._work, self._failures = name, work, failures
        self._most_waiting, self._n_threads = most_waiting, n_threads
        self._changed = threading.Condition()
        self._lanes: dict[str, deque[ItemT]] = {}  # those in which an item waits or is worked on
        self._ready: deque[str] = deque()  # lanes whose next item may begin
        self._n_alive = self._n_idle = 0
        self._closed = False

    def put(self, item: ItemT, lane: str = "") -> None:
        """Have an item worked on; after :meth:`close` it is ignored."""
        with self._changed:
            if self._closed:
                return
            if lane not in self._lanes:
                self._lanes[lane] = deque()
                self._ready.append(lane)
            waiting = self._lanes[lane]
            lost = len(waiting) >= self._most_waiting
            if lost:
                waiting.popleft()
            waiting.append(item)
            self._start_or_wake()
        if lost:
            self._failures.failed(f"{self._most_waiting} events wait for it, the oldest of which are given up")

    def close(self, timeout: float) -> int:
        """Take no more, and give up what is not done after ``timeout`` seconds; return how many items that are."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            if self._changed.wait_for(lambda: not self._lanes, timeout):
                return 0
            n_left = sum(map(len, self._lanes.values()))
            self._ready.clear()
            for waiting in self._lanes.values():
                waiting.clear()
            return n_left

    def _start_or_wake(self) -> None:
        if self._n_idle >= len(self._ready) or self._n_alive == self._n_threads:
            self._changed.notify_all()
            return
        threading.Thread(target=self._run, name=f"peaudio-{self._name}", daemon=True).start()
        self._n_alive += 1

    def _run(self) -> None:
        while (lane := self._next_lane()) is not None:
            with self._changed:
                item = self._lanes[lane].popleft() if self._lanes[lane] else None
            if item is not None:
                self._do(item)
            with self._changed:
                if self._lanes[lane]:
                    self._ready.append(lane)
                else:
                    del self._lanes[lane]
                self._changed.notify_all()

    def _next_lane(self) -> str | None:
        with self._changed:
            self._n_idle += 1
            self._changed.wait_for(lambda: self._ready or self._closed)
            self._n_idle -= 1
            return self._ready.popleft() if self._ready else None

    def _do(self, item: ItemT) -> None:
        try:
            self._work(item)
        except Exception as error:  # whatever it is, the next item may fare better
            self._failures.failed(f"{type(error).__name__}: {reason(error)}")
