"""The live view of ``peaudio listen``: what it shows, and messages beside it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console as RichConsole
from support import LevelEncoder

from pe_audio_cli.cli import console as consoles
from pe_audio_cli.cli.console import Console
from pe_audio_cli.cli.live_view import LiveView, live_view
from pe_audio_cli.inference.tasks.query import Query
from pe_audio_cli.live.clock import Clock
from pe_audio_cli.live.event import LiveEvent
from pe_audio_cli.live.inbox import Sound
from pe_audio_cli.live.listener import Listener, Scene
from pe_audio_cli.options import EventOptions, LiveOptions, PerLabel

LABELS = ("loud", "deaf\x1bening", "very loud")


def listener() -> Listener:
    encoder = LevelEncoder()
    scene = Scene(encoder, Query.ask(encoder, LABELS), PerLabel(EventOptions(0.5)), LiveOptions())
    heard = Listener(scene, Clock(), is_live=True)
    heard.hear(Sound(np.full(48_000, 0.1, np.float32), 1.0))
    return heard


def shown(view: LiveView) -> list[str]:
    console = RichConsole(file=io.StringIO(), width=100)
    console.print(view.table())
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_what_was_heard_last_comes_first_then_what_is_most_probable() -> None:
    view = LiveView(listener(), LABELS, is_shared=False)
    level, *lines = shown(view)
    assert "-20 dB" in level and "lag" in level
    assert [line.split("  ")[0] for line in lines] == ["loud", "very loud", "deaf\\x1bening"]
    view.note(LiveEvent("very loud", 0.0, "2026-11-28T10:00:00.000+00:00", 0.9))
    view.note(LiveEvent("loud", 0.0, "2026-11-28T10:00:00.000+00:00", 0.9, 1.0, "2026-11-28T10:00:01.000+00:00"))
    _, *lines = shown(view)
    assert lines[0].startswith("loud ") and lines[0].endswith("last 10:00:01")
    assert lines[1].startswith("very loud ") and lines[1].endswith("now")


@pytest.mark.parametrize("quiet", [True, False])
def test_it_is_shown_on_a_terminal_only(quiet: bool) -> None:
    with live_view(listener(), LABELS, quiet) as view:
        assert view is None


def test_messages_stand_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []

    class View:
        def print(self, line: str) -> None:
            printed.append(line)

    monkeypatch.setattr(consoles, "_on_terminal", lambda: True)
    console = Console()
    with console.beside(View()):  # type: ignore[arg-type]
        console.warn("a \x1b[2J message")
    assert len(printed) == 1 and "\x1b" not in printed[0] and "message" in printed[0]
