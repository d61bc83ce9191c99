"""Tests of real processes: pipes, signals, silence, and interrupted runs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from drawings import png_pixels
from support import REFERENCE, write_tone

PEAUDIO = [sys.executable, str(Path(__file__).parents[1] / "fake_peaudio.py")]
ENVIRONMENT = {**os.environ, "FAKE_SECONDS": "0.05"}


def start(*arguments: str | Path, **more) -> subprocess.Popen:
    pipes = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "env": ENVIRONMENT,
        # A shell that runs the suite in the background has it ignore Ctrl-C, and so would its children.
        "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **more,
    }
    return subprocess.Popen([*PEAUDIO, *map(str, arguments)], **pipes)


def finish(*arguments: str | Path) -> tuple[int, bytes]:
    """Run to the end: exit code and standard error."""
    with start(*arguments) as process:
        _, err = process.communicate(timeout=100)
    return process.returncode, err


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """Recordings that take two seconds to go through together."""
    folder = tmp_path_factory.mktemp("many")
    for index in range(40):
        write_tone(folder / f"{index:02}.wav", seconds=0.8, level=0.01 * (index + 1))
    return folder


def wait_for_lines(file: Path, n_lines: int) -> None:
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_bytes().count(b"\n") >= n_lines):
        assert time.monotonic() < deadline, "nothing was written"
        time.sleep(0.01)


def test_nothing_but_data_reaches_a_pipe_with_the_real_model(many):
    command = [sys.executable, "-c", "from pe_audio_cli.cli.app import main; main()", "tag", "-l", "rain"]
    model = ["--model", str(REFERENCE / "pe-av-tiny")]
    files = [str(many / "00.wav")]
    with subprocess.Popen([*command, *model, *files], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err == b""
    assert [json.loads(line)["schema"] for line in out.splitlines()] == ["peaudio.tag/1"]


def test_a_closed_pipe_ends_quietly(many):
    with start("tag", many, "-l", "rain") as process:
        assert json.loads(process.stdout.readline())["file"].endswith("00.wav")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 0


def test_an_interrupted_run_leaves_no_report(many, tmp_path):
    with start("localize", many, "-l", "loud", "-o", tmp_path / "o.jsonl", "--report", tmp_path / "r.html") as process:
        wait_for_lines(tmp_path / "o.jsonl.part", 3)
        assert (tmp_path / "r.html.part").exists()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    assert {path.name for path in tmp_path.iterdir()} == {"o.jsonl.part", "o.jsonl.journal"}


def test_an_interrupted_run_leaves_whole_pictures_alone(many, tmp_path):
    pictures = tmp_path / "pictures"
    with start("localize", many, "-l", "loud", "-o", tmp_path / "o.jsonl", "--plot", f"{pictures}/") as process:
        wait_for_lines(tmp_path / "o.jsonl.part", 3)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    lines = (tmp_path / "o.jsonl.part").read_text().splitlines()
    done = {f"{Path(json.loads(line)['file']).name}.png" for line in lines}
    assert {path.name for path in pictures.iterdir()} == done
    for name in done:
        assert png_pixels((pictures / name).read_bytes()).shape[1] == 1_200


def test_an_interrupted_run_goes_on_where_it_stopped(many, tmp_path):
    whole, target, part = (tmp_path / name for name in ("whole.jsonl", "out.jsonl", "out.jsonl.part"))
    assert finish("tag", many, "-l", "rain,wind", "-o", whole, "-q") == (0, b"")
    with start("tag", many, "-l", "rain,wind", "-o", target) as process:
        wait_for_lines(part, 3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"--resume" in err
    assert b"Traceback" not in err
    assert not target.exists()
    assert 3 <= part.read_bytes().count(b"\n") < 40

    code, err = finish("tag", many, "-l", "rain,wind", "-o", target)
    assert (code, b"--resume goes on" in err) == (2, True)
    code, err = finish("tag", many, "-l", "rain", "-o", target, "--resume")
    assert (code, b"labels was" in err) == (2, True)

    assert finish("tag", many, "-l", "rain,wind", "-o", target, "--resume", "-q") == (0, b"")
    assert target.read_bytes() == whole.read_bytes()
    assert not part.exists()


def test_a_killed_run_goes_on_where_it_stopped(many, tmp_path):
    whole, target = tmp_path / "whole.csv", tmp_path / "out.csv"
    assert finish("localize", many, "-l", "rain", "-o", whole, "-q") == (0, b"")
    n_lines = whole.read_bytes().count(b"\n")
    for share in (0.1, 0.5):
        with start("localize", many, "-l", "rain", "-o", target, "--resume") as process:
            wait_for_lines(tmp_path / "out.csv.part", int(share * n_lines))
            process.kill()
            process.communicate(timeout=60)
    assert not target.exists()
    assert finish("localize", many, "-l", "rain", "-o", target, "--resume", "-q") == (0, b"")
    assert target.read_bytes() == whole.read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals on Windows")
def test_a_terminal_gets_a_progress_bar_and_a_file_the_data(many, tmp_path):
    import pty

    controller, terminal = pty.openpty()
    data = tmp_path / "out.jsonl"
    with (
        data.open("wb") as out,
        start("tag", many, "-l", "rain", stdout=out, stderr=terminal) as process,
        open(controller, "rb", buffering=0) as screen,
    ):
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # how the end of a terminal shows itself
            while chunk := screen.read(65536):
                shown += chunk
    assert process.returncode == 0
    assert data.read_bytes().count(b"\n") == 40
    assert b"/40" in shown
