"""``peaudio index``: recordings into a searchable index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pe_audio_cli._paths import exists
from pe_audio_cli.cli.console import Progress
from pe_audio_cli.cli.flags import DeviceFlags, InputFlags, ModelFlags, VerbosityFlags, with_flags
from pe_audio_cli.cli.prologue import begin
from pe_audio_cli.cli.runner import Runner, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pe_audio_cli.audio.framing import WindowOptions
    from pe_audio_cli.index.builder import IndexBuilder, Plan
    from pe_audio_cli.models.checkpoint import Checkpoint
    from pe_audio_cli.results import EmbedResult, FileError

PANEL = "Index"


@with_flags
def index(
    inputs: InputFlags,
    model: ModelFlags,
    device: DeviceFlags,
    index: Annotated[
        Path, typer.Option("--index", metavar="FILE", help="Index to create or update.", rich_help_panel=PANEL)
    ],
    verbosity: VerbosityFlags,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Remove recordings below PATH that no longer exist.", rich_help_panel=PANEL),
    ] = False,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS",
            help="Length of the windows that searches find, 10 s for a new index; 'full' never splits a recording.",
            rich_help_panel=PANEL,
            show_default=False,
        ),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Overlap of adjacent windows, 0 for a new index.",
            rich_help_panel=PANEL,
            show_default=False,
        ),
    ] = None,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first recording that fails.", rich_help_panel=PANEL)
    ] = False,
) -> None:
    """Create or update an index of recordings, for search. Unchanged recordings are not encoded again.

    Example: peaudio index recordings/ --index sounds.index
    """
    with begin(verbosity) as console:
        from pe_audio_cli.audio.find import find_recordings
        from pe_audio_cli.index.builder import IndexBuilder

        runner = Runner(console, fail_fast)
        checkpoint = runner.find_checkpoint(model, "tag")
        with IndexBuilder(index, checkpoint, _windows(window, overlap), inputs.audio_track) as builder:
            paths = inputs.named()
            found = find_recordings(paths)
            plan = builder.plan(paths, found)
            runner.summary.n_skipped = plan.n_unchanged
            runner.say_which_model(checkpoint)
            with console.progress([_name(item) for item in plan.todo]) as progress:
                if prune:
                    builder.drop(plan.vanished)
                results = _embedded(plan, builder, checkpoint, runner, device, progress)
                runner.go(results, builder, progress)
            if prune and plan.out_of_sight:
                console.warn(_kept(plan.out_of_sight))
            if exists(index):
                n_recordings, n_windows = builder.counts()
                dropped = f", {builder.n_forgotten} dropped" if prune else ""
                console.tell(f"{index}: {_count(n_recordings, 'recording')}, {_count(n_windows, 'window')}{dropped}")
        runner.end([_name(item) for item in found])


def _embedded(
    plan: Plan,
    builder: IndexBuilder,
    checkpoint: Checkpoint,
    runner: Runner,
    device: DeviceFlags,
    progress: Progress,
) -> Iterator[EmbedResult | FileError]:
    """Embeddings of what is to be done; the model is loaded only if there is anything to encode."""
    from pe_audio_cli.inference.runner import embed
    from pe_audio_cli.inference.tasks.base import EncodeOptions
    from pe_audio_cli.results import FileError

    errors = [item for item in plan.todo if isinstance(item, FileError)]
    if len(errors) == len(plan.todo):
        return iter(errors)
    encoder = runner.encoder(checkpoint, device)
    builder.begin(encoder)
    progress.pace.keeps = builder.windows.window is not None
    size, track = device.batch_size, builder.audio_track
    encoding = EncodeOptions(builder.windows, size, progress.chunk, audio_track=track, store=builder.store)
    return embed(plan.todo, encoder, "window", encoding)


def _kept(out_of_sight: Sequence[str]) -> str:
    others = " and others" if len(out_of_sight) > 1 else ""
    return (
        f"{_count(len(out_of_sight), 'recording')} kept that cannot be looked for, as on a disk that is not mounted: "
        f"{out_of_sight[0]}{others}; what is gone for good is dropped once its folder is there and holds something else"
    )


def _windows(window: str | None, overlap: float | None) -> WindowOptions | None:
    """Return the window options from the flags; None if they are not set."""
    from pe_audio_cli.audio.framing import WindowOptions
    from pe_audio_cli.index.builder import DEFAULT_WINDOW

    if window is None and overlap is None:
        return None
    return WindowOptions(DEFAULT_WINDOW if window is None else seconds(window), 0.0 if overlap is None else overlap)


def _name(item: str | FileError) -> str:
    return item if isinstance(item, str) else item.file


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
