"""Compressed sound that is stored as if it were samples: DTS-CDs, captures of S/PDIF. Played as samples, it is noise.

It is told by the words with which its frames begin, several of them, as far apart as they have to be; each of them
alone may stand in any recording. Words may have their bytes swapped.

Formats: IEC 61937-1 (bursts in S/PDIF), ETSI TS 102 114 (DTS), ATSC A/52 (AC-3 and E-AC-3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.audio.decoders.base import Block
from pe_audio_cli.errors import InputError

__all__ = ["LOOK_WORDS", "ac3_sizes", "compressed_kind", "refusal", "refusing_compressed", "words_of"]

Words = NDArray[np.uint16]

LEAST_FRAMES = 3  # in a row
LOOK_WORDS = 1 << 18  # in which they are looked for, from the first on that is not 0
LEAST_SPACING = 48  # words from one frame to the next
AC3_WORDS = 3_072  # of two channels, in the time of a frame: frames may be that far apart, with padding between them
AC3_KILOBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
# The first words of frames: a burst's, those of DTS in words of 16 and of 14 bits, and AC-3's.
BURST, DTS_FULL, DTS_SHORT, AC3 = 0xF872, 0x7FFE, 0x1FFF, 0x0B77
HEAD_WORDS = 4  # that tell a frame, at most
BEGINS = np.zeros(1 << 16, np.bool_)  # whether a frame may begin with a word, its bytes swapped or not
BEGINS[[BURST, DTS_FULL, DTS_SHORT, AC3]] = True
BEGINS |= BEGINS[np.arange(1 << 16, dtype=np.uint16).byteswap()]


def refusing_compressed(file: str, blocks: Iterable[Block]) -> Iterator[Block]:
    """Pass blocks through; raise InputError if the first that are not silent hold compressed audio."""
    held: list[NDArray[np.float32]] = []
    left = LOOK_WORDS
    for block in chain(blocks, [None]):
        if block is not None and left > 0 and (held or block.samples.any()):
            held.append(block.samples)
            left -= block.samples.size
        if held and (left <= 0 or block is None):
            kind = compressed_kind(words_of(held))
            held = []
            if kind is not None:
                raise refusal(file, kind)
        if block is not None:
            yield block


def refusal(file: str, kind: str) -> InputError:
    """Return the error for compressed audio within PCM that cannot be decoded."""
    message = f"what it calls samples is {kind}: decode it first, for instance by a player that knows this kind"
    return InputError(file, "decode", message)


def words_of(blocks: Sequence[NDArray[np.float32]]) -> Words:
    """Return the 16 bits from which samples were made, or the upper 16 of more, channels interleaved."""
    values = np.concatenate([block.reshape(-1) for block in blocks])
    with np.errstate(invalid="ignore", over="ignore"):
        values *= 2**15
        np.floor(values, out=values)
        np.clip(values, -(2**15), 2**15 - 1, out=values)
        return values.astype(np.int16).view(np.uint16)


def compressed_kind(words: Words) -> str | None:
    """Return the name of the compressed format in interleaved 16-bit samples; None for real samples."""
    places = np.flatnonzero(BEGINS[words[: 1 - HEAD_WORDS]])
    if len(places) < LEAST_FRAMES:
        return None
    heads = words[places[:, None] + np.arange(HEAD_WORDS)]
    for each in (heads, heads.byteswap()):
        if _evenly_spaced(places[_is_burst(each)]):
            return "compressed sound as it goes through S/PDIF (IEC 61937)"
        if _evenly_spaced(places[_is_dts(each)]):
            return "DTS"
        if _has_ac3(places, each):
            return "AC-3"
    return None


def _is_burst(heads: Words) -> NDArray[np.bool_]:
    first, second, third, fourth = heads.T
    is_burst: NDArray[np.bool_] = (first == BURST) & (second == 0x4E1F) & (third & 0x7F > 0) & (fourth > 0)
    return is_burst


def _is_dts(heads: Words) -> NDArray[np.bool_]:
    """Normal frames of 16 or of 14 bits a word."""
    first, second, third, _ = heads.T
    full = (first == DTS_FULL) & (second == 0x8001) & (third >= 0xFC00)
    short: NDArray[np.bool_] = (first == DTS_SHORT) & (second == 0xE800) & (third & 0xFFF0 == 0x07F0)
    return np.asarray(full | short)


def _evenly_spaced(places: NDArray[np.intp]) -> bool:
    """Return True if several consecutive frames, perhaps after others, are equally spaced."""
    if len(places) < LEAST_FRAMES:
        return False
    gaps = np.diff(places)
    same = (gaps[1:] == gaps[:-1]) & (gaps[1:] >= LEAST_SPACING)
    return bool(same.any()) and int(np.median(gaps)) >= LEAST_SPACING


def _has_ac3(places: NDArray[np.intp], heads: Words) -> bool:
    is_ac3 = heads[:, 0] == AC3
    places = places[is_ac3]
    if len(places) < LEAST_FRAMES or np.median(np.diff(places)) < LEAST_SPACING:
        return False
    frames = dict(zip(places.tolist(), heads[is_ac3], strict=True))
    return any(_row_length(place, frames) >= LEAST_FRAMES for place in places[: 1 << 10].tolist())


def _row_length(place: int, frames: Mapping[int, Words]) -> int:
    """Return the number of consecutive frames from ``place`` on, including that one, up to ``LEAST_FRAMES``."""
    length = 0
    while place in frames and length < LEAST_FRAMES:
        following = [place + size for size in ac3_sizes(frames[place])]
        if not following:
            break
        length += 1
        place = next((each for each in following if each in frames), -1)
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
