"""The claims of a FLAC's header, and those of its frames (RFC 9639, sections 8.2 and 9.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pe_audio_cli.audio.excerpt import Opened, read_at, size_of

__all__ = ["Claims", "claims_of"]

MAX_BLOCKS = 10_000  # of metadata
TAIL_BYTES = 1 << 18  # at the end, in which the last frame begins, unless it is of a size that nobody writes
HEAD_BYTES = 1 << 16  # after the metadata, in which the first frame begins
MAX_FRAME_HEADER = 16  # bytes
SYNC = re.compile(rb"\xff[\xf8\xf9]", re.S)
RATES = (0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)


@dataclass(frozen=True, slots=True)
class Claims:
    """The sample rate and the number of samples, by the header and by the frames; 0 where those do not say."""

    rate: int
    samples: int
    frame_rate: int
    frame_samples: int


@dataclass(frozen=True, slots=True)
class _Frame:
    rate: int
    place: int  # in samples, or in frames where all are of one size
    samples: int
    is_variable: bool


def claims_of(opened: Opened) -> Claims | None:
    """Return the claims of the first FLAC in a file; None for other formats, or if no frame is found."""
    place = 0 if read_at(opened, 0, 4) == b"fLaC" else -1
    header = read_at(opened, place + 8, 34)
    if place < 0 or len(header) < 34:
        return None
    packed = int.from_bytes(header[10:18], "big")
    rate, samples = packed >> 44, packed & (1 << 36) - 1
    first = _first_frame(opened, _metadata_end(opened))
    last = _last_frame(opened, first) if first is not None else None
    if first is None or last is None:
        return None
    before = last.place if last.is_variable else last.place * first.samples
    return Claims(rate, samples, first.rate, before + last.samples)


def _metadata_end(opened: Opened) -> int:
    place = 4
    for _ in range(MAX_BLOCKS):
        head = read_at(opened, place, 4)
        if len(head) < 4:
            break
        place += 4 + int.from_bytes(head[1:], "big")
        if head[0] & 0x80:
            break
    return place


def _first_frame(opened: Opened, place: int) -> _Frame | None:
    content = read_at(opened, place, HEAD_BYTES)
    frames = (_frame(content[match.start() :][:MAX_FRAME_HEADER]) for match in SYNC.finditer(content))
    return next((frame for frame in frames if frame is not None and frame.place == 0), None)


def _last_frame(opened: Opened, first: _Frame) -> _Frame | None:
    """The last one that looks like the first."""
    content = read_at(opened, max(0, size_of(opened) - TAIL_BYTES), TAIL_BYTES)
    places = [match.start() for match in SYNC.finditer(content)]
    for place in reversed(places):
        frame = _frame(content[place : place + MAX_FRAME_HEADER])
        if frame is not None and (frame.rate, frame.is_variable) == (first.rate, first.is_variable):
            return frame
    return None


def _frame(head: bytes) -> _Frame | None:
    """A frame's header, if its checksum is right."""
    if len(head) < 6 or head[3] & 1:
        return None
    size_code, rate_code = head[2] >> 4, head[2] & 15
    n_coded = max(1, 8 - (head[4] ^ 0xFF).bit_length())
    end = 4 + n_coded
    n_size, n_rate = {6: 1, 7: 2}.get(size_code, 0), {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    end += n_size + n_rate
    if size_code == 0 or rate_code == 15 or n_coded > 7 or len(head) <= end or _checksum(head[:end]) != head[end]:
        return None
    place = head[4] & (0xFF >> (n_coded + 1) if n_coded > 1 else 0x7F)
    for byte in head[5 : 4 + n_coded]:
        place = place << 6 | byte & 0x3F
    size_bytes, rate_bytes = head[4 + n_coded :][:n_size], head[4 + n_coded + n_size :][:n_rate]
    samples = int.from_bytes(size_bytes, "big") + 1 if n_size else _size(size_code)
    scale = {12: 1_000, 14: 10}.get(rate_code, 1)
    rate = int.from_bytes(rate_bytes, "big") * scale if n_rate else RATES[rate_code]
    return _Frame(rate, place, samples, bool(head[1] & 1))


def _size(code: int) -> int:
    return 192 if code == 1 else 576 << code - 2 if code < 6 else 256 << code - 8


def _checksum(content: bytes) -> int:
    """CRC-8, of the polynomial x^8 + x^2 + x + 1."""
    value = 0
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x107) & 0xFF if value & 0x80 else value << 1
    return value
