"""A program: asks an index one thing, for its time from exec to exit, and tells where that goes.

``python -m benchmarks.one_search INDEX QUERY`` asks as ``peaudio search`` does, and prints JSON: the seconds that took
the text embedding and the search, and the hits as pairs of path and start. With ``--sql`` DuckDB alone is asked, for
its own exact inner product.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pe_audio_cli.index.database import About

N_HITS = 10


def main(index: str, query: str, sql: str = "") -> None:
    """Run as a program."""
    print(json.dumps(by_sql(index, query) if sql else by_index(index, query)))


def by_index(index: str, query: str) -> dict[str, object]:
    """Search as the command does after reading its flags."""
    from pe_audio_cli import Index
    from pe_audio_cli.index.search import SearchOptions

    with Index(index) as opened:
        start = time.perf_counter()
        look_up(opened.about, query)
        text = time.perf_counter() - start
        (result,) = opened.search(query, SearchOptions(N_HITS))
        both = time.perf_counter() - start
    hits = [(hit.file, hit.start) for hit in result.hits]
    return {"text": text, "search": both - 2 * text, "hits": hits}  # the search looks the text up once more


def by_sql(index: str, query: str) -> dict[str, object]:
    """DuckDB's ``array_inner_product`` over all windows."""
    import duckdb

    from pe_audio_cli.index.database import Database

    with Database.open(Path(index)) as database:
        text = look_up(database.about, query)
    best = (
        f"SELECT file, start FROM clips ORDER BY array_inner_product(embedding, ?::FLOAT[{len(text)}]) DESC "
        f"LIMIT {N_HITS}"
    )
    with duckdb.connect(index, read_only=True) as connection:
        return {"hits": connection.execute(best, [text]).fetchall()}


def look_up(about: About, query: str) -> NDArray[np.float32]:
    """The text embedding ``(width,)``, from the label cache, where it must be."""
    from pe_audio_cli.models.text_cache import LabelCache

    embedding = LabelCache.of_user(about.fingerprint, about.revision, about.width).get(query)
    assert embedding is not None
    return embedding


if __name__ == "__main__":
    main(*sys.argv[1:])
