"""The same run on a Ray cluster, to the last digit: recordings go out in any order, and results come back in theirs.

::

    this process          cluster
    ─────────────         ──────────────────────────────────────────────────────
    labels, files  ────>  conductor ──> tasks that decode ──> actors that encode
    order, writers <────  conductor <───────────────────────────────┘

A worker or a node that is lost is made up for by Ray, as far as it can, and else by
:mod:`pe_audio_cli.cluster.dispatch`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pe_audio_cli.cluster.dispatch import Lost, dispatched
from pe_audio_cli.cluster.ray_pipeline import Conductor, Pool, Work
from pe_audio_cli.cluster.reorder_buffer import Row
from pe_audio_cli.errors import UsageError
from pe_audio_cli.inference.tasks.base import EncodeOptions, Question
from pe_audio_cli.results import FileError

if TYPE_CHECKING:
    from pe_audio_cli.models.backends.remote import FarEncoder
    from pe_audio_cli.models.backends.torch_encoder import DeviceOptions
    from pe_audio_cli.models.checkpoint import Checkpoint
    from pe_audio_cli.models.encoder import Encoder
    from pe_audio_cli.models.registry import ModelOptions, Task

__all__ = ["ClusterOptions", "RayEngine"]

LOCAL = "local"
DECODER_SHARE = 0.25  # of a CPU, which a worker leaves to the task that decodes for it
WATCH_SECONDS = 5.0  # from one look at the cluster to the next
PATIENCE_SECONDS = 30.0  # that there may be less room than before, in which a lost worker may find its place again
# A task that decodes may wait longer than Ray's one second for the next, and a new process takes seconds to start.
KEEP_IDLE = {"idle_worker_killing_time_threshold_ms": 60_000}
KNOCK_SECONDS = 5.0  # until an address that does not answer counts as wrong
CLIENT_TRIES = 3

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
    """A Ray cluster that runs recordings, see :class:`~pe_audio_cli.inference.tasks.base.Engine`.

    A context manager, in which it is connected.
    """

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
            if not ray.is_initialized():  # a program that has connected itself stays so
                on_failure.callback(ray.shutdown)
                self._connect()
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
        from pe_audio_cli.models.backends.remote import FarEncoder

        device = self._worker_device()
        return FarEncoder(checkpoint, f"{device.dtype} on {device.device}, by Ray")

    def run(
        self, files: Iterable[str | FileError], encoder: Encoder, question: Question[ResultT], encoding: EncodeOptions
    ) -> Iterator[ResultT | FileError]:
        """One answer or error for each of ``files``, in their order, as soon as it and all before it are there.

        Raises :class:`RunError` if the cluster cannot do it.
        """
        work = self._work(encoder, question, encoding)
        return dispatched(files, partial(self._round, work), lambda: question.reducer(encoder), encoding, self._tell)

    def _round(self, work: Work, inputs: Mapping[int, str]) -> Iterator[list[Row]]:
        """One pipeline, from its beginning to its end. Raises :class:`Lost` if the cluster fails on the way."""
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        conductors = ray.remote(num_cpus=0, scheduling_strategy=here)(Conductor)
        conductor = conductors.remote(work, self._pool(), inputs)
        try:
            watch = _Watch(self._room)
            taken = conductor.take.remote()
            while rows := self._result(taken, watch):
                taken = conductor.take.remote()  # it is on its way while these are looked at
                yield rows
        except (RayError, ConnectionError) as error:
            raise Lost(_reason(error)) from error
        finally:
            if ray.is_initialized():
                ray.kill(conductor)

    def _result(self, taken: Any, watch: _Watch) -> list[Row]:
        watch.look()
        while not ray.wait([taken], timeout=WATCH_SECONDS)[0]:
            watch.look()
        rows: list[Row] = ray.get(taken)
        return rows

    def _connect(self) -> None:
        address = self._options.address
        quiet = {"log_to_driver": self._verbose, "logging_level": logging.INFO if self._verbose else logging.CRITICAL}
        try:
            if address == LOCAL:
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                wanted = 0 if self._options.workers is None else self._options.workers
                cpus = max(os.cpu_count() or 1, wanted * self._threads)
                ray.init(LOCAL, num_cpus=cpus, include_dashboard=False, _system_config=KEEP_IDLE, **quiet)
            else:
                _knock(address)
                _join(address, **quiet)
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
        from pe_audio_cli.models.registry import anchored

        return Work(
            anchored(self._model),
            self._task,
            encoder.name,
            encoder.fingerprint,
            encoder.context_frames,
            self._worker_device(),
            question,
            encoding.windows,
            encoding.batch_size,
            encoding.spectrograms,
            encoding.sounds,
            encoding.audio_track,
        )


class _Watch:
    """Looks at the cluster now and then."""

    def __init__(self, room: Callable[[], int]) -> None:
        self._room = room
        self._most = room()
        self._looked = self._full = time.monotonic()  # when last, and when there was last as much room as ever

    def look(self) -> None:
        """Raises :class:`Lost` where there has been less room for too long: a worker may wait in vain for a place."""
        now = time.monotonic()
        if now - self._looked < WATCH_SECONDS:
            return
        self._looked = now
        room = self._room()
        if room >= self._most:
            self._most, self._full = room, now
        elif now - self._full > PATIENCE_SECONDS:
            raise Lost(f"the cluster has shrunk from room for {self._most} workers to room for {room}")


def _join(address: str, **options: Any) -> None:
    """Ray forks a process on the head node for each ``ray://`` client, and some die at birth: try for another.

    The reason is gRPC's threads: https://github.com/ray-project/ray/issues/63202.
    """
    for n_left in range(CLIENT_TRIES - 1, -1, -1):
        try:
            ray.init(address, **options)
            return
        except ConnectionAbortedError:  # what is wrong beyond that has other classes
            if n_left == 0:
                raise


def _knock(address: str) -> None:
    """Raise :class:`OSError` where nobody listens: Ray itself would try for minutes, and complain all the while."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and "/" not in port:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()


@contextlib.contextmanager
def _kept_from_standard_output(shown: bool) -> Iterator[None]:
    """Ray prints what its daemons have to say; standard output is for data, to a stream that is open already."""
    with contextlib.ExitStack() as stack:
        elsewhere = sys.stderr if shown else stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
        with contextlib.redirect_stdout(elsewhere):
            yield


def _reason(error: BaseException) -> str:
    """What went wrong, on one line: the last one of those that Ray writes, which names the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
