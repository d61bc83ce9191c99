"""Indexing that is killed, in processes of their own: the index is whole at every moment, and the same in the end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from support import write_tone

N_KILLS = 20
N_SOUNDS = 150
PEAUDIO = [sys.executable, str(Path(__file__).parents[1] / "fake_peaudio.py")]


def start(*arguments: str | Path, seconds: float = 0.0) -> subprocess.Popen:
    environment = {**os.environ, "FAKE_SECONDS": str(seconds)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # A shell that runs the suite in the background has it ignore Ctrl-C, and so would its children.
    listen = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    return subprocess.Popen([*PEAUDIO, "index", *map(str, arguments)], env=environment, **pipes, **listen)


def finish(*arguments: str | Path) -> tuple[int, str]:
    with start(*arguments) as process:
        _, err = process.communicate(timeout=100)
    return process.returncode, err.decode()


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    """Short recordings, every tenth of them of three windows, every seventh none at all."""
    folder = tmp_path_factory.mktemp("sounds")
    for index in range(N_SOUNDS):
        file = write_tone(
            folder / f"{index:03}.wav", seconds=2.5 if index % 10 == 0 else 0.1, level=0.005 * (index + 1)
        )
        if index % 7 == 3:
            file.write_text("no recording")
    return folder


def content(index: Path) -> list[tuple]:
    with duckdb.connect(index, read_only=True) as connection:
        about = connection.sql("SELECT * EXCLUDE (state) FROM about").fetchall()
        clips = 'SELECT file, start, "end", duration, embedding FROM clips ORDER BY file, start'
        return [*about, *connection.sql(clips).fetchall()]


def stage(index: Path) -> list[float]:
    """Something that changes with every transaction."""
    files = [index.with_name(index.name + end) for end in ("", ".wal", ".part", ".vectors")]
    return [file.stat().st_mtime for file in files if file.exists()]


def kill_in_the_middle(process: subprocess.Popen, index: Path, dice: random.Random) -> None:
    """Kill -9 within some milliseconds of the transaction that comes after a few others, if the run is that long."""
    before, left = stage(index), dice.randrange(8)
    while process.poll() is None and left > 0:
        time.sleep(0.001)
        if stage(index) != before:
            before, left = stage(index), left - 1
    time.sleep(dice.uniform(0, 0.02))
    process.kill()
    process.communicate()


@pytest.mark.timeout(300)
def test_an_index_killed_again_and_again_ends_like_one_that_was_not(sounds, tmp_path):
    whole, target = tmp_path / "whole", tmp_path / "killed"
    assert finish(sounds, "--index", whole, "--window", "1", "-q")[0] == 1
    windows = {row[:3] for row in content(whole)[1:]}
    dice = random.Random(0)
    counts = []
    for _ in range(N_KILLS):
        with start(sounds, "--index", target, "--window", "1", seconds=0.004) as process:
            kill_in_the_middle(process, target, dice)
        assert process.returncode == -signal.SIGKILL
        if target.exists():
            there = {row[:3] for row in content(target)[1:]}
            paths = {path for path, _, _ in there}
            assert there == {window for window in windows if window[0] in paths}, "half of a recording"
            counts.append(len(paths))
    assert counts == sorted(counts), "what was done was lost"
    assert len(set(counts)) > 5, "hardly any kill came in the middle: the test shows nothing"
    code, err = finish(sounds, "--index", target)
    assert (code, f"{counts[-1]} skipped (done earlier)" in err) == (1, True)
    assert content(target) == content(whole)
    left = sorted(file.name for file in tmp_path.iterdir())
    assert left == ["killed", "killed.vectors", "whole", "whole.vectors"]


def test_the_first_signal_keeps_what_is_done(sounds, tmp_path):
    index = tmp_path / "i"
    with start(sounds, "--index", index, seconds=0.05) as process:
        while not index.exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"what is done is kept in {index}: run the same again to go on" in err.decode()
    assert 1 < len(content(index)) < N_SOUNDS
    assert finish(sounds, "--index", index, "-q")[0] == 1
    assert len(content(index)) == 1 + N_SOUNDS - len(range(3, N_SOUNDS, 7))


def test_an_index_that_is_being_made_is_in_use(sounds, tmp_path):
    index = tmp_path / "i"
    with start(sounds, "--index", index, seconds=0.05) as process:
        while not index.exists():
            time.sleep(0.01)
        code, err = finish(sounds, "--index", index)
        process.kill()
    assert code == 2
    assert err == f"peaudio: {index} is in use by process {process.pid}: wait until it is done\n"


def test_of_two_runs_that_begin_at_once_one_makes_the_index_and_the_other_is_refused(sounds, tmp_path):
    index = tmp_path / "i"
    with start(sounds, "--index", index, "-q") as one, start(sounds, "--index", index, "-q") as other:
        said = [process.communicate(timeout=100)[1].decode() for process in (one, other)]
    codes = [one.returncode, other.returncode]
    if codes != [1, 1]:  # or the second came when the first was done
        assert sorted(codes) == [1, 2]
        (refusal,) = said[codes.index(2)].splitlines()
        assert f"by another run (process {(one, other)[codes.index(1)].pid})" in refusal or "in use by" in refusal
    assert len({row[0] for row in content(index)[1:]}) == N_SOUNDS - len(range(3, N_SOUNDS, 7))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["i", "i.vectors"]
