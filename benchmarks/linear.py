"""The cost of a second of audio, for short recordings and long ones."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks import models
from benchmarks.contender import Contender, Measurement, alternate, running
from benchmarks.lineup import BFLOAT16, OURS, able
from benchmarks.options import Options, run_alone
from benchmarks.sound import write_noise
from benchmarks.table import section, table

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
    with (
        tempfile.TemporaryDirectory(prefix="peaudio-linear-") as work,
        running(able(contenders), options.threads) as children,
    ):
        brief = write_noise(Path(work) / "short.wav", near)
        short = alternate(children, brief, options.rounds)
        long = {}
        if options.stretch is not None:
            quickest = children[-1:]
            long = alternate(quickest, write_noise(Path(work) / "long.wav", options.stretch), 1)
            for name, after in alternate(quickest, brief, options.rounds).items():
                short[name] = replace(after, seconds=short[name].seconds + after.seconds)
    text = (
        f"Seconds of time for a second of audio {options.setting}, by what `peaudio tag` does with a recording once "
        "the model is loaded, decoding included. The long recording is run once, where the model is quickest and all "
        "else weighs most, between the rounds of the short one, half before and half after."
    )
    far = FAR if options.stretch is None else f"{options.stretch / 60:g} minutes"
    rows = [[each.name, *_costs(each.name, short, near, long, options.stretch)] for each in contenders]
    return section("Cost of a long recording", text, table(["", f"{near:g} s", far, "ratio"], rows))


def _costs(
    name: str, short: dict[str, Measurement], near: float, long: dict[str, Measurement], far: float | None
) -> list[str]:
    """Cost near and far, and one over the other, as far as they were measured."""
    if name not in short:
        return []
    cost = short[name].median / near
    if far is None or name not in long:
        return [f"{cost:.3f}"]
    return [f"{cost:.3f}", f"{long[name].median / far:.3f}", f"{long[name].median / far / cost:.2f}"]


if __name__ == "__main__":
    run_alone(measure, "linear", __doc__)
