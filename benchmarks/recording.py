"""A recording end to end: ``peaudio tag`` against the model card's way, in pieces of 30 s."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.commands import Commands
from benchmarks.contender import Measurement, Program, alternate
from benchmarks.lineup import BFLOAT16, OURS, TRANSFORMERS, TUNED
from benchmarks.machine import has_bfloat16
from benchmarks.options import Options, run_alone
from benchmarks.sound import write_noise
from benchmarks.table import seconds, section, table, times

__all__ = ["CACHED", "TRANSFORMERS_BFLOAT16", "compare", "measure", "on_gpu"]

LABELS = ["a dog barking", "a person speaking", "rain falling", "a siren", "a door knock"]
CACHED = "The first run of peaudio loads the text tower too, and the second finds its labels in the cache."
TRANSFORMERS_BFLOAT16, ON_GPU = "transformers, bfloat16", "peaudio, bfloat16 (its default)"


def measure(options: Options) -> str:
    """One run each: a recording of many pieces is as good as many runs."""
    text = (
        f"A recording of {options.recording / 60:g} minutes (48 kHz, mono, WAV) {options.setting}, from exec to "
        "exit, once each, with the checkpoint in the page cache: `peaudio tag` against a script of the model card's "
        "way, in pieces of 30 s. The difference is that of the labels' highest probabilities, and holds more than "
        "rounding: the script's pieces begin and end in silence, where peaudio's windows hear their neighbours. "
        f"{CACHED}"
    )
    with tempfile.TemporaryDirectory(prefix="peaudio-recording-") as work:
        return section("A recording, end to end", text, compare(_programs(options, Path(work)), options))


def compare(programs: Sequence[Program], options: Options) -> str:
    """A table of programs that tag the same recording; the first two are transformers without and with an option."""
    measured: dict[str, Measurement] = {}
    for each in programs:
        if has_bfloat16() or each.name != BFLOAT16:
            _read_through(options.folder)  # what the one before has driven out of the page cache is not its fault
            measured |= alternate([each], None, 1)
    baseline, second = (each.name for each in programs[:2])
    exact, rows = _probabilities(measured[baseline].output), []
    for name in (each.name for each in programs):
        if name not in measured:
            rows.append([name])
            continue
        median, found = measured[name].median, _probabilities(measured[name].output)
        rows.append(
            [
                name,
                seconds(measured[name]),
                f"{options.recording / median:.2f}",
                times(measured[baseline].median, median),
                times(measured[second].median, median),
                f"{max(abs(found[label] - exact[label]) for label in LABELS):.0e}",
            ]
        )
    added = second.removeprefix(baseline).lstrip(", ")
    header = [
        "",
        "seconds",
        "times real time",
        "times transformers",
        f"times transformers with {added}",
        "largest difference",
    ]
    return table(header, rows)


def _programs(options: Options, work: Path) -> list[Program]:
    recording = write_noise(work / "recording.wav", options.recording)
    commands = Commands(work, options)
    script: tuple[str | Path, ...] = ("-m", "benchmarks.quickstart", options.folder, recording, *LABELS)
    return [
        commands.python(TRANSFORMERS, *script),
        commands.python(TUNED, *script, "--mallopt"),
        commands.tag(OURS, options.folder, recording, LABELS),
        commands.tag(BFLOAT16, options.folder, recording, LABELS, "--dtype", "bfloat16"),
    ]


def on_gpu(options: Options, work: Path) -> list[Program]:
    """The programs of :func:`measure` that can use a GPU."""
    recording = write_noise(work / "recording.wav", options.recording)
    commands = Commands(work, options)
    script: tuple[str | Path, ...] = ("-m", "benchmarks.quickstart", options.folder, recording, *LABELS)
    flags = ("--device", "cuda", "--dtype")
    return [
        commands.python(TRANSFORMERS, *script, *flags, "float32"),
        commands.python(TRANSFORMERS_BFLOAT16, *script, *flags, "bfloat16"),
        commands.tag(OURS, options.folder, recording, LABELS, *flags, "float32"),
        commands.tag(ON_GPU, options.folder, recording, LABELS, *flags, "bfloat16"),
    ]


def _read_through(folder: Path) -> None:
    for file in folder.iterdir():
        with file.open("rb") as stream:
            while stream.read(1 << 24):
                pass


def _probabilities(printed: str) -> dict[str, float]:
    """By label, from what either program prints."""
    content = json.loads(printed)
    if isinstance(content, list):
        return dict(zip(LABELS, content, strict=True))
    return {tag["label"]: tag["probability"] for tag in content["tags"]}


if __name__ == "__main__":
    run_alone(measure, "recording", __doc__)
