"""Every benchmark, one after the other: ``python -m benchmarks``, or ``make bench``.

Prints each section as soon as it is measured, and puts it in its place in RESULTS.md, beside this file. What was
measured earlier stays there, under its date and its machine; so does what needs a CUDA GPU, where there is none.
"""

from __future__ import annotations

import datetime
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import (
    clap,
    cluster,
    codec,
    cuda,
    decoding,
    encoder,
    labels,
    light,
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
from pe_audio_cli._files import growing

RESULTS = Path(__file__).parent / "RESULTS.md"
HEAD = (
    "# Benchmarks\n\nWritten by `make bench`; do not edit. Each section says below when and where it was measured.\n\n"
    "Each contender runs in a process of its own, and they take turns. *Full width* is transformers' default "
    f"`PeAudioConfig`, as in the published checkpoints, with random weights. {HOW_TO_READ}"
)
BENCHMARKS = (
    *(codec, encoder, ranking, recording, decoding, linear, memory, startup, light),
    *(labels, search, clap, mini, cuda, cluster),
)


def main(arguments: Sequence[str] | None = None, results: Path = RESULTS) -> None:
    """Measure, and bring ``results`` up to date, a section at a time."""
    by_name = {benchmark.__name__.rpartition(".")[2]: benchmark for benchmark in BENCHMARKS}
    options = parse(arguments, "python -m benchmarks", str(__doc__), list(by_name))
    sections = read(results)
    for name, benchmark in by_name.items():
        if name in options.skip or (benchmark is cuda and name in sections and machine.gpu() is None):
            continue
        start = time.monotonic()
        measured = benchmark.measure(options)
        sections[name] = f"{measured}\n\n{footnote(options, time.monotonic() - start)}"
        print(sections[name], flush=True, end="\n\n")
        ordered = {each: sections[each] for each in by_name if each in sections}
        with growing(results) as file:
            file.write(written(ordered).encode())
    print(f"written to {results}", file=sys.stderr)


def footnote(options: Options, took: float) -> str:
    """Return the footnote of a section: the date, the commit, the time it took, and the machine."""
    rounds = "one round" if options.rounds == 1 else f"{options.rounds} rounds where nothing else is said"
    date, code = datetime.date.today().isoformat(), machine.commit()
    return f"*{date}, commit {code}, {rounds}, {took / 60:.0f} minutes. {machine.describe()}*"


def written(sections: dict[str, str]) -> str:
    """The whole file; each section follows a comment with its benchmark's name."""
    return "\n\n".join([HEAD, *(f"<!-- {name} -->\n\n{text}" for name, text in sections.items())]) + "\n"


def read(results: Path) -> dict[str, str]:
    """The sections of an earlier file by name; none if there is no such file."""
    if not results.exists():
        return {}
    _, *parts = re.split(r"^<!-- (\w+) -->$", results.read_text(encoding="utf-8"), flags=re.M)
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}


if __name__ == "__main__":
    main()
