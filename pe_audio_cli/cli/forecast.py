"""The progress and the speed of a run over recordings, and a forecast of its end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

__all__ = ["Forecast", "length_text"]

LEAST_SECONDS = 1.0  # of measuring, before which a speed is a guess


class Forecast:
    """Counts bytes: they are known before a recording is opened, and the time left follows them well.

    A recording whose bytes nobody knows, at an address or in a pipe, counts as much as the others do on average, and
    what an earlier run has done is no measure of this one's speed.
    """

    def __init__(self, files: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` tells seconds."""
        sizes = {file: _bytes(file) for file in files}
        known = [size for size in sizes.values() if size is not None]
        average = sum(known) / len(known) if known else 1.0
        self._weights = {file: average if size is None else max(size, 1) for file, size in sizes.items()}
        self._clock = clock
        self.n_files, self.n_done, self.seconds = len(files), 0, 0.0
        self.total = sum(self._weights[file] for file in files)
        self._done = 0.0  # weight of what is done
        self._under_way: dict[str, tuple[float, float]] = {}  # of each recording in hand, the seconds and the fraction
        # The time, the weight and the seconds from which on speed is measured.
        self._begun: tuple[float, float, float] | None = None
        self._measured = False  # by chunks, not by whole recordings, which an earlier run may have done

    def chunk(self, file: str, seconds: float, fraction: float) -> None:
        """Note that ``seconds`` of a recording were encoded, and that ``fraction`` of its file was read."""
        decoded, _ = self._under_way.get(file, (0.0, 0.0))
        self._under_way[file] = decoded + seconds, min(max(fraction, 0.0), 1.0)
        self.seconds += seconds
        self._begin(measured=True)

    def done(self, file: str) -> None:
        """A recording is finished, for better or worse."""
        weight = self._weights.get(file, 0.0)
        self.n_done += 1
        self._done += weight
        if self._under_way.pop(file, None) is None and self._measured and self._begun is not None:
            since, before, seconds = self._begun  # it was not worked on: as if it had been done before
            self._begun = since, before + weight, seconds
        self._begin(measured=False)

    @property
    def completed(self) -> float:
        """The completed part of ``total``."""
        parts = (fraction * self._weights.get(file, 0.0) for file, (_, fraction) in self._under_way.items())
        return min(self._done + sum(parts), self.total)

    @property
    def seconds_left(self) -> float | None:
        """The remaining seconds at the current speed; None while that is unknown."""
        elapsed, weight, _ = self._since_it_began()
        if elapsed < LEAST_SECONDS or weight <= 0:
            return None
        return (self.total - self.completed) * elapsed / weight

    @property
    def speed(self) -> float | None:
        """Seconds of sound that are encoded in one; None while that is not known."""
        elapsed, _, seconds = self._since_it_began()
        return seconds / elapsed if elapsed >= LEAST_SECONDS and seconds > 0 else None

    @property
    def length(self) -> float | None:
        """About how many seconds all of it lasts, if it is one recording; None while that is not known."""
        if self.n_files != 1 or len(self._under_way) != 1:
            return None
        ((decoded, fraction),) = self._under_way.values()
        return decoded / fraction if 0 < fraction < 1 else None

    def text(self) -> str:
        """The progress on one line."""
        decoded = f"{length_text(self.seconds)} of audio"
        if self.length is not None:
            decoded = f"{length_text(self.seconds)} of about {length_text(self.length)}"
        parts = [f"{self.n_done}/{self.n_files}"] + ([decoded] if self.seconds > 0 else [])
        if self.speed is not None:
            parts.append(f"{self.speed:.{0 if self.speed >= 10 else 1}f} times real time")
        if self.seconds_left is not None:
            parts.append(f"{length_text(self.seconds_left)} left")
        return "  ".join(parts)

    def _begin(self, measured: bool) -> None:
        """Measure from now on, unless that has begun; chunks are a better measure than whole recordings."""
        if self._begun is None or (measured and not self._measured):
            self._begun = self._clock(), self.completed, self.seconds
            self._measured = measured

    def _since_it_began(self) -> tuple[float, float, float]:
        if self._begun is None:
            return 0.0, 0.0, 0.0
        since, weight, seconds = self._begun
        return self._clock() - since, self.completed - weight, self.seconds - seconds


def length_text(seconds: float) -> str:
    """Minutes and seconds, as in 3:20, or hours too, as in 1:03:20."""
    whole = round(seconds)
    minutes = f"{whole // 60 % 60}:{whole % 60:02}" if whole < 3600 else f"{whole // 60 % 60:02}:{whole % 60:02}"
    return minutes if whole < 3600 else f"{whole // 3600}:{minutes}"


def _bytes(file: str) -> int | None:
    """The size of a file; None of what is none, such as an address or standard input."""
    try:
        return os.path.getsize(file) if os.path.isfile(file) else None
    except (OSError, ValueError):
        return None
