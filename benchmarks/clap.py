"""CLAP on the same audio: what else somebody would take who looks for zero-shot tags."""

from __future__ import annotations

from benchmarks import models
from benchmarks.contender import Contender
from benchmarks.lineup import ENCODER, able, take_turns
from benchmarks.options import Options, run_alone
from benchmarks.table import seconds, section, table, times

__all__ = ["measure"]

CLAP = "CLAP"


def measure(options: Options) -> str:
    """One table, for the shortest of the lengths."""
    length = options.lengths[0]
    contenders = [*ENCODER.contenders(options.folder), Contender(CLAP, models.clap)]
    (measured,) = take_turns(able(contenders), [length], options)
    text = (
        f"{length:g} s of audio by the full encoder, {options.setting}, and by CLAP: transformers' `ClapModel` in its "
        f"default configuration with random weights, its feature extractor included. "
        "CLAP gives one embedding for 10 s and says nothing of when a sound is heard."
    )
    rows = [
        [each.name, seconds(measured[each.name]), times(measured[each.name].median, measured[CLAP].median)]
        if each.name in measured
        else [each.name]
        for each in contenders
    ]
    return section("CLAP", text, table(["", "seconds", "times CLAP's time"], rows))


if __name__ == "__main__":
    run_alone(measure, "clap", __doc__)
