"""The codec encoder alone, which takes most of the time of the stock forward."""

from __future__ import annotations

from benchmarks.lineup import CODEC, WARM_TURNS, compare
from benchmarks.options import Options, run_alone
from benchmarks.table import section

__all__ = ["measure"]


def measure(options: Options) -> str:
    """The shortest of the lengths says it all: the codec's cost is a straight line."""
    text = f"Samples to codec features, {options.setting}. {WARM_TURNS}"
    return section("Codec", text, compare(CODEC, options.folder, options.lengths[:1], options))


if __name__ == "__main__":
    run_alone(measure, "codec", __doc__)
