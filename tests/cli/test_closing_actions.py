"""The end of a listening: patient with its actions if the source has ended, and quick if somebody stops it."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest
from live.actions.heard import eventually, heard

from pe_audio_cli.cli.actions import ActionFlags, close_actions, open_actions
from pe_audio_cli.errors import UsageError

needs_posix = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")


def test_the_end_of_a_source_waits_for_what_is_to_be_done(tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text("import sys, time, pathlib; time.sleep(1.5); pathlib.Path(sys.argv[1]).touch()")
    actions = open_actions(ActionFlags(exec=f"'{sys.executable}' '{script}' '{tmp_path / 'done'}'"), frozenset())
    actions.on_start(heard())
    close_actions(actions, lambda: False)
    assert (tmp_path / "done").exists()


@needs_posix
def test_who_stops_it_waits_for_less_than_a_second(tmp_path: Path) -> None:
    """Of what this takes on a busy machine, only the time that is waited for is bounded."""
    actions = open_actions(ActionFlags(exec=f"sh -c 'echo > {tmp_path}/begun; sleep 1000'"), frozenset())
    actions.on_start(heard())
    assert eventually((tmp_path / "begun").exists)
    stopped = threading.Event()
    threading.Timer(0.4, stopped.set).start()  # after which 0.85 of 0.7 s are the actions': 0.995 s in all
    before = time.monotonic()
    close_actions(actions, stopped.is_set)
    assert 0.9 < time.monotonic() - before < 10


@pytest.mark.parametrize(
    ("flags", "given", "message"),
    [
        (ActionFlags(pre_roll=1), {"pre_roll"}, "--pre-roll needs --save-clips"),
        (ActionFlags(post_roll=1), {"post_roll"}, "--post-roll needs --save-clips"),
        (ActionFlags(exec_timeout=1), {"exec_timeout"}, "--exec-timeout needs --exec"),
        (ActionFlags(webhook="gopher://x"), {"webhook"}, "--webhook: the address must begin with http:// or https://"),
    ],
)
def test_flags_without_effect_are_refused(flags: ActionFlags, given: set[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_actions(flags, frozenset(given))
