"""Loading of encoders, by the backend that suits the checkpoint and the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pe_audio_cli.models.checkpoint import Checkpoint
    from pe_audio_cli.models.encoder import DeviceOptions, Encoder

__all__ = ["load_encoder"]


def load_encoder(checkpoint: Checkpoint, device: DeviceOptions | None = None) -> Encoder:
    """Load a checkpoint with the backend that suits it; whatever encodes in this process comes from here.

    Raises :class:`CheckpointError` for a checkpoint whose weights cannot be used, and :class:`UsageError` for a device
    or dtype that this machine doesn't have.
    """
    from pe_audio_cli.models.backends.torch_encoder import PeEncoder

    return PeEncoder(checkpoint, device)
