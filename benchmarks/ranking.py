"""The effect of bfloat16 on the order of 50 labels, and on their probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from benchmarks import mini, models
from benchmarks.contender import Contender, running
from benchmarks.full_width import REFERENCE
from benchmarks.lineup import BFLOAT16, OURS, TRANSFORMERS, able
from benchmarks.options import Options, run_alone
from benchmarks.table import section, table
from pe_audio_cli.audio.framing import HOP
from pe_audio_cli.detection.scoring import probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["measure", "spearman"]

N_LABELS = 50
SPREAD = 2.0  # standard deviation of the random labels' logits, so that probabilities are neither all 0 nor all 1
CLIPS = sorted(REFERENCE.glob("*_clip_*.wav"))


def measure(options: Options) -> str:
    """A row for each clip and contender."""
    folders = {options.width: options.folder, **({"mini": mini.MINI} if mini.MINI.is_dir() else {})}
    text = (
        f"Probabilities of {N_LABELS} labels for the clips of tests/reference, by the full encoder {options.setting}: "
        "their order against that by transformers in float32 (Spearman's coefficient), and the largest difference. The "
        f"labels' embeddings are drawn at random, such that their logits spread by {SPREAD:g}."
    )
    rows = [row for name, folder in folders.items() for row in _rows(name, folder, options)]
    return section(
        "Order of labels", text, table(["", "contender", "Spearman, worst clip", "largest difference"], rows)
    )


def spearman(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Spearman's rank correlation of two lists of numbers without ties."""
    first, second = (np.argsort(np.argsort(each)) for each in (one, other))
    n = len(one)
    return float(1 - 6 * np.square(first - second).sum() / (n * (n**2 - 1)))


def _rows(name: str, folder: Path, options: Options) -> list[list[str]]:
    contenders = [
        Contender(TRANSFORMERS, models.transformers_encoder, {"folder": folder}),
        Contender(OURS, models.our_encoder, {"folder": folder}, keeps_blocks=True),
        Contender(BFLOAT16, models.our_encoder, {"folder": folder, "dtype": "bfloat16"}, keeps_blocks=True),
    ]
    with running(able(contenders), options.threads) as children:
        clips = {
            child.name: np.concatenate([child.run(_samples(clip)).output[0] for clip in CLIPS]) for child in children
        }
    exact: NDArray[np.float32] = clips[TRANSFORMERS]
    labels = np.random.default_rng(0).standard_normal((N_LABELS, exact.shape[1]))
    labels *= SPREAD / np.linalg.norm(exact, axis=1).mean()
    wanted = probabilities(exact @ labels.T)
    rows = []
    for each in contenders[1:]:
        if each.name not in clips:
            rows.append([name, each.name])
            continue
        found = probabilities(clips[each.name] @ labels.T)
        worst = min(map(spearman, found, wanted))
        rows.append([name, each.name, f"{worst:.4f}", f"{np.abs(found - wanted).max():.1e}"])
    return rows


def _samples(clip: Path) -> NDArray[np.float32]:
    """Whole frames of a clip."""
    samples: NDArray[np.float32] = soundfile.read(clip, dtype="float32")[0]
    return samples[: len(samples) // HOP * HOP]


if __name__ == "__main__":
    run_alone(measure, "ranking", __doc__)
