"""The protocols of a task and of an engine, which runs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from pe_audio_cli.audio.framing import WindowOptions
from pe_audio_cli.errors import UsageError
from pe_audio_cli.inference.pipeline import CodecStore, OnChunk, Reducer, encode
from pe_audio_cli.models.encoder import Encoder
from pe_audio_cli.results import FileError

if TYPE_CHECKING:
    pass

__all__ = ["EncodeOptions", "Engine", "LocalEngine", "Task"]

AnswerT = TypeVar("AnswerT", covariant=True)

ResultT = TypeVar("ResultT")


class Task(Protocol[AnswerT]):
    """A task, such as tagging, whose reducers make the results of recordings."""

    def reducer(self, encoder: Encoder) -> Reducer[AnswerT]:
        """Return a new reducer for one recording."""


class Engine(Protocol):
    """The executor of a run: this process, or a cluster."""

    def run(
        self, files: Iterable[str | FileError], encoder: Encoder, task: Task[ResultT], encoding: EncodeOptions
    ) -> Iterator[ResultT | FileError]:
        """Yield a result or an error for each of ``files``, in order."""


class LocalEngine:
    """The engine that runs in this process."""

    def run(
        self, files: Iterable[str | FileError], encoder: Encoder, task: Task[ResultT], encoding: EncodeOptions
    ) -> Iterator[ResultT | FileError]:
        """Yield a result or an error for each of ``files``, in order, as soon as it is complete."""
        return encode(
            files,
            encoder,
            encoding.windows,
            lambda: task.reducer(encoder),
            encoding.batch_size,
            encoding.on_chunk,
            encoding.spectrograms,
            encoding.sounds,
            encoding.audio_track,
            encoding.store,
        )


@dataclass(frozen=True)
class EncodeOptions:
    """Options of a run; only ``windows`` and ``audio_track`` change results.

    ``spectrograms`` asks for one of each recording, ``sounds`` for the sound of those of up to so many seconds.
    ``audio_track`` selects one of several audio tracks, counted from 1; None is the one that players choose.
    ``engine`` runs the recordings; ``store`` caches codec features of the current ones, if they are encoded here.

    Raises:
        UsageError: there is no such track.
    """

    windows: WindowOptions
    batch_size: int | None = None
    on_chunk: OnChunk | None = None
    spectrograms: bool = False
    sounds: float | None = None
    audio_track: int | None = None
    store: CodecStore | None = None
    engine: Engine = field(default_factory=LocalEngine)

    def __post_init__(self) -> None:
        if self.audio_track is not None and self.audio_track < 1:
            raise UsageError(f"audio tracks are counted from 1: got {self.audio_track}")
