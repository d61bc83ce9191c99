"""What is told of an event, and how often a failure is told."""

from __future__ import annotations

import logging

import pytest
from live.actions.heard import heard, notice, warnings

from pe_audio_cli.live.actions import base
from pe_audio_cli.live.actions.base import Failures, Notice
from pe_audio_cli.live.event import LiveEvent


def test_only_what_is_known_is_told() -> None:
    assert notice("start").fields() == {
        "schema": "peaudio.listen/1",
        "type": "event",
        "event": "start",
        "label": "a dog barking",
        "start": 1.0,
        "started_at": "2026-11-28T12:00:01.000+01:00",
        "probability": 0.9,
    }
    learned = LiveEvent("my dog", 1.0, "S", 0.9, 0.0, "E", taught=True)  # an offset of 0 is one
    assert Notice("clip", learned, "x.flac").fields() == {
        "schema": "peaudio.listen/1",
        "type": "event",
        "event": "clip",
        "label": "my dog",
        "taught": True,
        "start": 1.0,
        "started_at": "S",
        "end": 0.0,
        "ended_at": "E",
        "probability": 0.9,
        "clip": "x.flac",
    }
    assert heard().offset is None


def test_a_streak_is_one_warning_and_its_end_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(base.time, "monotonic", lambda: now)
    caplog.set_level(logging.INFO, "pe_audio_cli")
    failures = Failures("--test")
    failures.succeeded()
    for second in range(100):
        now = 1_000.0 + second
        failures.failed(f"reason {second}")
        failures.succeeded()  # of another label, say
    assert [record.getMessage() for record in caplog.records] == [
        "--test: reason 0 (listening goes on; further failures are not told)"
    ]
    now += base.QUIET_SECONDS
    failures.succeeded()
    failures.succeeded()
    assert [record.getMessage() for record in caplog.records[1:]] == ["--test works again, after 100 that failed"]
    failures.failed("another reason")
    now += 3 * base.QUIET_SECONDS
    failures.failed("the same streak, since nothing has succeeded")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]


def test_a_failure_long_after_a_success_begins_a_streak(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(base.time, "monotonic", lambda: now)
    failures = Failures("--test")
    with warnings() as told:
        failures.failed("once")
        failures.succeeded()
        now += base.QUIET_SECONDS
        failures.failed("again")
    assert [each.partition(" (")[0] for each in told] == ["--test: once", "--test: again"]
