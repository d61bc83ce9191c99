"""Recordings shared out among threads, for encoders that several threads may call at once.

A short recording is encoded by one thread, others by other threads at the same time. A longer one is encoded by all of
them, chunk by chunk and window by window. The encoder is called with the same either way, so the numbers are the same;
and results come in the order of the recordings.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

import numpy as np

from pe_audio_cli.audio.framing import FRAMES_PER_SECOND
from pe_audio_cli.inference.reader import (
    READ_AHEAD,
    ReaderItem,
    RecordingChunk,
    RecordingEnd,
    read_ahead,
)
from pe_audio_cli.models.encoder import Encoder
from pe_audio_cli.results import Embeddings, FileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["EncodeItems", "OnChunk", "shared_out"]

SHORT = 30 * FRAMES_PER_SECOND  # frames of a recording that one thread encodes by itself

OutcomeT = TypeVar("OutcomeT")

# Told of each chunk that the codec has done: the file, the seconds of audio, how much of the file has been read.
OnChunk: TypeAlias = Callable[[str, float, float], None]

# Encodes what was read of recordings.
EncodeItems: TypeAlias = Callable[[Iterator[ReaderItem], Encoder, "OnChunk | None"], Iterator[OutcomeT]]


@dataclass(frozen=True, slots=True)
class _Alone(Generic[OutcomeT]):
    """The outcomes of a short recording, and what is to be told of its chunks."""

    outcomes: list[OutcomeT]
    chunks: list[tuple[str, float, float]]


def shared_out(
    items: Iterator[ReaderItem],
    encoder: Encoder,
    encode: EncodeItems[OutcomeT],
    on_chunk: OnChunk | None,
    codec_ahead: bool,
) -> Iterator[OutcomeT]:
    """Encode recordings with as many threads as may call the encoder at once.

    Args:
        items: what :func:`~pe_audio_cli.inference.reader.read` yields.
        encoder: what encodes.
        encode: encodes the items of one recording, in any thread.
        on_chunk: told of progress, in this thread.
        codec_ahead: let threads run the codec on the chunks of a longer recording before these are asked for.
    """
    process = os.getpid()
    n_threads = encoder.facts.n_parallel
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="peaudio-encoder")
    work = read_ahead(_work(items, encoder, pool, encode, codec_ahead), READ_AHEAD + n_threads)
    try:
        for item in work:
            if isinstance(item, Future):
                alone: _Alone[OutcomeT] = item.result()
                if on_chunk is not None:
                    for chunk in alone.chunks:
                        on_chunk(*chunk)
                yield from alone.outcomes
            else:
                yield from encode(chain([item], _rest(work)), _Spread(encoder, pool), on_chunk)
    finally:
        work.close()
        if os.getpid() == process:  # in one that was forked meanwhile, there are no threads to wait for
            pool.shutdown(cancel_futures=True)


def _work(
    items: Iterable[ReaderItem],
    encoder: Encoder,
    pool: ThreadPoolExecutor,
    encode: EncodeItems[OutcomeT],
    codec_ahead: bool,
) -> Generator[ReaderItem | Future[_Alone[OutcomeT]], None, None]:
    """Yield the work on a short recording as a future, and the items of others as they come."""

    def encode_alone(recording: list[ReaderItem]) -> _Alone[OutcomeT]:
        chunks: list[tuple[str, float, float]] = []
        outcomes = list(encode(iter(recording), encoder, lambda *chunk: chunks.append(chunk)))
        return _Alone(outcomes, chunks)

    def begun(item: ReaderItem) -> ReaderItem:
        if not codec_ahead or not isinstance(item, RecordingChunk):
            return item
        return replace(item, features=pool.submit(encoder.encode_codec, item.chunk.frames))

    recording: list[ReaderItem] = []
    n_frames = 0
    for item in items:
        n_frames += item.chunk.n_frames if isinstance(item, RecordingChunk) else 0
        if n_frames > SHORT:
            yield from map(begun, recording)
            yield begun(item)
            recording.clear()
        else:
            recording.append(item)
        if isinstance(item, (RecordingEnd, FileError)):
            if recording:
                yield pool.submit(encode_alone, recording)
            recording, n_frames = [], 0


def _rest(items: Iterator[ReaderItem | Future[_Alone[OutcomeT]]]) -> Iterator[ReaderItem]:
    """Yield the items of a recording whose beginning has been taken."""
    for item in items:
        assert not isinstance(item, Future)
        yield item
        if isinstance(item, (RecordingEnd, FileError)):
            return


class _Spread:
    """An encoder that encodes the windows of a batch in several threads."""

    def __init__(self, encoder: Encoder, pool: ThreadPoolExecutor) -> None:
        self.facts = replace(encoder.facts, batch_size=encoder.facts.n_parallel)
        self.encode_text = encoder.encode_text
        self.encode_codec = encoder.encode_codec
        self._encoder, self._pool = encoder, pool

    def encode_windows(self, features: NDArray[np.float32]) -> Embeddings:
        """Embeddings of equal windows of codec features, ``(batch, n_frames, width)``; RunError if it fails."""
        parts = list(self._pool.map(self._encoder.encode_windows, features[:, None]))
        return Embeddings(
            np.concatenate([part.clips for part in parts]), np.concatenate([part.frames for part in parts])
        )
