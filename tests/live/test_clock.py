"""Times do not follow a wall clock that somebody sets, and a sound card's clock is tied to the computer's."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import numpy as np
import pytest

from pe_audio_cli.live.clock import Clock, Drift


def test_a_wall_clock_that_jumps_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    before = clock.iso(5.0)
    for seconds in (-1e6, 1e6):
        jumped = time.time() + seconds
        monkeypatch.setattr(time, "time", lambda jumped=jumped: jumped)
        assert clock.iso(5.0) == before and 0 <= clock.now() < 5


def test_wall_times_have_milliseconds_and_a_zone() -> None:
    clock = Clock(lambda: 7.0, lambda: 1_800_000_000.0)
    moment = datetime.fromisoformat(clock.iso(0.25))
    assert moment.timestamp() == 1_800_000_000.25 and moment.utcoffset() is not None
    assert ".250" in clock.iso(0.25) and clock.now() == 0


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone cannot be set here")
def test_the_zone_is_that_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the night in which summer time ends, an hour's sound takes an hour."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        clock = Clock(lambda: 0.0, lambda: 1_792_889_940.0)  # 2026-10-25, 02:59 CEST
        first, second = clock.iso(0.0), clock.iso(120.0)
        assert first.endswith("02:59:00.000+02:00") and second.endswith("02:01:00.000+01:00")
        assert datetime.fromisoformat(second) - datetime.fromisoformat(first) == timedelta(seconds=120)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("parts_per_million", [-200, -30, 0, 30, 200])
def test_a_clock_that_runs_wrong_is_corrected_for_a_day(parts_per_million: float) -> None:
    random = np.random.default_rng(1)
    drift, corrections, worst = Drift(), 0.0, 0.0
    for block in range(1, 24 * 3600):  # seconds by the sound card
        happened = block * (1 + parts_per_million * 1e-6)
        arrived = happened + 0.05 + random.exponential(0.01)
        corrections += drift.correction(block + corrections, arrived)
        worst = max(worst, abs(block + corrections - happened))
    assert worst < 0.04
    assert (corrections == 0) == (parts_per_million == 0)
