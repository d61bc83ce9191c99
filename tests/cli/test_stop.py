"""One SIGTERM ends a run within ten seconds, whatever it is doing, and what was finished is kept."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import write_tone

FAKE = Path(__file__).parents[1] / "fake_peaudio.py"
SECONDS = 10.0 + 2.0  # of which the last are for a busy machine

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals are POSIX's")


def start(output: Path, *inputs: str | Path, **environment: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(FAKE), "tag", *map(str, inputs), "-l", "loud", "--window", "4", "-o", str(output)]
    environment = {**os.environ, "PEAUDIO_MAX_STALL_SECONDS": "1000", **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def done(output: Path) -> list[str]:
    """The recordings whose results are on the disk."""
    part = output.with_name(output.name + ".part")
    lines = part.read_text().splitlines() if part.exists() else []
    return [json.loads(line)["file"] for line in lines]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM there")
def test_one_sigterm_ends_what_is_long_what_waits_and_what_does_not_return(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    short, long = write_tone(tmp_path / "short.wav"), write_tone(tmp_path / "long.wav", seconds=120.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/a.wav"
        outputs = [tmp_path / name for name in ("long.jsonl", "waiting.jsonl", "stuck.jsonl")]
        runs = [
            start(outputs[0], short, long, FAKE_SECONDS="1"),
            start(outputs[1], short, address),
            start(outputs[2], short, long, FAKE_FRAMES="50"),
        ]
        try:
            deadline = time.monotonic() + 60
            while not all(done(output) == [str(short)] for output in outputs[:2]) and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(2.0)
            for run in runs:
                assert run.poll() is None, run.communicate()
                run.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            for run in runs:
                _, said = run.communicate(timeout=30)
                assert time.monotonic() - begun < SECONDS
                assert run.returncode == 130, said
                assert b"interrupted" in said
                assert b"Traceback" not in said
        finally:
            for run in runs:
                run.kill()
                run.communicate()
    for output in outputs:
        assert not output.exists()
        assert done(output) in ([str(short)], [])


def test_a_second_signal_ends_what_does_not_return(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    run = start(output, write_tone(tmp_path / "long.wav", seconds=20.0), FAKE_FRAMES="50")
    try:
        deadline = time.monotonic() + 60
        while not output.with_name("out.jsonl.part").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1.5)
        for number in (signal.SIGINT, signal.SIGTERM):
            assert run.poll() is None
            run.send_signal(number)
            time.sleep(0.2)
        begun = time.monotonic()
        _, said = run.communicate(timeout=30)
        assert time.monotonic() - begun < 5
        assert run.returncode == 130, said
    finally:
        run.kill()
        run.communicate()
    assert not output.with_name("out.jsonl.part").exists(), "there is nothing in it"


def test_listening_to_signals_leaves_them_as_they_were(tmp_path: Path) -> None:
    code = """
import signal, threading
from pe_audio_cli.cli.signals import stop_switch
before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
with stop_switch(lambda soon: print("first"), lambda: print("stuck")) as switch:
    signal.raise_signal(signal.SIGTERM)
    assert switch.pressed
assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
assert signal.set_wakeup_fd(-1) == -1
assert threading.active_count() == 1
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "first\n", "")
