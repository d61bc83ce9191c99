"""Going through recordings, whatever is asked of them: the encoder, what is said on the way, and the end."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import typer

from pe_audio_cli._extras import require_extra
from pe_audio_cli._paths import reason
from pe_audio_cli.cli.console import Console, Progress
from pe_audio_cli.cli.flags import DeviceFlags, EngineFlags, ModelFlags
from pe_audio_cli.cli.signals import stop_switch
from pe_audio_cli.cli.summary import Summary
from pe_audio_cli.errors import InputError, PeAudioError, RunError, UsageError

if TYPE_CHECKING:
    from pe_audio_cli.inference.tasks.base import Engine
    from pe_audio_cli.models.checkpoint import Checkpoint
    from pe_audio_cli.models.encoder import DeviceOptions, Encoder
    from pe_audio_cli.models.registry import ModelOptions, TaskName
    from pe_audio_cli.results import Outcome

__all__ = ["Runner", "Sink", "model_options", "seconds"]

OutcomeT = TypeVar("OutcomeT", bound="Outcome")
TakenT = TypeVar("TakenT", contravariant=True)


class Sink(Protocol[TakenT]):
    """A consumer of results, one by one, in input order."""

    def write(self, result: TakenT) -> None:
        """Take one result; raises RunError if it cannot be kept."""

    def finish(self) -> None:
        """Complete the output, after the last result."""

    def abandon(self) -> str | None:
        """The run stops early; returns how to go on, if it can."""


@dataclass(frozen=True)
class Runner:
    """The run of a command over recordings."""

    console: Console
    fail_fast: bool
    summary: Summary = field(default_factory=Summary)

    def find_checkpoint(self, flags: ModelFlags, task_name: TaskName) -> Checkpoint:
        """Return the checkpoint that the flags name, downloaded if necessary."""
        from pe_audio_cli.models.registry import find_checkpoint

        with self.console.download() as on_bytes:
            return find_checkpoint(model_options(flags), task_name, on_bytes)

    def encoder(self, checkpoint: Checkpoint, flags: DeviceFlags) -> Encoder:
        """Load the checkpoint."""
        with _collector_paused():
            from pe_audio_cli.models.backends.loading import load_encoder

            encoder = load_encoder(checkpoint, device_options(flags))
        self.console.note(f"{encoder.facts.name}: {encoder.facts.backend}")
        for warning in encoder.facts.warnings:
            self.console.warn(warning)
        return encoder

    @contextlib.contextmanager
    def machines(
        self, checkpoint: Checkpoint, model: ModelFlags, task: TaskName, device: DeviceFlags, engine: EngineFlags
    ) -> Iterator[tuple[Encoder, Engine]]:
        """Provide the encoder and the engine for a checkpoint; the audio tower is loaded only if it runs here."""
        from pe_audio_cli.inference.tasks.base import LocalEngine

        engine.check()
        if engine.engine == "local":
            yield self.encoder(checkpoint, device), LocalEngine()
            return
        require_extra("ray", "--engine ray")
        from pe_audio_cli.cluster.ray_engine import ClusterOptions, RayEngine

        cluster = ClusterOptions(engine.ray_address, engine.workers, engine.gpus_per_worker)
        model_and_device = model_options(model), task, device_options(device)
        with RayEngine(cluster, *model_and_device, self.console.verbose) as ray:
            yield ray.encoder(checkpoint), ray

    def say_which_model(self, checkpoint: Checkpoint) -> None:
        """Tell a person that the built-in model is not the only one."""
        from pe_audio_cli.models.registry import DEFAULT_MODEL

        if checkpoint.name == DEFAULT_MODEL and sys.stderr.isatty():
            known = len(checkpoint.default_labels)
            self.console.tell(f"{DEFAULT_MODEL}, the built-in model, knows {known} sounds; -m base knows far more")

    def go(self, results: Iterator[OutcomeT], sink: Sink[OutcomeT], progress: Progress) -> None:
        """Hand on each result as it comes; whatever ends that early, what is done is kept."""
        from pe_audio_cli.outputs.base import file_of
        from pe_audio_cli.results import FileError

        handing_on = threading.Lock()

        def give_up() -> None:
            if handing_on.acquire(blocking=False):
                self._abandon(sink)
            self.console.error("interrupted in a recording that did not end")

        try:
            with stop_switch(lambda soon: self.console.warn(progress.pace.stopping(soon)), give_up) as switch:
                for result in results:
                    with progress.paused(), handing_on:
                        result = _handed_on(result, sink)
                    self._report_warnings(result)
                    progress.done(file_of(result))
                    self.summary.add(result)
                    if isinstance(result, FileError):
                        self.console.failed(result.file, result.message, result.traceback)
                        if self.fail_fast:
                            raise RunError("stopped at the first error (--fail-fast)")
                    if switch.pressed:
                        raise KeyboardInterrupt
            sink.finish()
        except BaseException:
            self._abandon(sink)
            raise

    def _abandon(self, sink: Sink[OutcomeT]) -> None:
        how_to_go_on = sink.abandon()
        if how_to_go_on is not None:
            self.console.error(how_to_go_on)

    def end(self, inputs: Sequence[str]) -> None:
        """Say what it came to. Raises :class:`typer.Exit` with code 1 if some recordings failed."""
        if len(inputs) > 1:
            for line in self.summary.lines():
                self.console.tell(line)
        if self.summary.failures:
            raise typer.Exit(1)

    def _report_warnings(self, result: Outcome) -> None:
        from pe_audio_cli.results import FileError

        if not isinstance(result, FileError):
            for warning in result.recording.warnings:
                self.console.warn(f"{result.recording.file}: {warning}")


def _handed_on(result: OutcomeT, sink: Sink[OutcomeT]) -> OutcomeT:
    """Write a result to the sink, and return it, or the recording's error if it cannot be written.

    Raises :class:`RunError` for what another recording would meet as well.
    """
    from pe_audio_cli.outputs.base import file_of
    from pe_audio_cli.results import FileError

    try:
        try:
            sink.write(result)
            return result
        except InputError as error:
            failed = FileError.of(error)
        except (PeAudioError, OSError):
            raise
        except Exception as error:
            failed = FileError.caused_by(error, file_of(result))
        taken = cast(OutcomeT, failed)
        sink.write(taken)
        return taken
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RunError(f"cannot write the output: {reason(error)}") from error


def model_options(flags: ModelFlags) -> ModelOptions:
    """Return the model options from the flags."""
    from pe_audio_cli.models.registry import ModelOptions

    return ModelOptions(flags.model, flags.revision, flags.offline)


def device_options(flags: DeviceFlags) -> DeviceOptions:
    """Return the device options from the flags."""
    from pe_audio_cli.models.encoder import DeviceOptions

    return DeviceOptions(flags.device, flags.dtype, flags.threads, flags.compile)


def seconds(window: str) -> float | None:
    """The length of a window, None for ``full``. Raises :class:`UsageError` for what is neither."""
    if window == "full":
        return None
    try:
        return float(window)
    except ValueError as error:
        raise UsageError(f"--window is a number of seconds, or full: got {window!r}") from error


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause garbage collection while torch and a model load: they create many objects, which all stay."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
