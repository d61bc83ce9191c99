"""A buffer that puts results that arrive in any order back into the order of the inputs."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

from pe_audio_cli._paths import reason
from pe_audio_cli.errors import RunError
from pe_audio_cli.inference.frame_store import close_quietly

__all__ = ["ReorderBuffer", "SegmentRow"]

MAX_MEMORY = 64 << 20  # bytes that are held in memory; more go to a temporary file


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """The result of one segment of input ``index``: its ``place`` counts from 0, and ``last`` ends the input."""

    index: int
    place: int
    last: bool
    content: bytes


class ReorderBuffer:
    """Takes rows in any order, each perhaps more than once, and gives out each once, in order."""

    def __init__(self) -> None:
        self._next = (0, 0)  # index and place of the row that is to be given out next
        self._held: dict[
            int, dict[int, tuple[int, int, bool]]
        ] = {}  # by index and place: where it lies, its size, last
        self._file = tempfile.SpooledTemporaryFile(MAX_MEMORY)  # noqa: SIM115 - it lives as long as this object
        weakref.finalize(self, close_quietly, self._file)

    def put(self, row: SegmentRow) -> None:
        """Take a row; one that is known already, from an earlier attempt, is ignored.

        Raises :class:`RunError` if the temporary folder is full.
        """
        if (row.index, row.place) < self._next or row.place in self._held.get(row.index, {}):
            return
        try:
            offset = self._file.seek(0, 2)
            self._file.write(row.content)
            self._file.flush()
        except OSError as error:
            what = "the temporary folder cannot hold the results that wait for those before them"
            remedy = "free space there, or set TMPDIR to another folder"
            raise RunError(f"{what} ({reason(error)}): {remedy}") from error
        self._held.setdefault(row.index, {})[row.place] = offset, len(row.content), row.last

    def take(self) -> Iterator[SegmentRow]:
        """Yield the rows that are next in order, as far as they have arrived."""
        while True:
            index, place = self._next
            places = self._held.get(index, {})
            if place not in places:
                return
            offset, size, last = places.pop(place)
            self._next = (index + 1, 0) if last else (index, place + 1)
            if not places:
                del self._held[index]
            self._file.seek(offset)
            content = self._file.read(size)
            if not self._held:
                self._file.truncate(0)
            yield SegmentRow(index, place, last, content)

    def missing(self, n: int) -> list[int]:
        """Return those of the inputs 0 to ``n`` of which a row is still missing."""
        first, place = self._next
        return [index for index in range(first, n) if not self._is_there(index, place if index == first else 0)]

    def _is_there(self, index: int, place: int) -> bool:
        """True if all rows of an input from ``place`` on have arrived."""
        places = self._held.get(index, {})
        while place in places:
            if places[place][2]:
                return True
            place += 1
        return False
