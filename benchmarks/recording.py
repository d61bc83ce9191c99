"""A recording end to end: ``peaudio tag`` against the model card's way, in pieces of 30 s."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from benchmarks.commands import Commands
from benchmarks.contender import Measurement, Program, alternate
from benchmarks.lineup import BFLOAT16, OURS, STOCK, TUNED
from benchmarks.machine import has_bfloat16
from benchmarks.options import Options, run_alone
from benchmarks.sound import write_noise
from benchmarks.table import seconds, section, table, times

__all__ = ["measure"]

LABELS = ["a dog barking", "a person speaking", "rain falling", "a siren", "a door knock"]
HEADER = ("", "seconds", "times real time", "times stock", "times stock with mallopt", "largest difference")


def measure(options: Options) -> str:
    """One run each: a recording of many pieces is as good as many runs."""
    with tempfile.TemporaryDirectory(prefix="peaudio-recording-") as work:
        programs = _programs(options, Path(work))
        measured: dict[str, Measurement] = {}
        for each in programs:
            if has_bfloat16() or each.name != BFLOAT16:
                _read_through(options.folder)  # what the one before has driven out of the page cache is not its fault
                measured |= alternate([each], None, 1)
    found = {name: _probabilities(each.output) for name, each in measured.items()}
    rows = []
    for name in (each.name for each in programs):
        if name not in measured:
            rows.append([name])
            continue
        median = measured[name].median
        rows.append(
            [
                name,
                seconds(measured[name]),
                f"{options.recording / median:.2f}",
                times(measured[STOCK].median, median),
                times(measured[TUNED].median, median),
                f"{max(abs(found[name][label] - found[STOCK][label]) for label in LABELS):.0e}",
            ]
        )
    text = (
        f"A recording of {options.recording / 60:g} minutes (48 kHz, mono, WAV) {options.setting}, from exec to "
        "exit, once each, with the checkpoint in the page cache: `peaudio tag` against a script of the model card's "
        "way, in pieces of 30 s. The difference is that of the labels' highest probabilities, and holds more than "
        "rounding: the script's pieces begin and end in silence, where peaudio's windows hear their neighbours."
    )
    return section("A recording, end to end", text, table(HEADER, rows))


def _programs(options: Options, work: Path) -> list[Program]:
    recording = write_noise(work / "recording.wav", options.recording)
    commands = Commands(work, options)
    script = ("-m", "benchmarks.quickstart")
    asked: tuple[str | Path, ...] = (options.folder, recording, *LABELS)
    return [
        commands.python(STOCK, *script, *asked),
        commands.python(TUNED, *script, "--mallopt", *asked),
        commands.tag(OURS, options.folder, recording, LABELS),
        commands.tag(BFLOAT16, options.folder, recording, LABELS, "--dtype", "bfloat16"),
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
