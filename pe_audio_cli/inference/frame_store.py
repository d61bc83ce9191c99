"""Frame probabilities of a recording of any length, held in little memory."""

from __future__ import annotations

import contextlib
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FrameStore", "close_quietly"]

MEMORY = 4 << 20  # bytes; what is longer goes to a temporary file


class FrameStore(Mapping[str, "NDArray[np.float32]"]):
    """A label's probabilities by its name, of shape ``(n_frames,)``; only the row that is asked for is in memory."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._rows = {label: row for row, label in enumerate(labels)}
        self._widths: list[int] = []
        self._file = tempfile.SpooledTemporaryFile(MEMORY)  # noqa: SIM115 - it lives as long as this object
        weakref.finalize(self, close_quietly, self._file)

    def append(self, block: NDArray[np.float32]) -> None:
        """Add frames at the end: probabilities of shape ``(n_labels, k)``.

        Raises :class:`OSError` if the temporary folder is full.
        """
        self._file.write(np.ascontiguousarray(block, np.float32).tobytes())
        self._file.flush()  # what does not fit is told here, not where somebody reads
        self._widths.append(block.shape[1])

    def __getitem__(self, label: str) -> NDArray[np.float32]:
        row = self._rows[label]
        parts, place = [], 0
        for width in self._widths:
            self._file.seek(4 * (place + row * width))
            parts.append(np.frombuffer(self._file.read(4 * width), np.float32))
            place += len(self._rows) * width
        self._file.seek(0, 2)
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled with all that it holds."""
        self._file.seek(0)
        return _restored, (tuple(self._rows), tuple(self._widths), self._file.read())


def close_quietly(file: IO[bytes]) -> None:
    """Close a temporary file that is no longer needed: the rest of its buffer may not fit on the disk."""
    with contextlib.suppress(OSError):
        file.close()


def _restored(labels: Sequence[str], widths: Sequence[int], content: bytes) -> FrameStore:
    store = FrameStore(labels)
    place = 0
    for width in widths:
        size = 4 * len(labels) * width
        store.append(np.frombuffer(content[place : place + size], np.float32).reshape(len(labels), width))
        place += size
    return store
