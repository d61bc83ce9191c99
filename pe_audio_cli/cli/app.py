"""The Typer app. Nothing heavy is imported before a command has been chosen and understood."""

from __future__ import annotations

import gc
import sys
from typing import Annotated

import typer

from pe_audio_cli import __version__
from pe_audio_cli._paths import reason
from pe_audio_cli.cli.console import Console
from pe_audio_cli.cli.guard import FAILED, INTERRUPTED, GuardedCommands
from pe_audio_cli.cli.signals import end_soon
from pe_audio_cli.cli.streams import flush_standard_output, prepare

__all__ = ["app", "main"]

app = typer.Typer(
    cls=GuardedCommands,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"peaudio {__version__}")
        raise typer.Exit


@app.callback()
def peaudio(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Zero-shot audio tagging and event localization: plain words in, probabilities and times out.

    Example: peaudio tag dog.wav --labels "a dog barking,rain"
    """


def main() -> None:
    """Run the command line; the entry point of ``peaudio``."""
    prepare()
    try:
        app()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            end_soon()
        sys.exit(_code_after_flushing(end.code))
    finally:
        if "duckdb" not in sys.modules:  # its bindings report as leaked what is not cleared away in the end
            gc.freeze()  # all goes with the process: the interpreter need not look for garbage a last time


def _code_after_flushing(code: int | str | None) -> int | str | None:
    """The exit code, once all that was printed has been written; a failure if that cannot be."""
    error = flush_standard_output()
    if error is None or isinstance(error, BrokenPipeError):  # whoever reads it has enough
        return code
    if not code:
        Console().error(f"cannot write to standard output: {reason(error)}")
    return code or FAILED
