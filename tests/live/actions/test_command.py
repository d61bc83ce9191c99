"""Commands: no shell, one at a time for each label, bounded in time with all that they start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from live.actions.heard import ODD_LABELS, eventually, notice, runs, warnings

from pe_audio_cli.errors import UsageError
from pe_audio_cli.live.actions.base import Notice
from pe_audio_cli.live.actions.command import Command
from pe_audio_cli.live.records import record_object

# Appends its arguments and the event to a file, as one line that no other process breaks.
NOTE = """
import json, os, sys
event = {name: value for name, value in os.environ.items() if name.startswith("PEAUDIO_")}
with open(sys.argv[1], "ab", buffering=0) as file:
    file.write((json.dumps([sys.argv[2:], event]) + "\\n").encode())
"""
VARIABLES = {f"PEAUDIO_{name.upper()}" for name in notice("end", clip="x").fields()}
posix = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "note.py"
    path.write_text(NOTE)
    return path


def quoted(*arguments: object) -> str:
    return " ".join(f"'{argument}'" for argument in (sys.executable, *arguments))


def noted(path: Path) -> list[tuple[list[str], dict[str, str]]]:
    """The arguments and the event's variables of each run."""
    if not path.exists():
        return []
    runs = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        (arguments, {name[8:]: value for name, value in event.items() if name in VARIABLES})
        for arguments, event in runs
    ]


def test_the_event_is_in_the_environment_and_nothing_is_left_to_a_shell(tmp_path: Path, script: Path) -> None:
    literal = "$HOME `date` $(date) * ; exit 3 | cat > /dev/null && ~"
    command = Command(quoted(script, tmp_path / "noted", literal), 60)
    with warnings() as told:
        command.notify(notice("start"))
        command.notify(notice("end"))
        command.notify(notice("clip", clip="/clips/x y.flac"))
        command.close(60)
    assert noted(tmp_path / "noted") == [
        ([literal], expected(notice("start"))),
        ([literal], expected(notice("end"))),
        ([literal], expected(notice("end")) | {"EVENT": "clip", "CLIP": "/clips/x y.flac"}),
    ]
    assert expected(notice("start"))["STARTED_AT"] == "2026-11-28T12:00:01.000+01:00"
    assert told == []


def expected(of: Notice) -> dict[str, str]:
    """The variables of an event, without what their names begin with: the output's object."""
    shape = record_object(of.event)
    return {name.upper(): str(value) for name, value in shape.items() if name not in ("schema", "type")}


def test_any_label_is_passed_on(tmp_path: Path, script: Path) -> None:
    command = Command(quoted(script, tmp_path / "noted"), 60)
    with warnings() as told:
        for label in ODD_LABELS:
            command.notify(notice(label=label))
        command.close(100)
    assert told == []
    assert {event["LABEL"] for _, event in noted(tmp_path / "noted")} == {
        label.replace("\0", " ") for label in ODD_LABELS
    }


@posix
def test_for_each_label_one_runs_at_a_time_and_others_meanwhile(tmp_path: Path) -> None:
    """Each run notes its beginning and its end; a label's never overlap, two labels' do."""
    note = f'echo "$1 $PEAUDIO_LABEL $PEAUDIO_EVENT" >> {tmp_path}/noted'
    command = Command(f"sh -c 'set -- begin; {note}; sleep 0.3; set -- end; {note}'", 60)
    for label in ("dog", "cat"):
        for kind in ("start", "end"):
            command.notify(notice(kind, label))
    command.close(60)
    lines = (tmp_path / "noted").read_text().splitlines()
    for label in ("dog", "cat"):
        own = [line for line in lines if f" {label} " in line]
        assert own == [f"{edge} {label} {kind}" for kind in ("start", "end") for edge in ("begin", "end")]
    assert {line.split()[0] for line in lines[:2]} == {"begin"}


@posix
def test_one_that_never_ends_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    endless = f"sh -c 'sleep 1000 & echo $! >> {tmp_path}/pids; trap \"\" TERM; echo $$ >> {tmp_path}/pids; sleep 1000'"
    command = Command(endless, 0.3)
    with warnings() as told:
        for _ in range(2):
            command.notify(notice())
        assert eventually(lambda: not command._lanes._lanes)
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 4
    assert eventually(lambda: not any(map(runs, pids)))
    assert len(told) == 1
    assert told[0].startswith("--exec: sh was killed after ")
    assert "1000" not in told[0]  # arguments may hold secrets


@posix
def test_what_is_left_in_the_background_ends_with_the_command(tmp_path: Path) -> None:
    command = Command(f"sh -c 'sleep 1000 & echo $! > {tmp_path}/pid'", 60)
    command.notify(notice())
    command.close(60)
    assert eventually(lambda: not runs(int((tmp_path / "pid").read_text())))


@posix
def test_one_that_may_tidy_up_does(tmp_path: Path) -> None:
    command = Command(f"sh -c 'trap \"touch {tmp_path}/tidied; exit\" TERM; sleep 1000 & wait'", 0.3)
    command.notify(notice())
    assert eventually((tmp_path / "tidied").exists)
    command.close(60)


@posix
def test_at_the_end_everything_is_killed_in_time(tmp_path: Path) -> None:
    command = Command(f"sh -c 'echo $$ >> {tmp_path}/pids; sleep 1000'", 600)
    for label in map(str, range(5)):
        command.notify(notice("start", label))
        command.notify(notice("end", label))
    assert eventually(lambda: (tmp_path / "pids").exists() and len((tmp_path / "pids").read_text().split()) == 5)
    with warnings() as told:
        before = time.monotonic()
        command.close(0.3)
        assert time.monotonic() - before < 5
    assert len(told) == 1
    assert told[0].startswith("--exec: at the end sh was killed, or not begun, for 10 events")
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert eventually(lambda: not any(map(runs, pids)))
    assert len((tmp_path / "pids").read_text().split()) == 5  # no other was begun


@pytest.mark.parametrize(
    ("program", "told_of_it"),
    [
        ("/nowhere/at-all", "/nowhere/at-all cannot be run: No such file or directory"),
        (f"'{sys.executable}' -c 'raise SystemExit(3)'", f"{sys.executable} ended with exit status 3"),
        pytest.param("sh -c 'kill -9 $$'", "sh ended with signal 9", marks=posix),
    ],
)
def test_one_that_fails_is_one_warning(program: str, told_of_it: str) -> None:
    command = Command(program, 60)
    with warnings() as told:
        for number in range(5):
            command.notify(notice(label=str(number)))
        command.close(60)
    assert len(told) == 1
    assert told[0].startswith(f"--exec: {told_of_it}")


def test_what_a_command_prints_is_no_data(capfd: pytest.CaptureFixture[str]) -> None:
    command = Command(quoted("-c", 'import sys; print("out"); print("err", file=sys.stderr)'), 60)
    command.notify(notice())
    command.close(60)
    assert capfd.readouterr().out == ""


def test_a_burst_of_thousands_never_makes_the_caller_wait(tmp_path: Path, script: Path) -> None:
    command = Command(quoted(script, tmp_path / "noted"), 60)
    with warnings() as told:
        before = time.thread_time()
        for number in range(5_000):
            command.notify(notice("start", f"dog {number % 3}"))
        assert time.thread_time() - before < 5
        command.close(0.5)
    assert len(told) == 1
    assert 0 <= len(noted(tmp_path / "noted")) <= 303


@pytest.mark.parametrize(
    ("command", "timeout", "message"),
    [
        ("", 30, "the command is empty"),
        ("  ", 30, "the command is empty"),
        ("sh -c 'true", 30, "No closing quotation"),
        ("true", 0, "must be from 0.1 to 3600 s"),
        ("true", float("inf"), "must be from 0.1 to 3600 s"),
    ],
)
def test_what_cannot_be_run_is_refused_at_the_start(command: str, timeout: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Command(command, timeout)


NEVER_CLOSED = """
import sys, time
from pathlib import Path
from pe_audio_cli.live.actions.base import Notice
from pe_audio_cli.live.actions.command import Command
from pe_audio_cli.live.event import LiveEvent
pids = Path(sys.argv[1])
command = Command(f"sh -c 'sleep 1000 & echo $! > {pids}; wait'", 600)
command.notify(Notice("start", LiveEvent("a dog", 0.0, "", 0.9)))
while not pids.exists() or not pids.read_text():
    time.sleep(0.01)
raise KeyboardInterrupt
"""


@posix
def test_nothing_is_left_of_a_run_that_ends_in_a_hurry(tmp_path: Path) -> None:
    """As by a second Ctrl-C, or on a machine too busy to close everything in time."""
    pids = tmp_path / "pids"
    subprocess.run([sys.executable, "-c", NEVER_CLOSED, str(pids)], capture_output=True, timeout=100)
    assert eventually(lambda: not runs(int(pids.read_text())))
