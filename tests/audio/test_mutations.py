"""Damaged recordings of every container give one result or one error each: no crash, no hang, no growth.

Each is decoded in a process of its own, which is started anew when it dies or hangs. PEAUDIO_MUTATION_SECONDS says for
how long, PEAUDIO_MUTATION_SEED where the seeds begin. To see what a mutant does, decode what
``mutants.mutant(content, other, seed)`` gives.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest

SCRIPT = Path(__file__).with_name("mutants.py")
ROOT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("PEAUDIO_MUTATION_SECONDS", "40"))
FIRST_SEED = int(os.environ.get("PEAUDIO_MUTATION_SEED", "0"))
CPU_SECONDS = 20.0  # of one mutant; an hour of silence is made in less
WALL_SECONDS = 100.0  # on a busy machine
MEGABYTES = 500.0  # of the process that decodes one after the other


class Decoder:
    """The process that decodes mutants; a context manager."""

    def __init__(self, corpus: Path) -> None:
        command = [sys.executable, str(SCRIPT), "decode", str(corpus)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def ask(self, name: str, seed: int) -> tuple[float, str]:
        """Return the outcome of a mutant, and megabytes; raise RuntimeError if the process dies or hangs."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name} {seed}\n")
        self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=WALL_SECONDS)
        except queue.Empty:
            raise RuntimeError(f"no answer within {WALL_SECONDS:g} s") from None
        if not line:
            raise RuntimeError(f"the process died with {self._process.wait()}")
        answer = json.loads(line)
        outcome = answer["outcome"]
        if answer["cpu"] > CPU_SECONDS:
            outcome = f"took {answer['cpu']:.1f} s"
        return answer["megabytes"], outcome

    def __enter__(self) -> Decoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._reader.join()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(SCRIPT), "corpus", str(folder)], check=True, env=environment, timeout=250)
    return folder


def mutants(names: list[str]) -> Iterator[tuple[str, int]]:
    """Each container in turn, with seeds that go on; -1 stands for the recording as it is."""
    yield from ((name, -1) for name in names)
    seed = FIRST_SEED
    while True:
        for name in names:
            yield name, seed
            seed += 1


@pytest.mark.timeout(SECONDS + 400)
def test_what_is_damaged_by_chance_gives_one_result_or_one_error(corpus: Path) -> None:
    names = sorted(path.name for path in corpus.iterdir())
    assert len(names) > 30
    outcomes: Counter[str] = Counter()
    broken: list[str] = []
    decoder = Decoder(corpus)
    before = 0.0
    deadline = time.monotonic() + SECONDS
    try:
        for name, seed in mutants(names):
            if time.monotonic() > deadline or len(broken) > 20:
                break
            try:
                megabytes, outcome = decoder.ask(name, seed)
            except RuntimeError as error:
                megabytes, outcome = 0.0, str(error)
                decoder.__exit__(None, None, None)
                decoder = Decoder(corpus)
            if before < MEGABYTES < megabytes:
                outcome = f"took {megabytes:.0f} MB"
            before = megabytes
            outcomes[outcome.partition(":")[0]] += 1
            if not outcome.startswith(("decoded", "error ")):
                broken.append(f"{name} {seed}: {outcome}")
    finally:
        decoder.__exit__(None, None, None)
    print(f"seeds from {FIRST_SEED} on, {len(names)} containers: {dict(outcomes)}")
    assert not broken, "\n".join(broken)
    assert outcomes["decoded"] >= 20
