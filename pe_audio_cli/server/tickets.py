"""The right to be worked for, which a request has until its client goes away or its time is over."""

from __future__ import annotations

import time

from pe_audio_cli.server.refusals import Refusal

__all__ = ["GivenUp", "Ticket"]


class GivenUp(BaseException):
    """Ends the work on a request. No ``Exception``, which would become the error of a recording that is read on."""


class Ticket:
    """The right of one request of a client to be worked for."""

    def __init__(self, client: str, seconds: float) -> None:
        self.client = client
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._reason: Refusal | None = None

    def give_up(self, reason: Refusal) -> None:
        """Let the work end at the next :meth:`check`, in whichever thread; the first reason counts."""
        if self._reason is None:
            self._reason = reason

    @property
    def reason(self) -> Refusal | None:
        """The reason for which the work ends; None if it goes on."""
        if self._reason is None and time.monotonic() > self._deadline:
            message = f"there is no answer after {self._seconds:g} s: send a shorter recording, or raise --timeout"
            self.give_up(Refusal("timeout", message))
        return self._reason

    def check(self) -> None:
        """Raise :class:`GivenUp` if the work is no longer wanted."""
        if self.reason is not None:
            raise GivenUp
