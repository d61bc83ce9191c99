"""Ray as an engine: its workers beside this process, what a short clip costs on the way, and the driver's memory."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.commands import Commands
from benchmarks.contender import Program, peak_memory
from benchmarks.full_width import REFERENCE
from benchmarks.mini import MINI
from benchmarks.options import Options, run_alone
from benchmarks.sound import write_noise
from benchmarks.table import NOT_MEASURED, section, table

__all__ = ["Watched", "measure", "watch"]

TINY = REFERENCE / "pe-a-frame-tiny"  # costs next to nothing itself
LABELS = ["a dog barking", "rain falling"]
RECORDINGS = (8, 24)  # in a run and in a longer one
CLIP = 1.0  # seconds
FILES = 100  # clips on the disk, which a list names again and again
SHARE = 10  # clips in the longer list for each in the shorter
PIPELINE_ACTOR = b"ray::PipelineActor"  # as Ray names the process

SCALING_HEADER = ("", "cores", "start and end, s", "times real time", "efficiency", "same output")
CLIPS_COLUMNS = ("s", "driver, MB", "pipeline actor, MB")


@dataclass(frozen=True)
class Setup:
    """A way to run a batch on so many cores."""

    name: str
    cores: int
    threads: int
    flags: tuple[str, ...] = ()


LOCAL, LOCAL_2 = Setup("this process, 1 thread", 1, 1), Setup("this process, 2 threads", 2, 2)
RAY, RAY_2 = (
    Setup(f"Ray, {workers} worker{'s' * (workers > 1)}", workers, 1, ("--engine", "ray", "--workers", str(workers)))
    for workers in (1, 2)
)


@dataclass(frozen=True)
class Watched:
    """A run from exec to exit: its seconds, what it printed, and the most bytes that two processes have held."""

    seconds: float
    output: str
    driver: int | None = None
    actor: int | None = None


def measure(options: Options) -> str:
    """One table of recordings, one of clips."""
    title = "On a Ray cluster"
    if not hasattr(os, "sched_setaffinity"):
        return section(title, f"Needs Linux, which lets a program have one core alone: {NOT_MEASURED}.")
    checkpoint = MINI if MINI.is_dir() else TINY
    small, large = (count * options.recording / 60 for count in RECORDINGS)
    text = (
        "`peaudio tag` with `--engine ray`, whose cluster starts and ends with the run, beside the local engine. First "
        f"{small:g} and {large:g} minutes of audio in recordings of {options.recording:g} s, once each, with the "
        f"checkpoint {checkpoint.name}; the difference of the two runs tells the speed, the rest is start and end. "
        "Each run is confined to as many cores as it has workers or threads, Ray's own processes with it. "
        "*Efficiency* is the speed of a core relative to this process on one. Then clips of 1 s with a checkpoint of "
        "next to no cost, on one core; the driver is the process that the user starts, "
        "the pipeline actor its deputy in the cluster."
    )
    with tempfile.TemporaryDirectory(prefix="peaudio-cluster-") as work:
        scaling = _scaling(checkpoint, Path(work), options)
        return section(title, text, scaling, _clips(Path(work), options))


def watch(program: Program, cores: int) -> Watched:
    """Run a program on so many cores. Raises :class:`subprocess.CalledProcessError` if it fails."""
    others = set(_pipeline_actors())
    start = time.perf_counter()
    with _confined(cores):
        process = subprocess.Popen(program.command, env=program.environment, stdout=subprocess.PIPE, text=True)
    lines, driver, actors = [], None, dict[int, int | None]()
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if not lines:
                actors = dict.fromkeys(set(_pipeline_actors()) - others)
            lines.append(line)
            driver = _larger(driver, peak_memory(process.pid))
            actors = {pid: _larger(peak, peak_memory(pid)) for pid, peak in actors.items()}
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, program.command)
    actor = max(filter(None, actors.values()), default=None)
    return Watched(time.perf_counter() - start, "".join(lines), driver, actor)


def _scaling(checkpoint: Path, work: Path, options: Options) -> str:
    files = [write_noise(work / f"{number:02}.wav", options.recording) for number in range(max(RECORDINGS))]
    rows, one_core = [], 0.0
    expected: list[str] = []
    for setup in (LOCAL, RAY, LOCAL_2, RAY_2):
        runs = [_run(setup, checkpoint, files[:count], work, options) for count in RECORDINGS]
        short, long = (run.seconds for run in runs)
        rate = (RECORDINGS[1] - RECORDINGS[0]) * options.recording / (long - short)
        if setup is LOCAL:
            one_core, expected = rate, [run.output for run in runs]
        same = [run.output for run in runs] == expected
        rest = short - RECORDINGS[0] * options.recording / rate
        efficiency = f"{rate / one_core / setup.cores:.2f}"
        rows.append(
            [
                setup.name,
                f"{setup.cores}",
                f"{rest:.1f}",
                f"{rate:.1f}",
                efficiency,
                "yes" if same else "NO",
            ]
        )
    return table(SCALING_HEADER, rows)


def _clips(work: Path, options: Options) -> str:
    distinct = [write_noise(work / f"clip{number:02}.wav", CLIP) for number in range(FILES)]
    counts = (options.clips // SHARE, options.clips)
    rows = []
    for setup in (LOCAL, RAY):
        runs = [
            _run(setup, TINY, [distinct[place % FILES] for place in range(count)], work, options) for count in counts
        ]
        took = [run.seconds for run in runs]
        each = (took[1] - took[0]) / (counts[1] - counts[0])
        held = [*(run.driver for run in runs), *(run.actor for run in runs)]
        rows.append([setup.name, *(f"{s:.1f}" for s in took), f"{1000 * each:.2f}", *map(_megabytes, held)])
    seconds, driver, actor = ([f"{what}, {count:,} clips" for count in counts] for what in CLIPS_COLUMNS)
    return table(["", *seconds, "ms a clip", *driver, *actor], rows)


def _run(setup: Setup, checkpoint: Path, files: Sequence[Path], work: Path, options: Options) -> Watched:
    listed = work / "list.txt"
    listed.write_text("\n".join(map(str, files)), encoding="utf-8")
    commands = Commands(work, replace(options, threads=setup.threads))
    return watch(commands.tag_listed(setup.name, checkpoint, listed, LABELS, *setup.flags), setup.cores)


@contextmanager
def _confined(cores: int) -> Iterator[None]:
    """Confine processes that are started meanwhile to the first of this process's cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _pipeline_actors() -> Iterator[int]:
    """The processes that are pipeline actors now."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if command.read_bytes().startswith(PIPELINE_ACTOR):
                yield int(command.parent.name)
        except OSError:  # it has ended meanwhile
            continue


def _larger(one: int | None, other: int | None) -> int | None:
    return max(filter(None, (one, other)), default=None)


def _megabytes(n_bytes: int | None) -> str:
    return "" if n_bytes is None else f"{n_bytes / 1e6:.0f}"


if __name__ == "__main__":
    run_alone(measure, "cluster", __doc__)
