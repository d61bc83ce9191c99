"""The command ``peaudio serve``: a loaded model behind HTTP."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from pe_audio_cli.cli.flags import DeviceFlags, FlagsOf, ModelFlags, VerbosityFlags, with_flags
from pe_audio_cli.cli.prologue import begin
from pe_audio_cli.server.limits import ServerLimits

PANEL = "Server"


@with_flags
def serve(
    model: ModelFlags,
    device: DeviceFlags,
    verbosity: VerbosityFlags,
    limits: Annotated[ServerLimits, FlagsOf(ServerLimits, "Limits")],
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Address to listen on; others than this machine's own need a token."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65_535, help="Port; 0 takes a free one.")] = 8765,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            envvar="PEAUDIO_TOKEN",
            help="Token that every request then needs. Other users of this machine can read it here, but not in the "
            "environment.",
        ),
    ] = None,
    host_name: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Name by which clients call this server, besides its address; repeatable."),
    ] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Folder whose recordings clients may name instead of sending; repeatable."),
    ] = None,
    index: Annotated[Path | None, typer.Option(metavar="FILE", help="Index to search, made by peaudio index.")] = None,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Fetch recordings from addresses that clients name.")
    ] = False,
) -> None:
    """Answer requests over HTTP with a model that stays loaded.

    Example: peaudio serve --index sounds.index --root recordings/
    """
    with begin(verbosity) as console:
        from pe_audio_cli._extras import require_extra

        require_extra("serve", "peaudio serve")
        from pe_audio_cli.cli.runner import device_options, model_options
        from pe_audio_cli.server import running
        from pe_audio_cli.server.service import Service

        running.check_safe(host, token)
        with running.listen(host, port) as opened:
            service = Service(
                model_options(model),
                device_options(device),
                limits,
                [str(folder) for folder in root or ()],
                None if index is None else str(index),
                allow_urls,
            )
            facts = service.loaded("tag").encoder.facts
            console.note(f"{facts.name}: {facts.backend}")
            with contextlib.closing(service):
                running.serve(service, opened, [host, *(host_name or ())], token, console.tell)
