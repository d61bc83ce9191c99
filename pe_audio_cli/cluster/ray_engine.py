"""A run on a Ray cluster: results are bit-identical to those of a local run, and come in the order of the inputs.

::

    this process          cluster
    ─────────────         ──────────────────────────────────────────────────────
    labels, files  ────>  pipeline ──> decoding tasks ──> encoding actors
    order, writers <────  pipeline <──────────────────────────┘

Ray recovers from the loss of a worker or node where it can; :mod:`pe_audio_cli.cluster.dispatch` handles the rest.
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
from pe_audio_cli.cluster.ray_pipeline import PipelineActor, Pool, Work
from pe_audio_cli.cluster.reorder_buffer import SegmentRow
from pe_audio_cli.errors import UsageError
from pe_audio_cli.inference.tasks.base import EncodeOptions, Task
from pe_audio_cli.results import FileError

if TYPE_CHECKING:
    from pe_audio_cli.models.backends.remote import RemoteEncoder
    from pe_audio_cli.models.checkpoint import Checkpoint
    from pe_audio_cli.models.encoder import DeviceOptions, Encoder
    from pe_audio_cli.models.registry import ModelOptions, TaskName

__all__ = ["ClusterOptions", "RayEngine"]

logger = logging.getLogger(__name__)

LOCAL = "local"
DECODER_SHARE = 0.25  # of a CPU, which a worker leaves to the task that decodes for it
WATCH_SECONDS = 5.0  # between two checks of the cluster
SHRUNK_SECONDS = 30.0  # that the cluster may be smaller than before, so that a lost worker can be rescheduled
# A task that decodes may wait longer than Ray's one second for the next, and a new process takes seconds to start.
KEEP_IDLE = {"idle_worker_killing_time_threshold_ms": 60_000}
CONNECT_SECONDS = 5.0  # until an address that does not answer counts as wrong
CLIENT_TRIES = 3

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class ClusterOptions:
    """The cluster to use, and its share for this run.

    ``address`` is ``local`` for one that is started on this machine and ends with the run, ``auto`` for the one that
    this machine belongs to, or the address of another. ``workers`` None is as many as fit. ``gpus_per_worker`` None is
    one where there are any; a fraction lets several workers share one.

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

    Use it as a context manager: the connection lasts for its block.
    """

    def __init__(
        self,
        options: ClusterOptions,
        model: ModelOptions,
        task_name: TaskName,
        device: DeviceOptions,
        verbose: bool = False,
    ) -> None:
        """``verbose`` shows the logs of Ray and of the workers.

        A worker has one thread unless ``device`` sets a number.
        """
        self._options, self._model, self._task_name, self._device = options, model, task_name, device
        self._verbose = verbose
        self._threads = 1 if device.threads is None else device.threads
        self._open = contextlib.ExitStack()

    def __enter__(self) -> RayEngine:
        """Connect. Raises :class:`UsageError` if there is no such cluster, or no worker fits on it."""
        with contextlib.ExitStack() as on_failure:
            on_failure.enter_context(_stdout_redirected(self._verbose))
            if not ray.is_initialized():  # a program that is connected already stays connected
                on_failure.callback(ray.shutdown)
                self._connect()
            self._gpus = self._gpus_of_a_worker()
            self._check_capacity()
            self._open = on_failure.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    def encoder(self, checkpoint: Checkpoint) -> RemoteEncoder:
        """Return an encoder without the audio tower, which only the workers load."""
        from pe_audio_cli.models.backends.remote import RemoteEncoder

        device = self._worker_device()
        return RemoteEncoder(checkpoint, f"{device.dtype} on {device.device}, by Ray")

    def run(
        self, files: Iterable[str | FileError], encoder: Encoder, task: Task[ResultT], encoding: EncodeOptions
    ) -> Iterator[ResultT | FileError]:
        """Yield a result or an error for each of ``files``, in order, as soon as it and all before it are complete.

        Raises :class:`RunError` if the cluster cannot do it.
        """
        work = self._work(encoder, task, encoding)
        return dispatched(files, partial(self._round, work), lambda: task.reducer(encoder), encoding)

    def _round(self, work: Work, inputs: Mapping[int, str]) -> Iterator[list[SegmentRow]]:
        """Run one pipeline from start to end. Raises :class:`Lost` if the cluster fails during it."""
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actors = ray.remote(num_cpus=0, scheduling_strategy=here)(PipelineActor)
        actor = actors.remote(work, self._pool(), inputs)
        try:
            watch = _CapacityWatch(self._capacity)
            taken = actor.take.remote()
            while rows := self._result(taken, watch):
                taken = actor.take.remote()  # requested while these rows are processed
                yield rows
        except (RayError, ConnectionError) as error:
            raise Lost(_cause(error)) from error
        finally:
            if ray.is_initialized():
                ray.kill(actor)

    def _result(self, taken: Any, watch: _CapacityWatch) -> list[SegmentRow]:
        watch.look()
        while not ray.wait([taken], timeout=WATCH_SECONDS)[0]:
            watch.look()
        rows: list[SegmentRow] = ray.get(taken)
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
                _check_reachable(address)
                _connect_with_retries(address, **quiet)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            raise UsageError(
                f"no Ray cluster can be used at {address} ({_cause(error)}): start one with `ray start --head`, or "
                "leave out --ray-address"
            ) from error

    def _nodes(self) -> list[dict[str, float]]:
        """Return the resources of each live node."""
        return [node["Resources"] for node in ray.nodes() if node["Alive"]]

    def _gpus_of_a_worker(self) -> float:
        if self._options.gpus_per_worker is not None:
            return self._options.gpus_per_worker
        return 1.0 if any(node.get("GPU", 0) >= 1 for node in self._nodes()) else 0.0

    def _capacity(self) -> int:
        """Return the number of workers that fit on the nodes if nothing else runs on them."""
        takes = {"CPU": float(self._threads), "GPU": self._gpus}
        return sum(
            int(min(node.get(name, 0) / amount for name, amount in takes.items() if amount > 0))
            for node in self._nodes()
        )

    def _pool(self) -> Pool:
        capacity = self._capacity()
        wanted = capacity if self._options.workers is None else self._options.workers
        decoder = 1.0 if self._gpus else DECODER_SHARE  # a GPU waits for many decoders, a CPU hardly ever for one
        return Pool(max(min(capacity, wanted), 1), max(wanted, 1), self._threads - DECODER_SHARE, self._gpus, decoder)

    def _check_capacity(self) -> None:
        capacity, wanted = self._capacity(), self._options.workers
        if capacity == 0 and wanted is None:
            gpus = f" and {self._gpus:g} GPUs" if self._gpus else ""
            raise UsageError(
                f"no node of the cluster has room for a worker, which takes {self._threads} CPUs{gpus}: start a larger "
                "one, or if the cluster scales by itself, set --workers"
            )
        if wanted is not None and capacity < wanted:
            logger.info("the cluster has room for %d of %d workers; the others join as it grows", capacity, wanted)

    def _worker_device(self) -> DeviceOptions:
        """Return the device of a worker's audio tower; Ray shows a worker only the GPUs that it has reserved."""
        automatic = "cuda" if self._gpus else "cpu"
        device = automatic if self._device.device == "auto" else self._device.device
        return replace(self._device, device=device, threads=self._threads)

    def _work(self, encoder: Encoder, task: Task[Any], encoding: EncodeOptions) -> Work:
        from pe_audio_cli.models.registry import anchored

        return Work(
            anchored(self._model),
            self._task_name,
            encoder.facts.name,
            encoder.facts.fingerprint,
            encoder.facts.context_frames,
            self._worker_device(),
            task,
            encoding.windows,
            encoding.batch_size,
            encoding.spectrograms,
            encoding.sounds,
            encoding.audio_track,
        )


class _CapacityWatch:
    """Checks the size of the cluster at intervals."""

    def __init__(self, capacity: Callable[[], int]) -> None:
        self._capacity = capacity
        self._most = capacity()
        self._looked = self._full = time.monotonic()  # the last check, and the last one that found the full size

    def look(self) -> None:
        """Raise :class:`Lost` if the cluster has been smaller for too long: a lost worker may never be rescheduled."""
        now = time.monotonic()
        if now - self._looked < WATCH_SECONDS:
            return
        self._looked = now
        capacity = self._capacity()
        if capacity >= self._most:
            self._most, self._full = capacity, now
        elif now - self._full > SHRUNK_SECONDS:
            raise Lost(f"the cluster has shrunk from room for {self._most} workers to room for {capacity}")


def _connect_with_retries(address: str, **options: Any) -> None:
    """Connect to a cluster, with retries: some of the processes that Ray forks for ``ray://`` clients crash at start.

    The reason is gRPC's threads: https://github.com/ray-project/ray/issues/63202.
    """
    for n_left in range(CLIENT_TRIES - 1, -1, -1):
        try:
            ray.init(address, **options)
            return
        except ConnectionAbortedError:  # other failures have other classes
            if n_left == 0:
                raise


def _check_reachable(address: str) -> None:
    """Raise :class:`OSError` if nothing listens at the address: Ray itself would retry for minutes, with warnings."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and "/" not in port:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


@contextlib.contextmanager
def _stdout_redirected(shown: bool) -> Iterator[None]:
    """Redirect what Ray prints away from standard output, which is for data only."""
    with contextlib.ExitStack() as stack:
        elsewhere = sys.stderr if shown else stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
        with contextlib.redirect_stdout(elsewhere):
            yield


def _cause(error: BaseException) -> str:
    """Return the last line of Ray's error message, which names the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
