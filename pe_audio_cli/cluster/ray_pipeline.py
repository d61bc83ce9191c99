"""The pipeline that runs on a Ray cluster, in two stages, and the actor that runs it.

Ray Data scales each stage and applies backpressure. Tasks on CPUs decode recordings into segments of samples; a pool of
actors, each with the audio tower and the embeddings of the labels, encodes those. A recording of one segment is
finished by its actor; the driver combines the segments of a longer one.

Between the stages go Arrow tables with a row for each segment, whose last column is pickled.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from pe_audio_cli import __version__
from pe_audio_cli.audio.framing import HOP, WindowOptions
from pe_audio_cli.cluster.dispatch import Fault, RecordingResult
from pe_audio_cli.cluster.reorder_buffer import SegmentRow
from pe_audio_cli.errors import CheckpointError, PeAudioError
from pe_audio_cli.inference.pipeline import encode_items
from pe_audio_cli.inference.reader import ReaderItem, RecordingBegin, read
from pe_audio_cli.inference.segments import SEGMENT, Collector, SegmentResult, gathered, segments
from pe_audio_cli.inference.tasks.base import Task
from pe_audio_cli.results import FileError

if TYPE_CHECKING:
    from pe_audio_cli.inference.pipeline import Reducer
    from pe_audio_cli.models.encoder import DeviceOptions, Encoder
    from pe_audio_cli.models.registry import ModelOptions, TaskName

__all__ = ["PipelineActor", "Pool", "Work"]

BLOCK_BYTES = 4 * HOP * SEGMENT  # of samples that travel together: a long segment, or many short recordings
FILES_PER_TASK = 32  # recordings that a task decodes, at most: few to do again when it is lost
TASKS_PER_WORKER = 8  # at least, so that none of them holds up the end
BLOCKS_AHEAD = 2  # that an actor has been sent, one of which it works on
RETRIES = 3  # of a task whose worker died
UNNAMED = ""  # the file name of a recording that only the driver knows


@dataclass(frozen=True)
class Work:
    """The work that every worker receives: the model's location, name and fingerprint, and the task."""

    model: ModelOptions
    task_name: TaskName
    name: str
    fingerprint: str
    context_frames: int
    device: DeviceOptions
    task: Task[Any]
    windows: WindowOptions
    batch_size: int | None
    spectrograms: bool
    sounds: float | None
    audio_track: int | None
    version: str = __version__

    def encoder(self) -> Encoder:
        """Load the model with its audio tower, in a worker.

        Raises :class:`CheckpointError` if this machine has another checkpoint of that name, or another peaudio.
        """
        from pe_audio_cli.models.backends.loading import load_encoder
        from pe_audio_cli.models.checkpoint import Checkpoint
        from pe_audio_cli.models.registry import resolve

        if self.version != __version__:
            raise CheckpointError(f"the worker has peaudio {__version__}, the driver {self.version}: install the same")
        encoder = load_encoder(Checkpoint.open(resolve(self.model, self.task_name), self.name), self.device)
        if encoder.facts.fingerprint != self.fingerprint:
            raise CheckpointError(f"the worker's checkpoint {self.name} is another one: copy it, or pin a --revision")
        return encoder


@dataclass(frozen=True)
class Pool:
    """The number of actors at the start, their limit as the cluster grows, and the resources of a worker."""

    least: int
    most: int
    actor_cpus: float
    actor_gpus: float
    decoder_cpus: float


class PipelineActor:
    """An actor that runs the pipeline, so that the driver may be outside the cluster."""

    def __init__(self, work: Work, pool: Pool, inputs: Mapping[int, str]) -> None:
        """``inputs`` are absolute paths and addresses, by their positions in the run."""
        self._batches = _pipeline(work, pool, inputs)

    def take(self) -> list[SegmentRow]:
        """Return the results of some more segments, in any order; an empty list at the end."""
        for table in self._batches:
            return [SegmentRow(**row) for row in table.to_pylist()]
        return []


def _pipeline(work: Work, pool: Pool, inputs: Mapping[int, str]) -> Iterator[Any]:
    import ray.data  # imported here, because the driver imports this module too and does not need it

    context = ray.data.DataContext.get_current()
    context.target_max_block_size = BLOCK_BYTES
    context.enable_progress_bars = False
    actors = ray.data.ActorPoolStrategy(
        min_size=pool.least, max_size=pool.most, max_tasks_in_flight_per_actor=BLOCKS_AHEAD
    )
    dataset = (
        ray.data.from_arrow(list(_tables(inputs, pool.most)))
        .map_batches(
            decode,
            fn_args=(work.windows, work.context_frames, work.spectrograms, work.sounds, work.audio_track),
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=pool.decoder_cpus,
            max_retries=RETRIES,
        )
        .map_batches(
            Encode,
            fn_constructor_args=(work,),
            batch_size=None,
            batch_format="pyarrow",
            compute=actors,
            num_cpus=pool.actor_cpus,
            num_gpus=pool.actor_gpus,
            max_task_retries=RETRIES,
        )
    )
    return iter(dataset.iter_batches(batch_size=None, batch_format="pyarrow"))


def _tables(inputs: Mapping[int, str], n_workers: int) -> Iterator[Any]:
    """Yield the inputs, one table for each decoding task."""
    import pyarrow as pa

    size = min(FILES_PER_TASK, -(-len(inputs) // (TASKS_PER_WORKER * n_workers)))
    remaining = iter(inputs.items())
    while some := list(islice(remaining, size)):
        indices, paths = zip(*some, strict=True)
        yield pa.table({"index": indices, "path": [path.encode("utf-8", "surrogateescape") for path in paths]})


def decode(
    inputs: Any,
    windows: WindowOptions,
    context_frames: int,
    spectrograms: bool = False,
    sounds: float | None = None,
    audio_track: int | None = None,
) -> Iterator[Any]:
    """The decoding stage: a table of inputs to tables of one segment each."""
    for row in inputs.to_pylist():
        path = row["path"].decode("utf-8", "surrogateescape")
        place = 0
        try:
            for segment in segments(read([path], windows, context_frames, spectrograms, sounds, audio_track), windows):
                yield _table([(row["index"], place, segment.last)], [segment.items])
                place += 1
        except Exception as error:
            yield _table([(row["index"], place, True)], [(RecordingBegin(path), FileError.caused_by(error, path))])


class Encode:
    """The encoding stage: a table of segments to a table of their results."""

    def __init__(self, work: Work) -> None:
        from pe_audio_cli.models.quiet import quiet_libraries

        quiet_libraries()
        self._work = work
        try:
            self._encoder: Encoder | Fault = work.encoder()
        except PeAudioError as error:
            self._encoder = Fault(str(error))
        except Exception as error:  # not the error of a recording: other workers would fail as well
            self._encoder = Fault(FileError.caused_by(error, work.name).message)

    def __call__(self, table: Any) -> Any:
        """Return one row for each segment; a segment that cannot be encoded has the error of its recording."""
        keys = list(zip(*(table[name].to_pylist() for name in ("index", "place", "last")), strict=True))
        if isinstance(self._encoder, Fault):
            return _table(keys, [self._encoder] * len(keys))
        work, encoder = self._work, self._encoder
        items = chain.from_iterable(_items(each) for each in table["content"])
        encoded = encode_items(items, encoder, work.windows, lambda: Collector(self._reducer(encoder)), work.batch_size)
        contents = [
            self._whole(segment, encoder)
            if isinstance(segment, SegmentResult) and (place, last) == (0, True)
            else segment
            for (_, place, last), segment in zip(keys, encoded, strict=True)
        ]
        return _table(keys, contents)

    def _whole(self, segment: SegmentResult, encoder: Encoder) -> RecordingResult | FileError:
        try:
            return RecordingResult(gathered([segment], self._reducer(encoder)), segment.recording)
        except Exception as error:
            return FileError.caused_by(error, segment.recording.file)

    def _reducer(self, encoder: Encoder) -> Reducer[Any]:
        return self._work.task.reducer(encoder)


def _items(content: Any) -> tuple[ReaderItem, ...]:
    """Return the reader events of a segment from the decoding stage."""
    try:
        items: tuple[ReaderItem, ...] = pickle.loads(content.as_buffer())
        return items
    except Exception as error:
        return RecordingBegin(UNNAMED), FileError.caused_by(error, UNNAMED)


def _pickled(content: Any) -> bytes:
    """Return the pickled content, or a pickled error if it cannot be pickled."""
    try:
        return pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        return pickle.dumps(FileError.caused_by(error, UNNAMED), pickle.HIGHEST_PROTOCOL)


def _table(keys: Sequence[tuple[int, int, bool]], contents: Sequence[Any]) -> Any:
    """Return a row for each of ``contents``, with its key: index of the input, position in it, True for the last."""
    import pyarrow as pa

    indices, places, lasts = zip(*keys, strict=True)
    pickled = [_pickled(content) for content in contents]
    content = pa.array(pickled, pa.large_binary())  # a plain one holds no more than 2 GiB
    return pa.table({"index": indices, "place": places, "last": lasts, "content": content})
