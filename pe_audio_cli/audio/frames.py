"""Detection of raw streams: consecutive frames of compressed audio without a common header."""

from __future__ import annotations

from itertools import product

import numpy as np

from pe_audio_cli.audio.bitstream import ac3_sizes
from pe_audio_cli.audio.excerpt import Opened, read_at

__all__ = ["TRANSPORT_BYTES", "is_stream"]

LEAST_FRAMES = 4  # in a row
HEAD_BYTES = 8
TRUEHD = (b"\xf8\x72\x6f\xba", b"\xf8\x72\x6f\xbb")  # of TrueHD and MLP, in the first frame, not in all
TRANSPORT_BYTES = 188  # of a packet of MPEG-TS (ISO/IEC 13818-1, 2.4.3.2)
MPEG_RATES = (44_100, 48_000, 32_000)  # Hz, of MPEG-1; half and a quarter of that in MPEG-2 and 2.5
# Kilobits a second (ISO/IEC 11172-3 and 13818-3, 2.4.2.3), by whether it is MPEG-1, and by layer.
MPEG_KILOBITS = {
    (True, 1): range(0, 449, 32),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    **dict.fromkeys(product([False], [2, 3]), (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)),
}


def is_stream(opened: Opened, offset: int) -> bool:
    """Return True if consecutive frames of MPEG audio, AAC, AC-3, TrueHD or DTS, or MPEG-TS packets, begin there."""
    for _ in range(LEAST_FRAMES):
        head = read_at(opened, offset, HEAD_BYTES)
        if head[4:] in TRUEHD:
            return True
        size = _frame_bytes(head) if len(head) == HEAD_BYTES else 0
        if not size:
            return False
        offset += size
    return True


def _frame_bytes(head: bytes) -> int:
    """Return the length of the frame with this head in bytes; 0 if it is none."""
    if head[0] == 0x47:
        return TRANSPORT_BYTES
    if head[0] == 0xFF and head[1] & 0xF6 == 0xF0:  # AAC in ADTS (ISO/IEC 13818-7, 6.2)
        return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    if head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return _mpeg_bytes(head)
    if head[0] == 0x56 and head[1] & 0xE0 == 0xE0:  # AAC in LOAS (ISO/IEC 14496-3, 1.7.2)
        return ((head[1] & 0x1F) << 8 | head[2]) + 3
    if head.startswith(b"\x7f\xfe\x80\x01"):  # DTS (ETSI TS 102 114, 5.3.1)
        return ((head[5] & 3) << 12 | head[6] << 4 | head[7] >> 4) + 1
    if head.startswith(b"\x0b\x77"):
        return 2 * next(ac3_sizes(np.frombuffer(head[:6], ">u2")), 0)
    return 0


def _mpeg_bytes(head: bytes) -> int:
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    kilobits, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or kilobits in (0, 15) or rate == 3:
        return 0
    bits = 1_000 * MPEG_KILOBITS[version == 3, layer][kilobits]
    hertz = MPEG_RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    if layer == 1:
        return (12 * bits // hertz + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits // hertz + padding
