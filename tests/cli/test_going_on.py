"""Work inside a long recording outlives the run, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

FAKE = Path(__file__).parents[1] / "fake_peaudio.py"
N_CHUNKS = 12  # of ten seconds


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes that are loud now and then."""
    random = np.random.default_rng(0)
    level = np.repeat(random.uniform(0, 1, N_CHUNKS * 5), 2 * 8_000)
    path = tmp_path_factory.mktemp("long") / "long.wav"
    soundfile.write(path, (level * random.normal(0, 0.05, len(level))).astype(np.float32), 8_000, "FLOAT")
    return path


def start(log: Path, *arguments: str | Path, seconds: float = 0.0) -> subprocess.Popen[str]:
    environment = {**os.environ, "FAKE_LOG": str(log), "FAKE_CODEC_SECONDS": str(seconds)}
    command = [sys.executable, str(FAKE), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)


def ended(log: Path, *arguments: str | Path) -> str:
    run = start(log, *arguments)
    _, said = run.communicate(timeout=100)
    assert run.returncode == 0, said
    return said


def wait_for(log: Path, n_chunks: int) -> None:
    deadline = time.monotonic() + 100
    while not (log.exists() and len(log.read_text().splitlines()) >= n_chunks):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def tree(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files if not file.name.endswith(".journal")}


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out/", "shards/"])
def test_a_killed_run_goes_on_inside_the_recording(recording: Path, tmp_path: Path, name: str) -> None:
    whole, target = tmp_path / f"whole-{name}", tmp_path / name
    command = ["localize", recording, "-l", "loud", "--window", "4"]
    command += ["--shard-size", "1"] if name == "shards/" else []
    ended(tmp_path / "log", *command, "-o", f"{tmp_path}/whole-{name}")
    log = tmp_path / "killed"
    with start(log, *command, "-o", f"{tmp_path}/{name}", seconds=0.2) as run:
        wait_for(log, 5)
        run.kill()
    resumed = tmp_path / "resumed"
    ended(resumed, *command, "-o", f"{tmp_path}/{name}", "--resume")
    assert len(resumed.read_text().splitlines()) <= N_CHUNKS - 3
    assert tree(target) == tree(whole)
    assert not list(tmp_path.rglob("*.features"))


def test_two_presses_keep_the_work_and_say_so(recording: Path, tmp_path: Path) -> None:
    log, resumed, output = tmp_path / "stopped", tmp_path / "resumed", tmp_path / "out.jsonl"
    command = ("tag", recording, "-l", "loud", "--window", "4", "-o", output)
    with start(log, *command, seconds=1.5) as run:
        wait_for(log, 5)
        for _ in range(2):
            run.send_signal(signal.SIGINT)
            time.sleep(0.3)
        _, said = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "once more stops at once, and keeps what has been encoded of it" in said
    assert "run the same again with --resume to go on" in said
    ended(resumed, *command, "--resume")
    assert len(resumed.read_text().splitlines()) <= N_CHUNKS - 3
    assert sorted(os.listdir(tmp_path)) == ["out.jsonl", "out.jsonl.journal", "resumed", "stopped"]


def test_an_index_goes_on_inside_a_recording_too(recording: Path, tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    log, resumed, index = tmp_path / "killed", tmp_path / "resumed", tmp_path / "sounds.index"
    command = ("index", recording, "--index", index, "--window", "4")
    with start(log, *command, seconds=0.2) as run:
        wait_for(log, 5)
        run.kill()
    ended(resumed, *command)
    assert len(resumed.read_text().splitlines()) <= N_CHUNKS - 3
    assert not list(tmp_path.glob("*.features"))


def test_a_run_that_starts_again_keeps_nothing_of_the_one_before(recording: Path, tmp_path: Path) -> None:
    log, again, output = tmp_path / "killed", tmp_path / "again", tmp_path / "out.jsonl"
    command = ("localize", recording, "-l", "loud", "--window", "4", "-o", output)
    with start(log, *command, seconds=0.2) as run:
        wait_for(log, 5)
        run.kill()
    ended(again, *command, "--overwrite")
    assert len(again.read_text().splitlines()) == N_CHUNKS
    assert sorted(os.listdir(tmp_path)) == ["again", "killed", "out.jsonl"]
