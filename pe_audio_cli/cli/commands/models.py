"""``peaudio models``: the checkpoints there are, which of them are on this machine, and how the others get here."""

from __future__ import annotations

import io
import json
import shlex
import sys
import textwrap
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pe_audio_cli.cli.console import Console, terminal_width
from pe_audio_cli.cli.flags import Offline, Revision, VerbosityFlags, with_flags
from pe_audio_cli.cli.prologue import begin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pe_audio_cli.models.inventory import Stored
    from pe_audio_cli.models.registry import ModelOptions

__all__ = ["models"]

INDENT = "    "
WIDEST = 100_000  # columns of a table before it is folded, which keeps paths whole
COLUMNS = ("name", "for", "hub id", "revision", "size", "where")

models = typer.Typer(add_completion=False)


@models.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    format: Annotated[Literal["table", "json"], typer.Option("-f", "--format", help="Output format.")] = ("table"),
) -> None:
    """List the checkpoints for --model, and those on this machine with their sizes.

    Example: peaudio models pull base --for tag
    """
    if context.invoked_subcommand is not None:
        return
    with begin(VerbosityFlags(), encodes_audio=False):
        from pe_audio_cli.models.inventory import inventory, stored_object

        found = inventory()
        objects = [stored_object(each) for each in found]
        print(json.dumps(objects, indent=2) if format == "json" else _table(found, _width()))


@models.command()
@with_flags
def pull(
    flags: VerbosityFlags,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Checkpoint: small, base, large, or a hub id.")],
    task: Annotated[
        Literal["tag", "localize"] | None,
        typer.Option("--for", help="Fetch only the checkpoint for this command; by default those for both."),
    ] = None,
    revision: Revision = None,
    offline: Offline = False,
) -> None:
    """Download a checkpoint from the hub, or resume a download, and print its folder.

    Example: peaudio models pull base --for tag
    """
    with begin(flags, encodes_audio=False) as console:
        from pe_audio_cli.models.registry import DEFAULT_MODEL, TASKS, ModelOptions, hub_name, local_folder

        options = ModelOptions(name, revision, offline)
        folder = local_folder(options)
        if folder is not None:
            what = "is part of peaudio" if name == DEFAULT_MODEL else "is a folder on this machine"
            console.tell(f"{name} {what}: nothing to download")
            print(folder)
            return
        for repo in dict.fromkeys(hub_name(name, each) for each in (TASKS if task is None else (task,))):
            _pull(repo, options, console)


def _pull(repo: str, options: ModelOptions, console: Console) -> None:
    from pe_audio_cli.models import hub

    try:
        with console.download() as on_bytes:
            pulled = hub.pull(repo, options.revision, options.offline, on_bytes)
    except KeyboardInterrupt:
        console.tell(f"the partial download of {repo} is kept: the same command resumes it")
        raise
    here = "is here now" if pulled.is_new else "was here already"
    console.tell(f"{repo} {here}" if pulled.is_latest else f"{repo} {here}; the hub was not asked for a newer one")
    print(pulled.folder, flush=True)
    carried = repo.rpartition("/")[2]
    console.tell(
        f"for a machine without a network: cp -rL {shlex.quote(str(pulled.folder))} {carried}, take {carried} there, "
        f"and name it with -m ./{carried}"
    )


def _table(found: Sequence[Stored], width: int | None) -> str:
    """Return a table whose columns are as wide as they need, where what may be long stands last.

    A row that does not fit into ``width`` columns, None for no limit, goes on below, broken between words.
    """
    from rich.console import Console as RichConsole
    from rich.table import Table

    table = Table(*COLUMNS, box=None, padding=(0, 2, 0, 0), header_style="none")
    for each in found:
        table.add_row(*_row(each))
    text = io.StringIO()
    RichConsole(file=text, width=WIDEST, highlight=False, markup=False, emoji=False).print(table)
    lines = map(str.rstrip, text.getvalue().splitlines())
    return "\n".join(line if width is None else _folded(line, width) for line in lines)


def _width() -> int | None:
    return terminal_width(sys.stdout) if sys.stdout.isatty() else None


def _folded(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    return "\n".join(
        textwrap.wrap(line, width, subsequent_indent=INDENT, break_long_words=False, break_on_hyphens=False)
    )


def _row(stored: Stored) -> tuple[str, ...]:
    from pe_audio_cli.models.download import size_text

    size = size_text(stored.n_bytes) if stored.n_bytes else "-"
    return stored.name, ", ".join(stored.tasks), stored.hub_id or "-", stored.revision or "-", size, _where(stored)


def _where(stored: Stored) -> str:
    if stored.folder is not None:
        return str(stored.folder)
    state = "unfinished" if stored.n_bytes else "not here"
    return f"{state}: peaudio models pull {stored.name} --for {stored.tasks[0]}"
