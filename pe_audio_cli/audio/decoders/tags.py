"""The number of tags in a recording, which FFmpeg collects in lists that it searches from end to end for each.

So 50,000 tags take it five seconds, and four times as many more than a minute. What is counted is a bound from above:
what merely looks like a tag is one. Formats: ID3v2.2 to 2.4, Xiph.Org's Vorbis comments in Ogg and FLAC, Matroska
(RFC 9559), APEv2, ASF, and RIFF's INFO lists. :mod:`pe_audio_cli.audio.decoders.quicktime` counts those of an MP4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pe_audio_cli.audio.excerpt import Opened, read_at, size_of

__all__ = ["tags_of"]

MAX_HEAD = 1 << 24  # bytes at the beginning of a file in which tags are looked for
READ_BYTES, OVERLAP = 1 << 20, 1 << 11  # read at once, and again so that no tag is cut in two
ID3 = (b"ID3", b"ea3")  # as Sony calls it
ID3_HEADER = 10  # bytes
ID3_FRAME = re.compile(rb"[A-Z][A-Z0-9]{3}\0.{3}", re.S)  # of less than 16 MB
OLD_ID3_FRAME = re.compile(rb"[A-Z][A-Z0-9]{2}\0.{2}", re.S)  # of ID3v2.2, of less than 64 kB
COMMENT = re.compile(rb"\0\0[ -<>-}]{1,1000}=", re.S)  # less than 64 kB, by the end of its length, and its name
MATROSKA_TAG = re.compile(rb"\x67\xc8[\x01-\xff].{0,260}?\x45\xa3", re.S)  # a SimpleTag, and its TagName
CLUSTER, TAGS, SEEK_HEAD = b"\x1f\x43\xb6\x75", b"\x12\x54\xc3\x67", b"\x11\x4d\x9b\x74"
SEEK_POSITION = re.compile(rb"\x53\xac")
ELEMENT_BYTES = 12  # of a name and a size at most
MAX_ELEMENTS = 10_000  # of a file that are looked at
# The number of entries, behind the names of three objects of ASF: extended content, metadata and its library.
ASF_ENTRIES = re.compile(
    rb"(?:\x40\xa4\xd0\xd2\x07\xe3\xd2\x11\x97\xf0\x00\xa0\xc9\x5e\xa8\x50"
    rb"|\xea\xcb\xf8\xc5\xaf\x5b\x77\x48\x84\x67\xaa\x8c\x44\xfa\x4c\xca"
    rb"|\x94\x1c\x23\x44\x98\x94\xd1\x49\xa1\x41\x1d\x13\x4e\x45\x70\x54).{8}(..)",
    re.S,
)
INFO_LIST, INFO_ENTRY = re.compile(rb"LIST(.{4})INFO", re.S), re.compile(rb"[A-Z][A-Z0-9 ]{3}.{2}\0\0", re.S)
APE_BYTES = 32  # of a footer


def tags_of(opened: Opened) -> int:
    """Return about how many tags FFmpeg reads, at most; 0 for formats of which it is not known."""
    return _of_id3(opened) + _of_ape(opened) + _of_head(opened)


def _of_head(opened: Opened) -> int:
    head = read_at(opened, 0, 12)
    if head.startswith(b"OggS"):
        return sum(len(COMMENT.findall(part)) for part in _parts(opened, size_of(opened)))
    if head.startswith(b"fLaC"):
        return sum(len(COMMENT.findall(part)) for part in _parts(opened, MAX_HEAD))
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return sum(len(MATROSKA_TAG.findall(read_at(opened, start, size))) for start, size in _matroska_tags(opened))
    if head.startswith(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"):
        found = ASF_ENTRIES.findall(read_at(opened, 0, MAX_HEAD))
        return sum(int.from_bytes(count, "little") for count in found)
    if head.startswith(b"RIFF"):
        content = read_at(opened, 0, MAX_HEAD)
        lists = [(match.end(), int.from_bytes(match[1], "little")) for match in INFO_LIST.finditer(content)]
        return sum(len(INFO_ENTRY.findall(content, start, start + size)) for start, size in lists)
    return 0


def _parts(opened: Opened, end: int) -> Iterator[bytes]:
    """Yield the content up to ``end``, piece by piece."""
    for offset in range(0, min(end, size_of(opened)), READ_BYTES - OVERLAP):
        yield read_at(opened, offset, READ_BYTES)


def _of_id3(opened: Opened) -> int:
    """Return the number of frames in the ID3 tags at the beginning, one behind the other."""
    offset = count = 0
    for _ in range(MAX_ELEMENTS):
        head = read_at(opened, offset, ID3_HEADER)
        if len(head) < ID3_HEADER or not head.startswith(ID3):
            break
        size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        frame = ID3_FRAME if head[3] > 2 else OLD_ID3_FRAME
        count += 1 + len(frame.findall(read_at(opened, offset + ID3_HEADER, min(size, MAX_HEAD))))
        offset += ID3_HEADER + size
    return count


def _of_ape(opened: Opened) -> int:
    """Return the number of items that an APE tag at the end claims."""
    footer = read_at(opened, max(0, size_of(opened) - APE_BYTES), APE_BYTES)
    return int.from_bytes(footer[16:20], "little") if footer.startswith(b"APETAGEX") else 0


def _matroska_tags(opened: Opened) -> Iterator[tuple[int, int]]:
    """Yield the offsets and sizes of what may hold tags: before the sound, and where the header says that some are."""
    offset = segment = 0
    elsewhere: set[int] = set()
    for number in range(MAX_ELEMENTS):
        name, start, size = _element(opened, offset)
        if not name or name == CLUSTER:
            break
        if number == 1:  # the segment, whose content follows
            segment = offset = start
            continue
        if name == TAGS:
            yield start, min(size, MAX_HEAD)
        elif name == SEEK_HEAD:
            elsewhere |= {segment + each for each in _positions(read_at(opened, start, min(size, MAX_HEAD)))}
        offset = start + size
    for begin in sorted(elsewhere)[:MAX_ELEMENTS]:
        name, start, size = _element(opened, begin)
        if name == TAGS and begin >= offset:
            yield start, min(size, MAX_HEAD)


def _positions(seek_head: bytes) -> Iterator[int]:
    """Yield the offsets in a segment that a SeekHead tells."""
    for match in SEEK_POSITION.finditer(seek_head):
        _, start, size = _parsed(seek_head[match.start() : match.start() + ELEMENT_BYTES])
        yield int.from_bytes(seek_head[match.start() + start :][: min(size, 8)], "big")


def _element(opened: Opened, offset: int) -> tuple[bytes, int, int]:
    """Return the name of an element of EBML, and the offset and size of what it contains; no name if there is none."""
    name, start, size = _parsed(read_at(opened, offset, ELEMENT_BYTES))
    return name, offset + start, size


def _parsed(head: bytes) -> tuple[bytes, int, int]:
    """The name of the element that begins here, where its content begins, and its size (RFC 8794, section 4)."""
    width = 9 - head[0].bit_length() if head and head[0] > 0xF else 0
    length = 9 - head[width].bit_length() if width and len(head) > width and head[width] else 0
    size = int.from_bytes(head[width : width + length], "big") & (1 << 7 * length) - 1
    return head[: width if length else 0], width + length, size
