"""The memory that the headers of MP4 and related formats make FFmpeg allocate before it decodes anything.

Formats: ISO/IEC 14496-12, and Apple's QuickTime File Format, whose headers may be compressed.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from pe_audio_cli.audio.excerpt import Opened, read_at, size_of

__all__ = ["index_bytes"]

MAX_BOXES = 10_000
MAX_HEADER = 1 << 26  # bytes of the box of headers that are looked at
ENTRY_BYTES = 32  # that FFmpeg holds for a frame
# A table in which all frames are of one size, so that a few bytes claim any number of them.
FRAMES = re.compile(rb"stsz\x00{4}(?!\x00{4}).{4}(?P<count>.{4})", re.S)
# All frames are a sample long, or not: those FFmpeg reads by the chunk, as it does PCM.
TIMES = re.compile(rb"stts\x00{4}(?P<one>\x00{3}\x01.{4}\x00{3}\x01)?", re.S)
COMPRESSED = re.compile(rb"cmvd(?P<size>.{4})", re.S)


def index_bytes(opened: Opened) -> int:
    """About how much memory the headers of an MP4 or MOV ask for; 0 for other files, and for PCM."""
    if read_at(opened, 4, 4) not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return 0
    return max((_claimed(content) for content in _headers(opened)), default=0)


def _headers(opened: Opened) -> Iterator[bytes]:
    offset = 0
    for _ in range(MAX_BOXES):
        head = read_at(opened, offset, 16)
        if len(head) < 8:
            return
        size = int.from_bytes(head[:4], "big")
        size = int.from_bytes(head[8:], "big") if size == 1 else size or size_of(opened) - offset
        if head[4:8] == b"moov":
            yield read_at(opened, offset, min(size, MAX_HEADER))
        if size < 8:
            return
        offset += size


def _claimed(content: bytes) -> int:
    compressed = COMPRESSED.search(content)
    if compressed is not None:
        size = int.from_bytes(compressed["size"], "big")
        return max(size, _claimed(_expanded(content[compressed.end() :])))
    tracks = [track for track in content.split(b"trak") if not _is_in_chunks(track)]
    counts = (int.from_bytes(match["count"], "big") for track in tracks for match in FRAMES.finditer(track))
    return ENTRY_BYTES * sum(counts)


def _is_in_chunks(track: bytes) -> bool:
    times = [match["one"] for match in TIMES.finditer(track)]
    return bool(times) and all(times)


def _expanded(content: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(content, MAX_HEADER)
    except zlib.error:
        return b""
