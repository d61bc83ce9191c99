"""The extent of samples in WAV and its relatives, AIFF, AU and CAF, and what follows those in the header.

Recorders write a header first and its sizes last, and those that die never do; sizes of 32 bits wrap at 4 GiB; files
are put together with ``cat``. What follows the claimed samples may be more of them, another recording, metadata, or
padding.

Formats: "Multimedia Programming Interface and Data Specifications 1.0" (RIFF), EBU Tech 3306 (RF64), ITU-R BS.2088
(BW64), Sony's W64, Apple's AIFF-C and CAF, and the AU header of Sun's ``audio_filehdr``.
"""

from __future__ import annotations

import re
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pe_audio_cli.audio.excerpt import Opened, read_at, size_of
from pe_audio_cli.audio.frames import is_stream

__all__ = [
    "Extent",
    "Rest",
    "beginning_after",
    "extent_of",
    "head_as_riff",
    "id3_in_front",
    "is_no_sound",
    "next_recording",
    "rest_of",
]

MAX_CHUNKS = 10_000
MAX_HEAD = 1 << 20  # bytes before the samples
SCAN_BYTES = 1 << 18  # read at once, in search of what is no padding
WRAP = 1 << 32  # bytes, at which sizes of 32 bits begin anew
RECORDINGS = (
    b"RIFF",
    b"RIFX",
    b"RF64",
    b"BW64",
    b"FORM",
    b".snd",
    b"dns.",
    b"caff",
    b"fLaC",
    b"OggS",
    b"riff\x2e\x91\xcf\x11",
)
TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"3DI")  # of players, at the ends of files of any kind
# How files begin, in so many bytes that no sound looks like it, each by letters that are quickly found.
BEGINNINGS = {
    letters: re.compile(pattern, re.S)
    for letters, pattern in {
        b"fLaC": rb"fLaC[\x00\x80]\x00\x00\x22",  # with a STREAMINFO of 34 bytes
        b"TTA1": rb"TTA1\x01\x00[\x01-\x08]\x00[\x08\x10\x18]\x00",  # of PCM
        b"FLV\x01": rb"FLV\x01[\x04\x05]\x00\x00\x00\x09",  # with sound
        b"RIFF": rb"RIFF....(WAVE|AVI )",
        b"RF64": rb"RF64....WAVE",
        b"BW64": rb"BW64....WAVE",
        b"FORM": rb"FORM....AIF[FC]",
        b"caff": rb"caff\x00\x01\x00\x00desc",
        b"OggS": rb"OggS\x00\x02\x00{8}",  # the first page of a stream
        b"wvpk": rb"wvpk.{4}[\x02-\x10]\x04.{6}\x00{4}",  # the first block of WavPack
        b"ID3": rb"ID3[\x02-\x04]\x00[\x00-\xf0][\x00-\x7f]{4}",  # see _is_beginning
        b"\x1a\x45\xdf\xa3": rb"\x1a\x45\xdf\xa3.{1,8}\x42\x86\x81\x01",  # Matroska
        b"nut/multimedia container\0": rb"",
        b"\x00\x00\x01\xba": rb"\x00\x00\x01\xba(\x21.{7}|[\x44-\x7f].{9})\x00\x00\x01[\xba-\xef]",  # MPEG-PS
        b".RMF": rb"\.RMF\x00\x00\x00\x12\x00[\x00\x01]",
        b".SoX": rb"\.SoX.{2}\x00\x00.{6}\x00\x00",
        b"\x64\xa3": rb"\x64\xa3[\x01-\x04]\x00.{4}[\x01-\x08]\x00\x00\x00[\x01-\x08]\x00.\x00",  # IRCAM
        b"\xb7\xd8\x00\x20\x37\x49\xda\x11": rb"",  # WTV
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": rb"",  # ASF
        b"Creative Voice File\x1a": rb"",
    }.items()
}
# The letters, and how many bytes of them come before it, by a pair of their bytes that no padding is made of.
LETTERS: dict[bytes, list[tuple[bytes, int]]] = defaultdict(list)
for _letters in BEGINNINGS:
    _before = len(_letters) - len(_letters.lstrip(b"\0"))
    LETTERS[_letters[_before : _before + 2]].append((_letters, _before))
IS_PAIR = np.zeros(1 << 16, np.bool_)
IS_PAIR[[int.from_bytes(pair, "little") for pair in LETTERS]] = True
# Files of frames or samples that have no end, so that decoders take for sound what follows: FLAC, DTS, SoX, IRCAM.
ENDLESS = (
    *(b"fLaC", b"\x7f\xfe\x80\x01", b"\xfe\x7f\x01\x80", b"\x1f\xff\xe8\x00", b"\xff\x1f\x00\xe8", b".SoX", b"XoS."),
    *(b"\x64\xa3", b"\x00\x01\xa3\x64", b"\x00\x02\xa3\x64", b"\x00\x03\xa3\x64"),
)
OVERLAP = 32  # bytes, more than the longest beginning
MAX_SEARCH = 1 << 26  # bytes after the sound, in which another recording is looked for
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
    """The offset of samples, and their size by the header, in bytes; ``chunks`` is the form of the chunks.

    ``claimed`` is None where the header says that it does not know. ``more`` are the ranges in which there
    are more samples.
    """

    chunks: _Chunks | None
    start: int
    claimed: int | None
    more: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Rest:
    """The offset of what follows the claimed samples: more ``samples``, or another ``recording``."""

    kind: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Chunks:
    """The form of chunks: the struct of their head, and the alignment of their length."""

    head: struct.Struct
    align: int
    counts_itself: bool = False

    def items(self, opened: Opened, offset: int) -> Iterator[tuple[bytes, int, int]]:
        """Names, starts and sizes of the contents of all chunks from ``offset`` on, as long as they look like some."""
        end = size_of(opened)
        for _ in range(MAX_CHUNKS):
            head = read_at(opened, offset, self.head.size)
            if len(head) < self.head.size:
                return
            name, size = self.head.unpack(head)
            if self.counts_itself:
                size -= self.head.size
            if not _is_name(name):
                return
            start = offset + self.head.size
            yield name, start, size
            if size < 0 or start + size > end:
                return
            offset = self._next(opened, start + size)

    def _next(self, opened: Opened, offset: int) -> int:
        padded = -(-offset // self.align) * self.align
        if padded == offset:
            return offset
        # Some programs forget the padding.
        return offset if self.is_next(opened, offset) and not self.is_next(opened, padded) else padded

    def is_next(self, opened: Opened, offset: int) -> bool:
        """Return True if a chunk can begin at ``offset``."""
        head = read_at(opened, offset, self.head.size)
        if len(head) < self.head.size:
            return False
        name, size = self.head.unpack(head)
        return _is_name(name) and (name.rstrip(b"\0")[:4] in METADATA or offset + size <= size_of(opened))


RIFF = _Chunks(struct.Struct("<4sI"), 2)
BIG_ENDIAN = _Chunks(struct.Struct(">4sI"), 2)
CAF = _Chunks(struct.Struct(">4sq"), 1)
W64 = _Chunks(struct.Struct("<16sq"), 8, counts_itself=True)


def _is_name(name: bytes) -> bool:
    return all(32 <= byte < 127 for byte in name[:4]) and name[:4] not in (*RECORDINGS, *BEGINNINGS)


def extent_of(opened: Opened) -> Extent | None:
    """Return the extent of the samples in one of these formats; None for others, and for invalid headers."""
    head = read_at(opened, 0, 12)
    magic = head[:4]
    if magic in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return _riff(opened, BIG_ENDIAN if magic == b"RIFX" else RIFF)
    if magic == b"FORM":
        return _aiff(opened)
    if magic == b"caff":
        return _caf(opened)
    if magic == b"riff":
        found = ((start, size) for name, start, size in W64.items(opened, 40) if name.startswith(b"data"))
        return next((Extent(W64, start, size) for start, size in found), None)
    if magic in (b".snd", b"dns.") and len(head) == 12:
        start, size = struct.unpack(">II" if magic == b".snd" else "<II", head[4:])
        return Extent(None, start, None if size == WRAP - 1 else size)
    return None


def _riff(opened: Opened, chunks: _Chunks) -> Extent | None:
    long_size = 0
    found: list[tuple[int, int]] = []
    for name, start, size in chunks.items(opened, 12):
        if name == b"ds64":
            content = read_at(opened, start + 8, 8)
            long_size = struct.unpack("<Q", content)[0] if len(content) == 8 else 0
            long_size = 0 if long_size >> 63 else long_size  # all ones: it was never filled in
        if name == b"data":
            found.append((start, long_size if size == WRAP - 1 else size))
    if not found:
        return None
    (first, claimed), *others = [each for each in found if each[1]] or found[:1]
    return Extent(chunks, first, claimed, tuple((start, start + size) for start, size in others))


def head_as_riff(opened: Opened, extent: Extent) -> bytes:
    """Return the head of an RF64 or BW64 without a length, rewritten as that of a WAV."""
    head = bytearray(read_at(opened, 0, min(extent.start, MAX_HEAD)))
    head[:4] = b"RIFF"
    if head[12:16] == b"ds64":
        head[12:16] = b"JUNK"
    if len(head) == extent.start:
        head[-4:] = min(size_of(opened) - extent.start, WRAP - 1).to_bytes(4, "little")
    return bytes(head)


def _aiff(opened: Opened) -> Extent | None:
    for name, start, size in BIG_ENDIAN.items(opened, 12):
        content = read_at(opened, start, 4)
        if name == b"SSND" and len(content) == 4:
            offset = struct.unpack(">I", content)[0]
            return Extent(BIG_ENDIAN, start + 8 + offset, max(0, size - 8 - offset))
    return None


def _caf(opened: Opened) -> Extent | None:
    for name, start, size in CAF.items(opened, 8):
        if name == b"data":
            return Extent(CAF, start + 4, None if size == -1 else max(0, size - 4))
    return None


def next_recording(opened: Opened) -> int | None:
    """The byte at which another recording begins, in a file put together of several; else None.

    For formats that tell where they end, MP4 and its relatives and Matroska, and those in which decoders find no end.
    """
    head = read_at(opened, 0, 12)
    if head[4:8] == b"ftyp":
        return _next_box(opened)
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return _next_segment(opened)
    return beginning_after(opened, 1, size_of(opened)) if head.startswith(ENDLESS) else None


def _next_box(opened: Opened) -> int | None:
    offset, end = 0, size_of(opened)
    for n_boxes in range(MAX_CHUNKS):
        head = read_at(opened, offset, 16)
        if len(head) < 8:
            return None
        size, name = struct.unpack(">I4s", head[:8])
        if name == b"ftyp" and n_boxes:
            return offset
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack(">Q", head[8:])
        if size < 8 or offset + size >= end:
            return None
        offset += size
    return None


def _next_segment(opened: Opened) -> int | None:
    """Return the end of a Matroska file, if another begins there (RFC 8794, section 6: element sizes)."""
    offset = 0
    for _ in range(2):  # the EBML header and the segment, whose names have four bytes
        head = read_at(opened, offset + 4, 8)
        width = 9 - head[0].bit_length() if len(head) == 8 and head[0] else 0
        size = int.from_bytes(head[:width], "big") & (1 << 7 * width) - 1
        if not width or size == (1 << 7 * width) - 1:  # of unknown size
            return None
        offset += 4 + width + size
    return offset if _is_beginning(opened, offset) else None


def beginning_after(opened: Opened, offset: int, reach: int = MAX_SEARCH) -> int | None:
    """Return the offset of a recording in the ``reach`` bytes from ``offset`` on; None if there is none."""
    end = min(size_of(opened), offset + reach)
    while offset < end and (content := read_at(opened, offset, SCAN_BYTES + OVERLAP)):
        found = next((offset + at for at in _places(content) if _is_beginning(opened, offset + at)), None)
        if found is not None:
            return found
        offset += SCAN_BYTES
    return None


def _places(content: bytes) -> list[int]:
    """Return the offsets of BEGINNINGS, in order; pairs of their bytes are searched first, all in one pass."""
    offsets = []
    for odd in (0, 1):
        words = np.frombuffer(content[odd : len(content) - (len(content) - odd) % 2], "<u2")
        for at in (2 * np.flatnonzero(IS_PAIR[words]) + odd).tolist():
            for letters, before in LETTERS[content[at : at + 2]]:
                start = at - before
                if start >= 0 and content.startswith(letters, start):
                    offsets.append(start)
    return sorted(offsets)


def _is_beginning(opened: Opened, offset: int) -> bool:
    """Return True if a recording begins at ``offset``."""
    head = read_at(opened, offset, OVERLAP)
    for letters, pattern in BEGINNINGS.items():
        if head.startswith(letters) and pattern.match(head):
            return letters != b"ID3" or _is_mpeg(read_at(opened, offset + _id3_size(head), 2))
    return head[:3] == b"\0\0\0" and head[4:8] == b"ftyp"


def _id3_size(head: bytes) -> int:
    """Return the size of an ID3 tag; the last four bytes of its header have 7 bits each (ID3v2.4, section 3.1)."""
    return 10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def id3_in_front(opened: Opened) -> int:
    """Return the size of the ID3 tag at the beginning of a file; 0 if there is none."""
    head = read_at(opened, 0, 10)
    return _id3_size(head) if head.startswith(b"ID3") and len(head) == 10 else 0


def _is_mpeg(head: bytes) -> bool:
    """Return True for the head of an MPEG audio frame, where a tag may also stand alone."""
    return len(head) == 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] != 0xFF


def rest_of(opened: Opened, extent: Extent) -> Rest | None:
    """Return what follows the claimed samples; None for metadata or padding."""
    end = size_of(opened)
    if extent.claimed is None or extent.start + extent.claimed >= end:
        return None
    claimed_end = extent.start + extent.claimed
    n_wraps, remainder = divmod(end - claimed_end, WRAP)
    if n_wraps and (remainder <= 1 or _skip(opened, extent, claimed_end + n_wraps * WRAP) >= end - 8):
        return Rest("samples", claimed_end, claimed_end + n_wraps * WRAP)
    offset = _skip(opened, extent, claimed_end)
    found = _first_beyond_padding(opened, offset, end)
    if found is None:
        return None
    head = read_at(opened, found, 64)
    nearby = range(max(offset, found - 3), found + 1)
    start = next((each for each in nearby if _is_beginning(opened, each) or is_stream(opened, each)), None)
    if start is not None or head.startswith(RECORDINGS):
        return Rest("recording", found if start is None else start, end)
    return None if _is_tag(head) else Rest("samples", claimed_end, end)


def is_no_sound(opened: Opened, offset: int) -> bool:
    """Return True if only padding, a tag or text follows from ``offset`` on."""
    found = _first_beyond_padding(opened, offset, size_of(opened))
    return found is None or _is_tag(read_at(opened, found, 64))


def _is_tag(head: bytes) -> bool:
    return head.startswith(TAGS) or all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head)


def _skip(opened: Opened, extent: Extent, offset: int) -> int:
    """Return the end of the chunks after the samples."""
    chunks, end = extent.chunks, size_of(opened)
    if chunks is None:
        return offset
    starts = [offset] if offset % chunks.align == 0 else [chunks._next(opened, offset)]
    reached = offset
    for name, start, size in chunks.items(opened, starts[0]):
        if start + size > end + chunks.align:
            return end if name[:4] in METADATA else reached
        reached = start + size
    return reached


def _first_beyond_padding(opened: Opened, offset: int, end: int) -> int | None:
    """The first byte that is neither 0 nor 255; None where there is none."""
    while offset < end:
        content = read_at(opened, offset, SCAN_BYTES)
        if not content:
            return None
        stripped = content.lstrip(b"\x00\xff")
        if stripped:
            return offset + len(content) - len(stripped)
        offset += len(content)
    return None
