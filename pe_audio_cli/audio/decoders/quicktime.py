"""The memory that the headers of MP4 and related formats make FFmpeg allocate, most of it before it decodes anything.

Formats: ISO/IEC 14496-12, and Apple's QuickTime File Format, whose headers may be compressed. A table whose entries are
in the file takes about as much memory as it takes there. What is counted here is the rest: tables that claim entries by
a number alone, and lists of edits, which repeat frames.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.audio.excerpt import Opened, read_at, size_of

__all__ = ["index_bytes_and_tags"]

MAX_HEADER = 1 << 26  # bytes of a box of headers that are looked at
WINDOW = 1 << 16  # bytes that are read at a time to find the boxes of a file
MAX_DEPTH = 10  # of boxes in boxes, beyond which FFmpeg gives up
FRAME_BYTES = 32  # that FFmpeg holds for a frame
FRAGMENT_BYTES = 128  # and for an entry in an index of fragments
ITEM_BYTES = 8  # and for an item of a picture
# Of sound whose samples all have one length and size, such as PCM: at least in a frame, and at most in a byte.
CHUNK_FRAME, SAMPLES_PER_BYTE = 160, 8

CONTAINERS = frozenset(
    {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"tref", b"udta", b"mvex", b"moof", b"traf"}
    | {b"sinf", b"schi", b"ilst", b"iprp"}
)
SPARE, MOVIE = (b"free", b"hoov"), (b"mvhd", b"cmov")  # boxes that may hide a movie, and what it begins with then
# Tables: the offset of the number of entries in their content, and bytes of an entry.
TABLES = {
    b"stts": (4, 8),
    b"ctts": (4, 8),
    b"stsc": (4, 12),
    b"stco": (4, 4),
    b"co64": (4, 8),
    b"stss": (4, 4),
    b"stps": (4, 4),
    b"elst": (4, 12),
    b"senc": (4, 8),
    b"saiz": (5, 1),
    b"saio": (4, 4),
    b"dref": (4, 12),
    b"pssh": (20, 16),
}
FIELDS = frozenset({*TABLES, b"mvhd", b"hdlr", b"mdhd", b"stsz", b"trun", b"sidx", b"sbgp", b"sgpd", b"iloc", b"iinf"})
# FFmpeg looks for boxes in these as well, behind fields whose length depends on the codec.
ODD_CONTAINERS = frozenset({b"stsd", b"wave", b"jp2h"})
LOOKED_INTO = FIELDS | CONTAINERS | ODD_CONTAINERS | {b"meta", b"cmov"}
ANY_FIELD = re.compile(b"|".join(sorted(FIELDS)))
SAMPLE_FIELDS = 0xF00  # flags of a trun: there is something about each frame
GROUPS = (b"rap ", b"sync")  # kinds of groups of frames that FFmpeg looks at
LENGTH_AND_TIME = {False: np.dtype(">u4,>u4,>u4"), True: np.dtype(">u8,>u8,>u4")}  # of an edit, and its rate


def index_bytes_and_tags(opened: Opened) -> tuple[int, int]:
    """About how much memory the headers of an MP4 or MOV ask for beyond what they take in the file, and the number of
    texts about the recording, such as its title; 0 and 0 for others.
    """
    headers = _Headers(size_of(opened))
    for name, offset, size in _boxes_of(opened):
        if name in LOOKED_INTO or (name in SPARE and read_at(opened, offset + 4, 4) in MOVIE):
            content = read_at(opened, offset, min(size, MAX_HEADER))
            headers.take(name, memoryview(content))
    return headers.total(), headers.n_tags


@dataclass
class _Track:
    """The tables of a track that tell how many frames FFmpeg makes of it."""

    kind: bytes = b""
    ticks: int = 1  # of the track's clock in a second
    frames: int = 0
    is_only_counted: bool = False  # by a number alone
    steps: frozenset[int] = frozenset()  # ticks from one frame to the next
    chunks: int = 0
    samples_by_chunk: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))  # from which one on
    edits: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))  # their lengths in the movie's ticks

    def claimed(self, movie_ticks: int, file_bytes: int) -> int:
        if self.kind == b"soun" and self.steps == {1}:
            samples = self._samples_of_chunks()
            return FRAME_BYTES * (samples // CHUNK_FRAME) if samples > file_bytes * SAMPLES_PER_BYTE else 0
        repeated = max(0, self._in_edits(movie_ticks) - self.frames)
        return FRAME_BYTES * (self.is_only_counted * self.frames + repeated)

    def _samples_of_chunks(self) -> int:
        firsts, samples = self.samples_by_chunk.T
        ends = np.append(firsts[1:], self.chunks + 1)
        return int((np.clip(ends - firsts, 0, self.chunks) * samples).sum())

    def _in_edits(self, movie_ticks: int) -> int:
        step = min((step for step in self.steps if step > 0), default=1)
        frames_per_tick = self.ticks / max(1, movie_ticks) / step
        return int(np.minimum(self.frames, self.edits * frames_per_tick + 2).sum())


@dataclass
class _Headers:
    """The sum of what the boxes of a file claim, as they are taken one by one."""

    file_bytes: int
    movie_ticks: int = 1
    claimed: int = 0
    n_tags: int = 0
    tracks: list[_Track] = field(default_factory=lambda: [_Track()])  # the first for tables in front of any

    def total(self) -> int:
        return self.claimed + sum(track.claimed(self.movie_ticks, self.file_bytes) for track in self.tracks)

    def take(self, name: bytes, content: memoryview, depth: int = 0) -> None:
        """Add what a box claims, and all boxes in it."""
        if depth > MAX_DEPTH:
            return
        if name == b"trak":
            self.tracks.append(_Track())
        elif name == b"ilst":
            self.n_tags += sum(1 for _ in _boxes_in(content))
        if name in FIELDS:
            self._count(name, content)
        elif name in ODD_CONTAINERS:
            for match in ANY_FIELD.finditer(content):
                self._count(match[0], content[match.end() :])
        elif name == b"cmvd":
            self.claimed += _number(content, 0)
            self.take(b"cmov", memoryview(_expanded(content[4:])), depth + 1)
        elif name == b"meta":
            begin = bytes(content[:64]).find(b"hdlr") - 4  # QuickTime's has no version in front
            self._take_all(content[max(0, begin) :], depth)
        elif name in CONTAINERS or name == b"cmov" or (name in SPARE and bytes(content[4:8]) in MOVIE):
            self._take_all(content, depth)

    def _take_all(self, content: memoryview, depth: int) -> None:
        for name, inner in _boxes_in(content):
            self.take(name, inner, depth + 1)

    def _count(self, name: bytes, content: memoryview) -> None:
        track, version = self.tracks[-1], _number(content, 0) >> 24
        self.claimed += _claimed_by_number(name, version, content, self.file_bytes)
        if name == b"mvhd":
            self.movie_ticks = _number(content, 20 if version == 1 else 12)
        elif name == b"mdhd":
            track.ticks = _number(content, 20 if version == 1 else 12)
        elif name == b"hdlr":
            track.kind = bytes(content[8:12])
        elif name == b"stts":
            track.steps = frozenset(_entries(content, np.dtype(">u4,>u4"))["f1"].tolist())
        elif name == b"stsz":
            track.is_only_counted, track.frames = _number(content, 4) > 0, _number(content, 8)
        elif name in (b"stco", b"co64"):
            track.chunks = min(_number(content, 4), len(content) // TABLES[name][1])
        elif name == b"stsc":
            entries = _entries(content, np.dtype(">u4,>u4,>u4"))
            track.samples_by_chunk = np.stack([entries["f0"], entries["f1"]], axis=1).astype(np.int64)
        elif name == b"elst":
            edits = _entries(content, LENGTH_AND_TIME[version == 1])
            track.edits = edits["f0"][edits["f1"] != np.iinfo(edits["f1"].dtype).max].astype(float)  # else of nothing


def _claimed_by_number(name: bytes, version: int, content: memoryview, file_bytes: int) -> int:
    """Return the bytes of memory that a table claims without having their content."""
    if name == b"trun":
        count, fields = _number(content, 4), (_number(content, 0) & SAMPLE_FIELDS).bit_count()
        return 0 if fields and 4 * fields * count <= len(content) else FRAME_BYTES * count
    if name == b"sidx":
        count = int.from_bytes(content[30:32] if version == 1 else content[22:24], "big")
        return FRAGMENT_BYTES * max(0, count - len(content) // 12)
    if name in (b"iinf", b"iloc"):
        offset, short = (4, version == 0) if name == b"iinf" else (6, version < 2)
        return ITEM_BYTES * (_number(content, offset) >> 16 * short)
    offset, entry = TABLES.get(name, (0, 0))
    if name in (b"sbgp", b"sgpd"):
        offset, entry = 8 + 4 * (version == 1), 8 * (bytes(content[4:8]) in GROUPS)
    wanted = entry * _number(content, offset)
    if name == b"sgpd":
        return wanted
    return 0 if wanted <= len(content) else min(wanted, file_bytes)  # FFmpeg reads on behind the table


def _entries(content: memoryview, entry: np.dtype[np.void]) -> NDArray[np.void]:
    """The entries of a table that has their number in front, as far as there are any."""
    count = min(_number(content, 4), max(0, len(content) - 8) // entry.itemsize)
    return np.frombuffer(content[8:], entry, count) if count else np.zeros(0, entry)


def _number(content: memoryview, offset: int) -> int:
    return int.from_bytes(content[offset : offset + 4], "big")


def _boxes_of(opened: Opened) -> Iterator[tuple[bytes, int, int]]:
    """The names of the boxes of a file, and the offsets and sizes of what they contain."""
    offset, end, begin, window = 0, size_of(opened), 0, b""
    while offset + 8 <= end:
        if not begin <= offset <= begin + len(window) - 16:
            begin, window = offset, read_at(opened, offset, WINDOW)
        size, header = _measured(memoryview(window)[offset - begin :], end - offset)
        if size < header:
            return
        yield window[offset - begin + 4 : offset - begin + 8], offset + header, size - header
        offset += size


def _boxes_in(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    while len(content) >= 8:
        size, header = _measured(content, len(content))
        if size < header:
            return
        yield bytes(content[4:8]), content[header:size]
        content = content[size:]


def _measured(content: memoryview, rest: int) -> tuple[int, int]:
    """The sizes of the box that begins here, of which no more than ``rest`` bytes are there, and of its header."""
    size = _number(content, 0)
    if size == 1:
        return min(int.from_bytes(content[8:16], "big"), rest), 16
    return min(size or rest, rest), 8


def _expanded(content: memoryview) -> bytes:
    try:
        return zlib.decompressobj().decompress(content, MAX_HEADER)
    except zlib.error:
        return b""
