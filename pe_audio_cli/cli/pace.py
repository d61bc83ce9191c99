"""The time that the current recording has taken, and a forecast of its end."""

from __future__ import annotations

import time

__all__ = ["Pace", "spoken"]

LEAST = 5.0  # seconds; what takes no longer needs no forecast


class Pace:
    """Follows the current recording, chunk by chunk.

    ``keeps`` tells whether what has been made of it can be gone on with.
    """

    def __init__(self) -> None:
        self.keeps = False
        self._file: str | None = None
        self._began = self._latest = time.monotonic()
        self._fraction = 0.0

    def chunk(self, file: str, fraction: float) -> None:
        """One more chunk is encoded, up to this fraction of the file."""
        now = time.monotonic()
        if file != self._file:
            self._file, self._began = file, self._latest
        self._latest, self._fraction = now, fraction

    def done(self, file: str) -> None:
        """A recording is finished."""
        self._latest = time.monotonic()
        if file == self._file:
            self._file = None

    def stopping(self, soon: bool = False) -> str:
        """Return the message when the run will stop after the current recording, or ``soon`` if that takes too long."""
        spent = time.monotonic() - self._began
        if soon or self._file is None or not 0 < self._fraction <= 1 or spent < LEAST:
            return "stopping after this recording; once more stops at once"
        left = spent * (1 - self._fraction) / self._fraction
        return f"stopping after this recording, in about {spoken(left)}; once more stops at once, and " + (
            "keeps what has been encoded of it" if self.keeps else f"loses what {spoken(spent)} have made of it"
        )


def spoken(seconds: float) -> str:
    """Return a duration in rounded words."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
