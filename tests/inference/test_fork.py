"""A process that was forked while recordings are read: it can use the model, and is told what it cannot do."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import multiprocessing, sys
from pe_audio_cli import PeAudioError, load

model = load("mini", threads=2)
files = sys.argv[1:] * 4
running = model.tag(files, ["rain"])
first = next(running)


def go_on(results):
    try:
        next(running)
    except PeAudioError as error:
        results.put(str(error))


def ask_anew(results):
    results.put([result.tags for result in model.tag(files[:1], ["rain", "a phrase that is new there"])])


def load_anew(results):
    results.put([result.tags for result in load("mini").tag(files[:1], ["rain"])])


context = multiprocessing.get_context("fork")
for task in (go_on, ask_anew, load_anew):
    results = context.SimpleQueue()
    child = context.Process(target=task, args=(results,))
    child.start()
    child.join(25)
    if child.exitcode != 0:
        child.kill()
        sys.exit(f"{task.__name__} ends with {child.exitcode}, or hangs")
    said = results.get()
    print(said if task is go_on else abs(said[0][-1].probability) <= 1)
print(sum(1 for _ in running))
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="processes are not forked here")
def test_a_fork_in_the_middle_of_a_run_does_not_hang(tmp_path: Path) -> None:
    recordings = Path(__file__).parents[2] / "examples" / "recordings"
    (tmp_path / "program.py").write_text(PROGRAM)
    ran = subprocess.run(
        [sys.executable, tmp_path / "program.py", recordings / "dog.flac", recordings / "rain.ogg"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(recordings.parents[1]), os.environ.get("PYTHONPATH", "")]),
        },
        capture_output=True,
        text=True,
        timeout=110,
    )
    said = ran.stdout.splitlines()
    assert (ran.returncode, said[1:]) == (0, ["True", "True", "7"]), ran.stdout + ran.stderr
    assert "cannot continue in a forked process" in said[0]
