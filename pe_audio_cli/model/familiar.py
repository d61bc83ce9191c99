"""Which labels a checkpoint was trained for, as far as its own text embeddings can tell.

A small checkpoint answers every label with a number, also those that it has never learned anything about. One that
carries ``familiar.safetensors`` can tell: a logistic regression for each concept that it was trained on, from text
embeddings scaled to unit length. ``weight`` is ``(n_concepts, dim)``, ``bias`` ``(n_concepts,)``; a label is familiar
if any logit is above the metadata entry ``threshold``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Familiar"]

FILE = "familiar.safetensors"


@dataclass(frozen=True)
class Familiar:
    """``weight`` ``(n_concepts, dim)``, ``bias`` ``(n_concepts,)``, and the logit that a familiar label reaches."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    threshold: float

    @classmethod
    def open(cls, folder: Path) -> Familiar | None:
        """From a checkpoint's folder; None where the checkpoint does not say."""
        from safetensors import safe_open

        if not (folder / FILE).is_file():
            return None
        with safe_open(folder / FILE, framework="np") as tensors:
            weight, bias = (tensors.get_tensor(name).astype(np.float32) for name in ("weight", "bias"))
            return cls(weight, bias, float(tensors.metadata()["threshold"]))

    def save(self, folder: Path) -> None:
        """Write what :meth:`open` reads, in float16."""
        from safetensors.numpy import save_file

        tensors = {"weight": self.weight.astype(np.float16), "bias": self.bias.astype(np.float16)}
        save_file(tensors, folder / FILE, {"threshold": f"{self.threshold:.4f}"})

    def strange(self, labels: Sequence[str], embeddings: NDArray[np.float32]) -> list[str]:
        """Those labels whose text embeddings ``(n_labels, dim)`` are like nothing that was trained on."""
        highest = self.logits(embeddings).max(axis=1)
        return [label for label, logit in zip(labels, highest, strict=True) if logit < self.threshold]

    def logits(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """How much each label is like each concept, ``(n_labels, n_concepts)``."""
        unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        logits: NDArray[np.float32] = unit @ self.weight.T + self.bias
        return logits
