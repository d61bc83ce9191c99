"""The notices that actions get, their protocol, and the messages about their failures."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from pe_audio_cli.live.event import LiveEvent
from pe_audio_cli.live.records import record_object

__all__ = ["Action", "Failures", "Kind", "Notice"]

logger = logging.getLogger(__name__)

QUIET_SECONDS = 60.0

Kind: TypeAlias = Literal["start", "end", "clip"]


@dataclass(frozen=True, slots=True)
class Notice:
    """An event has started, has ended, or its clip has been written, to the path ``clip``."""

    kind: Kind
    event: LiveEvent
    clip: str | None = None

    def fields(self) -> dict[str, Any]:
        """The object of the schema ``peaudio.listen/1``."""
        shape = record_object(self.event) | {"event": self.kind}
        return shape if self.clip is None else shape | {"clip": self.clip}


class Action(Protocol):
    """An action at each event. No method blocks the caller, or raises what the world outside can cause."""

    failures: Failures

    def notify(self, notice: Notice) -> None:
        """Note an event; what is to be done is done by another thread."""

    def close(self, timeout: float) -> None:
        """Do what is left to be done, for ``timeout`` seconds at most, and give up the rest."""


class Failures:
    """Tells the first failure of a streak, and the end of the streak.

    A streak lasts as long as failures follow each other within :data:`QUIET_SECONDS`, whatever succeeds between them,
    and until something has succeeded.
    """

    def __init__(self, action: str) -> None:
        """``action`` is the flag that asked for it, such as ``--webhook``."""
        self._action = action
        self._lock = threading.Lock()  # actions fail in threads of their own
        self._n_in_streak = 0
        self._latest = 0.0  # when something failed
        self._has_succeeded = False  # since then

    def failed(self, what: str) -> None:
        """Log the failure as a warning, if it is the first of its streak."""
        with self._lock:
            if self._has_succeeded and self._is_quiet():
                self._n_in_streak = 0
            self._n_in_streak += 1
            self._latest, self._has_succeeded = time.monotonic(), False
            is_first = self._n_in_streak == 1
        if is_first:
            logger.warning("%s: %s (listening goes on; further failures are not told)", self._action, what)

    def succeeded(self) -> None:
        """Log that it works again, if it has not failed for a while."""
        with self._lock:
            self._has_succeeded = True
            n_failed = self._n_in_streak if self._is_quiet() else 0
            self._n_in_streak -= n_failed
        if n_failed:
            logger.info("%s works again, after %d that failed", self._action, n_failed)

    def _is_quiet(self) -> bool:
        return time.monotonic() - self._latest >= QUIET_SECONDS
