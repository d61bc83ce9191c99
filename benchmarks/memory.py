"""The peak of memory of a pass over the longest of the lengths."""

from __future__ import annotations

from benchmarks.contender import Contender, Run, running
from benchmarks.lineup import ENCODER, able
from benchmarks.options import Options, run_alone
from benchmarks.sound import noise
from benchmarks.table import gigabytes, section, table

__all__ = ["measure"]

WARM_UP = 0.04  # seconds of audio: one frame, which shows what the loaded model takes


def measure(options: Options) -> str:
    """One table."""
    length = max(options.lengths)
    contenders = ENCODER.contenders(options.folder)
    peaks = {each.name: _peaks(each, length, options) for each in able(contenders)}
    rows = [
        [each.name, *(gigabytes(run.peak) for run in peaks[each.name])] if each.name in peaks else [each.name]
        for each in contenders
    ]
    text = (
        f"The most memory that a process has held, in GB (10^9 bytes), {options.setting}: a fresh process "
        f"that loads the checkpoint and encodes {length:g} s of audio in one pass."
    )
    return section("Memory", text, table(["", "loaded, one frame", f"{length:g} s of audio"], rows))


def _peaks(contender: Contender, length: float, options: Options) -> tuple[Run, Run]:
    """After one frame, and after the audio."""
    with running([contender], options.threads) as children:
        (child,) = children
        return child.run(noise(WARM_UP)), child.run(noise(length))


if __name__ == "__main__":
    run_alone(measure, "memory", __doc__)
