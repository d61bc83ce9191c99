"""The peak of memory: of a pass over the longest of the lengths, and of recordings that are longer and longer."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import models
from benchmarks.contender import Contender, Run, running
from benchmarks.lineup import ENCODER, OURS, able
from benchmarks.options import Options, run_alone
from benchmarks.sound import noise, write_noise
from benchmarks.table import gigabytes, section, table

__all__ = ["measure"]

WARM_UP = 0.04  # seconds of audio: one frame, which shows what the loaded model takes
SHORT = 600.0  # seconds of the recording that a longer one is compared with


def measure(options: Options) -> str:
    """One table for a pass, one for recordings."""
    length = max(options.lengths)
    contenders = ENCODER.contenders(options.folder)
    peaks = {each.name: _peaks(each, length, options) for each in able(contenders)}
    rows = [
        [each.name, *(gigabytes(run.peak) for run in peaks[each.name])] if each.name in peaks else [each.name]
        for each in contenders
    ]
    text = (
        f"The most memory that a process has held, in GB (10^9 bytes), {options.setting}: a fresh process "
        f"that loads the checkpoint and encodes {length:g} s of audio in one pass. Then one that does "
        "what `peaudio tag` does with a long recording, which it cuts into windows of 30 s."
    )
    passes = table(["", "loaded, one frame", f"{length:g} s of audio"], rows)
    return section("Memory", text, passes, _recordings(options))


def _peaks(contender: Contender, length: float, options: Options) -> tuple[Run, Run]:
    """After one frame, and after the audio."""
    with running([contender], options.threads) as children:
        (child,) = children
        return child.run(noise(WARM_UP)), child.run(noise(length))


def _recordings(options: Options) -> str:
    header = ["recording", "peak"]
    if options.hours is None:
        return table(header, [["10 minutes"], ["hours (`--hours 6`)"]])
    lengths = {"10 minutes": SHORT, f"{options.hours:g} hours": options.hours * 3600}
    return table(header, [[name, gigabytes(_peak_of_recording(length, options))] for name, length in lengths.items()])


def _peak_of_recording(length: float, options: Options) -> int | None:
    tagger = Contender(OURS, models.our_tagger, {"folder": options.folder}, keeps_blocks=True)
    with tempfile.TemporaryDirectory(prefix="peaudio-memory-") as work, running([tagger], options.threads) as children:
        return children[0].run(write_noise(Path(work) / "recording.wav", length)).peak


if __name__ == "__main__":
    run_alone(measure, "memory", __doc__)
