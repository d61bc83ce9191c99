"""``peaudio localize``: when each label is heard."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from pe_audio_cli.cli.batch import Batch
from pe_audio_cli.cli.console import Console
from pe_audio_cli.cli.flags import BatchFlags, FlagsOf, given_flags, with_flags
from pe_audio_cli.cli.guard import guard
from pe_audio_cli.options import EventOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pe_audio_cli.detection.label_settings import SettingsFile
    from pe_audio_cli.inference.tasks.base import EncodeOptions
    from pe_audio_cli.inference.tasks.query import Query
    from pe_audio_cli.models.encoder import Encoder
    from pe_audio_cli.options import PerLabel
    from pe_audio_cli.results import FileError, LocalizeResult

PANEL = "Events, in the order in which they are worked out"
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
            help="One event for a sound that lasts: goes on down to a third of the threshold, joins events up to 1 s "
            "apart, drops those under 0.4 s. The flags above win over it.",
            rich_help_panel=PANEL,
        ),
    ] = False,
    frames: Annotated[
        bool,
        typer.Option(
            "--frames", help="The probability of each 40 ms frame too (json and jsonl).", rich_help_panel=PANEL
        ),
    ] = False,
    report: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.html",
            help="A page to look at, listen to and correct the events in, beside the output.",
            rich_help_panel=REPORT_PANEL,
        ),
    ] = None,
    embed_audio: Annotated[
        bool,
        typer.Option(
            "--embed-audio",
            help="Put the sound into the page (about 38 MB an hour); otherwise it links to the files.",
            rich_help_panel=REPORT_PANEL,
        ),
    ] = False,
    plot: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.png",
            help="A picture too, or .svg or .pdf: spectrogram, frame probabilities, events. A folder gets a .png for "
            "each recording.",
            rich_help_panel="Output",
        ),
    ] = None,
) -> None:
    """Find the events of each label in each recording, on a grid of 40 ms.

    Example: peaudio localize night.flac --labels "an owl hooting" --merge-gap 0.5
    """
    console = Console(flags.console.quiet, flags.console.verbose)
    with guard(console):
        from pe_audio_cli.detection.label_settings import settings_in
        from pe_audio_cli.errors import UsageError
        from pe_audio_cli.inference import runner as inference
        from pe_audio_cli.report.page import EMBED_SECONDS, PageOptions

        if embed_audio and report is None:
            raise UsageError("--embed-audio is about a report: name it with --report")
        if embed_audio and flags.engine.engine == "ray":
            raise UsageError("--embed-audio needs the sound here, and a cluster keeps it: leave one of them out")
        shown = plot is not None or report is not None
        settings = settings_in(flags.labels.settings, "localize")
        given = given_flags(context)

        def rules(settings: SettingsFile) -> PerLabel[EventOptions]:
            found = settings.event_options(events, given, tidy=tidy)
            if report is not None and any(own != found.default for own in found.own.values()):
                raise UsageError("a report finds the events of all labels alike: leave out --report or --settings")
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
        batch.run(ask, {"frames": frames})
