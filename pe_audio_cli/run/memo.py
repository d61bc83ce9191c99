"""An encoder that remembers, so that asking twice about the same audio costs one pass."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pe_audio_cli.results import Embeddings
from pe_audio_cli.run.pipeline import Encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MemoEncoder"]

MEMORY = 256 << 20  # bytes of embeddings that are kept, the latest used


class MemoEncoder:
    """Wraps an :class:`Encoder`, and encodes each window and each label that it has met lately only once."""

    def __init__(self, encoder: Encoder, memory: int = MEMORY) -> None:
        self.name = encoder.name
        self.engine = encoder.engine
        self.fingerprint = encoder.fingerprint
        self.default_labels = encoder.default_labels
        self.batch_size = encoder.batch_size
        self.logit_scale = encoder.logit_scale
        self.logit_bias = encoder.logit_bias
        self._encoder = encoder
        self._texts: dict[str, NDArray[np.float32]] = {}
        self._windows: OrderedDict[bytes, Embeddings] = OrderedDict()
        self._free = memory

    def encode_text(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """Text embeddings of shape ``(n_labels, dim)``."""
        new = [label for label in labels if label not in self._texts]
        if new:
            self._texts.update(zip(new, self._encoder.encode_text(new), strict=True))
        return np.stack([self._texts[label] for label in labels])

    def encode_audio(self, windows: NDArray[np.float32]) -> Embeddings:
        """Clip and frame embeddings of equal windows of shape ``(batch, samples)``."""
        keys = [hashlib.blake2b(window.tobytes(), digest_size=16).digest() for window in windows]
        new = [index for index, key in enumerate(keys) if key not in self._windows]
        encoded = dict(self._windows)
        if new:
            batch = self._encoder.encode_audio(windows[new])
            for place, index in enumerate(new):
                encoded[keys[index]] = Embeddings(batch.clips[place], batch.frames[place])
        found = [encoded[key] for key in keys]
        for key, embeddings in zip(keys, found, strict=True):
            self._remember(key, embeddings)
        return Embeddings(np.stack([item.clips for item in found]), np.stack([item.frames for item in found]))

    def _remember(self, key: bytes, embeddings: Embeddings) -> None:
        if key not in self._windows:
            # A copy: a slice would keep its whole batch alive.
            self._windows[key] = Embeddings(embeddings.clips.copy(), embeddings.frames.copy())
            self._free -= embeddings.clips.nbytes + embeddings.frames.nbytes
        self._windows.move_to_end(key)
        while self._free < 0:
            _, dropped = self._windows.popitem(last=False)
            self._free += dropped.clips.nbytes + dropped.frames.nbytes
