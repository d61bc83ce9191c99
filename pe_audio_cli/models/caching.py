"""An encoder with a cache, so that the same audio is encoded once."""

from __future__ import annotations

import copy
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from pe_audio_cli.models.encoder import Encoder
from pe_audio_cli.results import Embeddings

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CachingEncoder"]

CACHE_BYTES = 256 << 20  # of embeddings, and as many of codec features; the least recently used are dropped
TEXT_SHARE = 8  # labels get a part of that: 8,000 of the widest

ValueT = TypeVar("ValueT")


class CachingEncoder:
    """An :class:`Encoder` that caches the embeddings of windows and labels; any number of threads may use it."""

    def __init__(self, encoder: Encoder, cache_bytes: int = CACHE_BYTES) -> None:
        self.facts = encoder.facts
        self._encoder = encoder
        self._texts: _LruCache[NDArray[np.float32]] = _LruCache(cache_bytes // TEXT_SHARE)
        self._codec: _LruCache[NDArray[np.float32]] = _LruCache(cache_bytes)
        self._windows: _LruCache[Embeddings] = _LruCache(cache_bytes)

    def through(self, wrap: Callable[[Encoder], Encoder]) -> CachingEncoder:
        """Return the same cache in front of the encoder that ``wrap`` makes of this one's, with the same numbers."""
        other = copy.copy(self)
        other._encoder = wrap(self._encoder)
        return other

    def encode_text(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """Text embeddings of shape ``(n_labels, dim)``."""
        keys = {label: label.encode("utf-8", "surrogatepass") for label in labels}
        found = {label: known for label, key in keys.items() if (known := self._texts.get(key)) is not None}
        new = [label for label in keys if label not in found]
        if new:
            for label, embedding in zip(new, self._encoder.encode_text(new), strict=True):
                found[label] = embedding.copy()  # a row would keep all of them alive
                self._texts.put(keys[label], found[label], embedding.nbytes)
        return np.stack([found[label] for label in labels])

    def encode_codec(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Codec features, ``(n_frames, width)``, of frames of samples, ``(n_frames, 1920)``."""
        key = _key(frames)
        features = self._codec.get(key)
        if features is None:
            features = self._encoder.encode_codec(frames)
            self._codec.put(key, features, features.nbytes)
        return features

    def encode_windows(self, features: NDArray[np.float32]) -> Embeddings:
        """Clip and frame embeddings of equal windows of codec features, ``(batch, n_frames, width)``."""
        keys = [_key(window) for window in features]
        found = {key: embeddings for key in keys if (embeddings := self._windows.get(key)) is not None}
        new = [index for index, key in enumerate(keys) if key not in found]
        if new:
            batch = self._encoder.encode_windows(features[new])
            for place, index in enumerate(new):
                # A copy: a slice would keep its whole batch alive.
                clip, frames = batch.clips[place].copy(), batch.frames[place].copy()
                found[keys[index]] = Embeddings(clip, frames)
                self._windows.put(keys[index], found[keys[index]], clip.nbytes + frames.nbytes)
        return Embeddings(np.stack([found[key].clips for key in keys]), np.stack([found[key].frames for key in keys]))


class _LruCache(Generic[ValueT]):
    """A cache of at most ``size`` bytes, which drops the least recently used values; any thread may use it."""

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()
        self._free = size
        self._values: OrderedDict[bytes, tuple[ValueT, int]] = OrderedDict()

    def get(self, key: bytes) -> ValueT | None:
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: bytes, value: ValueT, size: int) -> None:
        with self._lock:
            if key in self._values:
                return
            self._values[key] = value, size
            self._free -= size
            while self._free < 0:
                self._free += self._values.popitem(last=False)[1][1]


def _key(array: NDArray[np.float32]) -> bytes:
    shape = str(array.shape).encode()
    return hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=16, key=shape[:64]).digest()
