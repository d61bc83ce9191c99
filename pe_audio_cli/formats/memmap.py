"""A growing array on disk, which is read as a memory map."""

from __future__ import annotations

import tempfile
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from pe_audio_cli.errors import RunError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MemmapRows"]


class MemmapRows:
    """Rows of one width in a temporary file, which is removed when neither this object nor the array is in use."""

    def __init__(self) -> None:
        # Unbuffered, so that a full disk raises in append, and not again when the file is closed.
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it lives as long as this object
        weakref.finalize(self, self._file.close)
        self._n_rows = 0

    def append(self, rows: NDArray[np.floating[Any]]) -> None:
        """Add rows at the end, of shape ``(k, width)``; the first ones set the width and the type.

        Raises :class:`RunError` if the disk is full.
        """
        if self._n_rows == 0:
            self._width, self._type = rows.shape[1], rows.dtype
        left = memoryview(np.ascontiguousarray(rows, self._type).data).cast("B")
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            folder = tempfile.gettempdir()
            raise RunError(
                f"cannot write temporary files in {folder} ({error.strerror}): free space, or set TMPDIR"
            ) from error
        self._n_rows += len(rows)

    def __len__(self) -> int:
        return self._n_rows

    def cut(self, n_rows: int) -> None:
        """Drop all rows but the first ``n_rows``."""
        if n_rows < self._n_rows:
            self._file.seek(n_rows * self._width * self._type.itemsize)
            self._file.truncate()
            self._n_rows = n_rows

    def array(self) -> NDArray[np.floating[Any]]:
        """Return a memory map of all rows so far, ``(n_rows, width)``; there must be one at least."""
        return np.memmap(self._file, self._type, "r", shape=(self._n_rows, self._width))
