"""The times of what happened: seconds since the start, and the wall clock's time of them.

The wall clock is read once, at the start, and a monotonic clock from then on: whoever sets the wall clock meanwhile
moves no event. Sound that is played faster or slower than it is recorded has the time of its samples.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone

__all__ = ["Clock", "Drift"]

WATCHED_SECONDS = 60.0  # of sound, over which the delay of its arrival is compared
TOLERATED_SECONDS = 0.01  # of drift


class Clock:
    """The times of a run: ``monotonic`` and ``wall`` return seconds, the latter since 1970 in UTC."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._monotonic = monotonic
        self._begin, self._wall_begin = monotonic(), wall()

    def now(self) -> float:
        """Seconds since the start."""
        return self._monotonic() - self._begin

    def iso(self, seconds: float) -> str:
        """The local time ``seconds`` after the start, as ISO 8601 with milliseconds and the zone's offset."""
        moment = datetime.fromtimestamp(round(self._wall_begin + seconds, 3), timezone.utc)
        return moment.astimezone().isoformat(timespec="milliseconds")


class Drift:
    """Ties a sound card's clock, which runs too fast or too slow by some millionths, to the computer's.

    Blocks arrive late by varying delays, the least of which are alike from one minute to the next: where they are not,
    the clocks differ.
    """

    def __init__(self) -> None:
        self._usual: float | None = None  # the least delay in the first minute
        self._least = float("inf")
        self._until = WATCHED_SECONDS

    def correction(self, position: float, arrived: float) -> float:
        """Return the seconds by which sound is later than its samples say, beyond what was returned before.

        Args:
            position: seconds of sound so far, with all corrections.
            arrived: seconds at which its last sample arrived.
        """
        self._least = min(self._least, arrived - position)
        if position < self._until:
            return 0.0
        least, self._least, self._until = self._least, float("inf"), position + WATCHED_SECONDS
        if self._usual is None:
            self._usual = least
            return 0.0
        shift = least - self._usual
        return shift if abs(shift) > TOLERATED_SECONDS else 0.0
