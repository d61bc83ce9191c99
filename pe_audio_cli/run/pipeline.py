"""Decode, cut, encode: recordings to encoded windows, one bad file never hurting another.

A thread reads ahead, so that the encoder doesn't wait for the disk. Windows of one length share a batch, whichever
recordings they come from, and recordings come out in the order in which they went in.
"""

from __future__ import annotations

import queue
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar

import numpy as np

from pe_audio_cli.audio.decode import open_audio
from pe_audio_cli.audio.windows import FRAME_SECONDS, Window, WindowOptions, cut
from pe_audio_cli.errors import InputError, RunError
from pe_audio_cli.results import Embeddings, FileError, Recording

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["EncodedWindow", "Encoder", "Finished", "encode"]

READ_AHEAD = 4  # windows that may wait for the encoder
SPREAD = 4  # batches' worth of windows that may wait for others of their length

KeptT = TypeVar("KeptT")
ItemT = TypeVar("ItemT")


class Encoder(Protocol):
    """What turns labels and windows into embeddings; every pipeline test runs on a fake one.

    logit = ``logit_scale`` * (audio . text) + ``logit_bias``.
    """

    name: str
    engine: str
    fingerprint: str
    default_labels: tuple[str, ...]
    batch_size: int
    logit_scale: float
    logit_bias: float

    def encode_text(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """Text embeddings of shape ``(n_labels, dim)``."""

    def encode_audio(self, windows: NDArray[np.float32]) -> Embeddings:
        """Clip and frame embeddings of equal windows, ``(batch, samples)``; RunError if it cannot be done."""


@dataclass(frozen=True, slots=True)
class EncodedWindow:
    """One window's embeddings: ``clip`` of shape ``(dim,)``, ``frames`` of shape ``(n_frames, dim)``."""

    start_frame: int
    clip: NDArray[np.float32]
    frames: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Finished(Generic[KeptT]):
    """A recording all of whose windows are encoded, and what was kept of each of them, in order of time."""

    recording: Recording
    windows: list[KeptT]
    warning: str | None


@dataclass
class _Job(Generic[KeptT]):
    """A recording on its way: read window by window, encoded in any order."""

    file: str
    kept: dict[int, KeptT] = field(default_factory=dict)
    n_windows: int = 0
    recording: Recording | None = None
    warning: str | None = None
    error: FileError | None = None

    @property
    def done(self) -> bool:
        return self.error is not None or (self.recording is not None and len(self.kept) == self.n_windows)

    def outcome(self) -> Finished[KeptT] | FileError:
        if self.error is not None:
            return self.error
        assert self.recording is not None
        return Finished(self.recording, [self.kept[index] for index in range(self.n_windows)], self.warning)


@dataclass(frozen=True, slots=True)
class _End:
    """What is known of a recording once it has been read to its end."""

    recording: Recording
    warning: str | None


# What the reader says of the recording in turn: it begins, a window of it, its end, or that it cannot be read.
_News: TypeAlias = "str | Window | _End | FileError"


def encode(
    files: Iterable[str | FileError],
    encoder: Encoder,
    options: WindowOptions,
    keep: Callable[[EncodedWindow], KeptT],
    batch_size: int | None = None,
    on_window: Callable[[str, float], None] | None = None,
) -> Iterator[Finished[KeptT] | FileError]:
    """Encode recordings, and hand out each as soon as it and all before it are done.

    Args:
        files: recordings, or errors that stand for them, which come out in their place.
        encoder: what encodes.
        options: how long recordings are cut.
        keep: what to keep of each window, called at once, so that no embedding outlives its batch unless it is wanted.
        batch_size: windows that are encoded at once; None leaves it to the encoder. It changes no result.
        on_window: told of each encoded window: the recording's file, and its seconds.
    """
    size = encoder.batch_size if batch_size is None else batch_size
    batcher = _Batcher(encoder, keep, size, on_window)
    jobs: deque[_Job[KeptT]] = deque()
    for news in _read_ahead(_read(files, options), READ_AHEAD * size):
        if isinstance(news, str):
            jobs.append(_Job(news))
        elif isinstance(news, Window):
            batcher.add(jobs[-1], news)
        elif isinstance(news, _End):
            jobs[-1].recording, jobs[-1].warning = news.recording, news.warning
        else:
            jobs[-1].error = news
        yield from _finished(jobs)
    batcher.flush()
    yield from _finished(jobs)


def _finished(jobs: deque[_Job[KeptT]]) -> Iterator[Finished[KeptT] | FileError]:
    while jobs and jobs[0].done:
        yield jobs.popleft().outcome()


class _Batcher(Generic[KeptT]):
    """Gathers windows of equal length into batches, and never lets one wait for long."""

    def __init__(
        self,
        encoder: Encoder,
        keep: Callable[[EncodedWindow], KeptT],
        size: int,
        on_window: Callable[[str, float], None] | None,
    ) -> None:
        self._encoder = encoder
        self._keep = keep
        self._size = size
        self._on_window = on_window
        self._waiting: dict[int, list[tuple[_Job[KeptT], int, Window]]] = defaultdict(list)

    def add(self, job: _Job[KeptT], window: Window) -> None:
        batch = self._waiting[window.n_frames]
        batch.append((job, job.n_windows, window))
        job.n_windows += 1
        if len(batch) == self._size:
            self._encode(self._waiting.pop(window.n_frames))
        elif sum(map(len, self._waiting.values())) >= SPREAD * self._size:
            self.flush()

    def flush(self) -> None:
        while self._waiting:
            self._encode(self._waiting.popitem()[1])

    def _encode(self, batch: list[tuple[_Job[KeptT], int, Window]]) -> None:
        wanted = [item for item in batch if item[0].error is None]
        if not wanted:
            return
        try:
            embeddings = self._encoder.encode_audio(np.stack([window.samples for _, _, window in wanted]))
        except RunError as error:
            if len(wanted) > 1:  # one window may be at fault, or all of them together too large
                for item in wanted:
                    self._encode([item])
            else:
                wanted[0][0].error = FileError(wanted[0][0].file, "encode", str(error))
            return
        for (job, index, window), clip, frames in zip(wanted, embeddings.clips, embeddings.frames, strict=True):
            job.kept[index] = self._keep(EncodedWindow(window.start_frame, clip, frames))
            if self._on_window is not None:
                self._on_window(job.file, window.n_frames * FRAME_SECONDS)


def _read(files: Iterable[str | FileError], options: WindowOptions) -> Iterator[_News]:
    for file in files:
        if isinstance(file, FileError):
            yield file.file
            yield file
            continue
        yield file
        try:
            with open_audio(file) as stream:
                yield from cut(stream.blocks(), options)
                recording = Recording(file, stream.duration, stream.sample_rate, stream.channels)
                yield _End(recording, stream.warning)
        except InputError as error:
            yield FileError.of(error)
        except MemoryError:
            yield FileError(file, "encode", "it does not fit into memory: use a shorter --window")


def _read_ahead(items: Iterator[ItemT], depth: int) -> Iterator[ItemT]:
    """The same items, made in a thread that runs at most ``depth`` of them ahead."""
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
            item, error = ready.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stopped.set()
        thread.join()
