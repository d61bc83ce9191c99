"""``peaudio localize``: when each label is heard."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pe_audio_cli.cli.batch import Batch
from pe_audio_cli.cli.guard import guard
from pe_audio_cli.cli.options import BatchFlags, given_flags, with_flags
from pe_audio_cli.cli.talk import Talk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pe_audio_cli.results import FileError, LocalizeResult
    from pe_audio_cli.run.pipeline import Encoder
    from pe_audio_cli.run.session import EncodeOptions, Query

PANEL = "Events, in the order in which they are worked out"


@with_flags
def localize(
    context: typer.Context,
    flags: BatchFlags,
    threshold: Annotated[
        float,
        typer.Option(metavar="P", help="A label is heard where its probability is above P.", rich_help_panel=PANEL),
    ] = 0.3,
    offset_threshold: Annotated[
        float | None,
        typer.Option(
            metavar="P", help="Events go on until the probability is no longer above P.", rich_help_panel=PANEL
        ),
    ] = None,
    median: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Events and gaps shorter than half of this vanish (a median filter on what is heard).",
            rich_help_panel=PANEL,
        ),
    ] = None,
    merge_gap: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Events that lie no further apart become one.", rich_help_panel=PANEL),
    ] = None,
    min_duration: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Events shorter than this vanish.", rich_help_panel=PANEL),
    ] = None,
    frames: Annotated[
        bool,
        typer.Option(
            "--frames", help="The probability of each 40 ms frame too (json and jsonl).", rich_help_panel=PANEL
        ),
    ] = False,
) -> None:
    """When each label is heard in each recording: events on a grid of 40 ms.

    Example: peaudio localize night.flac --labels "an owl hooting" --merge-gap 0.5
    """
    talk = Talk(flags.talk.quiet, flags.talk.verbose)
    with guard(talk):
        from pe_audio_cli.detect.events import EventOptions
        from pe_audio_cli.detect.settings import settings_in
        from pe_audio_cli.run import session

        options = EventOptions(threshold, offset_threshold, median, merge_gap, min_duration)
        settings = settings_in(flags.labels.settings, "localize")
        rules = settings.event_options(options, given_flags(context))

        def ask(
            files: Iterable[str | FileError], encoder: Encoder, query: Query, encoding: EncodeOptions
        ) -> Iterator[LocalizeResult | FileError]:
            return session.localize(files, encoder, query, rules, encoding, frames)

        batch = Batch("localize", flags, talk, settings, frames=frames)
        batch.run(ask, {**asdict(options), "frames": frames})
