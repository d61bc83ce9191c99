"""``peaudio doctor``: what to paste into a bug report."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from pe_audio_cli import __version__
from pe_audio_cli.cli.flags import VerbosityFlags, with_flags
from pe_audio_cli.cli.guard import FAILED
from pe_audio_cli.cli.prologue import begin

__all__ = ["doctor"]


@with_flags
def doctor(
    flags: VerbosityFlags,
    format: Annotated[Literal["text", "json"], typer.Option("-f", "--format", help="Output format.")] = "text",
) -> None:
    """Check this installation, and print what to paste into a bug report.

    Versions, a self-test of each engine, devices, decoders, caches, processor, memory and disks. The exit code is 1 if
    anything that mini needs does not work.

    Example: peaudio doctor
    """
    with begin(flags, encodes_audio=False) as console:
        from pe_audio_cli.diagnosis.examination import examine
        from pe_audio_cli.diagnosis.rendering import text
        from pe_audio_cli.formats.escaping import json_text, terminal_text

        report = examine(__version__, console.note)
        if format == "json":
            print(json_text(json.dumps(report, indent=2, ensure_ascii=False)))
        else:
            print("\n".join(map(terminal_text, text(report).split("\n"))))
    if not report["ok"]:
        raise typer.Exit(FAILED)
