"""The codec encoder, which takes most of the time of transformers' forward pass, without and with ``--compile``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import models
from benchmarks.contender import Contender, running
from benchmarks.lineup import BFLOAT16, CODEC, OURS, WARM_TURNS, able, compare
from benchmarks.options import Options, run_alone
from benchmarks.table import section, table

__all__ = ["measure"]


def measure(options: Options) -> str:
    """The shortest of the lengths says it all: the codec's cost is a straight line."""
    text = f"Samples to codec features, {options.setting}. {WARM_TURNS}"
    return section("Codec", text, compare(CODEC, options.folder, options.lengths[:1], options), _starts(options))


def _starts(options: Options) -> str:
    """Return the time that ``--compile`` takes at the start."""
    rows = [[OURS, *_seconds("float32", options)], [BFLOAT16, *_seconds("bfloat16", options)]]
    header = ["", "seconds to load", "with `--compile`", "the same, compiled before"]
    return "Before the first sample, in a fresh process, once each:\n\n" + table(header, rows)


def _seconds(dtype: str, options: Options) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="peaudio-compiled-") as work:
        place = {"folder": options.folder, "dtype": dtype, "cache": Path(work)}
        starts = [
            Contender("start", models.our_start, {**place, "compile": compile}, keeps_blocks=True)
            for compile in (False, True, True)
        ]
        return [f"{_once(start, options):.1f}" for start in able(starts)]


def _once(start: Contender, options: Options) -> float:
    with running([start], options.threads) as (child,):
        return child.run(None).seconds


if __name__ == "__main__":
    run_alone(measure, "codec", __doc__)
