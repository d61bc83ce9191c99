"""The same run on a Ray cluster, to the last digit: recordings go out in any order, and results come back in theirs.

::

    this process          cluster
    ─────────────         ──────────────────────────────────────────────────────
    labels, files  ────>  conductor ──> tasks that decode ──> actors that encode
    order, writers <────  conductor <───────────────────────────────┘

This process knows what has come back. Where the cluster has lost something that Ray does not mend by itself, all that
has yet to come is sent out once more: no result is lost, and none comes twice.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pe_audio_cli.audio.opening import is_address
from pe_audio_cli.errors import RunError, UsageError
from pe_audio_cli.results import FileError
from pe_audio_cli.run.conductor import Conductor, Fault, Pool, Whole, Work
from pe_audio_cli.run.in_order import InOrder, Row
from pe_audio_cli.run.places import STANDARD_INPUT
from pe_audio_cli.run.questions import EncodeOptions, Question
from pe_audio_cli.run.stretches import Part

if TYPE_CHECKING:
    from pe_audio_cli.model.checkpoint import Checkpoint
    from pe_audio_cli.model.encoder import DeviceOptions
    from pe_audio_cli.model.far import FarEncoder
    from pe_audio_cli.model.registry import ModelOptions, Task
    from pe_audio_cli.run.pipeline import Encoder, Reducer

__all__ = ["ClusterOptions", "RayEngine"]

LOCAL = "local"
DECODER_SHARE = 0.25  # of a CPU, which a worker leaves to the task that decodes for it
WATCH_SECONDS = 5.0  # from one look at the cluster to the next
PATIENCE_SECONDS = (
    30.0  # that a cluster may have less room than before, in which a lost worker may find its place again
)
ATTEMPTS = 3  # without any result between them

NO_STANDARD_INPUT = FileError(STANDARD_INPUT, "unreadable", "a cluster cannot read it: save it to a file first")

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class ClusterOptions:
    """Which cluster, and how much of it.

    ``address`` is ``local`` for one that is started on this machine and ends with the run, ``auto`` for the one that
    this machine belongs to, or the address of another. ``workers`` None is as many as there is room for.
    ``gpus_per_worker`` None is one where there are any; a fraction lets several workers share one.

    Raises:
        UsageError: a value is out of its range.
    """

    address: str = LOCAL
    workers: int | None = None
    gpus_per_worker: float | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"there must be 1 worker or more: got {self.workers}")
        if self.gpus_per_worker is not None and self.gpus_per_worker < 0:
            raise UsageError(f"a worker takes 0 GPUs or more: got {self.gpus_per_worker:g}")


class RayEngine:
    """A Ray cluster as an :class:`~pe_audio_cli.run.questions.Engine`; a context manager, in which it is connected."""

    def __init__(
        self,
        options: ClusterOptions,
        model: ModelOptions,
        task: Task,
        device: DeviceOptions,
        tell: Callable[[str], None],
        verbose: bool = False,
    ) -> None:
        """``tell`` is told what the user may want to know; ``verbose`` lets Ray and the workers speak for themselves.

        A worker has one thread where ``device`` leaves that open.
        """
        self._options, self._model, self._task, self._device = options, model, task, device
        self._tell, self._verbose = tell, verbose
        self._threads = 1 if device.threads is None else device.threads
        self._open = contextlib.ExitStack()

    def __enter__(self) -> RayEngine:
        """Raises :class:`UsageError` if there is no such cluster, or no room in it."""
        with contextlib.ExitStack() as on_failure:
            on_failure.enter_context(_kept_from_standard_output(self._verbose))
            self._connect()
            on_failure.callback(ray.shutdown)
            self._gpus = self._gpus_of_a_worker()
            self._say_how_much_room_there_is()
            self._open = on_failure.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    def encoder(self, checkpoint: Checkpoint) -> FarEncoder:
        """The checkpoint without its audio tower, which only the workers load."""
        from pe_audio_cli.model.far import FarEncoder

        device = self._worker_device()
        return FarEncoder(checkpoint, f"{device.dtype} on {device.device}, by Ray")

    def run(
        self, files: Iterable[str | FileError], encoder: Encoder, question: Question[ResultT], encoding: EncodeOptions
    ) -> Iterator[ResultT | FileError]:
        """One answer or error for each of ``files``, in their order, as soon as it and all before it are there.

        Raises :class:`RunError` if the cluster cannot do it.
        """
        given = list(files)
        answers = _Answers(given, lambda: question.reducer(encoder, encoding), encoding)
        held = InOrder()
        inputs: dict[int, str] = {}
        for index, item in enumerate(given):
            if isinstance(item, str) and item != STANDARD_INPUT:
                inputs[index] = item if is_address(item) else os.path.abspath(item)
            else:
                held.put(Row(index, 0, True, pickle.dumps(item if isinstance(item, FileError) else NO_STANDARD_INPUT)))
        yield from answers.of(held.take())
        for rows in self._rows(self._work(encoder, question, encoding), inputs, held):
            for row in rows:
                held.put(row)
            yield from answers.of(held.take())

    def _rows(self, work: Work, inputs: Mapping[int, str], held: InOrder) -> Iterator[list[Row]]:
        """Rows in any order, until ``held`` misses none; what the cluster has lost is sent out again."""
        attempts = 0
        missing = list(inputs)
        while missing:
            reason = "not all that went out has come back"
            try:
                for rows in self._round(work, {index: inputs[index] for index in missing}):
                    attempts = 0
                    yield rows
            except (RayError, ConnectionError, _LessRoom) as error:
                reason = _reason(error)
            missing = held.missing(missing[-1] + 1)
            attempts += 1
            if missing and attempts == ATTEMPTS:
                raise RunError(f"the cluster failed {ATTEMPTS} times without a result in between ({reason})")
            if missing:
                self._tell(f"{reason}: {len(missing)} recordings are sent out again")

    def _round(self, work: Work, inputs: Mapping[int, str]) -> Iterator[list[Row]]:
        """One pipeline, from its beginning to its end or its failure."""
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        conductor = ray.remote(num_cpus=0, scheduling_strategy=here)(Conductor).remote(work, self._pool(), inputs)
        watch = _Watch(self._room)
        try:
            taken = conductor.take.remote()
            while True:
                while not ray.wait([taken], timeout=WATCH_SECONDS)[0]:
                    watch.look()
                watch.look()
                rows = ray.get(taken)
                if not rows:
                    return
                taken = conductor.take.remote()  # it is on its way while these are looked at
                yield rows
        finally:
            if ray.is_initialized():
                ray.kill(conductor)

    def _connect(self) -> None:
        address = self._options.address
        quiet = {"log_to_driver": self._verbose, "logging_level": logging.INFO if self._verbose else logging.CRITICAL}
        try:
            if address == LOCAL:
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                wanted = 0 if self._options.workers is None else self._options.workers
                cpus = max(os.cpu_count() or 1, wanted * self._threads)
                ray.init(LOCAL, num_cpus=cpus, include_dashboard=False, **quiet)
            else:
                ray.init(address, **quiet)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            raise UsageError(
                f"no Ray cluster can be used at {address} ({_reason(error)}): start one with `ray start --head`, or "
                "leave out --ray-address"
            ) from error

    def _nodes(self) -> list[dict[str, float]]:
        """The resources of each node that is alive."""
        return [node["Resources"] for node in ray.nodes() if node["Alive"]]

    def _gpus_of_a_worker(self) -> float:
        if self._options.gpus_per_worker is not None:
            return self._options.gpus_per_worker
        return 1.0 if any(node.get("GPU", 0) >= 1 for node in self._nodes()) else 0.0

    def _room(self) -> int:
        """How many workers the nodes have room for, if nothing else ran on them."""
        takes = {"CPU": float(self._threads), "GPU": self._gpus}
        return sum(
            int(min(node.get(name, 0) / amount for name, amount in takes.items() if amount > 0))
            for node in self._nodes()
        )

    def _pool(self) -> Pool:
        room = self._room()
        wanted = room if self._options.workers is None else self._options.workers
        decoder = 1.0 if self._gpus else DECODER_SHARE  # a GPU waits for many decoders, a CPU hardly ever for one
        return Pool(max(min(room, wanted), 1), max(wanted, 1), self._threads - DECODER_SHARE, self._gpus, decoder)

    def _say_how_much_room_there_is(self) -> None:
        room, wanted = self._room(), self._options.workers
        if room == 0 and wanted is None:
            gpus = f" and {self._gpus:g} GPUs" if self._gpus else ""
            raise UsageError(
                f"no node of the cluster has room for a worker, which takes {self._threads} CPUs{gpus}: start a larger "
                "one, or if the cluster grows by itself, say how many --workers"
            )
        if wanted is not None and room < wanted:
            self._tell(f"the cluster has room for {room} of {wanted} workers; the others join as it grows")

    def _worker_device(self) -> DeviceOptions:
        """Where a worker's tower runs; Ray shows it only the GPUs that are its own."""
        automatic = "cuda" if self._gpus else "cpu"
        device = automatic if self._device.device == "auto" else self._device.device
        return replace(self._device, device=device, threads=self._threads)

    def _work(self, encoder: Encoder, question: Question[Any], encoding: EncodeOptions) -> Work:
        from pe_audio_cli.model.registry import anchored

        return Work(
            anchored(self._model),
            self._task,
            encoder.name,
            encoder.fingerprint,
            encoder.halo,
            self._worker_device(),
            question,
            encoding.windows,
            encoding.batch_size,
            encoding.spectrograms,
        )


class _Answers(Generic[ResultT]):
    """Makes answers of rows that come in order, and calls recordings what the user called them."""

    def __init__(
        self, given: Sequence[str | FileError], reducer: Callable[[], Reducer[ResultT]], encoding: EncodeOptions
    ) -> None:
        self._given, self._new_reducer, self._encoding = given, reducer, encoding
        self._reducer: Reducer[ResultT] | None = None  # of a recording of several stretches
        self._error: FileError | None = None

    def of(self, rows: Iterable[Row]) -> Iterator[ResultT | FileError]:
        """The answer to each input whose last row is among these."""
        for row in rows:
            content = pickle.loads(row.content)
            if isinstance(content, Fault):
                raise RunError(f"a worker cannot load the model: {content.message}")
            if isinstance(content, FileError):
                self._error = content
            if isinstance(content, Part):
                self._add(content)
            if row.last:
                item = self._given[row.index]
                yield self._answer(item if isinstance(item, str) else item.file, content)
                self._reducer = self._error = None

    def _add(self, part: Part) -> None:
        if self._reducer is None:
            self._reducer = self._new_reducer()
        for scored in part.scored:
            self._reducer.add(scored)

    def _answer(self, file: str, last: Part | Whole | FileError) -> ResultT | FileError:
        if self._error is not None:
            return replace(self._error, file=file, message=_explained(self._error, file))
        assert not isinstance(last, FileError)
        recording = replace(last.recording, file=file)
        if self._encoding.on_piece is not None:
            self._encoding.on_piece(file, recording.duration, 1.0)
        if isinstance(last, Whole):
            self._encoding.warn(recording, last.warning)
            answer: ResultT = replace(last.result, recording=recording)
            return answer
        assert self._reducer is not None
        return self._reducer.finish(recording, last.warning)


class _LessRoom(Exception):
    """The cluster has had less room than before for too long: a worker may wait in vain for a place."""


class _Watch:
    """Looks at the cluster now and then."""

    def __init__(self, room: Callable[[], int]) -> None:
        self._room = room
        self._most = room()
        self._looked = self._full = time.monotonic()  # when last, and when there was last as much room as ever

    def look(self) -> None:
        """Raises :class:`_LessRoom`."""
        now = time.monotonic()
        if now - self._looked < WATCH_SECONDS:
            return
        self._looked = now
        room = self._room()
        if room >= self._most:
            self._most, self._full = room, now
        elif now - self._full > PATIENCE_SECONDS:
            raise _LessRoom(f"the cluster has shrunk from room for {self._most} workers to room for {room}")


@contextlib.contextmanager
def _kept_from_standard_output(shown: bool) -> Iterator[None]:
    """Ray prints what its daemons have to say; standard output is for data, to a stream that is open already."""
    with contextlib.ExitStack() as stack:
        elsewhere = sys.stderr if shown else stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
        with contextlib.redirect_stdout(elsewhere):
            yield


def _explained(error: FileError, file: str) -> str:
    if error.kind == "missing" and os.path.exists(file):
        return "it is here, but not on the node that was to read it: use a folder that all nodes share, or an address"
    return error.message


def _reason(error: BaseException) -> str:
    """What went wrong, on one line: the last one of those that Ray writes, which names the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
