"""All actions together: what one does wrong stops neither the listening nor the others, and the end comes in time."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from live.actions.heard import eventually, heard, warnings

from pe_audio_cli.live.actions.actions import Actions
from pe_audio_cli.live.actions.base import Failures, Notice
from pe_audio_cli.live.actions.command import Command

SECOND = np.zeros(48_000, np.float32)


class Noting:
    """An action that notes what it is told; ``do`` is done each time, and at the end."""

    def __init__(self, do: Callable[[], object] = lambda: None) -> None:
        self.failures = Failures("--noting")
        self.notices: list[Notice] = []
        self.closed = False
        self._do = do

    def notify(self, notice: Notice) -> None:
        self.notices.append(notice)
        self._do()

    def close(self, timeout: float) -> None:
        self.closed = True
        self._do()


def fail() -> None:
    raise RecursionError("not foreseen")


def test_one_that_raises_is_one_warning_and_the_others_are_told() -> None:
    failing, other = Noting(fail), Noting()
    actions = Actions([failing, other])
    with warnings() as told:
        for _ in range(3):
            actions.on_start(heard())
            actions.on_end(heard(offset=2.0))
        actions.close(10)
    assert [notice.kind for notice in other.notices] == ["start", "end"] * 3
    assert failing.closed and other.closed
    assert len(told) == 1
    assert told[0].startswith("--noting: RecursionError: not foreseen")


def test_the_end_does_not_wait_for_one_that_hangs() -> None:
    go = threading.Event()
    hanging, other = [Noting(), Noting()], Noting()
    for each in hanging:
        each.close = lambda timeout: go.wait()  # type: ignore[method-assign, assignment]
    before = time.monotonic()
    Actions([*hanging, other]).close(0.3)
    assert 0.25 <= time.monotonic() - before < 5
    assert other.closed
    go.set()


def test_a_clip_is_told_to_the_other_actions(tmp_path: Path) -> None:
    noting = Noting()
    actions = Actions([noting])
    actions.save_clips(str(tmp_path), 0.5, 0.5)
    for number in range(3):
        actions.on_audio(SECOND, number)
    actions.on_start(heard(onset=1.0))
    actions.on_end(heard(onset=1.0, offset=2.0))
    assert eventually(lambda: len(noting.notices) == 3)
    actions.on_start(heard("a cat", onset=2.0))
    actions.on_end(heard("a cat", onset=2.0, offset=2.9))  # what comes after it is never heard
    actions.close(30)
    assert [(notice.kind, notice.event.label) for notice in noting.notices] == [
        ("start", "a dog barking"),
        ("end", "a dog barking"),
        ("clip", "a dog barking"),
        ("start", "a cat"),
        ("end", "a cat"),
        ("clip", "a cat"),
    ]
    clips = [notice.clip for notice in noting.notices if notice.kind == "clip"]
    assert {Path(clip) for clip in clips if clip is not None} == set(tmp_path.iterdir())
    assert noting.notices[2].event == heard(onset=1.0, offset=2.0)


def test_a_command_gets_the_clip_that_is_written_at_the_end(tmp_path: Path) -> None:
    """The end of the listening first writes the clips, and then gives commands the rest of the time."""
    script = tmp_path / "note.py"
    script.write_text(
        "import os, sys\n"
        "with open(sys.argv[1], 'a') as file:\n"
        "    file.write(os.environ['PEAUDIO_EVENT'] + os.environ.get('PEAUDIO_CLIP', '') + ',')\n"
    )
    actions = Actions([Command(f"'{sys.executable}' '{script}' '{tmp_path / 'noted'}'", 60)])
    actions.save_clips(str(tmp_path / "clips"), 0, 0)
    actions.on_audio(SECOND, 0)
    actions.on_start(heard(onset=0.5))
    actions.on_end(heard(onset=0.5, offset=0.9))
    actions.close(60)
    (clip,) = (tmp_path / "clips").iterdir()
    assert (tmp_path / "noted").read_text() == f"start,end,clip{clip},"


def test_sound_that_cannot_be_kept_is_one_warning(tmp_path: Path) -> None:
    actions = Actions()
    actions.save_clips(str(tmp_path), 0, 0)
    with warnings() as told:
        for _ in range(3):
            actions.on_audio("no samples", 0.0)  # type: ignore[arg-type]
    assert len(told) == 1
    assert told[0].startswith("--save-clips: ")


def test_without_actions_nothing_happens() -> None:
    actions = Actions()
    actions.on_audio(SECOND, 0)
    actions.on_start(heard())
    actions.on_end(heard(offset=2.0))
    actions.close(0)


@pytest.mark.parametrize("label", ["a dog", "ein Käuzchen"])
def test_notices_are_json(label: str) -> None:
    assert json.loads(json.dumps(Notice("end", heard(label, 1.23456, 2.0)).fields()))["label"] == label
