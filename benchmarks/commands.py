"""Command lines that are timed from exec to exit, in an environment of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contender import Program
from benchmarks.full_width import ROOT
from benchmarks.options import Options

__all__ = ["Commands", "peaudio"]

SCRIPT = Path(sys.executable).with_name("peaudio")


def peaudio() -> list[str | Path]:
    """The command; where the package is used without an installation, what its script does."""
    return [SCRIPT] if SCRIPT.exists() else [sys.executable, "-c", "from pe_audio_cli.cli.app import main; main()"]


@dataclass(frozen=True)
class Commands:
    """``work`` is a folder for what they cache, so that no label is known from before."""

    work: Path
    options: Options

    def python(self, name: str, *arguments: str | Path) -> Program:
        """A run of Python."""
        return Program(name, [sys.executable, *arguments], self.environment)

    def tag(self, name: str, folder: Path, recording: Path, labels: Sequence[str], *more: str) -> Program:
        """``peaudio tag`` on one recording, with the checkpoint in ``folder``."""
        return self._tag(name, [recording], folder, labels, more)

    def tag_listed(self, name: str, folder: Path, listed: Path, labels: Sequence[str], *more: str) -> Program:
        """``peaudio tag`` on the recordings of a list, with the checkpoint in ``folder``."""
        return self._tag(name, ["--manifest", listed], folder, labels, more)

    def _tag(
        self, name: str, inputs: Sequence[str | Path], folder: Path, labels: Sequence[str], more: Sequence[str]
    ) -> Program:
        wanted: list[str] = [part for label in labels for part in ("--label", label)]
        flags = ["-m", str(folder), "--device", "cpu", "--threads", str(self.options.threads), "-q", *more]
        return Program(name, [*peaudio(), "tag", *inputs, *wanted, *flags], self.environment)

    def search(self, name: str, index: Path, query: str) -> Program:
        """``peaudio search`` for ten hits."""
        return Program(name, [*peaudio(), "search", query, "--index", index, "-q"], self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of all programs."""
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            **os.environ,
            "OMP_NUM_THREADS": str(self.options.threads),
            "PYTHONPATH": os.pathsep.join(paths),
            "TRANSFORMERS_VERBOSITY": "error",
            "XDG_CACHE_HOME": str(self.work / "cache"),
        }
