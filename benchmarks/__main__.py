"""Every benchmark, one after the other: ``python -m benchmarks``, or ``make bench``.

Prints each section as soon as it is measured, and puts it in its place in RESULTS.md, beside this file. What was
measured earlier stays there, under its date, unless it was on another machine.
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
from pe_audio_cli.run.places import whole_file

RESULTS = Path(__file__).parent / "RESULTS.md"
BENCHMARKS = (codec, encoder, ranking, recording, linear, memory, startup, labels, search, clap, mini, cluster)


def main(arguments: Sequence[str] | None = None, results: Path = RESULTS) -> None:
    """Measure, and bring ``results`` up to date, a section at a time."""
    by_name = {benchmark.__name__.rpartition(".")[2]: benchmark for benchmark in BENCHMARKS}
    options = parse(arguments, "python -m benchmarks", str(__doc__), list(by_name))
    sections = read(results, head(options))
    for name, benchmark in by_name.items():
        if name in options.skip:
            continue
        start = time.monotonic()
        measured = benchmark.measure(options)
        sections[name] = f"{measured}\n\n{footnote(options, time.monotonic() - start)}"
        print(sections[name], flush=True, end="\n\n")
        ordered = {each: sections[each] for each in by_name if each in sections}
        with whole_file(results) as part:
            part.write_text(written(head(options), ordered), encoding="utf-8")
    print(f"written to {results}", file=sys.stderr)


def head(options: Options) -> str:
    """What all numbers have in common."""
    return (
        f"# Benchmarks\n\nWritten by `make bench`; do not edit. {machine.describe()}\n\n"
        f"Each contender runs in a process of its own on {options.cpu}, and they take turns. *Full width* is "
        "transformers' default `PeAudioConfig`, as in the published checkpoints, with random weights. "
        f"{HOW_TO_READ}"
    )


def footnote(options: Options, took: float) -> str:
    """When a section was measured, and for how long."""
    rounds = "one round" if options.rounds == 1 else f"{options.rounds} rounds where nothing else is said"
    return f"*{datetime.date.today().isoformat()}, {rounds}, {took / 60:.0f} minutes.*"


def written(head: str, sections: dict[str, str]) -> str:
    """The whole file; each section follows a comment with its benchmark's name."""
    return "\n\n".join([head, *(f"<!-- {name} -->\n\n{text}" for name, text in sections.items())]) + "\n"


def read(results: Path, head: str) -> dict[str, str]:
    """The sections of an earlier file by name: none if there is no file, or one with another head."""
    if not results.exists():
        return {}
    before, *parts = re.split(r"^<!-- (\w+) -->$", results.read_text(encoding="utf-8"), flags=re.M)
    if before.strip() != head:
        return {}
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}


if __name__ == "__main__":
    main()
