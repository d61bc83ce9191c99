"""Recordings, read ahead chunk by chunk for the encoder."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from pe_audio_cli.audio.addresses import addressed
from pe_audio_cli.audio.decoding import open_audio
from pe_audio_cli.audio.framing import (
    FRAMES_PER_SECOND,
    Chunk,
    WindowOptions,
    chunked,
    whole_frames,
)
from pe_audio_cli.audio.inputs import DataInput
from pe_audio_cli.audio.spectrogram import StreamingSpectrogram
from pe_audio_cli.errors import RunError
from pe_audio_cli.results import FileError, Recording

if TYPE_CHECKING:
    from concurrent.futures import Future

    import numpy as np
    from numpy.typing import NDArray

    from pe_audio_cli.audio.opus_encoder import OpusEncoder

__all__ = ["READ_AHEAD", "ReaderItem", "RecordingBegin", "RecordingChunk", "RecordingEnd", "read", "read_ahead"]

CODEC_CHUNK = 10 * FRAMES_PER_SECOND  # frames that the codec takes at once, to save memory

READ_AHEAD = 4  # chunks that may wait for the encoder

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class RecordingBegin:
    """A recording begins, or a segment of one, whose first window starts at ``start_frame``."""

    file: str
    start_frame: int = 0


@dataclass(frozen=True, slots=True)
class RecordingChunk:
    """A chunk of the current recording, and the fraction of its file that has been read, from 0 to 1.

    ``features`` are what the codec makes of it, if that has been started already.
    """

    chunk: Chunk
    fraction: float
    features: Future[NDArray[np.float32]] | None = None


@dataclass(frozen=True, slots=True)
class RecordingEnd:
    """The end of the current recording or segment, with the facts of the recording as far as it was read."""

    recording: Recording


# The reader yields for each recording in turn: its beginning, its chunks, and its end or an error.
ReaderItem: TypeAlias = "RecordingBegin | RecordingChunk | RecordingEnd | FileError"


def read(
    files: Iterable[str | FileError],
    options: WindowOptions,
    context_frames: int,
    spectrograms: bool = False,
    sounds: float | None = None,
    audio_track: int | None = None,
) -> Iterator[ReaderItem]:
    """Decode recordings chunk by chunk; the arguments are those of :func:`encode`."""
    whole = None if options.window is None else CODEC_CHUNK
    for file in files:
        if isinstance(file, FileError):
            yield RecordingBegin(file.file)
            yield file
            continue
        given = addressed(file)
        file = str(given) if isinstance(given, DataInput) else given  # results outlive the data that they are of
        yield RecordingBegin(file)
        try:
            with open_audio(given, audio_track) as stream:
                spectrogram_maker = StreamingSpectrogram() if spectrograms else None
                opus = _opus_encoder(sounds)
                blocks = stream.blocks()
                if spectrogram_maker is not None:
                    blocks = spectrogram_maker.pass_through(blocks)
                if opus is not None:
                    blocks = opus.pass_through(blocks)
                for chunk in chunked(whole_frames(blocks), whole, CODEC_CHUNK, context_frames):
                    yield RecordingChunk(chunk, stream.fraction)
                spectrogram = None if spectrogram_maker is None else spectrogram_maker.finish()
                sound = None if opus is None else opus.finish()
                about = file, stream.duration, stream.sample_rate, stream.channels
                yield RecordingEnd(Recording(*about, spectrogram, sound, stream.warnings))
        except Exception as error:
            yield FileError.caused_by(error, file)


def _opus_encoder(sounds: float | None) -> OpusEncoder | None:
    if sounds is None:
        return None
    from pe_audio_cli.audio.opus_encoder import OpusEncoder  # PyAV takes a moment, and few ask for sounds

    return OpusEncoder(sounds)


def read_ahead(items: Iterator[ItemT], depth: int) -> Generator[ItemT, None, None]:
    """Yield the same items, made in a thread that runs at most ``depth`` of them ahead.

    Raises :class:`RunError` in a process that was forked meanwhile: it has the queue, but not the thread that fills it.
    """
    process = os.getpid()
    ready: queue.Queue[tuple[ItemT | None, BaseException | None]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: ItemT | None, error: BaseException | None = None) -> None:
        while not stopped.is_set():
            try:
                return ready.put((item, error), timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:
            put(None, error)

    thread = threading.Thread(target=work, name="peaudio-reader", daemon=True)
    thread.start()
    try:
        while True:
            if os.getpid() != process:
                raise RunError(
                    "a run cannot continue in a forked process: start a new one there, or start processes with 'spawn'"
                )
            item, error = ready.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        if os.getpid() == process:
            stopped.set()
            thread.join(timeout=1.0)  # it may be waiting for a pipe that nobody writes to
