"""Compressed sound that is stored as if it were samples: DTS-CDs, captures of S/PDIF. Played as samples, it is noise.

It is told by the words with which its frames begin, several of them, as far apart as they have to be; each of them
alone may stand in any recording. Words may have their bytes swapped.

Formats: IEC 61937-1 (bursts in S/PDIF), ETSI TS 102 114 (DTS), ATSC A/52 (AC-3 and E-AC-3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.audio.decoders.base import Block
from pe_audio_cli.errors import InputError

__all__ = ["ac3_sizes", "compressed_kind", "refusal", "refusing_compressed"]

Words = NDArray[np.uint16]

LEAST_FRAMES = 3  # in a row
LOOK_WORDS = 1 << 18  # in which they are looked for, from the first on that is not 0
LEAST_SPACING = 48  # words from one frame to the next
AC3_WORDS = 3_072  # of two channels, in the time of a frame: frames may be that far apart, with padding between them
AC3_KILOBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)


def refusing_compressed(file: str, blocks: Iterable[Block]) -> Iterator[Block]:
    """Pass blocks through; raise InputError if the first that are not silent hold compressed audio."""
    words: list[Words] = []
    left = LOOK_WORDS
    for block in chain(blocks, [None]):
        if block is not None and left > 0 and (words or block.samples.any()):
            words.append(_words(block.samples))
            left -= len(words[-1])
        if words and (left <= 0 or block is None):
            kind = compressed_kind(np.concatenate(words))
            words = []
            if kind is not None:
                raise refusal(file, kind)
        if block is not None:
            yield block


def refusal(file: str, kind: str) -> InputError:
    """Return the error for compressed audio within PCM that cannot be decoded."""
    message = f"what it calls samples is {kind}: decode it first, for instance by a player that knows this kind"
    return InputError(file, "decode", message)


def _words(samples: NDArray[np.float32]) -> Words:
    """Return the 16 bits from which samples were made, or the upper 16 of more."""
    with np.errstate(invalid="ignore", over="ignore"):
        values = np.clip(np.floor(samples.reshape(-1) * 2**15), -(2**15), 2**15 - 1)
        return values.astype(np.int16).view(np.uint16)


def compressed_kind(words: Words) -> str | None:
    """Return the name of the compressed format in interleaved 16-bit samples; None for real samples."""
    for each in (words, words.byteswap()):
        if _evenly_spaced(_bursts(each)):
            return "compressed sound as it goes through S/PDIF (IEC 61937)"
        if _evenly_spaced(_dts(each)):
            return "DTS"
        if _has_ac3(each):
            return "AC-3"
    return None


def _bursts(words: Words) -> NDArray[np.intp]:
    places = np.flatnonzero((words[:-3] == 0xF872) & (words[1:-2] == 0x4E1F))
    return places[(words[places + 2] & 0x7F > 0) & (words[places + 3] > 0)]


def _dts(words: Words) -> NDArray[np.intp]:
    """Normal frames of 16 or of 14 bits a word."""
    full = (words[:-3] == 0x7FFE) & (words[1:-2] == 0x8001) & (words[2:-1] >= 0xFC00)
    short = (words[:-3] == 0x1FFF) & (words[1:-2] == 0xE800) & (words[2:-1] & 0xFFF0 == 0x07F0)
    return np.flatnonzero(full | short)


def _evenly_spaced(places: NDArray[np.intp]) -> bool:
    """Return True if several consecutive frames, perhaps after others, are equally spaced."""
    gaps = np.diff(places)
    same = (gaps[1:] == gaps[:-1]) & (gaps[1:] >= LEAST_SPACING)
    return bool(same.any()) and int(np.median(gaps)) >= LEAST_SPACING


def _has_ac3(words: Words) -> bool:
    places = np.flatnonzero(words[:-3] == 0x0B77)
    if len(places) < LEAST_FRAMES or np.median(np.diff(places)) < LEAST_SPACING:
        return False
    known = set(places.tolist())
    return any(_row_length(words, place, known) >= LEAST_FRAMES for place in places[: 1 << 10].tolist())


def _row_length(words: Words, place: int, places: set[int]) -> int:
    """Return the number of consecutive frames from ``place`` on, including that one, up to ``LEAST_FRAMES``."""
    length = 0
    while place in places and length < LEAST_FRAMES:
        following = [place + size for size in ac3_sizes(words[place : place + 3])]
        if not following:
            break
        length += 1
        place = next((each for each in following if each in places), -1)
    return length


def ac3_sizes(head: Words) -> Iterator[int]:
    """Yield the possible sizes of a frame in words, by its header."""
    identification = int(head[2]) >> 3 & 0x1F
    if identification > 10:
        if identification <= 16:
            yield (int(head[1]) & 0x7FF) + 1
            yield AC3_WORDS
        return
    rate, size = int(head[2]) >> 14, int(head[2]) >> 8 & 0x3F
    if rate == 3 or size >> 1 >= len(AC3_KILOBITS):
        return
    kilobits = AC3_KILOBITS[size >> 1]
    yield (kilobits * 2, 320 * kilobits // 147 + (size & 1), kilobits * 3)[rate]
    yield AC3_WORDS
