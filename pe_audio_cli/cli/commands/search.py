"""The command ``peaudio search``: finds the windows of an index that match a text or a recording."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pe_audio_cli.cli.flags import DeviceFlags, VerbosityFlags, complete_format, complete_model, with_flags
from pe_audio_cli.cli.prologue import begin
from pe_audio_cli.errors import UsageError
from pe_audio_cli.formats.base import WriteOptions
from pe_audio_cli.formats.registry import choices, writer_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pe_audio_cli.index.schema import About
    from pe_audio_cli.index.search import Index, SearchOptions
    from pe_audio_cli.inference.tasks.query import TaughtLabel
    from pe_audio_cli.results import SearchResult

PANEL = "Search"
ALL = "all"


@with_flags
def search(
    index: Annotated[
        Path,
        typer.Option("--index", metavar="FILE", help="Index to search, made by peaudio index.", rich_help_panel=PANEL),
    ],
    device: DeviceFlags,
    verbosity: VerbosityFlags,
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT...", help="Sounds to search for, in plain words; each text is one query."),
    ] = None,
    k: Annotated[
        str, typer.Option("-k", "--top-k", metavar="N", help="Number of hits, or 'all'.", rich_help_panel=PANEL)
    ] = "10",
    where: Annotated[
        str | None,
        typer.Option(
            metavar="SQL",
            help='Search only windows that meet a condition, such as "duration < 60" or "file LIKE \'%night%\'". '
            'Columns: file, start, "end", duration, sample_rate and channels.',
            rich_help_panel=PANEL,
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            "--not", metavar="TEXT", help="Sound that must not be present; repeatable.", rich_help_panel=PANEL
        ),
    ] = None,
    taught: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Labels that peaudio teach learned from examples: search for those named, or for all; repeatable.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Search for windows that sound like this recording.", rich_help_panel=PANEL),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "-f",
            "--format",
            metavar="NAME",
            help=f"{', '.join(choices('search'))}; by default table on a terminal, jsonl in a pipe.",
            rich_help_panel="Output",
            show_default=False,
            autocompletion=complete_format,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--model",
            metavar="NAME",
            help="Model of the index, if it has moved; by default where it was when the index was made.",
            rich_help_panel="Model",
            show_default=False,
            autocompletion=complete_model,
        ),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not use the network.", rich_help_panel="Model")] = (
        False
    ),
) -> None:
    """Search an index for sounds, by a description or by a similar recording.

    Example: peaudio search "glass breaking" --index sounds.index
    """
    with begin(verbosity, encodes_audio=like is not None) as console:
        from pe_audio_cli.index.search import Index, SearchOptions
        from pe_audio_cli.outputs.stream import StreamOutput

        if like is not None and (texts or without or taught):
            raise UsageError("--like replaces the texts: leave them out")
        options = SearchOptions(_number(k), where)
        name = format if format is not None else "table" if sys.stdout.isatty() else "jsonl"
        writing = WriteOptions("search", measure="probability" if like is None else "similarity")
        output = StreamOutput(writer_for(name, "search"), writing, sys.stdout)
        with Index(index, model, offline=offline) as opened:
            if opened.copy_is_foreign:
                console.warn(f"{index}.vectors is not a copy of this index: move it away for faster searches")
            elif not opened.is_fresh:
                console.tell(f"creating {index}.vectors, which makes the next searches faster")
            about = opened.about
            known = _taught(taught, about) if taught else {}
            queries = texts or list(known)
            started = time.perf_counter()
            results = _ask(opened, queries, known, like, without, options, device)
            words = [*(text for text in queries if text not in known), *(without or ())]
            console.note(f"{opened.n_windows} windows searched in {time.perf_counter() - started:.3f} s")
            for text in [] if like is not None else opened.unfamiliar(words):
                console.warn(f"{opened.about.model} was not trained for {text!r}, its probabilities may be meaningless")
        output.open({})
        for result in results:
            for warning in result.warnings:
                console.warn(f"{result.query}: {warning}")
            output.write(result)
        output.finish()


def _taught(files: list[Path], about: About) -> Mapping[str, TaughtLabel]:
    from pe_audio_cli.learning.use import read_all, taught_labels

    return taught_labels(read_all(files), "tag", about.fingerprint, about.model).labels


def _ask(
    index: Index,
    texts: list[str],
    taught: Mapping[str, TaughtLabel],
    like: str | None,
    without: list[str] | None,
    options: SearchOptions,
    device: DeviceFlags,
) -> list[SearchResult]:
    if like is None:
        return index.search(texts, options, without=without or (), taught=taught)
    from pe_audio_cli.models.encoder import DeviceOptions

    return [index.like(like, options, DeviceOptions(device.device, device.dtype, device.threads, device.compile))]


def _number(k: str) -> int | None:
    """Return the number of hits, None for all. Raises :class:`UsageError` for any other text."""
    if k == ALL:
        return None
    try:
        return int(k)
    except ValueError as error:
        raise UsageError(f"-k takes a number of hits or {ALL!r}: got {k!r}") from error
