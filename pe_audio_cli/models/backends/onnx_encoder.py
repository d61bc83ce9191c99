"""An encoder that runs a checkpoint's graphs, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pe_audio_cli._system import available_cores
from pe_audio_cli.errors import RunError
from pe_audio_cli.models.backends.graphs import Graph
from pe_audio_cli.models.backends.labels import encode_labels
from pe_audio_cli.results import Embeddings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pe_audio_cli.models.checkpoint import Checkpoint
    from pe_audio_cli.models.encoder import DeviceOptions

__all__ = ["OnnxEncoder"]


class OnnxEncoder:
    """A PE Audio checkpoint on onnxruntime, ready to encode.

    Each call uses one thread, and as many calls as ``facts.n_parallel`` may be made at once: numbers do not depend on
    how many threads there are.
    """

    def __init__(self, checkpoint: Checkpoint, options: DeviceOptions) -> None:
        """Open the graphs of the audio tower; the text tower waits for the first label.

        Raises :class:`GraphError` if they cannot be run, and :class:`CheckpointError` for a damaged checkpoint.
        """
        n_threads = available_cores() if options.threads is None else options.threads
        self.facts = checkpoint.facts("float32 on cpu, by onnxruntime", batch_size=1, n_parallel=n_threads)
        self._checkpoint = checkpoint
        self._codec, self._tower = Graph(checkpoint, "codec.onnx"), Graph(checkpoint, "audio.onnx")

    def encode_text(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """Text embeddings of shape ``(n_labels, dim)``; they are cached on disk.

        Raises :class:`UsageError` for a label that is too long, :class:`CheckpointError` for a damaged text tower.
        """
        return encode_labels(self._checkpoint, labels)

    def encode_codec(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Codec features of consecutive frames of samples: ``(n_frames, 1920)`` at 48 kHz to ``(n_frames, width)``.

        The input counts as silent beyond both ends, so drop ``facts.context_frames`` frames of the result on each side
        where a longer recording was cut. Raises :class:`RunError` where memory runs out.
        """
        (windows,) = self._codec.run(samples=frames.reshape(1, 1, -1))
        features: NDArray[np.float32] = windows[0]
        return features

    def encode_windows(self, features: NDArray[np.float32]) -> Embeddings:
        """Embeddings of equal windows of codec features, ``(batch, n_frames, width)``, each by itself.

        Raises :class:`RunError` if they are not finite, or memory runs out.
        """
        outputs = [self._tower.run(features=window[None]) for window in features]
        clips, frames = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
        if not (np.isfinite(clips).all() and np.isfinite(frames).all()):
            raise RunError("the model's output is not finite: fetch the checkpoint again")
        return Embeddings(clips, frames)
