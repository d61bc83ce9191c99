"""Text embeddings on disk: a label that was asked before needs no text tower.

One small file a label, named by a hash of what the embedding depends on: the checkpoint's fingerprint, its revision,
and the exact text. A file begins with a SHA-256 of all that follows it; one that does not match is written anew, not
believed. Files appear whole, by renaming, so that any number of processes may write the same one at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from platformdirs import user_cache_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Encode: TypeAlias = Callable[[str], NDArray[np.float32]]

__all__ = ["LabelCache"]

VERSION = b"peaudio labels 1"  # raise it when the same checkpoint and text come to give other numbers
DIGEST = 32  # bytes of a SHA-256
NUMBER = np.dtype("<f4")


@dataclass(frozen=True)
class LabelCache:
    """The embeddings, each of ``width`` numbers, that belong to one checkpoint."""

    folder: Path
    checkpoint: str
    width: int

    @classmethod
    def of_user(cls, fingerprint: str, revision: str, width: int) -> LabelCache:
        """In the place that the system has for such things, for the checkpoint of that fingerprint and revision."""
        return cls(user_cache_path("peaudio") / "labels", f"{fingerprint} {revision}", width)

    def embed(self, labels: Sequence[str], load: Callable[[], Encode]) -> NDArray[np.float32]:
        """Text embeddings of shape ``(n_labels, width)``.

        ``load`` gives what encodes a label; it is called only if one is not here yet, which is then kept.
        """
        embeddings = {label: found for label in labels if (found := self.get(label)) is not None}
        missing = [label for label in dict.fromkeys(labels) if label not in embeddings]
        if missing:
            encode = load()
            for label in missing:
                embeddings[label] = encode(label)
                self.put(label, embeddings[label])
        return np.stack([embeddings[label] for label in labels])

    def get(self, label: str) -> NDArray[np.float32] | None:
        """The embedding ``(width,)`` of a label, or None where it is not there, or not whole."""
        try:
            content = self._file(label).read_bytes()
        except OSError:
            return None
        digest, numbers = content[:DIGEST], content[DIGEST:]
        if hashlib.sha256(numbers).digest() != digest or len(numbers) != self.width * NUMBER.itemsize:
            return None
        return np.frombuffer(numbers, NUMBER).astype(np.float32)

    def put(self, label: str, embedding: NDArray[np.float32]) -> None:
        """Keep an embedding ``(width,)``. A cache that cannot be written is no reason to stop."""
        numbers = embedding.astype(NUMBER).tobytes()
        file = self._file(label)
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(file, hashlib.sha256(numbers).digest() + numbers)

    def _file(self, label: str) -> Path:
        key = hashlib.sha256(b"\0".join([VERSION, self.checkpoint.encode(), label.encode("utf-8", "surrogatepass")]))
        name = key.hexdigest()
        return self.folder / name[:2] / name[2:]


def _write_whole(file: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(content)
        os.replace(temporary, file)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
