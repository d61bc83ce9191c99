"""``peaudio tag``: how probable each label is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pe_audio_cli.cli.batch import Batch
from pe_audio_cli.cli.flags import BatchFlags, FlagsOf, given_flags, with_flags
from pe_audio_cli.cli.prologue import begin
from pe_audio_cli.formats.base import most_shown
from pe_audio_cli.options import TagOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pe_audio_cli.detection.label_settings import SettingsFile
    from pe_audio_cli.inference.tasks.base import EncodeOptions
    from pe_audio_cli.inference.tasks.query import Query
    from pe_audio_cli.models.encoder import Encoder
    from pe_audio_cli.options import PerLabel
    from pe_audio_cli.results import FileError, TagResult

PANEL = "Results"


@with_flags
def tag(
    context: typer.Context,
    flags: BatchFlags,
    options: Annotated[TagOptions, FlagsOf(TagOptions, PANEL)],
    plot: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.png",
            help="Write a picture, too (.png, .svg or .pdf): a map of all recordings and labels.",
            rich_help_panel="Output",
        ),
    ] = None,
) -> None:
    """Print the probability of each label in each recording.

    Example: peaudio tag recordings/ --labels "a dog barking,rain" -o tags.csv
    """
    with begin(flags.console) as console:
        from pe_audio_cli.detection.label_settings import settings_in
        from pe_audio_cli.inference import runner as inference

        settings, given = settings_in(flags.labels.settings, "tag"), given_flags(context)
        own_labels = not flags.labels.given and not (settings and settings.labels)

        def rules(settings: SettingsFile) -> PerLabel[TagOptions]:
            return settings.tag_options(options, given)

        def ask(
            files: Iterable[str | FileError],
            encoder: Encoder,
            query: Query,
            rules: PerLabel[TagOptions],
            encoding: EncodeOptions,
        ) -> Iterator[TagResult | FileError]:
            return inference.tag(files, encoder, query, rules, encoding)

        per_window = options.per_window
        shown = most_shown(options, own_labels)
        batch = Batch("tag", flags, console, settings, rules, per_window=per_window, plot=plot, most_shown=shown)
        if flags.remote.server is None:
            batch.run(ask, {})
        else:
            from pe_audio_cli.cli.remote import given_options, run_on_server

            run_on_server(batch, given_options(options, given))
