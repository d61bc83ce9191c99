"""Commands that a running server answers: ``--server``. The output is made here, by the code of the command itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any

from pe_audio_cli.cli.flags import (
    BatchFlags,
    DeviceFlags,
    EngineFlags,
    InputFlags,
    ModelFlags,
    RemoteFlags,
    WindowFlags,
)
from pe_audio_cli.cli.runner import Runner, seconds
from pe_audio_cli.errors import UsageError
from pe_audio_cli.options import options_of

if TYPE_CHECKING:
    from pe_audio_cli.cli.batch import Batch
    from pe_audio_cli.models.registry import TaskName
    from pe_audio_cli.server.client import Client, ServedModel

__all__ = ["TOKEN", "connected", "given_options", "reading_parameters", "refuse_local_flags", "run_on_server"]

TOKEN = "PEAUDIO_TOKEN"


def given_options(options: Any, given: Set[str]) -> list[tuple[str, str]]:
    """Return the options that were given, as parameters of a request."""
    values = {name: getattr(options, name) for name in options_of(options) if name in given}
    return [(name, _text(value)) for name, value in values.items() if value is not None]


def refuse_local_flags(model: ModelFlags, device: DeviceFlags, engine: EngineFlags) -> None:
    """Raise :class:`UsageError` for a flag that says how a model runs here."""
    given = {
        "--device": device.device != DeviceFlags.device,
        "--dtype": device.dtype != DeviceFlags.dtype,
        "--threads": device.threads is not None,
        "--batch-size": device.batch_size is not None,
        "--compile": device.compile,
        "--engine": engine.engine != EngineFlags.engine,
        "--revision": model.revision is not None,
        "--offline": model.offline,
    }
    _refuse(given, "is the server's own affair")


@contextlib.contextmanager
def connected(remote: RemoteFlags, model: ModelFlags, task: TaskName) -> Iterator[tuple[Client, ServedModel]]:
    """Provide the client of a server that runs the model. Raises :class:`UsageError` if it runs another."""
    from pe_audio_cli.server.client import Client

    assert remote.server is not None
    with contextlib.closing(Client(remote.server, os.environ.get(TOKEN) or None)) as client:
        served = client.model(task)
        if model.model not in (served.name, served.fingerprint):
            raise UsageError(
                f"the server at {remote.server} runs {served.name}, not {model.model}: add -m {served.name}, or start "
                f"one with peaudio serve -m {model.model}"
            )
        yield client, served


def run_on_server(batch: Batch, parameters: list[tuple[str, str]]) -> None:
    """Process all recordings of a command on a server, with the output that the command would have.

    Args:
        batch: the command.
        parameters: its own options, as parameters of a request.

    Raises:
        PeAudioError: nothing was started, or the run could not go on.
        typer.Exit: with code 1, if some recordings failed.
    """
    from pe_audio_cli.audio.find import find_recordings
    from pe_audio_cli.cli.labels import label_options_of, unfamiliar_label
    from pe_audio_cli.formats.name_escaping import check_labels_differ
    from pe_audio_cli.inference.labels import check_labels, gather_labels
    from pe_audio_cli.inference.runner import window_options
    from pe_audio_cli.outputs.side_outputs import OutputList

    flags, console = batch.flags, batch.console
    refuse_local_flags(flags.model, flags.device, flags.engine)
    _refuse_local_outputs(batch)
    labels = gather_labels(label_options_of(flags.labels))
    windows = window_options(batch.command, seconds(flags.windows.window), flags.windows.overlap)
    writer = batch.writer()
    found = find_recordings(flags.inputs.named())
    names = [file if isinstance(file, str) else file.file for file in found]
    batch.check_places(names)
    outputs = OutputList(batch.output(writer, names), [], keep_frames=batch.frames)
    runner = Runner(console, flags.output.fail_fast)
    with connected(flags.remote, flags.model, batch.command) as (client, served):
        console.note(f"{served.name}, on {flags.remote.server}: {served.backend}")
        parameters = [*parameters, *_shared_parameters(flags), *(("label", label) for label in labels)]
        labels = labels or list(served.default_labels)
        check_labels(labels)
        check_labels_differ(writer, labels)
        batch.report_escaped_names(writer, labels, names)
        with console.progress(names) as progress:
            about = {**batch.settings_of_model(served, writer, labels, windows), "parameters": dict(parameters)}
            todo = batch.begin(outputs, about, found, runner, progress)

            def warn(label: str) -> None:
                console.warn(unfamiliar_label(served.name, label))

            runner.go(client.label(batch.command, todo, parameters, warn), outputs, progress)
        runner.end(names)


def _refuse_local_outputs(batch: Batch) -> None:
    labels = batch.flags.labels
    given = {
        "--plot": batch.plot is not None,
        "--report": batch.report is not None,
        "--taught": bool(labels.taught),
        "--settings": labels.settings is not None and str(labels.settings) != "none",
    }
    _refuse(given, "needs the model itself")


def _refuse(given: Mapping[str, bool], why: str) -> None:
    for flag, is_given in given.items():
        if is_given:
            raise UsageError(f"{flag} {why}: leave out {flag} or --server")


def reading_parameters(model: ModelFlags, windows: WindowFlags, inputs: InputFlags) -> Iterator[tuple[str, str]]:
    """Yield the model, and how recordings are read, as parameters of a request."""
    yield "model", model.model
    yield "window", windows.window
    if windows.overlap is not None:
        yield "overlap", _text(windows.overlap)
    if inputs.audio_track is not None:
        yield "audio_track", str(inputs.audio_track)


def _shared_parameters(flags: BatchFlags) -> Iterator[tuple[str, str]]:
    yield from reading_parameters(flags.model, flags.windows, flags.inputs)
    yield "template", flags.labels.template
    if flags.labels.settings is not None:
        yield "settings", "none"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
