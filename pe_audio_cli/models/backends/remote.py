"""An encoder for runs that encode audio in other processes: the text tower and the facts of the checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pe_audio_cli.errors import RunError
from pe_audio_cli.models.backends.labels import encode_labels
from pe_audio_cli.models.checkpoint import Checkpoint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pe_audio_cli.results import Embeddings

__all__ = ["RemoteEncoder"]


class RemoteEncoder:
    """A :class:`~pe_audio_cli.models.backends.torch_encoder.PeEncoder` without the audio tower.

    ``backend`` describes, for people, what encodes the audio.
    """

    def __init__(self, checkpoint: Checkpoint, backend: str) -> None:
        """Raises :class:`CheckpointError` for a checkpoint whose weights cannot be read."""
        self.facts = checkpoint.facts(backend, batch_size=1)
        self._checkpoint = checkpoint

    def encode_text(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """Text embeddings of shape ``(n_labels, dim)``; they are cached on disk.

        Raises :class:`UsageError` for a label that is too long, :class:`CheckpointError` for a damaged text tower.
        """
        return encode_labels(self._checkpoint, labels)

    def encode_codec(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raise :class:`RunError`: audio is encoded elsewhere."""
        raise RunError(f"{self.facts.name} encodes no audio in this process")

    def encode_windows(self, features: NDArray[np.float32]) -> Embeddings:
        """Raise :class:`RunError`: audio is encoded elsewhere."""
        raise RunError(f"{self.facts.name} encodes no audio in this process")
