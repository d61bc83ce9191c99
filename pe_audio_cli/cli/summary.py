"""The summary at the end of a batch."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pe_audio_cli.results import Outcome

__all__ = ["Summary"]


@dataclass
class Summary:
    """Counts results as they come; ``n_skipped`` is what an earlier run had done."""

    n_done: int = 0
    n_skipped: int = 0
    audio_seconds: float = 0.0
    failures: list[tuple[str, str]] = field(default_factory=list)
    _begin: float = field(default_factory=time.monotonic)

    def add(self, result: Outcome) -> None:
        """Count a result or an error."""
        from pe_audio_cli.results import FileError

        if isinstance(result, FileError):
            self.failures.append((result.file, result.message))
        else:
            self.n_done += 1
            self.audio_seconds += result.recording.duration

    def lines(self) -> Iterator[str]:
        """One line of numbers, then one for each failure."""
        skipped = f", {self.n_skipped} skipped (done earlier)" if self.n_skipped else ""
        speed = f"; {self._speed()}" if self.n_done else ""
        yield f"{self.n_done} done, {len(self.failures)} failed{skipped}{speed}"
        yield from (f"failed: {file}: {message}" for file, message in self.failures)

    def _speed(self) -> str:
        seconds = time.monotonic() - self._begin
        rate = self.audio_seconds / seconds if seconds > 0 else 0
        return f"{_duration(self.audio_seconds)} of audio in {_duration(seconds)}, {rate:.1f} times real time"


def _duration(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.2f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"
