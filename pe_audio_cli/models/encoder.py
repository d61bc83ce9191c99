"""Encoders, which turn labels and samples into embeddings: their protocol, and the facts about one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pe_audio_cli.results import Embeddings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


__all__ = ["DeviceOptions", "Encoder", "EncoderFacts"]


@dataclass(frozen=True)
class EncoderFacts:
    """The facts about an encoder, the same whatever it encodes.

    Attributes:
        name: The name that the user gave the checkpoint.
        fingerprint: A hexadecimal string that identifies the checkpoint.
        backend: The dtype, device and backend, for people.
        default_labels: The labels that the checkpoint suggests, maybe none.
        batch_size: The number of windows that are best encoded at once on this device.
        context_frames: The number of frames on either side that a frame's codec features depend on.
        logit_scale: ``scale`` in logit = scale * (audio . text) + bias.
        logit_bias: ``bias`` in the same.
        warnings: What the user should know before anything is encoded.
        n_parallel: The number of threads that the encoder works for at once, and that it takes to use all cores.
    """

    name: str
    fingerprint: str
    backend: str
    default_labels: tuple[str, ...]
    batch_size: int
    context_frames: int
    logit_scale: float
    logit_bias: float
    warnings: tuple[str, ...] = ()
    n_parallel: int = 1


@dataclass(frozen=True)
class DeviceOptions:
    """The device, the dtype and the threads that the audio tower runs on.

    ``device`` is ``auto`` (CUDA, then MPS, then CPU; for the shipped checkpoint the CPU, which answers before a GPU is
    set up) or a torch device such as ``cuda:1``. ``dtype`` ``auto`` is bfloat16 on a GPU that supports it, else
    float32. ``threads`` None is as many as there are cores. ``compile`` hands the codec's activations to
    ``torch.compile``, which takes some seconds to compile; with CUDA they are one kernel anyway.
    """

    device: str = "auto"
    dtype: str = "auto"
    threads: int | None = None
    compile: bool = False


class Encoder(Protocol):
    """An encoder of labels and samples into embeddings.

    The codec turns each frame of samples into features that depend on no more than ``facts.context_frames`` frames on
    either side; the rest of the model takes a whole window of them.

    Any number of threads may call an encoder at once, and its numbers do not depend on what others ask meanwhile.
    ``facts.n_parallel`` of them are encoded for at the same time, the others wait.
    """

    @property
    def facts(self) -> EncoderFacts:
        """The checkpoint and backend of this encoder, and how its embeddings become logits."""

    def encode_text(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """Text embeddings of shape ``(n_labels, dim)``."""

    def encode_codec(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Codec features, ``(n_frames, width)``, of frames of samples, ``(n_frames, 1920)``."""

    def encode_windows(self, features: NDArray[np.float32]) -> Embeddings:
        """Embeddings of equal windows of codec features, ``(batch, n_frames, width)``; RunError if it fails."""
