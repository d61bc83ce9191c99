"""The command ``peaudio listen``: events of live sound, as they happen."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from pe_audio_cli import __version__
from pe_audio_cli.cli.actions import ActionFlags, close_actions, open_actions
from pe_audio_cli.cli.flags import (
    DeviceFlags,
    FlagsOf,
    LabelFlags,
    ModelFlags,
    VerbosityFlags,
    given_flags,
    with_flags,
)
from pe_audio_cli.cli.prologue import begin
from pe_audio_cli.options import EventOptions, LiveOptions

if TYPE_CHECKING:
    from pe_audio_cli.cli.console import Console
    from pe_audio_cli.cli.listening import Output
    from pe_audio_cli.detection.label_settings import SettingsFile
    from pe_audio_cli.live.actions.actions import Actions
    from pe_audio_cli.live.listener import Record
    from pe_audio_cli.live.session import Session
    from pe_audio_cli.options import PerLabel

PANEL = "Events, in the order of processing"
SOURCE_PANEL = "Source"
LISTENING_PANEL = "Listening"


def _list_devices(wanted: bool) -> None:
    if not wanted:
        return
    from pe_audio_cli.live.sources.microphone import input_devices

    for line in input_devices():
        print(line)
    raise typer.Exit


@with_flags
def listen(
    context: typer.Context,
    labels: LabelFlags,
    model: ModelFlags,
    device: DeviceFlags,
    verbosity: VerbosityFlags,
    actions: ActionFlags,
    live: Annotated[LiveOptions, FlagsOf(LiveOptions, LISTENING_PANEL)],
    events: Annotated[EventOptions, FlagsOf(EventOptions, PANEL)],
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="Stream (rtsp://, http://, https://), - for a pipe, or a file; by default the microphone.",
            show_default=False,
        ),
    ] = None,
    input_device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Microphone, by its number or a part of its name.", rich_help_panel=SOURCE_PANEL
        ),
    ] = None,
    devices: Annotated[
        bool,
        typer.Option(
            "--devices",
            help="List the microphones.",
            rich_help_panel=SOURCE_PANEL,
            is_eager=True,
            callback=_list_devices,
        ),
    ] = False,
    raw: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT,RATE,CHANNELS",
            help="Take a pipe for samples without a header, such as s16le,48000,1.",
            rich_help_panel=SOURCE_PANEL,
        ),
    ] = None,
    pace: Annotated[
        bool,
        typer.Option(
            "--pace", help="Play a file at its own pace, not as fast as it goes.", rich_help_panel=SOURCE_PANEL
        ),
    ] = False,
    tidy: Annotated[
        bool,
        typer.Option(
            "--tidy",
            help="Report sustained sounds as one event, as localize does with this flag.",
            rich_help_panel=PANEL,
        ),
    ] = False,
    format: Annotated[
        str | None,
        typer.Option(
            "-f",
            "--format",
            metavar="NAME",
            help="jsonl, table or csv; by default that of the output's extension, table on a terminal, jsonl in a "
            "pipe.",
            rich_help_panel="Output",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="File to which lines are added; - is standard output.",
            rich_help_panel="Output",
        ),
    ] = None,
    rotate: Annotated[
        str | None,
        typer.Option(
            metavar="day|SIZE",
            help="Begin a new output file each day, or before it is larger than SIZE, such as 10MB.",
            rich_help_panel="Output",
        ),
    ] = None,
) -> None:
    """Report the events of live sound as they happen: of a microphone, a camera, a stream or a pipe.

    Example: peaudio listen -l "a smoke alarm,a baby crying"
    """
    with begin(verbosity) as console:
        from pe_audio_cli.cli.listening import OutputFlags, SourceFlags, open_output, open_source, prepare_scene
        from pe_audio_cli.live.session import Session

        given = given_flags(context)

        def rules(settings: SettingsFile) -> PerLabel[EventOptions]:
            return settings.event_options(events, given, tidy=tidy)

        opened = open_source(SourceFlags(source, input_device, raw, pace), live)
        written = open_output(OutputFlags(output, format, rotate))
        done = open_actions(actions, given)
        scene = prepare_scene(console, labels, model, device, live, rules)
        done.begin(scene.query.labels, __version__)
        _run(Session(opened, scene, done.on_audio), written, done, console, verbosity.quiet)


def _run(session: Session, output: Output, actions: Actions, console: Console, quiet: bool) -> None:
    """Write what happens until the source ends, or a signal stops the listening."""
    from pe_audio_cli.cli.live_view import live_view
    from pe_audio_cli.cli.signals import stop_switch

    with stop_switch(lambda soon: None, lambda: console.error("the source does not let go")) as switch:
        try:
            with live_view(session.listener, session.labels, quiet) as view, console.beside(view):
                for record in session.records(lambda: switch.pressed):
                    with nullcontext() if view is None else view.paused():
                        output.write(record)
                    _tell(record, actions)
                    if view is not None:
                        view.note(record)
        finally:
            output.close()
            close_actions(actions, lambda: switch.pressed)


def _tell(record: Record, actions: Actions) -> None:
    """Tell actions of an event."""
    from pe_audio_cli.live.event import LiveEvent

    if isinstance(record, LiveEvent):
        (actions.on_start if record.offset is None else actions.on_end)(record)
