"""The Typer app. Nothing heavy is imported before a command has been chosen and understood."""

from __future__ import annotations

import gc
import sys
from typing import Annotated

import typer

from pe_audio_cli import __version__
from pe_audio_cli._paths import reason
from pe_audio_cli.cli.commands.doctor import doctor
from pe_audio_cli.cli.commands.embed import embed
from pe_audio_cli.cli.commands.evaluate import HELP, evaluate
from pe_audio_cli.cli.commands.index import index
from pe_audio_cli.cli.commands.localize import localize
from pe_audio_cli.cli.commands.models import models
from pe_audio_cli.cli.commands.search import search
from pe_audio_cli.cli.commands.tag import tag
from pe_audio_cli.cli.commands.teach import show_labels, teach
from pe_audio_cli.cli.console import Console
from pe_audio_cli.cli.flags import Command
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
app.command(cls=Command)(tag)
app.command(cls=Command)(localize)
app.command("eval", help=HELP, cls=Command)(evaluate)
app.command(cls=Command)(embed)
app.command(cls=Command)(index)
app.command(cls=Command)(search)
app.command(cls=Command)(teach)
app.command("labels", cls=Command)(show_labels)
app.add_typer(models, name="models")
app.command(cls=Command)(doctor)


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
