"""Counters of a server, as Prometheus reads them (text format 0.0.4)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

__all__ = ["Metrics"]

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds

Names: TypeAlias = "tuple[tuple[str, str], ...]"


class Metrics:
    """Counts requests, how long they took, and the sound that was encoded; any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[Names] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()
        self._audio_seconds = 0.0

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered; ``path`` is one of the server's own, never the client's."""
        with self._lock:
            self._requests[(("path", path), ("status", str(status)))] += 1
            counts = self._buckets.setdefault(path, [0] * (len(BUCKETS) + 1))
            for place, most in enumerate((*BUCKETS, float("inf"))):
                counts[place] += seconds <= most
            self._seconds[path] += seconds  # type: ignore[assignment]

    def audio(self, seconds: float) -> None:
        """Count sound that was encoded."""
        with self._lock:
            self._audio_seconds += seconds

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """Return all of it as text, with ``gauges``: their help and their value, by their names."""
        with self._lock:
            lines = [*self._lines()]
        for name, (help, value) in gauges.items():
            lines += _metric(name, help, "gauge", [((), value)])
        return "\n".join(lines) + "\n"

    def _lines(self) -> Iterator[str]:
        requests = [(names, float(count)) for names, count in sorted(self._requests.items())]
        yield from _metric("peaudio_requests_total", "Requests that were answered.", "counter", requests)
        audio = [((), self._audio_seconds)]
        yield from _metric("peaudio_audio_seconds_total", "Seconds of sound that were encoded.", "counter", audio)
        name = "peaudio_request_seconds"
        yield from _metric(name, "Time from a request's first byte to the end of its answer.", "histogram", [])
        for path, counts in sorted(self._buckets.items()):
            for most, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
                yield _line(f"{name}_bucket", (("path", path), ("le", most)), count)
            yield _line(f"{name}_sum", (("path", path),), self._seconds[path])
            yield _line(f"{name}_count", (("path", path),), counts[-1])


def _metric(name: str, help: str, kind: str, values: Iterable[tuple[Names, float]]) -> Iterator[str]:
    yield f"# HELP {name} {help}"
    yield f"# TYPE {name} {kind}"
    for names, value in values:
        yield _line(name, names, value)


def _line(name: str, names: Names, value: float) -> str:
    labels = ",".join(f'{key}="{text}"' for key, text in names)
    return f"{name}{{{labels}}} {value:g}" if labels else f"{name} {value:g}"
