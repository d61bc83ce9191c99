"""The command ``peaudio localize``: the events of each label."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from pe_audio_cli.cli.batch import Batch
from pe_audio_cli.cli.flags import BatchFlags, FlagsOf, given_flags, with_flags
from pe_audio_cli.cli.prologue import begin
from pe_audio_cli.options import EventOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pe_audio_cli.detection.label_settings import SettingsFile
    from pe_audio_cli.inference.tasks.base import EncodeOptions
    from pe_audio_cli.inference.tasks.query import Query
    from pe_audio_cli.models.encoder import Encoder
    from pe_audio_cli.options import PerLabel
    from pe_audio_cli.results import FileError, LocalizeResult

PANEL = "Events, in the order of processing"
REPORT_PANEL = "Report"


@with_flags
def localize(
    context: typer.Context,
    flags: BatchFlags,
    events: Annotated[EventOptions, FlagsOf(EventOptions, PANEL)],
    tidy: Annotated[
        bool,
        typer.Option(
            "--tidy",
            help="Find sustained sounds as one event: an offset threshold of a third of the threshold, a merge gap of "
            "1 s, and a minimum duration of 0.4 s. The flags above override it.",
            rich_help_panel=PANEL,
        ),
    ] = False,
    frames: Annotated[
        bool,
        typer.Option(
            "--frames", help="Write the probability of each 40 ms frame, too (json and jsonl).", rich_help_panel=PANEL
        ),
    ] = False,
    report: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.html",
            help="Write a page on which to view, play and correct the events, too.",
            rich_help_panel=REPORT_PANEL,
        ),
    ] = None,
    embed_audio: Annotated[
        bool,
        typer.Option(
            "--embed-audio",
            help="Embed the audio in the page (about 38 MB per hour) instead of links to the files.",
            rich_help_panel=REPORT_PANEL,
        ),
    ] = False,
    plot: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.png",
            help="Write a picture, too (.png, .svg or .pdf): spectrogram, frame probabilities, events. A folder gets "
            "a .png for each recording.",
            rich_help_panel="Output",
        ),
    ] = None,
) -> None:
    """Find the events of each label in each recording, on a grid of 40 ms.

    Example: peaudio localize night.flac --labels "an owl hooting" --merge-gap 0.5
    """
    with begin(flags.console) as console:
        from pe_audio_cli.detection.label_settings import settings_in
        from pe_audio_cli.errors import UsageError
        from pe_audio_cli.inference import runner as inference
        from pe_audio_cli.report.page import EMBED_SECONDS, PageOptions

        if embed_audio and report is None:
            raise UsageError("--embed-audio needs a report: name it with --report")
        if embed_audio and flags.engine.engine == "ray":
            raise UsageError("--embed-audio does not work with --engine ray: leave out one of them")
        shown = plot is not None or report is not None
        settings = settings_in(flags.labels.settings, "localize")
        given = given_flags(context)

        def rules(settings: SettingsFile) -> PerLabel[EventOptions]:
            found = settings.event_options(events, given, tidy=tidy)
            if report is not None and any(own != found.default for own in found.own.values()):
                raise UsageError("a report has the same event options for all labels: leave out --report or --settings")
            return found

        def ask(
            files: Iterable[str | FileError],
            encoder: Encoder,
            query: Query,
            rules: PerLabel[EventOptions],
            encoding: EncodeOptions,
        ) -> Iterator[LocalizeResult | FileError]:
            encoding = replace(encoding, spectrograms=shown, sounds=EMBED_SECONDS if embed_audio else None)
            return inference.localize(files, encoder, query, rules, encoding, frames or shown)

        page = None if report is None else PageOptions(report, events, embed_audio)
        batch = Batch("localize", flags, console, settings, rules, frames=frames, plot=plot, report=page)
        if flags.remote.server is None:
            batch.run(ask, {"frames": frames})
        else:
            from pe_audio_cli.cli.remote import given_options, run_on_server

            switches = [(name, "true") for name, is_on in (("tidy", tidy), ("frames", frames)) if is_on]
            run_on_server(batch, [*given_options(events, given), *switches])
