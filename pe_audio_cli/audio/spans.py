"""Spans of a recording, decoded in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.audio.addresses import addressed
from pe_audio_cli.audio.decoding import open_audio
from pe_audio_cli.audio.framing import SAMPLE_RATE

__all__ = ["read_spans"]


def read_spans(
    file: str, spans: Sequence[tuple[float, float]], audio_track: int | None = None
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the samples of each span, in the order of their ends, and the number that the span has among ``spans``.

    Samples are mono at 48 kHz, of shape ``(n,)``; there are fewer, or none, of a span that exceeds the end. Nothing
    beyond the last span is decoded, and only spans that have begun and not ended are held.

    Args:
        file: the recording.
        spans: starts and ends in seconds; they may overlap.
        audio_track: selects one of several audio tracks of a file.

    Raises:
        InputError: the recording cannot be read.
    """
    limits = [(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)) for start, end in spans]
    waiting = sorted(range(len(spans)), key=lambda number: limits[number][0], reverse=True)
    held: dict[int, list[NDArray[np.float32]]] = {}
    place = 0
    with open_audio(addressed(file), audio_track) as stream:
        for block in stream.blocks():
            stop = place + len(block)
            while waiting and limits[waiting[-1]][0] < stop:
                held[waiting.pop()] = []
            for number, parts in held.items():
                first, last = limits[number]
                parts.append(block[max(first - place, 0) : max(last - place, 0)].copy())
            place = stop
            yield from _ended(held, limits, place)
            if not held and not waiting:
                return
    held |= {number: [] for number in waiting}
    yield from _ended(held, limits, None)


def _ended(
    held: dict[int, list[NDArray[np.float32]]], limits: Sequence[tuple[int, int]], place: int | None
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Take out the spans that end before a sample, or all of them."""
    for number in sorted(held, key=lambda number: limits[number][1]):
        if place is None or limits[number][1] <= place:
            yield number, np.concatenate([np.empty(0, np.float32), *held.pop(number)])
