"""Detection of unfamiliar labels, those that a checkpoint was not trained for, by their text embeddings.

A small checkpoint gives a probability for every label, also for sounds that it was never trained on. A checkpoint with
``familiar.safetensors`` can detect them: a logistic regression for each concept that it was trained on, from text
embeddings scaled to unit length. ``weight`` is ``(n_concepts, dim)``, ``bias`` ``(n_concepts,)``; a label is familiar
if any logit is above the metadata entry ``threshold``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pe_audio_cli import _paths
from pe_audio_cli.errors import CheckpointError
from pe_audio_cli.models.checkpoint import library_faults
from pe_audio_cli.models.tensors import read_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["UnfamiliarLabels"]

FILE = "familiar.safetensors"


@dataclass(frozen=True)
class UnfamiliarLabels:
    """``weight`` ``(n_concepts, dim)``, ``bias`` ``(n_concepts,)``, and the logit that a familiar label reaches."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    threshold: float

    @classmethod
    def open(cls, folder: Path) -> UnfamiliarLabels | None:
        """Open the file of a checkpoint's folder; None if it has none.

        Raises :class:`CheckpointError` if the file is damaged, or has the wrong content.
        """
        from safetensors import safe_open

        file = folder / FILE
        if not _paths.exists(file):
            return None
        with library_faults(_damaged):
            read_table(file)
            with safe_open(file, framework="np") as tensors:
                weight, bias = (tensors.get_tensor(name).astype(np.float32) for name in ("weight", "bias"))
                metadata = tensors.metadata() or {}
            if "threshold" not in metadata:
                raise ValueError("it has no threshold")
            threshold = float(metadata["threshold"])
        if weight.ndim != 2 or bias.shape != weight.shape[:1] or not len(bias):
            raise _damaged(ValueError(f"shapes {weight.shape} and {bias.shape}"))
        if not all(np.isfinite(numbers).all() for numbers in (weight, bias, threshold)):
            raise _damaged(ValueError("numbers that are not finite"))
        return cls(weight, bias, threshold)

    def save(self, folder: Path) -> None:
        """Write the file that :meth:`open` reads, in float16."""
        from safetensors.numpy import save_file

        tensors = {"weight": self.weight.astype(np.float16), "bias": self.bias.astype(np.float16)}
        save_file(tensors, folder / FILE, {"threshold": f"{self.threshold:.4f}"})

    def detect(self, labels: Sequence[str], embeddings: NDArray[np.float32]) -> list[str]:
        """Return the labels whose text embeddings ``(n_labels, dim)`` are far from every concept of the training."""
        highest = self.logits(embeddings).max(axis=1)
        return [label for label, logit in zip(labels, highest, strict=True) if logit < self.threshold]

    def logits(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logit of each concept for each label, ``(n_labels, n_concepts)``."""
        if embeddings.shape[1] != self.weight.shape[1]:
            raise _damaged(ValueError(f"for embeddings of {self.weight.shape[1]} numbers, not {embeddings.shape[1]}"))
        unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        logits: NDArray[np.float32] = unit @ self.weight.T + self.bias
        return logits


def _damaged(error: BaseException) -> CheckpointError:
    reason = " ".join(str(error).split())[:300]
    return CheckpointError(f"{FILE} of the checkpoint is damaged ({reason}); fetch the checkpoint again")
