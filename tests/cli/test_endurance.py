"""Runs that are killed, starved and interrupted, and recordings of many hours."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support import peak_memory, write_tone

FAKE = Path(__file__).parents[1] / "fake_peaudio.py"
PEAUDIO = [sys.executable, str(FAKE)]
N_KILLS = 50


def start(*arguments: str | Path, seconds: float = 0.0, limit: int | None = None) -> subprocess.Popen:
    """A run in a process of its own, slowed down by ``seconds`` a window, that may write files of ``limit`` bytes."""

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup would leave ignored
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [*PEAUDIO, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "FAKE_SECONDS": str(seconds)},
        preexec_fn=prepare,
    )


def finish(*arguments: str | Path, **more) -> tuple[int, str]:
    with start(*arguments, **more) as process:
        _, err = process.communicate(timeout=100)
    return process.returncode, err.decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Recordings of which every seventh is none."""
    folder = tmp_path_factory.mktemp("batch")
    for index in range(150):
        file = write_tone(folder / f"{index:03}.wav", seconds=0.2 + index % 3 / 10, level=0.005 * (index + 1))
        if index % 7 == 3:
            file.write_text("no recording")
    return folder


def tree(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files if file.name != ".peaudio.journal"}


def kill_in_the_middle(process: subprocess.Popen, journal: Path, dice: random.Random, took: float) -> None:
    """Kill -9 within some milliseconds of a result that comes after a few others, if the run is that long.

    The journal tells when a result is there: how long a process takes to start depends on the machine, and on what else
    it does. One kill in five is by the clock, within the seconds that a run ``took``, and may come before any result.
    """
    if dice.random() < 0.2:
        time.sleep(dice.uniform(0, took))
    else:
        before, left = size(journal), dice.randrange(1, 20)
        while process.poll() is None and left > 0:
            time.sleep(0.001)
            if size(journal) != before:
                before, left = size(journal), left - 1
        time.sleep(dice.uniform(0, 0.03))
    process.kill()
    process.communicate()


def size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out/"])
def test_a_run_that_is_killed_again_and_again_ends_like_one_that_was_not(folder, tmp_path, name):
    dice = random.Random(name)
    command = ("localize", folder, "-l", "loud", "-f", "csv" if "csv" in name else "jsonl")
    begun = time.monotonic()
    assert finish(*command, "-o", f"{tmp_path}/whole-{name}")[0] == 1
    took = time.monotonic() - begun
    target = tmp_path / name
    journal = target / ".peaudio.journal" if name.endswith("/") else tmp_path / f"{name}.journal"
    n_hits = 0
    for _ in range(N_KILLS // 3 + 1):
        before = size(journal)
        with start(*command, "-o", f"{tmp_path}/{name}", "--resume", seconds=0.02) as process:
            kill_in_the_middle(process, journal, dice, took)
        n_hits += size(journal) > before
        if process.returncode == 1:  # it had come to its end: begin again
            journal.unlink()
            subprocess.run(["rm", "-r", str(target)], check=True)
    assert n_hits > N_KILLS // 6, "hardly any kill came in the middle: the test shows nothing"
    assert finish(*command, "-o", f"{tmp_path}/{name}", "--resume")[0] == 1
    assert tree(target) == tree(tmp_path / f"whole-{name.rstrip('/')}")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_ends_after_the_recording_in_hand(folder, tmp_path, stop):
    with start("tag", folder, "-l", "loud", "-f", "jsonl", seconds=0.2) as process:
        first = process.stdout.readline()
        process.send_signal(stop)
        rest, err = process.communicate(timeout=60)
    assert process.returncode == 130
    lines = [first, *rest.splitlines(keepends=True)]
    assert 1 <= len(lines) <= 3
    assert all(json.loads(line) for line in lines)
    assert b"once more stops at once" in err
    assert b"Traceback" not in err


def test_the_second_signal_ends_at_once(tmp_path):
    file = write_tone(tmp_path / "long.wav", seconds=60)
    target = tmp_path / "out.jsonl"
    with start("tag", file, "-l", "loud", "--window", "1", "-o", target, seconds=1.0) as process:
        while not (tmp_path / "out.jsonl.part").exists():
            time.sleep(0.01)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert process.poll() is None, "one signal was enough"
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - begin < 5
    assert not target.exists()


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.json"])
def test_a_full_disk_is_one_error_and_what_was_done_is_kept(folder, tmp_path, name):
    whole, target = tmp_path / f"whole-{name}", tmp_path / name
    command = ("localize", folder, "-l", "loud")
    assert finish(*command, "-o", whole)[0] == 1
    code, err = finish(*command, "-o", target, "-q", limit=6_000)
    assert code == 1
    full = [line for line in err.splitlines() if "cannot write" in line]
    assert len(full) == 1
    assert "--resume" in full[0]
    assert "Traceback" not in err
    assert not target.exists()
    assert finish(*command, "-o", target, "--resume")[0] == 1
    assert target.read_bytes() == whole.read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_behind_standard_output_is_one_error(folder):
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run([*PEAUDIO, "tag", str(folder / "000.wav"), "-l", "x"], stdout=full, stderr=subprocess.PIPE)
    assert ran.returncode == 1
    assert ran.stderr.decode().splitlines() == ["peaudio: cannot write the output: No space left on device"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_refused(folder, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    code, err = finish("tag", folder, "-l", "x", "-o", tmp_path / "locked" / "o.csv")
    assert code == 2
    assert "cannot write" in err


def test_an_input_that_vanishes_while_the_run_goes_on_is_one_error(tmp_path):
    files = [write_tone(tmp_path / f"{index:02}.wav", seconds=0.2) for index in range(40)]
    with start("tag", tmp_path, "-l", "loud", "-q", seconds=0.05) as process:
        process.stdout.readline()
        files[-1].unlink()
        rest, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert json.loads(rest.splitlines()[-1])["error"]["kind"] == "missing"
    assert len(err.splitlines()) == 1


def write_night(path: Path, minutes: int) -> Path:
    """A long recording at 8 kHz: every ten seconds, two seconds of noise."""
    rng = np.random.default_rng(0)
    ten_seconds = np.zeros(80_000, np.float32)
    ten_seconds[30_000:46_000] = 0.2 * rng.standard_normal(16_000)
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_16") as file:
        for _ in range(6 * minutes):
            file.write(ten_seconds)
    return path


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "arguments",
    [("tag", "--per-window"), ("localize", "--frames")],
    ids=" ".join,
)
def test_six_hours_take_no_more_memory_than_ten_minutes(tmp_path, arguments):
    labels = ("-l", "loud,louder,very loud,painful,deafening")
    short, _ = peak_memory(FAKE, *arguments, write_night(tmp_path / "short.wav", 10), *labels)
    long, printed = peak_memory(FAKE, *arguments, write_night(tmp_path / "long.wav", 360), *labels)
    assert json.loads(printed)["duration"] == 6 * 3600
    assert long - short < 50
