"""What is told of an event, and how often a failure is told."""

from __future__ import annotations

import logging

import pytest
from live.actions.heard import heard, warnings

from pe_audio_cli.live.actions import base
from pe_audio_cli.live.actions.base import Failures, Notice
from pe_audio_cli.live.event import LiveEvent
from pe_audio_cli.live.records import record_object


def test_the_object_is_that_of_the_output_with_its_kind_and_the_clip() -> None:
    for kind, event in (("start", heard()), ("end", heard(offset=2.5))):
        assert Notice(kind, event).fields() == record_object(event)  # type: ignore[arg-type]
    learned = LiveEvent("my dog", 1.0, "S", 0.9, taught=True)  # that was cut: it goes on
    assert Notice("clip", learned, "x.flac").fields() == record_object(learned) | {"event": "clip", "clip": "x.flac"}


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
