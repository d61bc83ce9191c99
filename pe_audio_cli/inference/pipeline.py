"""Decode, encode, reduce: recordings to results, one bad file never hurting another.

Whatever is raised on the way, by whatever stage, becomes the error of the recording that was worked on.

A thread reads ahead, so that the encoder doesn't wait for the disk. The codec runs over each recording once, and its
frames are shared by the windows that overlap. Windows of one length share a batch, whichever recordings they come
from, and results come out in the order in which the recordings went in. Where the encoder may be called by several
threads at once, they share out the recordings (:mod:`~pe_audio_cli.inference.sharing`).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np

from pe_audio_cli.audio.framing import (
    FRAME_SECONDS,
    Window,
    WindowOptions,
    sliding_windows,
)
from pe_audio_cli.results import FileError, Recording

if TYPE_CHECKING:
    from numpy.typing import NDArray

from pe_audio_cli.inference.reader import (
    READ_AHEAD,
    ReaderItem,
    RecordingBegin,
    RecordingChunk,
    RecordingEnd,
    read,
    read_ahead,
)
from pe_audio_cli.inference.sharing import OnChunk, shared_out
from pe_audio_cli.models.encoder import Encoder

__all__ = ["Codec", "CodecStore", "EncodedWindow", "OnChunk", "Reducer", "encode", "encode_items"]

SPREAD = 4  # batches' worth of windows that may wait for others of their length

ResultT = TypeVar("ResultT", covariant=True)

DoneT = TypeVar("DoneT")

# Codec features, (n_frames, width), of frames of samples, (n_frames, 1920).
Codec: TypeAlias = "Callable[[NDArray[np.float32]], NDArray[np.float32]]"


class CodecStore(Protocol):
    """A cache of codec features, so that they are not computed twice."""

    def codec(self, file: str, encoder: Encoder) -> Codec:
        """Return a substitute of ``encoder.encode_codec`` for the chunks of one recording, in order."""


@dataclass(frozen=True, slots=True)
class EncodedWindow:
    """The embeddings of one window: ``clip`` of shape ``(dim,)``, ``frames`` of shape ``(n_frames, dim)``."""

    start_frame: int
    clip: NDArray[np.float32]
    frames: NDArray[np.float32]


class Reducer(Protocol[ResultT]):
    """Reduces the windows of one recording to its result, so that embeddings are freed after their batch.

    Each window goes through ``score`` to ``add``. The first may be called on another machine than the second.
    """

    def score(self, window: EncodedWindow) -> Any:
        """Return the score of a window: a value that can be pickled and depends on this window only."""

    def add(self, scored: Any) -> None:
        """Add the score of the next window, in order of time."""

    def finish(self, recording: Recording) -> ResultT:
        """Return the result, after the last window."""


class _Job(Generic[DoneT]):
    """A recording in the pipeline."""

    def __init__(self, file: str, reducer: Callable[[], Reducer[DoneT]]) -> None:
        self.file = file
        self.n_waiting = 0  # windows that are cut and not yet encoded
        self.end: RecordingEnd | None = None
        self.error: FileError | None = None
        try:
            self._reducer = reducer()
        except Exception as error:
            self.fail(error)

    @property
    def done(self) -> bool:
        return self.error is not None or (self.end is not None and self.n_waiting == 0)

    def fail(self, error: Exception) -> None:
        self.error = FileError.caused_by(error, self.file)

    def take(self, window: EncodedWindow) -> None:
        self.n_waiting -= 1
        if self.error is not None:
            return
        try:
            self._reducer.add(self._reducer.score(window))
        except Exception as error:
            self.fail(error)

    def outcome(self) -> DoneT | FileError:
        if self.error is not None:
            return self.error
        assert self.end is not None
        try:
            return self._reducer.finish(self.end.recording)
        except Exception as error:
            return FileError.caused_by(error, self.file)


def encode(
    files: Iterable[str | FileError],
    encoder: Encoder,
    options: WindowOptions,
    reducer: Callable[[], Reducer[DoneT]],
    batch_size: int | None = None,
    on_chunk: OnChunk | None = None,
    spectrograms: bool = False,
    sounds: float | None = None,
    audio_track: int | None = None,
    store: CodecStore | None = None,
) -> Iterator[DoneT | FileError]:
    """Encode recordings, and yield the result of each as soon as it and all before it are done.

    Args:
        files: recordings, or errors that stand for them, which come out in their place.
        encoder: what encodes.
        options: how long recordings are cut.
        reducer: makes what takes one recording's windows.
        batch_size: windows that are encoded at once; None leaves it to the encoder. It changes no result.
        on_chunk: told of progress.
        spectrograms: make one of each recording as it is read, in the reader's thread.
        sounds: seconds of recording up to which its sound is kept, to be listened to; None keeps none.
        audio_track: one of several audio tracks of a file, counted from 1; None is the one that players choose.
        store: keeps codec features until they are no longer needed; None keeps none.
    """
    items = read(files, options, encoder.facts.context_frames, spectrograms, sounds, audio_track)

    def encode_some(
        items: Iterator[ReaderItem], encoder: Encoder, on_chunk: OnChunk | None
    ) -> Iterator[DoneT | FileError]:
        return encode_items(items, encoder, options, reducer, batch_size, on_chunk, store)

    if encoder.facts.n_parallel > 1:
        yield from shared_out(items, encoder, encode_some, on_chunk, codec_ahead=store is None)
        return
    ahead = read_ahead(items, READ_AHEAD)
    try:
        yield from encode_some(ahead, encoder, on_chunk)
    finally:
        ahead.close()


def encode_items(
    items: Iterator[ReaderItem],
    encoder: Encoder,
    options: WindowOptions,
    reducer: Callable[[], Reducer[DoneT]],
    batch_size: int | None = None,
    on_chunk: OnChunk | None = None,
    store: CodecStore | None = None,
) -> Iterator[DoneT | FileError]:
    """Encode recordings, as :func:`encode` does, from what :func:`read` yielded here or on another machine."""
    batcher: _Batcher[DoneT] = _Batcher(encoder, encoder.facts.batch_size if batch_size is None else batch_size)
    jobs: deque[_Job[DoneT]] = deque()
    feed = _Feed(items)
    for begin in feed:
        assert isinstance(begin, RecordingBegin)
        job = _Job(begin.file, reducer)
        jobs.append(job)
        codec = encoder.encode_codec if store is None else store.codec(begin.file, encoder)
        try:
            for window in sliding_windows(_features(job, feed, codec, on_chunk), options):
                batcher.add(job, replace(window, start_frame=begin.start_frame + window.start_frame))
        except Exception as error:
            if feed.has_failed:
                raise
            job.fail(error)
            feed.skip_recording()
        yield from _finished(jobs)
    batcher.flush()
    yield from _finished(jobs)


class _Feed:
    """The items of the reader; knows if a recording is at its end, and if the reader itself has failed."""

    def __init__(self, items: Iterator[ReaderItem]) -> None:
        self._items = items
        self._is_at_end = True
        self.has_failed = False

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> ReaderItem:
        try:
            item = next(self._items)
        except StopIteration:
            self._is_at_end = True
            raise
        except Exception:
            self.has_failed = True
            raise
        self._is_at_end = isinstance(item, (RecordingEnd, FileError))
        return item

    def skip_recording(self) -> None:
        """Skip the rest of the current recording."""
        while not self._is_at_end:
            next(self, None)


def _finished(jobs: deque[_Job[DoneT]]) -> Iterator[DoneT | FileError]:
    while jobs and jobs[0].done:
        yield jobs.popleft().outcome()


def _features(
    job: _Job[DoneT],
    items: _Feed,
    codec: Codec,
    on_chunk: OnChunk | None,
) -> Iterator[NDArray[np.float32]]:
    """The codec features of a recording, as the reader brings it; what goes wrong is noted on the job."""
    for item in items:
        if isinstance(item, RecordingEnd):
            job.end = item
            return
        if isinstance(item, FileError):
            job.error = item
            return
        if isinstance(item, RecordingChunk) and job.error is None:
            chunk = item.chunk
            try:
                features = codec(chunk.frames) if item.features is None else item.features.result()
            except Exception as error:
                job.fail(error)
                continue  # to the end of this recording
            yield features[chunk.n_before : chunk.n_before + chunk.n_frames]
            if on_chunk is not None:
                on_chunk(job.file, chunk.n_frames * FRAME_SECONDS, item.fraction)


class _Batcher(Generic[DoneT]):
    """Gathers windows of equal length into batches, and never lets one wait for long."""

    def __init__(self, encoder: Encoder, size: int) -> None:
        self._encoder = encoder
        self._size = size
        self._waiting: dict[int, list[tuple[_Job[DoneT], Window]]] = defaultdict(list)

    def add(self, job: _Job[DoneT], window: Window) -> None:
        if job.error is not None:
            return
        n_frames = len(window.frames)
        self._waiting[n_frames].append((job, window))
        job.n_waiting += 1
        if len(self._waiting[n_frames]) == self._size:
            self._encode(self._waiting.pop(n_frames))
        elif sum(map(len, self._waiting.values())) >= SPREAD * self._size:
            self.flush()

    def flush(self) -> None:
        while self._waiting:
            self._encode(self._waiting.popitem()[1])

    def _encode(self, batch: list[tuple[_Job[DoneT], Window]]) -> None:
        wanted = [(job, window) for job, window in batch if job.error is None]
        if not wanted:
            return
        try:
            embeddings = self._encoder.encode_windows(np.stack([window.frames for _, window in wanted]))
        except Exception as error:
            if len(wanted) > 1:  # one window may be at fault, or all of them together too large
                for item in wanted:
                    self._encode([item])
            else:
                wanted[0][0].fail(error)
            return
        for (job, window), clip, frames in zip(wanted, embeddings.clips, embeddings.frames, strict=True):
            job.take(EncodedWindow(window.start_frame, clip, frames))
