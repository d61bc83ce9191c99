"""A recording that is part of a file, and reads that keep the position of the file."""

from __future__ import annotations

import io
import os
from typing import Any, BinaryIO, TypeAlias

from pe_audio_cli._system import pread

__all__ = ["Excerpt", "Opened", "part_of", "read_at", "size_of"]


class Excerpt(io.RawIOBase):
    """The bytes of an open file from ``start`` to ``stop`` as a file of their own, for libraries that read files.

    The file stays open, and where it is. ``head`` is read instead of its first bytes.
    """

    def __init__(self, opened: BinaryIO, start: int, stop: int, head: bytes = b"") -> None:
        self._opened, self._start, self._size, self._head = opened, start, stop - start, head
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, in bytes from its own beginning."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Seek; returns the position, in bytes from its own beginning."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` with the next bytes; returns how many there were."""
        content = self.read_at(self._position, len(memoryview(buffer).cast("B")))
        memoryview(buffer).cast("B")[: len(content)] = content
        self._position += len(content)
        return len(content)

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to ``count`` bytes from ``offset`` on."""
        count = min(count, self._size - offset)
        content = pread(self._opened.fileno(), count, self._start + offset) if count > 0 else b""
        head = self._head[offset : offset + count]
        return head + content[len(head) :]

    @property
    def size(self) -> int:
        """The size in bytes."""
        return self._size

    def part(self, start: int, stop: int) -> Excerpt:
        """Return the bytes between two offsets, as an excerpt of the same file."""
        return Excerpt(self._opened, self._start + start, self._start + min(stop, self._size), self._head[start:])

    def under(self, head: bytes) -> Excerpt:
        """The same with other first bytes."""
        return Excerpt(self._opened, self._start, self._start + self._size, head)


FARTHEST = 2**63 - 1  # no file has a byte beyond this offset, though a damaged one may claim so
Opened: TypeAlias = "BinaryIO | Excerpt"


def part_of(opened: Opened, start: int, stop: int) -> Excerpt:
    """The bytes between two offsets."""
    return opened.part(start, stop) if isinstance(opened, Excerpt) else Excerpt(opened, start, stop)


def read_at(opened: Opened, offset: int, count: int) -> bytes:
    """Return up to ``count`` bytes of an open file, or of an excerpt of one, from ``offset`` on."""
    if offset > FARTHEST:
        return b""
    return opened.read_at(offset, count) if isinstance(opened, Excerpt) else pread(opened.fileno(), count, offset)


def size_of(opened: Opened) -> int:
    """The size in bytes."""
    return opened.size if isinstance(opened, Excerpt) else os.fstat(opened.fileno()).st_size
