"""Selection of the backend: our own modules, or those of transformers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pe_audio_cli.errors import UsageError

if TYPE_CHECKING:
    from pe_audio_cli.models.checkpoint import Checkpoint
    from pe_audio_cli.models.encoder import DeviceOptions, Encoder

__all__ = ["load_encoder", "pick_backend"]

BACKENDS = ("fast", "reference")  # our own modules, and those of transformers


def pick_backend() -> str:
    """Return ``PEAUDIO_ENGINE``, or ``fast`` if it is not set. Raises :class:`UsageError` for an unknown backend."""
    backend = os.environ.get("PEAUDIO_ENGINE", BACKENDS[0])
    if backend not in BACKENDS:
        raise UsageError(f"PEAUDIO_ENGINE={backend} is unknown: use {' or '.join(BACKENDS)}")
    return backend


def load_encoder(checkpoint: Checkpoint, device: DeviceOptions | None = None) -> Encoder:
    """Load a checkpoint with the backend that suits it; whatever encodes in this process comes from here.

    Raises :class:`CheckpointError` for a checkpoint whose weights cannot be used, and :class:`UsageError` for a device
    or dtype that this machine doesn't have.
    """
    from pe_audio_cli.models.backends.torch_encoder import PeEncoder

    return PeEncoder(checkpoint, device)
