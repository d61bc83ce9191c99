"""Decoding to mono at 48 kHz, beside ``ffmpeg``: many short recordings, and long ones."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.contender import Run, alternate, cpu_of_children
from benchmarks.full_width import ROOT
from benchmarks.options import Options, run_alone
from benchmarks.sound import noise
from benchmarks.table import NOT_MEASURED, seconds, section, table, times

__all__ = ["measure"]

OURS, FFMPEG = "peaudio", "ffmpeg"
RATE = 44_100  # Hz, which both have to resample
N_SHORT, SHORT_SECONDS, LONG_SECONDS = 80, 5.0, 600.0
SCRIPT = """
import sys
from pe_audio_cli.audio.decoding import open_audio

for file in sys.argv[1:]:
    with open_audio(file) as stream:
        for block in stream.blocks():
            pass
"""


@dataclass(frozen=True)
class Processes:
    """Some processes, one after the other; their time is that of the CPU, start included."""

    name: str
    commands: Sequence[Sequence[str | Path]]

    def run(self, request: Any = None) -> Run:
        """Raise :class:`subprocess.CalledProcessError` if one fails."""
        begin = cpu_of_children()
        for command in self.commands:
            subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        return Run(cpu_of_children() - begin, None)


def measure(options: Options) -> str:
    """Return a table for short recordings and for long ones, or a word on why there is none."""
    title = "Decoding"
    if shutil.which(FFMPEG) is None:
        return section(title, f"There is no ffmpeg on this machine: {NOT_MEASURED}.")
    text = (
        "CPU seconds of whole processes that decode noise at 44.1 kHz to mono at 48 kHz. peaudio decodes all short "
        "recordings in one process, as a run does; `ffmpeg -threads 1` has one for each. Of two channels peaudio also "
        "looks for opposite phase."
    )
    with tempfile.TemporaryDirectory(prefix="peaudio-decoding-") as folder:
        long = {f"MP3 of {LONG_SECONDS / 60:g} min, {name}": n for name, n in (("mono", 1), ("stereo", 2))}
        recordings = {
            f"{N_SHORT} Ogg Vorbis of {SHORT_SECONDS:g} s, mono": _short(Path(folder)),
            **{name: [_written(Path(folder) / f"{n}.mp3", LONG_SECONDS, n)] for name, n in long.items()},
        }
        rows = [row for name, files in recordings.items() for row in _rows(name, files, options.rounds)]
    return section(title, text, table(["", "CPU seconds", "times ffmpeg"], rows))


def _rows(name: str, files: Sequence[Path], rounds: int) -> list[list[str]]:
    contenders = [
        Processes(OURS, [[sys.executable, "-c", SCRIPT, *files]]),
        Processes(FFMPEG, [_ffmpeg(file) for file in files]),
    ]
    alternate(contenders, None, 1)  # files into the page cache
    measured = alternate(contenders, None, rounds)
    fastest = measured[FFMPEG].median
    return [[f"{name}: {each}", seconds(its), times(its.median, fastest)] for each, its in measured.items()]


def _ffmpeg(file: Path) -> list[str | Path]:
    output = ["-ac", "1", "-ar", "48000", "-f", "f32le", "-"]
    return [FFMPEG, "-v", "error", "-threads", "1", "-i", file, *output]


def _short(folder: Path) -> list[Path]:
    first = _written(folder / "0.ogg", SHORT_SECONDS, 1)
    return [first, *(Path(shutil.copy(first, folder / f"{n}.ogg")) for n in range(1, N_SHORT))]


def _written(file: Path, duration: float, channels: int) -> Path:
    """Write noise in the format of the file's name."""
    samples = noise(duration * RATE / 48_000)[: round(duration * RATE)]
    every = np.stack([np.roll(samples, 1_000 * channel) for channel in range(channels)], axis=1)
    with soundfile.SoundFile(file, "w", RATE, channels) as opened:
        for begin in range(0, len(every), RATE):  # libsndfile's encoder of Vorbis overflows its stack otherwise
            opened.write(every[begin : begin + RATE])
    return file


if __name__ == "__main__":
    run_alone(measure, "decoding", __doc__)
