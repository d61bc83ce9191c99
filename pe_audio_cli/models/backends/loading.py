"""Loading of encoders: a checkpoint's graphs, our own modules, or those of transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pe_audio_cli.models.backends.engines import forced_engine, or_torch, wants_graphs
from pe_audio_cli.models.backends.onnx_encoder import OnnxEncoder
from pe_audio_cli.models.encoder import DeviceOptions

if TYPE_CHECKING:
    from pe_audio_cli.models.checkpoint import Checkpoint
    from pe_audio_cli.models.encoder import Encoder

__all__ = ["load_encoder"]


def load_encoder(checkpoint: Checkpoint, device: DeviceOptions | None = None) -> Encoder:
    """Load a checkpoint with the engine that suits it; whatever encodes in this process comes from here.

    Raises :class:`CheckpointError` for a checkpoint whose weights cannot be used, and :class:`UsageError` for a device,
    dtype or engine that this machine doesn't have.
    """
    options = DeviceOptions() if device is None else device
    if wants_graphs(checkpoint, options):
        return or_torch(lambda: OnnxEncoder(checkpoint, options), lambda: _on_torch(checkpoint, options))
    return _on_torch(checkpoint, options)


def _on_torch(checkpoint: Checkpoint, options: DeviceOptions) -> Encoder:
    from pe_audio_cli.models.backends.torch_encoder import PeEncoder

    if forced_engine() == "transformers":
        return PeEncoder(checkpoint, options, "transformers")
    return PeEncoder(checkpoint, options)
