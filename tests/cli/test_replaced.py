"""Recordings that another process replaces while they are read."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import write_tone

PEAUDIO = [sys.executable, str(Path(__file__).parents[1] / "fake_peaudio.py")]
CODEC_SECONDS = 3.0  # time enough to replace a file while it is encoded


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*PEAUDIO, *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300)


def wait_for(log: Path, process: subprocess.Popen[str]) -> None:
    """Until the codec has begun."""
    while not (log.exists() and log.read_text()):
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize("name", ["o.jsonl", "o.csv", "o"])
def test_a_recording_that_another_process_replaces_is_an_error_and_read_again(tmp_path: Path, name: str) -> None:
    sound, new, log, output = (tmp_path / each for each in ("a.wav", "new.wav", "log", name))
    if not output.suffix:
        output.mkdir()
    write_tone(sound, level=0.1)
    write_tone(new, level=0.9)
    command = ("tag", sound, "-l", "loud", "-o", output)
    environment = {**os.environ, "FAKE_LOG": str(log), "FAKE_CODEC_SECONDS": str(CODEC_SECONDS)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*PEAUDIO, *map(str, command)], env=environment, **pipes) as process:
        wait_for(log, process)
        os.replace(new, sound)
        out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (1, "")
    assert "it changed while it was read" in err
    assert "Traceback" not in err
    assert list(tmp_path.rglob("*.part")) == []

    assert run(*command, "--resume").returncode == 0
    whole = tmp_path / "whole" / name
    whole.mkdir(parents=True) if not output.suffix else whole.parent.mkdir()
    assert run("tag", sound, "-l", "loud", "-o", whole).returncode == 0
    assert files_of(output) == files_of(whole)
    assert list(tmp_path.rglob("*.part")) == []


def files_of(output: Path) -> dict[str, bytes]:
    files = [output] if output.is_file() else sorted(output.iterdir())
    return {file.name: file.read_bytes() for file in files if not file.name.endswith((".lock", ".journal"))}
