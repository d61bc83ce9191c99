"""Max pooling, to draw many values in few columns without losing the highest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.results import Event

__all__ = ["bars", "peaks"]

ScalarT = TypeVar("ScalarT", bound=np.generic)


def peaks(values: NDArray[ScalarT], n: int) -> NDArray[ScalarT]:
    """``values``, of shape ``(m, ...)``, in at most ``n`` rows, the maxima of ``n`` nearly equal groups of rows."""
    if len(values) <= n:
        return values
    firsts = np.arange(n) * len(values) // n
    pooled: NDArray[Any] = np.maximum.reduceat(values, firsts)
    return pooled


def bars(events: Iterable[Event], resolution: float) -> dict[str, list[tuple[float, float]]]:
    """Return for each label the bars of its events, which come sorted by start, as pairs of start and end.

    Events less than ``resolution`` seconds apart become one bar, so that there are no more bars than the picture has
    room for, however many events there are.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for event in events:
        mine = found.setdefault(event.label, [])
        if mine and event.start - mine[-1][1] < resolution:
            mine[-1] = mine[-1][0], max(mine[-1][1], event.end)
        else:
            mine.append((event.start, event.end))
    return found
