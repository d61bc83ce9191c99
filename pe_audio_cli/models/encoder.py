"""The protocol of encoders, which turn labels and samples into embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from pe_audio_cli.results import Embeddings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


__all__ = ["Encoder"]


class Encoder(Protocol):
    """An encoder of labels and samples into embeddings.

    The codec turns each frame of samples into features that depend on no more than ``context_frames`` frames on either
    side; the rest of the model takes a whole window of them. logit = ``logit_scale`` * (audio . text) + ``logit_bias``.
    """

    name: str
    backend: str
    fingerprint: str
    default_labels: tuple[str, ...]
    batch_size: int
    context_frames: int
    logit_scale: float
    logit_bias: float

    def encode_text(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """Text embeddings of shape ``(n_labels, dim)``."""

    def encode_codec(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Codec features, ``(n_frames, width)``, of frames of samples, ``(n_frames, 1920)``."""

    def encode_windows(self, features: NDArray[np.float32]) -> Embeddings:
        """Embeddings of equal windows of codec features, ``(batch, n_frames, width)``; RunError if it fails."""
