"""The flags that all benchmarks share, and how one of them is run alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.full_width import full_width
from benchmarks.table import HOW_TO_READ

__all__ = ["Options", "parse", "run_alone"]


@dataclass(frozen=True)
class Options:
    """Options of all benchmarks: durations, repetitions, checkpoints.

    ``checkpoint`` None is the full-width one with random weights. ``lengths`` and ``recording`` are seconds of audio,
    and so is ``long_recording``, the far end of the line that cost should be on, which takes long; None leaves it out.
    ``windows`` are the sizes of the indexes that are searched, ``clips`` is the number of those that a cluster tags.
    ``skip`` names benchmarks that are left out.
    """

    checkpoint: Path | None = None
    threads: int = 2
    rounds: int = 5
    lengths: tuple[float, ...] = (10.0, 30.0, 60.0)
    recording: float = 120.0
    long_recording: float | None = None
    windows: tuple[int, ...] = (10_000, 100_000)
    clips: int = 10_000
    skip: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The checkpoint, written first if need be."""
        return full_width() if self.checkpoint is None else self.checkpoint

    @property
    def width(self) -> str:
        """The name of the checkpoint in tables."""
        return "full width" if self.checkpoint is None else self.checkpoint.name

    @property
    def model(self) -> str:
        """The same, to go into a sentence."""
        return "at full width" if self.checkpoint is None else f"with the checkpoint {self.checkpoint.name}"

    @property
    def setting(self) -> str:
        """The checkpoint and the CPU share of a table, for a sentence."""
        return f"{self.model} on {self.cpu}"

    @property
    def cpu(self) -> str:
        """The share of the CPU."""
        return "1 thread" if self.threads == 1 else f"{self.threads} threads"


LONG: dict[str, Any] = {"recording": 600.0, "long_recording": 3600.0, "windows": (10_000, 100_000, 1_000_000)}


def parse(arguments: Sequence[str] | None, prog: str, about: str, benchmarks: Sequence[str] = ()) -> Options:
    """Options from the command line of a program that runs one benchmark, or several by their names."""
    parser = argparse.ArgumentParser(prog=prog, description=about)
    parser.add_argument("--checkpoint", type=Path, help="a folder; the default is of full width, with random weights")
    parser.add_argument("--threads", type=int, help="CPU threads of each contender")
    parser.add_argument("--rounds", type=int, help="turns that each contender takes")
    parser.add_argument("--lengths", type=float, nargs="+", metavar="SECONDS", help="of the audio that is encoded")
    parser.add_argument(
        "--long", action="store_true", help="a recording of 10 minutes, the cost of 60, an index of 1,000,000"
    )
    parser.add_argument("--windows", type=int, nargs="+", metavar="N", help="in the indexes that are searched")
    parser.add_argument("--recording", type=float, metavar="SECONDS", help="of those that are tagged end to end")
    parser.add_argument("--clips", type=int, metavar="N", help="of 1 s, that go through a cluster")
    if benchmarks:
        some = parser.add_mutually_exclusive_group()
        some.add_argument("--only", nargs="+", choices=benchmarks, metavar="NAME", help=", ".join(benchmarks))
        some.add_argument("--skip", nargs="+", choices=benchmarks, metavar="NAME", help="the same")
    defaults = {field.name: field.default for field in fields(Options)}
    parser.set_defaults(**{name: defaults[name] for name in ("threads", "rounds", "lengths")})
    chosen = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    if "only" in chosen:
        chosen["skip"] = [name for name in benchmarks if name not in chosen["only"]]
        del chosen["only"]
    several = {name: tuple(value) for name, value in chosen.items() if isinstance(value, list)}
    return Options(**{**(LONG if chosen.pop("long") else {}), **chosen, **several})


def run_alone(measure: Callable[[Options], str], name: str, about: str | None) -> None:
    """Print how to read tables and one benchmark's section, as ``python -m benchmarks.NAME`` does."""
    print(HOW_TO_READ, measure(parse(None, f"python -m benchmarks.{name}", str(about))), sep="\n\n")
