"""The shipped checkpoint on either engine: short commands, many short recordings, a long one; time, CPU and memory.

``--long`` measures what it promises: a recording of 10 minutes, and the memory of one of 6 hours.
"""

from __future__ import annotations

import itertools
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.commands import Commands, peaudio
from benchmarks.contender import cpu_of_children, peak_memory
from benchmarks.options import Options, run_alone
from benchmarks.sound import noise, write_noise
from benchmarks.startup import IMPORT
from benchmarks.table import NOT_MEASURED, section, table, times

__all__ = ["Use", "measure", "silence", "watched"]

ENGINES = ("onnx", "torch")
MOST_CLIPS, MOST_OGG = 1_000, 320
RATE, SHORT_SECONDS = 44_100, 5.0  # of what has to be resampled
HOURS, SILENT_RATE = 6, 8_000  # of the longest recording
POLL_SECONDS = 0.005

Command = Sequence[str | Path]


@dataclass(frozen=True)
class Use:
    """What a process took from exec to exit: seconds, those of the CPU, and the most bytes it held, where known."""

    seconds: float
    cpu: float
    peak: int


@dataclass(frozen=True)
class Contest:
    """Commands by their names, which take turns; ``make`` returns one for each turn."""

    contenders: dict[str, Callable[[], Command]]
    environments: dict[str, dict[str, str]]

    def measure(self, rounds: int) -> dict[str, Use]:
        """Return medians by name; a round before them is not counted, if there are more."""
        uses: dict[str, list[Use]] = {name: [] for name in self.contenders}
        for _ in range(rounds + 1):
            for name, make in self.contenders.items():
                uses[name].append(watched(make(), self.environments[name]))
        return {name: _medians(each[1:] or each) for name, each in uses.items()}


def measure(options: Options) -> str:
    """Return three tables."""
    text = (
        f"The shipped checkpoint, whole processes from exec to exit on {options.cpu}, in turns, medians: with its "
        "graphs on onnxruntime (`PEAUDIO_ENGINE=onnx`, its default) and on torch. CPU seconds add up all threads. "
        "Peaks are the most memory that a process held, in MiB."
    )
    with tempfile.TemporaryDirectory(prefix="peaudio-light-") as work:
        folder = Path(work)
        parts = [_short_commands(folder, options), _throughput(folder, options), _long_memory(folder, options)]
    return section("The light engine", text, *parts)


def _short_commands(work: Path, options: Options) -> str:
    clip = _sound(work / "clip.flac", SHORT_SECONDS)
    counter = itertools.count()
    wanted = {f"tag, cached labels, {engine}": (lambda: [clip, "--label", "a dog barking"]) for engine in ENGINES}
    wanted["tag, new labels, onnx"] = lambda: [clip, "--label", f"a dog barking {next(counter)} times"]
    measured = _contest(work, wanted, "tag", options, {IMPORT: lambda: [sys.executable, "-c", "import torch"]})
    bare = measured[IMPORT]
    rows = []
    for name, use in measured.items():
        ratios = times(use.seconds, bare.seconds), times(use.cpu, bare.cpu)
        rows.append([name, f"{use.seconds:.2f}", f"{use.cpu:.2f}", *ratios, _mebibytes(use)])
    header = [f"{SHORT_SECONDS:g} s of FLAC", "seconds", "CPU", "times importing torch", "CPU, times that", "peak"]
    return table(header, rows)


def _throughput(work: Path, options: Options) -> str:
    n_clips, n_ogg = min(MOST_CLIPS, options.clips), min(MOST_OGG, options.clips)
    clips = _copies(_sound(work / "clips" / "0.wav", 1.0), n_clips)
    oggs = _copies(_sound(work / "oggs" / "0.ogg", SHORT_SECONDS), n_ogg)
    long = write_noise(work / "long.wav", options.recording)
    jobs: dict[str, tuple[str, Path, float]] = {
        f"{n_clips} WAV files of 1 s": ("tag", clips, n_clips),
        f"{n_ogg} Ogg files of {SHORT_SECONDS:g} s": ("tag", oggs, n_ogg * SHORT_SECONDS),
        f"WAV of {options.recording / 60:.3g} minutes, events": ("localize", long, options.recording),
    }
    rows = []
    for name, (command, path, seconds) in jobs.items():
        inputs: dict[str, Callable[[], Command]] = {engine: (lambda path=path: [path]) for engine in ENGINES}
        measured = _contest(work, inputs, command, options)
        for engine, use in measured.items():
            cells = [f"{use.seconds:.2f}", f"{seconds / use.seconds:.0f}", f"{1e3 * use.cpu / seconds:.2f}"]
            rows.append([f"{name}, {engine}", *cells, times(use.cpu, measured["torch"].cpu), _mebibytes(use)])
    header = ["44.1 kHz, the long one 48 kHz; mono", "seconds", "times real time", "CPU ms for a second of audio"]
    return table([*header, "CPU, times torch's", "peak"], rows)


def _long_memory(work: Path, options: Options) -> str:
    lengths = [options.recording, *([] if options.long_recording is None else [HOURS * options.long_recording])]
    rows = []
    for seconds in lengths:
        silent = silence(work / "silent.wav", seconds)
        (use,) = _contest(work, {"onnx": lambda silent=silent: [silent]}, "tag", options, rounds=0).values()
        rows.append([f"tag of {seconds / 60:.3g} minutes of silence, onnx", f"{use.seconds:.1f}", _mebibytes(use)])
    if options.long_recording is None:
        rows.append([f"{HOURS} hours (`--long`)"])
    return table([f"WAV, {SILENT_RATE} Hz", "seconds", "peak"], rows)


def _contest(
    work: Path,
    inputs: dict[str, Callable[[], Command]],
    command: str,
    options: Options,
    others: dict[str, Callable[[], Command]] | None = None,
    rounds: int | None = None,
) -> dict[str, Use]:
    """Run a command of peaudio on ``inputs``; the last word of a name is the engine."""
    environment = Commands(work, options).environment
    flags = ["--threads", str(options.threads), "--device", "cpu", "-f", "json", "-q"]
    commands = {
        name: (lambda make=make: [*peaudio(), command, *make(), *flags])  # type: ignore[misc]
        for name, make in inputs.items()
    }
    environments = {name: {**environment, "PEAUDIO_ENGINE": name.rpartition(" ")[2]} for name in inputs}
    others = others or {}
    contest = Contest({**others, **commands}, {**dict.fromkeys(others, environment), **environments})
    return contest.measure(options.rounds if rounds is None else rounds)


def watched(command: Command, environment: dict[str, str]) -> Use:
    """Raise :class:`subprocess.CalledProcessError` if the command fails."""
    cpu, begin, peak = cpu_of_children(), time.perf_counter(), 0
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, peak_memory(process.pid) or 0)
            time.sleep(POLL_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(map(str, command)))
    return Use(time.perf_counter() - begin, cpu_of_children() - cpu, peak)


def _medians(uses: Sequence[Use]) -> Use:
    seconds, cpu = (statistics.median(values) for values in zip(*((use.seconds, use.cpu) for use in uses), strict=True))
    return Use(seconds, cpu, max(use.peak for use in uses))


def _mebibytes(use: Use) -> str:
    return f"{use.peak / (1 << 20):.0f}" if use.peak else NOT_MEASURED


def _sound(file: Path, seconds: float) -> Path:
    """Write noise at 44.1 kHz in the format of the file's name."""
    file.parent.mkdir(exist_ok=True)
    soundfile.write(file, noise(seconds)[: round(seconds * RATE)], RATE)
    return file


def _copies(file: Path, n: int) -> Path:
    """Make ``n`` of a file; return their folder."""
    for number in range(1, n):
        shutil.copy(file, file.with_name(f"{number}{file.suffix}"))
    return file.parent


def silence(file: Path, seconds: float) -> Path:
    """Write silence, as a file that takes no space where the system can do that."""
    soundfile.write(file, np.zeros(0, np.int16), SILENT_RATE, subtype="PCM_16")
    head = bytearray(file.read_bytes())
    n_bytes = round(seconds * SILENT_RATE) * 2
    place = head.index(b"data") + 4
    head[4:8] = (len(head) - 8 + n_bytes).to_bytes(4, "little")
    head[place : place + 4] = n_bytes.to_bytes(4, "little")
    with file.open("wb") as opened:
        opened.write(head)
        opened.truncate(len(head) + n_bytes)
    return file


if __name__ == "__main__":
    run_alone(measure, "light", __doc__)
