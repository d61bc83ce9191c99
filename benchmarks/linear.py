"""The cost of a second of audio, for short recordings and long ones."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks import models
from benchmarks.contender import Child, Contender, Measurement, alternate, running
from benchmarks.lineup import BFLOAT16, OURS, able
from benchmarks.options import Options, run_alone
from benchmarks.sound import write_noise
from benchmarks.table import NOT_MEASURED, gigabytes, section, table

__all__ = ["measure"]

FAR = "60 minutes (`--long`)"


def measure(options: Options) -> str:
    """A row for each dtype."""
    near = max(options.lengths)
    place = {"folder": options.folder}
    contenders = [
        Contender(OURS, models.our_tagger, place, keeps_blocks=True),
        Contender(BFLOAT16, models.our_tagger, {**place, "dtype": "bfloat16"}, keeps_blocks=True),
    ]
    text = (
        f"Seconds of time for a second of audio {options.setting}, by what `peaudio tag` does with a recording once "
        "the model is loaded, decoding included, and the most memory that its process has held by then, in GB (10^9 "
        "bytes). The long recording is run once, between the rounds of the short one, half before and half after; one "
        "contender follows the other."
    )
    far = FAR if options.long_recording is None else f"{options.long_recording / 60:g} minutes"
    header = ["", f"{near:g} s", far, "ratio", f"GB, {near:g} s", f"GB, {far}"]
    possible = able(contenders)
    rows = [_row(each, near, options) if each in possible else [each.name] for each in contenders]
    return section("Cost of a long recording", text, table(header, rows))


def _row(contender: Contender, near: float, options: Options) -> list[str]:
    """Cost and memory near and far, as far as they are measured; nothing else runs in the meantime."""
    with (
        tempfile.TemporaryDirectory(prefix="peaudio-linear-") as work,
        running([contender], options.threads) as children,
    ):
        brief = write_noise(Path(work) / "short.wav", near)
        before = _measured(children, brief, options.rounds)
        if options.long_recording is None:
            return _cells(contender.name, before, near, None, None)
        long = _measured(children, write_noise(Path(work) / "long.wav", options.long_recording), 1)
        after = _measured(children, brief, options.rounds)
    both = replace(before, seconds=before.seconds + after.seconds)
    return _cells(contender.name, both, near, long, options.long_recording)


def _measured(children: list[Child], recording: Path, rounds: int) -> Measurement:
    (measurement,) = alternate(children, recording, rounds).values()
    return measurement


def _cells(name: str, short: Measurement, near: float, long: Measurement | None, far: float | None) -> list[str]:
    cost = short.median / near
    if long is None or far is None:
        return [name, f"{cost:.3f}", NOT_MEASURED, NOT_MEASURED, gigabytes(short.peak)]
    far_cost = long.median / far
    return [
        name,
        f"{cost:.3f}",
        f"{far_cost:.3f}",
        f"{far_cost / cost:.2f}",
        gigabytes(short.peak),
        gigabytes(long.peak),
    ]


if __name__ == "__main__":
    run_alone(measure, "linear", __doc__)
