"""The full encoder: samples to clip and frame embeddings in one pass."""

from __future__ import annotations

from benchmarks.lineup import ENCODER, WARM_TURNS, compare
from benchmarks.options import Options, run_alone
from benchmarks.table import section

__all__ = ["measure"]


def measure(options: Options) -> str:
    """A table for each length."""
    text = f"Samples to the embeddings of the clip and of its frames, in one pass, {options.setting}. {WARM_TURNS}"
    return section("Full encoder", text, compare(ENCODER, options.folder, options.lengths, options))


if __name__ == "__main__":
    run_alone(measure, "encoder", __doc__)
