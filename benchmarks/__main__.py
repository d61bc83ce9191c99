"""Every benchmark, one after the other: ``python -m benchmarks``, or ``make bench``.

Writes RESULTS.md beside this file once all are done, and prints each section as soon as it is.
"""

from __future__ import annotations

import datetime
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import (
    clap,
    cluster,
    codec,
    encoder,
    labels,
    linear,
    machine,
    memory,
    mini,
    ranking,
    recording,
    search,
    startup,
)
from benchmarks.options import Options, parse
from benchmarks.table import HOW_TO_READ

RESULTS = Path(__file__).parent / "RESULTS.md"
BENCHMARKS = (codec, encoder, ranking, recording, linear, memory, startup, labels, search, clap, mini, cluster)


def main(arguments: Sequence[str] | None = None, results: Path = RESULTS) -> None:
    """Measure, and replace ``results`` as a whole."""
    by_name = {benchmark.__name__.rpartition(".")[2]: benchmark for benchmark in BENCHMARKS}
    options = parse(arguments, "python -m benchmarks", str(__doc__), list(by_name))
    start = time.monotonic()
    sections = []
    for name, benchmark in by_name.items():
        if name in options.skip:
            continue
        sections.append(benchmark.measure(options))
        print(sections[-1], flush=True, end="\n\n")
    part = results.with_suffix(".part")
    part.write_text("\n\n".join([head(options, time.monotonic() - start), *sections]) + "\n", encoding="utf-8")
    os.replace(part, results)
    print(f"written to {results}", file=sys.stderr)


def head(options: Options, took: float) -> str:
    """What all numbers have in common."""
    without = f" Left out: {', '.join(options.skip)}." if options.skip else ""
    return (
        "# Benchmarks\n\n"
        f"Written by `make bench` on {datetime.date.today().isoformat()}; do not edit. {machine.describe()}\n\n"
        f"Each contender runs in a process of its own on {options.cpu}. They take turns, {options.rounds} rounds of "
        f"them; all of it took {took / 60:.0f} minutes.{without} *Full width* is transformers' default "
        f"`PeAudioConfig`, as in the published checkpoints, with random weights. {HOW_TO_READ}"
    )


if __name__ == "__main__":
    main()
