"""Contenders, and how they are timed: each in a process of its own, one after the other, again and again.

The allocator's settings, the number of threads and the peak of memory all belong to a process. Taking turns, rather
than running each contender's rounds in a row, lets a machine that slows down slow down all of them.
"""

from __future__ import annotations

import multiprocessing
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from pe_audio_cli.models.kernels.malloc import configure_malloc

__all__ = [
    "Child",
    "Contender",
    "Measurement",
    "Program",
    "Run",
    "Runner",
    "alternate",
    "cpu_of_children",
    "peak_memory",
    "running",
]

Work: TypeAlias = Callable[[Any], Any]  # what is timed: a request, such as samples, to an output
GOODBYE = None


@dataclass(frozen=True)
class Contender:
    """A contender, which runs in a child: ``build(**arguments)`` makes the work, and is not timed.

    With ``keeps_blocks`` glibc is told to keep big freed blocks before the child imports torch. ``build`` stands at
    the top of a module that does not import torch either.
    """

    name: str
    build: Callable[..., Work]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    keeps_blocks: bool = False


@dataclass(frozen=True)
class Run:
    """One run: its time, what came out, and the most memory in bytes that the process has held so far."""

    seconds: float
    output: Any
    peak: int | None = None


@dataclass(frozen=True)
class Measurement:
    """The rounds of one contender; output and peak are those of the last."""

    seconds: tuple[float, ...]
    output: Any
    peak: int | None

    @property
    def median(self) -> float:
        """Seconds of the middle round."""
        return statistics.median(self.seconds)


class Runner(Protocol):
    """The protocol of anything that can be timed."""

    @property
    def name(self) -> str:
        """The name in the table."""

    def run(self, request: Any) -> Run:
        """Do the work once."""


class Child:
    """A contender in a fresh process, ready to work when this returns."""

    def __init__(self, contender: Contender, threads: int) -> None:
        """Raises :class:`RuntimeError` if the process ends before it is ready; it has said why on standard error."""
        self.name = contender.name
        context = multiprocessing.get_context("spawn")  # a fork would inherit the parent's threads and memory
        self._pipe, end_of_child = context.Pipe()
        self._process = context.Process(target=_serve, args=(end_of_child, contender, threads), daemon=True)
        self._process.start()
        end_of_child.close()  # or the end of the child would not be the end of the pipe
        self._receive()

    def run(self, request: Any) -> Run:
        """Raises :class:`RuntimeError` if the process ends instead."""
        self._pipe.send((request,))
        run: Run = self._receive()
        return run

    def stop(self) -> None:
        """End the process, and with it its memory."""
        if self._process.is_alive():
            self._pipe.send(GOODBYE)
        self._process.join()
        self._pipe.close()

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(f"{self.name} ended with exit code {self._process.exitcode}") from None


@dataclass(frozen=True)
class Program:
    """A command line, timed from exec to exit; its output is what it prints. A request is not passed on."""

    name: str
    command: Sequence[str | Path]
    environment: Mapping[str, str]

    def run(self, request: Any = None) -> Run:
        """Raises :class:`subprocess.CalledProcessError` if the program fails."""
        start = time.perf_counter()
        done = subprocess.run(self.command, env=self.environment, stdout=subprocess.PIPE, text=True, check=True)
        return Run(time.perf_counter() - start, done.stdout)


@contextmanager
def running(contenders: Sequence[Contender], threads: int) -> Iterator[list[Child]]:
    """Children of all contenders, ended when the block is left."""
    with ExitStack() as stack:
        children = []
        for contender in contenders:
            child = Child(contender, threads)
            stack.callback(child.stop)
            children.append(child)
        yield children


def alternate(runners: Sequence[Runner], request: Any, rounds: int, warm_up: Any = None) -> dict[str, Measurement]:
    """Let each runner do the same work once a round, in turn; by name.

    A ``warm_up`` is a request that each gets, untimed, at the beginning of its turn: while others had theirs, caches
    forgot it and the system may have taken pages of its memory away, which nobody meets who works without a break.
    """
    runs: dict[str, list[Run]] = {runner.name: [] for runner in runners}
    for _ in range(rounds):
        for runner in runners:
            if warm_up is not None:
                runner.run(warm_up)
            runs[runner.name].append(runner.run(request))
    return {
        name: Measurement(tuple(run.seconds for run in done), done[-1].output, done[-1].peak)
        for name, done in runs.items()
    }


def _serve(pipe: Any, contender: Contender, threads: int) -> None:
    """The child's side."""
    if contender.keeps_blocks:
        configure_malloc()
    import torch

    torch.set_num_threads(threads)
    work = contender.build(**contender.arguments)
    pipe.send("ready")
    while (message := pipe.recv()) is not GOODBYE:
        start = time.perf_counter()
        output = work(*message)
        pipe.send(Run(time.perf_counter() - start, output, peak_memory()))


def cpu_of_children() -> float:
    """Return the CPU seconds of all children that have ended."""
    import resource  # which Windows lacks

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def peak_memory(process: int | Literal["self"] = "self") -> int | None:
    """The most bytes that a process has held; None where the system has no ``/proc``, and where it has ended.

    ``getrusage`` would count what the parent held when it forked.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    peaks = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(peaks[0].split()[1]) << 10 if peaks else None
