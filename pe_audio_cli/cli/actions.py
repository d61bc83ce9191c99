"""The flags of what ``peaudio listen`` does at each event."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from pe_audio_cli.errors import UsageError

if TYPE_CHECKING:
    from pe_audio_cli.live.actions.actions import Actions

__all__ = ["ActionFlags", "close_actions", "open_actions"]

PANEL = "Actions"
NEEDS = {"pre_roll": "save_clips", "post_roll": "save_clips", "exec_timeout": "exec"}  # flags without effect alone
END_SECONDS = 60.0  # for what is still to be done when the source has ended
STOP_SECONDS = 0.7  # when somebody stops the listening, which is to end within a second
TICK_SECONDS = 0.05


@dataclass(frozen=True)
class ActionFlags:
    """Flags of the actions."""

    save_clips: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Save the sound of each event as a FLAC.", rich_help_panel=PANEL),
    ] = None
    pre_roll: Annotated[
        float, typer.Option(metavar="SECONDS", help="Length of a clip before the event.", rich_help_panel=PANEL)
    ] = 2.0
    post_roll: Annotated[
        float, typer.Option(metavar="SECONDS", help="Length of a clip after the event.", rich_help_panel=PANEL)
    ] = 2.0
    exec: Annotated[
        str | None,
        typer.Option(
            metavar="CMD",
            help="Run a command at each start, end and clip, without a shell; PEAUDIO_EVENT, PEAUDIO_LABEL ... tell "
            "of it.",
            rich_help_panel=PANEL,
        ),
    ] = None
    exec_timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Time after which a command is killed.", rich_help_panel=PANEL),
    ] = 30.0
    webhook: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Post each start, end and clip as JSON.", rich_help_panel=PANEL),
    ] = None
    mqtt: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Publish the state of each label, mqtt://HOST/TOPIC or mqtts://, in a way that Home Assistant finds "
            "it.",
            rich_help_panel=PANEL,
        ),
    ] = None


def open_actions(flags: ActionFlags, given: frozenset[str]) -> Actions:
    """Make the actions that the flags name; ``given`` are the parameters that were given.

    Raises :class:`UsageError` for flags that are faulty or have no effect.
    """
    from pe_audio_cli.live.actions.actions import Actions
    from pe_audio_cli.live.actions.command import Command
    from pe_audio_cli.live.actions.webhook import Webhook

    for name, needed in NEEDS.items():
        if name in given and getattr(flags, needed) is None:
            raise UsageError(f"--{name.replace('_', '-')} needs --{needed.replace('_', '-')}")
    actions = Actions(
        [
            *([] if flags.exec is None else [Command(flags.exec, flags.exec_timeout)]),
            *([] if flags.webhook is None else [Webhook(flags.webhook)]),
        ]
    )
    if flags.mqtt is not None:
        actions.publish(flags.mqtt)
    if flags.save_clips is not None:
        actions.save_clips(flags.save_clips, flags.pre_roll, flags.post_roll)
    return actions


def close_actions(actions: Actions, is_stopped: Callable[[], bool]) -> None:
    """Let actions do what is left to be done, for long if the source has ended, and soon if somebody stops it."""
    patient = threading.Thread(target=actions.close, args=(END_SECONDS,), name="peaudio-end", daemon=True)
    patient.start()
    while patient.is_alive() and not is_stopped():
        patient.join(TICK_SECONDS)
    if patient.is_alive():
        actions.close(STOP_SECONDS)
