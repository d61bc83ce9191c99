"""Where the samples lie in WAV and its kin, AIFF, AU and CAF, and what comes after those that the header claims.

Recorders write a header first and its sizes last, and those that die never do; sizes of 32 bits wrap at 4 GiB; files
are put together with ``cat``. What follows the claimed samples may be more of them, another recording, metadata, or
padding.

Formats: "Multimedia Programming Interface and Data Specifications 1.0" (RIFF), EBU Tech 3306 (RF64), ITU-R BS.2088
(BW64), Sony's W64, Apple's AIFF-C and CAF, and the AU header of Sun's ``audio_filehdr``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pe_audio_cli.audio.excerpt import Opened, read_at, size_of

__all__ = ["Extent", "Rest", "extent_of", "next_recording", "rest_of"]

MAX_CHUNKS = 10_000
SCAN_BYTES = 1 << 18  # read at once, in search of what is no padding
WRAP = 1 << 32  # bytes, at which sizes of 32 bits begin anew
RECORDINGS = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b".snd", b"caff", b"fLaC", b"OggS", b"riff\x2e\x91\xcf\x11")
TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"3DI")  # of players, at the ends of files of any kind
# How files of these formats begin, in so many bytes that no sound looks like it: FLAC (its STREAMINFO has 34 bytes),
# TTA (of PCM), FLV (with sound and a header of 9 bytes).
BEGINNINGS = re.compile(
    rb"fLaC[\x00\x80]\x00\x00\x22|TTA1\x01\x00[\x01-\x08]\x00[\x08\x10\x18]\x00|FLV\x01[\x04\x05]\x00\x00\x00\x09"
)
OTHER_BEGINNINGS = re.compile(rb"RIFF....WAVEfmt |RF64....WAVEds64|FORM....AIF[FC]COMM", re.S)  # that may follow those
OVERLAP = 16  # bytes, the longest beginning
# Chunks that are known to be metadata, even where their sizes are wrong.
METADATA = frozenset(
    name.ljust(4)
    for line in (
        b"LIST list id3 ID3 bext iXML guan _PMX cue smpl JUNK junk PAD pad FLLR FAKE afsp AFAn labl inst acid",
        b"strc DISP PEAK minf elm1 regn umid ovwf cart axml chna levl link fact plst note adtl NAME AUTH ANNO",
        b"COMT MARK INST APPL (c) free info uuid peak strg mark ovvw midi",
    )
    for name in line.split()
)


@dataclass(frozen=True, slots=True)
class Extent:
    """Where samples begin, in bytes, and how many bytes of them the header claims; ``chunks`` is their form.

    ``claimed`` is None where the header says that it does not know.
    """

    chunks: _Chunks | None
    start: int
    claimed: int | None


@dataclass(frozen=True, slots=True)
class Rest:
    """What follows the claimed samples, in bytes: more ``samples``, or another ``recording``."""

    kind: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Chunks:
    """How chunks are written: the struct of their head, and what is added to make their length even."""

    head: struct.Struct
    align: int
    counts_itself: bool = False

    def walk(self, opened: Opened, place: int) -> Iterator[tuple[bytes, int, int]]:
        """Names, starts and sizes of the contents of all chunks from ``place`` on, as long as they look like some."""
        end = size_of(opened)
        for _ in range(MAX_CHUNKS):
            head = read_at(opened, place, self.head.size)
            if len(head) < self.head.size:
                return
            name, size = self.head.unpack(head)
            if self.counts_itself:
                size -= self.head.size
            if not _is_name(name):
                return
            start = place + self.head.size
            yield name, start, size
            if size < 0 or start + size > end:
                return
            place = self._next(opened, start + size)

    def _next(self, opened: Opened, place: int) -> int:
        padded = -(-place // self.align) * self.align
        if padded == place:
            return place
        # Some programs forget the padding.
        return place if self.is_next(opened, place) and not self.is_next(opened, padded) else padded

    def is_next(self, opened: Opened, place: int) -> bool:
        """Whether a chunk may begin there."""
        head = read_at(opened, place, self.head.size)
        if len(head) < self.head.size:
            return False
        name, size = self.head.unpack(head)
        return _is_name(name) and (name.rstrip(b"\0")[:4] in METADATA or place + size <= size_of(opened))


RIFF = _Chunks(struct.Struct("<4sI"), 2)
BIG_ENDIAN = _Chunks(struct.Struct(">4sI"), 2)
CAF = _Chunks(struct.Struct(">4sq"), 1)
W64 = _Chunks(struct.Struct("<16sq"), 8, counts_itself=True)


def _is_name(name: bytes) -> bool:
    return all(32 <= byte < 127 for byte in name[:4]) and name[:4] not in RECORDINGS


def extent_of(opened: Opened) -> Extent | None:
    """Where the samples of a recording of these formats lie; None if it is none of them, or makes no sense."""
    head = read_at(opened, 0, 12)
    magic = head[:4]
    if magic in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return _riff(opened, BIG_ENDIAN if magic == b"RIFX" else RIFF)
    if magic == b"FORM":
        return _aiff(opened)
    if magic == b"caff":
        return _caf(opened)
    if magic == b"riff":
        found = ((start, size) for name, start, size in W64.walk(opened, 40) if name.startswith(b"data"))
        return next((Extent(W64, start, size) for start, size in found), None)
    if magic == b".snd" and len(head) == 12:
        start, size = struct.unpack(">II", head[4:])
        return Extent(None, start, None if size == WRAP - 1 else size)
    return None


def _riff(opened: Opened, chunks: _Chunks) -> Extent | None:
    long_size = 0
    for name, start, size in chunks.walk(opened, 12):
        if name == b"ds64":
            content = read_at(opened, start + 8, 8)
            long_size = struct.unpack("<Q", content)[0] if len(content) == 8 else 0
        if name == b"data":
            return Extent(chunks, start, long_size if size == WRAP - 1 else size)
    return None


def _aiff(opened: Opened) -> Extent | None:
    for name, start, size in BIG_ENDIAN.walk(opened, 12):
        content = read_at(opened, start, 4)
        if name == b"SSND" and len(content) == 4:
            offset = struct.unpack(">I", content)[0]
            return Extent(BIG_ENDIAN, start + 8 + offset, max(0, size - 8 - offset))
    return None


def _caf(opened: Opened) -> Extent | None:
    for name, start, size in CAF.walk(opened, 8):
        if name == b"data":
            return Extent(CAF, start + 4, None if size == -1 else max(0, size - 4))
    return None


def next_recording(opened: Opened) -> int | None:
    """The byte at which another recording of the same kind begins, in a file put together of several; else None.

    Of the formats whose decoders stop at the end of the first: FLAC, TTA, FLV, and MP4 and its kin.
    """
    head = read_at(opened, 0, 12)
    if head[4:8] == b"ftyp":
        return _next_box(opened)
    return _found(opened) if BEGINNINGS.match(head) else None


def _next_box(opened: Opened) -> int | None:
    place, end = 0, size_of(opened)
    for n_boxes in range(MAX_CHUNKS):
        head = read_at(opened, place, 16)
        if len(head) < 8:
            return None
        size, name = struct.unpack(">I4s", head[:8])
        if name == b"ftyp" and n_boxes:
            return place
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack(">Q", head[8:])
        if size < 8 or place + size >= end:
            return None
        place += size
    return None


def _found(opened: Opened) -> int | None:
    """Where in the file after its own beginning another one is."""
    place = 1
    while content := read_at(opened, place, SCAN_BYTES + OVERLAP):
        matches = (pattern.search(content) for pattern in (BEGINNINGS, OTHER_BEGINNINGS))
        starts = [match.start() for match in matches if match is not None]
        if starts:
            return place + min(starts)
        place += SCAN_BYTES
    return None


def rest_of(opened: Opened, extent: Extent) -> Rest | None:
    """What follows the claimed samples; None if that is metadata or padding."""
    end = size_of(opened)
    if extent.claimed is None or extent.start + extent.claimed >= end:
        return None
    claimed_end = extent.start + extent.claimed
    n_wraps, remainder = divmod(end - claimed_end, WRAP)
    if n_wraps and (remainder <= 1 or _skip(opened, extent, claimed_end + n_wraps * WRAP) >= end - 8):
        return Rest("samples", claimed_end, claimed_end + n_wraps * WRAP)
    place = _skip(opened, extent, claimed_end)
    found = _first_beyond_padding(opened, place, end)
    if found is None:
        return None
    head = read_at(opened, found, 64)
    if head.startswith(RECORDINGS):
        return Rest("recording", found, end)
    is_text = all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head)
    if head.startswith(TAGS) or is_text:
        return None
    return Rest("samples", claimed_end, end)


def _skip(opened: Opened, extent: Extent, place: int) -> int:
    """Where the chunks end that follow the samples."""
    chunks, end = extent.chunks, size_of(opened)
    if chunks is None:
        return place
    starts = [place] if place % chunks.align == 0 else [chunks._next(opened, place)]
    reached = place
    for name, start, size in chunks.walk(opened, starts[0]):
        if start + size > end + chunks.align:
            return end if name[:4] in METADATA else reached
        reached = start + size
    return reached


def _first_beyond_padding(opened: Opened, place: int, end: int) -> int | None:
    """The first byte that is neither 0 nor 255; None where there is none."""
    while place < end:
        content = read_at(opened, place, SCAN_BYTES)
        if not content:
            return None
        stripped = content.lstrip(b"\x00\xff")
        if stripped:
            return place + len(content) - len(stripped)
        place += len(content)
    return None
