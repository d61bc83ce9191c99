"""``peaudio embed``: audio embeddings into a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pe_audio_cli.cli.flags import (
    DeviceFlags,
    EngineFlags,
    InputFlags,
    ModelFlags,
    RemoteFlags,
    VerbosityFlags,
    WindowFlags,
    with_flags,
)
from pe_audio_cli.cli.prologue import begin
from pe_audio_cli.cli.runner import Runner, seconds
from pe_audio_cli.errors import UsageError

if TYPE_CHECKING:
    from pe_audio_cli.inference.tasks.embedding import Unit

PANEL = "Output"


@with_flags
def embed(
    inputs: InputFlags,
    model: ModelFlags,
    device: DeviceFlags,
    engine: EngineFlags,
    remote: RemoteFlags,
    windows: WindowFlags,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help="Output file: .parquet or .npz.", rich_help_panel=PANEL),
    ],
    verbosity: VerbosityFlags,
    per_window: Annotated[
        bool, typer.Option("--per-window", help="Write a row for each window of a recording.", rich_help_panel=PANEL)
    ] = False,
    frames: Annotated[
        bool, typer.Option("--frames", help="Write a row for each frame of 40 ms.", rich_help_panel=PANEL)
    ] = False,
    precision: Annotated[
        Literal["float32", "float16"], typer.Option(help="Data type of the embeddings.", rich_help_panel=PANEL)
    ] = "float32",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.", rich_help_panel=PANEL)
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first recording that fails.", rich_help_panel=PANEL)
    ] = False,
) -> None:
    """Write audio embeddings to a file: one row for each recording, window or frame.

    Example: peaudio embed recordings/ -o clips.parquet
    """
    with begin(verbosity) as console:
        from pe_audio_cli.audio.find import find_recordings
        from pe_audio_cli.formats.embeddings import embedding_writer
        from pe_audio_cli.inference import runner as inference
        from pe_audio_cli.inference.tasks.base import EncodeOptions
        from pe_audio_cli.inference.tasks.embedding import TASK_OF_UNIT
        from pe_audio_cli.outputs.embedding_file import EmbeddingFile
        from pe_audio_cli.outputs.files import refuse_to_overwrite

        per = _unit(per_window, frames)
        task = TASK_OF_UNIT[per]
        cutting = inference.window_options(task, seconds(windows.window), windows.overlap)
        file = EmbeddingFile(output, embedding_writer(str(output)), precision, overwrite=overwrite)
        found = find_recordings(inputs.named())
        names = [item if isinstance(item, str) else item.file for item in found]
        refuse_to_overwrite({"--output": output}, {"one of the recordings": names, **inputs.files})
        runner = Runner(console, fail_fast)
        if remote.server is not None:
            from pe_audio_cli.cli.remote import connected, reading_parameters, refuse_local_flags

            refuse_local_flags(model, device, engine)
            switches = (("per_window", per_window), ("frames", frames))
            switched = [(name, "true") for name, is_on in switches if is_on]
            parameters = [*reading_parameters(model, windows, inputs), *switched]
            with connected(remote, model, task) as (client, _), console.progress(names) as progress:
                file.open()
                runner.go(client.embed(found, parameters), file, progress)
            runner.end(names)
            return
        checkpoint = runner.find_checkpoint(model, task)
        runner.say_which_model(checkpoint)
        on = runner.machines(checkpoint, model, task, device, engine)
        with console.progress(names) as progress, on as (encoder, where):
            file.open()
            track = inputs.audio_track
            encoding = EncodeOptions(cutting, device.batch_size, progress.chunk, audio_track=track, engine=where)
            runner.go(inference.embed(found, encoder, per, encoding), file, progress)
        runner.end(names)


def _unit(per_window: bool, frames: bool) -> Unit:
    if per_window and frames:
        raise UsageError("--per-window and --frames exclude each other: choose one")
    return "frame" if frames else "window" if per_window else "recording"
