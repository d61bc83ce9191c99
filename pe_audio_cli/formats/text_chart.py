"""Charts of times and events as text, in a fixed number of columns."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pe_audio_cli.results import Event

__all__ = ["DAY", "HOUR", "MINUTE", "STEPS", "axis", "clock", "strip"]

MINUTE, HOUR, DAY = 60, 3_600, 86_400  # seconds
SUBSECOND_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
SECOND_STEPS = (1, 2, 5, 10, 15, 30)
MINUTE_STEPS = tuple(MINUTE * minutes for minutes in (1, 2, 5, 10, 15, 30))
HOUR_STEPS = tuple(HOUR * hours for hours in (1, 2, 3, 6, 12, 24))
STEPS = (*SUBSECOND_STEPS, *SECOND_STEPS, *MINUTE_STEPS, *HOUR_STEPS)  # seconds between the ticks of a time axis
TICK_GAP = 2  # columns at least, from the end of one tick's time to the next tick
LEVELS = "▁▂▃▄▅▆▇█"  # equal steps of probability, up to 1


def clock(seconds: float, longest: float, decimals: int = 2) -> str:
    """Return ``seconds`` as ``1.20 s``, ``0:01.20`` or ``0:00:01.20``, in the format of the ``longest`` time."""
    rounded = round(seconds, decimals)
    if longest < MINUTE:
        return f"{rounded:.{decimals}f} s"
    minutes, rest = divmod(rounded, MINUTE)
    tail = f"{rest:0{decimals + 3 if decimals else 2}.{decimals}f}"
    if longest < HOUR:
        return f"{minutes:.0f}:{tail}"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:.0f}:{minutes:02.0f}:{tail}"


def strip(events: Iterable[Event], duration: float, width: int) -> str:
    """Return one label's events as ``width`` characters, each as high as the most probable event in its column."""
    peaks = [0.0] * width
    for event in events:
        first = min(math.floor(event.start / duration * width), width - 1)
        last = min(math.ceil(event.end / duration * width), width)
        for column in range(first, max(last, first + 1)):
            peaks[column] = max(peaks[column], event.probability)
    return "".join(LEVELS[math.ceil(peak * len(LEVELS)) - 1] if peak > 0 else " " for peak in peaks)


def axis(duration: float, width: int) -> tuple[str, str]:
    """Return a ruler of ``width`` columns from 0 to ``duration`` seconds, and the line of times under its ticks."""
    step, decimals = _step(duration, width)
    ruler, times = ["─"] * width, ""
    for tick in range(math.ceil(round(duration / step, 6))):  # 0.14 / 0.02 is a little above 7
        column = math.floor(tick * step / duration * width)
        time = clock(tick * step, duration, decimals)
        ruler[column] = "┬"
        if column + len(time) <= width:
            times = times.ljust(column) + time
    return "".join(ruler), times


def _step(duration: float, width: int) -> tuple[float, int]:
    """Return the shortest step, in seconds, at which the times fit, and their number of decimals."""
    for step in STEPS:
        decimals = 0 if step >= 1 else 1 if step >= 0.1 else 2
        if math.floor(step / duration * width) >= len(clock(duration, duration, decimals)) + TICK_GAP:
            return step, decimals
    return duration, 0
