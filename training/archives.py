"""Recordings inside the archives that games ship, each as a name and the bytes of a file that libsndfile reads.

Sources of the formats: Qt's ``rcc`` (a tree, its names and its data behind a header of offsets), OpenTTD's sample
catalogue (offset, size and name of each WAV), OpenClonk's group files (zlib; each folder opens with a table), Gravis
Ultrasound patches (raw samples behind fixed headers), and zip under any name.
"""

from __future__ import annotations

import io
import struct
import wave
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["READERS", "members"]

SOUNDS = (".wav", ".ogg", ".oga", ".opus", ".flac", ".mp3", ".aiff")

Members = Iterator[tuple[str, bytes]]


def members(path: Path) -> Members:
    """The recordings in an archive, or the one that ``path`` is; nothing for any other file."""
    suffix = path.suffix.lower()
    if READERS.get(suffix) is _zip:
        yield from _zip(path)  # which may hold gigabytes
    elif suffix in READERS:
        yield from READERS[suffix](path.read_bytes())
    elif suffix in SOUNDS:
        yield "", path.read_bytes()


def _zip(archive: bytes | Path) -> Members:
    with zipfile.ZipFile(io.BytesIO(archive) if isinstance(archive, bytes) else archive) as files:
        for name in files.namelist():
            if name.lower().endswith(SOUNDS):
                yield name, files.read(name)


def _qt_resources(archive: bytes) -> Members:
    version, tree, data, names = struct.unpack_from(">4I", archive, 4)
    node = 14 if version < 2 else 22  # later versions add the time of change
    folder, compressed = 2, 1

    def walk(index: int, prefix: str) -> Members:
        at = tree + index * node
        name_at, flags = struct.unpack_from(">IH", archive, at)
        length = struct.unpack_from(">H", archive, names + name_at)[0]
        start = names + name_at + 6
        name = archive[start : start + 2 * length].decode("utf-16-be") if index else ""
        if flags & folder:
            count, first = struct.unpack_from(">II", archive, at + 6)
            for child in range(first, first + count):
                yield from walk(child, f"{prefix}{name}/")
        elif name.lower().endswith(SOUNDS):
            offset = data + struct.unpack_from(">I", archive, at + 10)[0]
            size = struct.unpack_from(">I", archive, offset)[0]
            content = archive[offset + 4 : offset + 4 + size]
            yield prefix + name, zlib.decompress(content[4:]) if flags & compressed else content

    yield from walk(0, "")


def _openttd_catalogue(archive: bytes) -> Members:
    first = struct.unpack_from("<I", archive)[0] & 0x7FFF_FFFF  # the top bit says that samples have long names
    for index in range(first // 8):
        offset, size = struct.unpack_from("<II", archive, 8 * index)
        start = offset & 0x7FFF_FFFF
        length = archive[start]
        title = archive[start + 1 : start + length].decode("latin-1").split(". ")[0].replace("/", "-")
        yield f"{index:02d} {title}.wav", archive[start + 1 + length : start + 1 + length + size]


def _openclonk_group(archive: bytes) -> Members:
    header, entry = 204, 316  # bytes

    def walk(group: bytes, prefix: str) -> Members:
        scrambled = bytearray(byte ^ 237 for byte in group[:header])
        for at in range(0, header - 2, 3):
            scrambled[at], scrambled[at + 2] = scrambled[at + 2], scrambled[at]
        count = struct.unpack_from("<I", scrambled, 36)[0]
        for at in range(header, header + entry * count, entry):
            name = group[at : at + 260].split(b"\0")[0].decode("latin-1")
            _, is_group, size, _, offset = struct.unpack_from("<5i", group, at + 260)
            start = header + entry * count + offset
            content = group[start : start + size]
            if is_group:
                yield from walk(content, f"{prefix}{name}/")
            elif name.lower().endswith(SOUNDS):
                yield prefix + name, content

    gzip_magic = b"\x1f\x8b"  # which the format replaces by two bytes of its own
    yield from walk(zlib.decompressobj(wbits=31).decompress(gzip_magic + archive[2:]), "")


def _gravis_patch(archive: bytes) -> Members:
    wide, unsigned = 1, 2
    at = 129 + 63 + 47  # file, instrument and layer headers
    for index in range(archive[129 + 63 + 6]):
        size = struct.unpack_from("<I", archive, at + 8)[0]
        rate = struct.unpack_from("<H", archive, at + 20)[0]
        modes = archive[at + 55]
        samples = archive[at + 96 : at + 96 + size]
        if modes & wide and modes & unsigned:
            samples = bytes(byte ^ 0x80 if place % 2 else byte for place, byte in enumerate(samples))
        elif not modes & wide and not modes & unsigned:
            samples = bytes(byte ^ 0x80 for byte in samples)  # a WAV of 8 bits is unsigned
        yield f"{index}.wav", _wav(samples, 2 if modes & wide else 1, rate)
        at += 96 + size


def _wav(samples: bytes, width: int, rate: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, width, rate, 0, "NONE", ""))
        file.writeframes(samples)
    return buffer.getvalue()


READERS = {
    ".zip": _zip,
    ".pk3": _zip,
    ".rcc": _qt_resources,
    ".cat": _openttd_catalogue,
    ".ocg": _openclonk_group,
    ".pat": _gravis_patch,
}
