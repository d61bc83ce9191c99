"""The command ``peaudio search``: finds the windows of an index that match a text or a recording."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pe_audio_cli.cli.flags import DeviceFlags, VerbosityFlags, complete_format, complete_model, with_flags
from pe_audio_cli.cli.prologue import begin
from pe_audio_cli.errors import UsageError
from pe_audio_cli.formats.base import WriteOptions
from pe_audio_cli.formats.registry import choices, writer_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pe_audio_cli.cli.console import Console
    from pe_audio_cli.index.schema import About
    from pe_audio_cli.index.search import Index, SearchOptions
    from pe_audio_cli.inference.tasks.query import TaughtLabel
    from pe_audio_cli.outputs.review_page import ReviewPage
    from pe_audio_cli.outputs.stream import StreamOutput
    from pe_audio_cli.results import Measure, SearchResult

PANEL, REVIEW = "Search", "Review"
ALL = "all"


@dataclass(frozen=True)
class SearchFlags:
    """Flags of what is searched for."""

    k: Annotated[
        str, typer.Option("-k", "--top-k", metavar="N", help="Number of hits, or 'all'.", rich_help_panel=PANEL)
    ] = "10"
    where: Annotated[
        str | None,
        typer.Option(
            metavar="SQL",
            help='Search only windows that meet a condition, such as "duration < 60" or "file LIKE \'%night%\'". '
            'Columns: file, start, "end", duration, sample_rate and channels.',
            rich_help_panel=PANEL,
        ),
    ] = None
    without: Annotated[
        list[str] | None,
        typer.Option(
            "--not", metavar="TEXT", help="Sound that must not be present; repeatable.", rich_help_panel=PANEL
        ),
    ] = None
    taught: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Labels that peaudio teach learned from examples: search for those named, or for all; repeatable.",
            rich_help_panel=PANEL,
        ),
    ] = None
    like: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Search for windows that sound like this recording.", rich_help_panel=PANEL),
    ] = None


@dataclass(frozen=True)
class ReviewFlags:
    """Flags of the review page."""

    review: Annotated[
        Path | None,
        typer.Option(
            metavar="PAGE.html",
            help="Write a page to hear the hits and mark them as right or wrong, for peaudio teach and eval.",
            rich_help_panel=REVIEW,
        ),
    ] = None
    embed_audio: Annotated[
        bool,
        typer.Option(
            "--embed-audio",
            help="Put the sound of the hits into the page, instead of links to the recordings.",
            rich_help_panel=REVIEW,
        ),
    ] = False
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing page.", rich_help_panel=REVIEW)
    ] = False


@dataclass(frozen=True)
class IndexModelFlags:
    """Flags of the checkpoint of an index."""

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
    ] = None
    offline: Annotated[bool, typer.Option("--offline", help="Do not use the network.", rich_help_panel="Model")] = False


@with_flags
def search(
    index: Annotated[
        Path,
        typer.Option("--index", metavar="FILE", help="Index to search, made by peaudio index.", rich_help_panel=PANEL),
    ],
    wanted: SearchFlags,
    reviewed: ReviewFlags,
    model: IndexModelFlags,
    device: DeviceFlags,
    verbosity: VerbosityFlags,
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT...", help="Sounds to search for, in plain words; each text is one query."),
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
) -> None:
    """Search an index for sounds, by a description or by a similar recording.

    Example: peaudio search "glass breaking" --index sounds.index
    """
    with begin(verbosity, encodes_audio=wanted.like is not None) as console:
        from pe_audio_cli.index.search import SearchOptions

        if wanted.like is not None and (texts or wanted.without or wanted.taught):
            raise UsageError("--like replaces the texts: leave them out")
        options = SearchOptions(_number(wanted.k), wanted.where)
        output = _output(format, wanted)
        page = _page(reviewed, wanted)
        results = _results(console, index, model, texts or [], wanted, options, device)
        output.open({})
        for result in results:
            for warning in result.warnings:
                console.warn(f"{result.query}: {warning}")
            output.write(result)
        output.finish()
        if page is not None:
            _review(console, page, results)


def _measure(wanted: SearchFlags) -> Measure:
    return "probability" if wanted.like is None else "similarity"


def _output(format: str | None, wanted: SearchFlags) -> StreamOutput:
    from pe_audio_cli.outputs.stream import StreamOutput

    name = format if format is not None else "table" if sys.stdout.isatty() else "jsonl"
    writing = WriteOptions("search", measure=_measure(wanted))
    return StreamOutput(writer_for(name, "search"), writing, sys.stdout)


def _page(reviewed: ReviewFlags, wanted: SearchFlags) -> ReviewPage | None:
    """Return the review page, if one is asked for.

    Raises :class:`UsageError` if the flags do not fit together, and :class:`OutputError` if nothing can be written.
    """
    if reviewed.review is None:
        if reviewed.embed_audio or reviewed.overwrite:
            flag = "--embed-audio" if reviewed.embed_audio else "--overwrite"
            raise UsageError(f"{flag} goes with --review PAGE.html")
        return None
    from pe_audio_cli.outputs.review_page import ReviewPage
    from pe_audio_cli.report.review import ReviewOptions

    options = ReviewOptions(str(reviewed.review), _measure(wanted), reviewed.embed_audio)
    return ReviewPage(options, overwrite=reviewed.overwrite)


def _review(console: Console, page: ReviewPage, results: Sequence[SearchResult]) -> None:
    from pe_audio_cli.outputs.review_page import items_of

    items = [item for result in results for item in items_of(result)]
    with console.progress(list(dict.fromkeys(item.file for item in items))) as progress:
        page.write(items, progress.done)


def _results(
    console: Console,
    index: Path,
    model: IndexModelFlags,
    texts: Sequence[str],
    wanted: SearchFlags,
    options: SearchOptions,
    device: DeviceFlags,
) -> list[SearchResult]:
    """Search, and tell what there is to say about the index and the queries."""
    from pe_audio_cli.index.search import Index

    with Index(index, model.model, offline=model.offline) as opened:
        if opened.copy_is_foreign:
            console.warn(f"{index}.vectors is not a copy of this index: move it away for faster searches")
        elif not opened.is_fresh:
            console.tell(f"creating {index}.vectors, which makes the next searches faster")
        about = opened.about
        known = _taught(wanted.taught, about) if wanted.taught else {}
        queries = list(texts) or list(known)
        started = time.perf_counter()
        results = _ask(opened, queries, known, wanted, options, device)
        words = [*(text for text in queries if text not in known), *(wanted.without or ())]
        console.note(f"{opened.n_windows} windows searched in {time.perf_counter() - started:.3f} s")
        for text in [] if wanted.like is not None else opened.unfamiliar(words):
            console.warn(f"{about.model} was not trained for {text!r}, its probabilities may be meaningless")
    return results


def _taught(files: list[Path], about: About) -> Mapping[str, TaughtLabel]:
    from pe_audio_cli.learning.use import read_all, taught_labels

    return taught_labels(read_all(files), "tag", about.fingerprint, about.model, about.width).labels


def _ask(
    index: Index,
    texts: list[str],
    taught: Mapping[str, TaughtLabel],
    wanted: SearchFlags,
    options: SearchOptions,
    device: DeviceFlags,
) -> list[SearchResult]:
    if wanted.like is None:
        return index.search(texts, options, without=wanted.without or (), taught=taught)
    from pe_audio_cli.models.encoder import DeviceOptions

    return [
        index.like(wanted.like, options, DeviceOptions(device.device, device.dtype, device.threads, device.compile))
    ]


def _number(k: str) -> int | None:
    """Return the number of hits, None for all. Raises :class:`UsageError` for any other text."""
    if k == ALL:
        return None
    try:
        return int(k)
    except ValueError as error:
        raise UsageError(f"-k takes a number of hits or {ALL!r}: got {k!r}") from error
