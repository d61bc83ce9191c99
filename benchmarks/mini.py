"""The checkpoint that ships with peaudio, where it does: the full encoder."""

from __future__ import annotations

from benchmarks.lineup import ENCODER, compare
from benchmarks.options import Options, run_alone
from benchmarks.table import NOT_MEASURED, section
from pe_audio_cli.models.registry import DEFAULT_MODEL, SHIPPED

__all__ = ["MINI", "measure"]

MINI = SHIPPED / DEFAULT_MODEL


def measure(options: Options) -> str:
    """A table for each length, or a word on why there is none."""
    title = "The checkpoint that ships"
    if not MINI.is_dir():
        return section(title, f"No checkpoint ships with this version: {NOT_MEASURED}.")
    text = (
        f"As for the full encoder, with the checkpoint that ships, on {options.cpu}. Parts of its codec do nothing; "
        "peaudio leaves those out, and GFLOP/s count them all the same."
    )
    return section(title, text, compare(ENCODER, MINI, options.lengths, options))


if __name__ == "__main__":
    run_alone(measure, "mini", __doc__)
