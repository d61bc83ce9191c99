"""Helpers of tests: the reference checkpoints, an encoder that needs no model, recordings."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pe_audio_cli.errors import RunError
from pe_audio_cli.models.encoder import EncoderFacts
from pe_audio_cli.results import Embeddings

REFERENCE = Path(__file__).parent / "reference"
LAYOUTS = ("pe-a-frame-tiny", "pe-av-tiny")

# Runs a script and says on standard error how many KiB it took at its most; getrusage would count the parent's too.
MEASURED = """
import runpy, sys
from pathlib import Path
sys.argv.pop(0)
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0], file=sys.stderr)
"""


def peak_memory(script: Path, *arguments: str | Path) -> tuple[float, bytes]:
    """Megabytes that a run of a Python script took at its most, and what it printed."""
    if not Path("/proc/self/status").is_file():
        pytest.skip("no /proc here, from which the peak of memory could be read")
    environment = {**os.environ, "PYTHONPATH": str(script.parent)}
    command = [sys.executable, "-c", MEASURED, str(script), *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, env=environment, timeout=300, check=True)
    return int(ran.stderr.split()[-1]) * 1024 / 1e6, ran.stdout


@contextlib.contextmanager
def logged() -> Iterator[list[str]]:
    """The messages that the package logs, of any level."""
    logger, messages = logging.getLogger("pe_audio_cli"), []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@dataclass(frozen=True)
class Reference:
    """The numbers of the original implementation with one of the two tiny checkpoints."""

    folder: Path
    labels: list[str]
    clips: dict[str, dict[str, Any]]

    def audio(self, clip: str) -> Path:
        return REFERENCE / self.clips[clip]["file"]


LEVEL_FACTS = EncoderFacts(
    name="level",
    fingerprint="0123",
    backend="by ear",
    default_labels=("loud", "louder", "very loud", "deafening", "painful", "unheard of"),
    batch_size=1,
    context_frames=2,
    logit_scale=1.0,
    logit_bias=0.0,
)


@dataclass
class LevelEncoder:
    """Hears one thing, loudness: any label's logit is the mean level of a clip or frame, less the label's length.

    Each call for windows is noted in ``batches``. A window louder than ``too_loud`` cannot be encoded.
    """

    facts: EncoderFacts = LEVEL_FACTS
    too_loud: float = float("inf")
    batches: list[tuple[int, int]] = field(default_factory=list)

    def encode_text(self, labels: Sequence[str]) -> np.ndarray:
        return np.array([[1.0, -len(label)] for label in labels], np.float32)

    def encode_codec(self, frames: np.ndarray) -> np.ndarray:
        return np.abs(frames).mean(-1, keepdims=True) * 100

    def encode_windows(self, features: np.ndarray) -> Embeddings:
        self.batches.append(features.shape[:2])
        level = features[..., 0]
        if level.max() > self.too_loud:
            raise RunError("too loud")
        frames = np.stack([level, np.ones_like(level)], axis=-1).astype(np.float32)
        return Embeddings(frames.mean(1), frames)


def write_tone(path: Path, seconds: float = 1.0, level: float = 0.1, rate: int = 48_000) -> Path:
    """A recording with a steady tone, as 32-bit float."""
    time = np.arange(round(seconds * rate)) / rate
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, (level * np.sin(2 * np.pi * 440 * time)).astype(np.float32), rate, "FLOAT", format="WAV")
    return path


def remove_tree(top: Path) -> None:
    """Remove a folder of any depth, in which shutil.rmtree would recurse too deep; pytest leaves it to that."""
    waiting, n_moved = [top], 0
    while waiting:
        folder = waiting.pop()
        for entry in list(folder.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                n_moved += 1
                waiting.append(entry.rename(top.with_name(f"{top.name}-{n_moved}")))
            else:
                entry.unlink()
        folder.rmdir()
