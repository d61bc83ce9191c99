"""Search: indexes of many windows, built, weighed, and asked from exec to exit."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.commands import Commands
from benchmarks.contender import Program, alternate
from benchmarks.one_search import N_HITS
from benchmarks.options import Options, run_alone
from benchmarks.table import gigabytes, seconds, section, table
from pe_audio_cli.index.database import About, Database, IndexedRecording
from pe_audio_cli.index.vectors import refresh, vectors_path
from pe_audio_cli.models.text_cache import LabelCache

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["measure"]

WIDTH = 1024  # numbers in an embedding of the published checkpoints
WINDOW = 10.0  # seconds
RECORDING = 360  # windows in a recording: an hour
N_CLUSTERS, SPREAD = 500, 0.5  # kinds of sound, and how far sounds of one kind lie apart, relative to their length
QUERY = "a sound that was asked for before"
SEARCH, PARTS, SQL = "peaudio search", "its parts", "DuckDB's inner product"
ABOUT = About("benchmark", "/nowhere", "0123", "", WIDTH, 10.0, -10.0, WINDOW, 0.0)

BUILD_HEADER = ("windows", "written, s", "copy made, s", "index, GB", "copy, GB")
SEARCH_HEADER = ("windows", "exec to exit", "text", "search", "start and the rest", "by SQL, exec to exit", "exact")


@dataclass(frozen=True)
class Built:
    """An index, the seconds that it took to write and to copy, and its best windows by float64: path and start."""

    path: Path
    written: float
    copied: float
    best: list[list[object]]


def measure(options: Options) -> str:
    """One table of building, one of asking."""
    text = (
        f"Indexes of recordings of an hour, {RECORDING} windows of {WIDTH} numbers each, drawn around {N_CLUSTERS} "
        "centres, as embeddings of sounds lie, and written as `peaudio index` writes them, in a transaction for each "
        "recording; *copy* is the file beside it from which searches read. Then `peaudio search` for ten hits of one "
        f"query whose text is cached, on {options.cpu}, with all files in the page cache: from exec to exit, of which "
        "looking up the text, and the search. *Exact* says whether the ten hits are those of a product in float64 "
        "throughout, in their order; nothing in the search is approximate. *By SQL* is a bare DuckDB that sorts all "
        "windows of the same file by its own `array_inner_product`."
    )
    building, asking = [], []
    for n_windows in options.windows:
        with tempfile.TemporaryDirectory(prefix="peaudio-search-") as work:
            built = _build(Path(work) / "sounds.index", n_windows)
            building.append(_weighed(n_windows, built))
            asking.append([f"{n_windows:,}", *_asked(built, Commands(Path(work), options))])
    return section("Search", text, table(BUILD_HEADER, building), table(SEARCH_HEADER, asking))


def _build(path: Path, n_windows: int) -> Built:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((N_CLUSTERS, WIDTH), np.float32)
    query = centres[0] / WIDTH
    scores = []
    Database.create(path, ABOUT)
    with Database.open(path, read_only=False) as database:
        written = 0.0
        for number, embeddings in enumerate(_recordings(centres, n_windows, rng)):
            starts = np.arange(len(embeddings)) * WINDOW
            entry = IndexedRecording(_name(number), 0, 0, len(embeddings) * WINDOW, 48_000, 1)
            start = time.perf_counter()
            database.put(entry, starts, starts + WINDOW, embeddings)
            written += time.perf_counter() - start
            scores.append(embeddings.astype(np.float64) @ query.astype(np.float64))
        start = time.perf_counter()
        refresh(database)
        copied = time.perf_counter() - start
    order = np.argsort(-np.concatenate(scores), kind="stable")[:N_HITS]
    os.environ["XDG_CACHE_HOME"] = str(path.parent / "cache")  # where the commands look
    LabelCache.of_user(ABOUT.fingerprint, ABOUT.revision, WIDTH).put(QUERY, query)
    return Built(path, written, copied, [[_name(at // RECORDING), at % RECORDING * WINDOW] for at in order.tolist()])


def _recordings(
    centres: NDArray[np.float32], n_windows: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float32]]:
    """The embeddings of one recording after another, around some of the centres, and of lengths that differ."""
    for first in range(0, n_windows, RECORDING):
        n = min(RECORDING, n_windows - first)
        kinds = rng.zipf(1.5, n) % N_CLUSTERS  # few kinds of sound are most of what is heard
        embeddings = centres[kinds] + SPREAD * rng.standard_normal((n, WIDTH), np.float32)
        yield embeddings * rng.uniform(0.7, 1.3, (n, 1)).astype(np.float32)


def _name(number: int) -> str:
    return f"/sounds/{number:06}.wav"


def _weighed(n_windows: int, built: Built) -> list[str]:
    sizes = [gigabytes(path.stat().st_size) for path in (built.path, vectors_path(built.path))]
    return [f"{n_windows:,}", f"{built.written:.1f}", f"{built.copied:.1f}", *sizes]


def _asked(built: Built, commands: Commands) -> list[str]:
    ask = ("-m", "benchmarks.one_search", built.path, QUERY)
    programs: list[Program] = [
        commands.search(SEARCH, built.path, QUERY),
        commands.python(PARTS, *ask),
        commands.python(SQL, *ask, "--sql"),
    ]
    alternate(programs, None, 1)  # files into the page cache
    measured = alternate(programs, None, commands.options.rounds)
    parts = json.loads(measured[PARTS].output)
    rest = measured[SEARCH].median - parts["text"] - parts["search"]
    return [
        seconds(measured[SEARCH]),
        f"{parts['text']:.4f}",
        f"{parts['search']:.3g}",
        f"{rest:.3g}",
        seconds(measured[SQL]),
        "yes" if parts["hits"] == built.best else "NO",
    ]


if __name__ == "__main__":
    run_alone(measure, "search", __doc__)
