"""``peaudio listen`` with actions, in a process of its own: all of them hung, a full disk, and the end in time."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import soundfile
from live.actions.brokers import SmallBroker, serving
from live.actions.heard import eventually, runs

FAKE = Path(__file__).parents[2] / "fake_peaudio.py"
RATE = 48_000
RAW = ("-", "--raw", "s16le,48000,1", "-l", "loud")
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits are POSIX's")


class Start(Protocol):
    def __call__(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]: ...


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a command; none outlives its test."""
    with contextlib.ExitStack() as runs:

        def begin(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
            command = [sys.executable, str(FAKE), "listen", *arguments]
            pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
            run = subprocess.Popen(command, **pipes, **options)
            runs.enter_context(run)
            runs.callback(run.kill)
            return run

        yield begin


def pcm(seconds: float, level: float) -> bytes:
    """Noise of two values: a FLAC of it has a bit for each sample at least."""
    signs = np.random.default_rng(0).choice([-1, 1], round(seconds * RATE))
    return (signs * level * 32_767).astype("<i2").tobytes()


def feed(run: subprocess.Popen[bytes], *sounds: tuple[float, float]) -> None:
    assert run.stdin is not None
    for seconds, level in sounds:
        run.stdin.write(pcm(seconds, level))
    run.stdin.flush()


def events(output: bytes) -> list[str]:
    found = [json.loads(line) for line in output.splitlines()]
    return [each["event"] for each in found if each["type"] == "event"]


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_a_second_whatever_hangs(start: Start, number: signal.Signals, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with socket.create_server(("127.0.0.1", 0)) as silent, serving(SmallBroker(deaf=True)) as broker:
        actions = [
            "--save-clips",
            str(tmp_path / "clips"),
            "--exec",
            f"sh -c 'echo $$ >> {pids}; sleep 1000 & echo $! >> {pids}; wait'",
        ]
        actions += ["--webhook", f"http://127.0.0.1:{silent.getsockname()[1]}/secret"]
        with contextlib.suppress(ImportError):
            import paho.mqtt  # noqa: F401

            actions += ["--mqtt", f"mqtt://me:secret@127.0.0.1:{broker.port}"]
        run = start(*RAW, *actions)
        feed(run, (2, 0.0), (3, 0.06))
        assert eventually(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        run.send_signal(number)
        begun = time.monotonic()
        assert run.stdout is not None and run.stderr is not None
        output, said = run.stdout.read(), run.stderr.read().decode()
        assert run.wait(timeout=10) == 0, said
        assert time.monotonic() - begun < 10  # a second, and the rest for a busy machine
    assert events(output) == ["start", "end"]
    for clip in (tmp_path / "clips").iterdir():  # none where the disk takes longer
        assert soundfile.info(clip).duration > 2
    told = [line.split(": ")[2] for line in said.splitlines()]
    assert len(told) == len(set(told))  # one warning of each action at most
    assert "secret" not in said
    assert eventually(lambda: not any(map(runs, map(int, pids.read_text().split()))))


@posix
def test_a_full_disk_for_clips_is_one_warning_and_events_are_found(start: Start, tmp_path: Path) -> None:
    def small_files() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))

    run = start(*RAW, "--save-clips", str(tmp_path), preexec_fn=small_files)
    sound = [(2.0, 0.0), (2.0, 0.06)] * 3 + [(2.0, 0.0)]
    output, said = run.communicate(b"".join(pcm(*each) for each in sound), timeout=100)
    assert run.returncode == 0
    assert events(output) == ["start", "end"] * 3
    assert list(tmp_path.iterdir()) == []
    (line,) = said.decode().splitlines()
    assert line.startswith(f"peaudio: warning: --save-clips: a clip cannot be written to {tmp_path}: File too large")


def test_clips_hold_the_event_and_commands_are_told(start: Start, tmp_path: Path) -> None:
    script = tmp_path / "note.py"
    script.write_text(
        "import os, sys\n"
        "with open(sys.argv[1], 'a') as file:\n"
        "    names = 'EVENT', 'LABEL', 'CLIP'\n"
        "    print(*[os.environ.get(f'PEAUDIO_{name}', '') for name in names], sep='|', file=file)\n"
    )
    command = f"'{sys.executable}' '{script}' '{tmp_path / 'noted'}'"
    rolls = ["--pre-roll", "0.5", "--post-roll", "0.25"]
    run = start(*RAW, "--save-clips", str(tmp_path / "clips"), *rolls, "--exec", command)
    _, said = run.communicate(pcm(2, 0.0) + pcm(2, 0.06) + pcm(4, 0.0), timeout=100)
    assert (run.returncode, said) == (0, b"")
    (clip,) = (tmp_path / "clips").iterdir()
    assert (tmp_path / "noted").read_text().splitlines() == [
        "start|loud|",
        "end|loud|",
        f"clip|loud|{clip}",
    ]
    samples, _ = soundfile.read(clip, dtype="int16")
    assert len(samples) == round(2.75 * RATE)
    loud = np.abs(samples) > 1_000
    assert loud[24_000:-12_000].all() and not loud[:24_000].any() and not loud[-12_000:].any()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--exec", "sh -c 'x"], "--exec: the command cannot be split"),
        (["--webhook", "ftp://host"], "--webhook: the address must begin with http:// or https:// and a host"),
        (["--pre-roll", "3"], "--pre-roll needs --save-clips"),
    ],
)
def test_faulty_flags_are_refused_before_anything_starts(start: Start, flags: list[str], message: str) -> None:
    run = start(*RAW, *flags)
    output, said = run.communicate(timeout=100)
    assert (run.returncode, output) == (2, b"")
    assert said.decode().startswith(f"peaudio: {message}")
