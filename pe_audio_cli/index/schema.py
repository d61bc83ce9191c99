"""The tables of an index, and the check that a database from anywhere has them.

Nothing that stands in it is run: where a table is expected, a view is refused, and so is a column that is computed. A
database may bring functions of its own that bear the names of DuckDB's, so queries name those by their full names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pe_audio_cli.errors import StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["CLIPS", "CLIPS_FOR_CONDITIONS", "COUNT", "MAX", "TABLES", "About", "damaged", "read_about"]

COUNT, MAX = "system.main.count(*)", "system.main.max"

COLUMNS = {
    "about": "version INTEGER, state VARCHAR, model VARCHAR, folder VARCHAR, fingerprint VARCHAR, revision VARCHAR, "
    "width INTEGER, logit_scale DOUBLE, logit_bias DOUBLE, window_seconds DOUBLE, overlap_seconds DOUBLE, "
    "audio_track INTEGER",
    "recordings": "id BIGINT, path VARCHAR, size BIGINT, mtime_ns BIGINT, duration DOUBLE, sample_rate INTEGER, "
    "channels INTEGER",
    "windows": 'id BIGINT, recording BIGINT, start DOUBLE, "end" DOUBLE, embedding FLOAT[{width}]',
}
COLUMNS_OF_CLIPS = ("path AS file", "start", '"end"', "duration", "sample_rate", "channels", "embedding")
FROM_BOTH = "FROM windows JOIN recordings ON recordings.id = windows.recording"
CLIPS = f"SELECT windows.id, {', '.join(COLUMNS_OF_CLIPS)} {FROM_BOTH}"
# Conditions may call a recording ``path``, too: that was its only name in earlier versions.
CLIPS_FOR_CONDITIONS = f"SELECT windows.id, path, {', '.join(COLUMNS_OF_CLIPS)} {FROM_BOTH}"
TABLES = "".join(f"CREATE TABLE {name} ({columns});\n" for name, columns in COLUMNS.items())
TABLES += f"CREATE VIEW clips AS {CLIPS};\n"

MAX_WIDTH = 1 << 16  # numbers of an embedding
MAX_TEXT = 10_000  # characters of a name or a path
REVISION = r"[0-9A-Za-z_.-]*"  # a part of a path
LEAST_LIMIT = 1 << 30  # bytes that the embeddings of any index may take,
MAX_RATIO = 1000  # and so many times what its file takes: not even recordings that are all alike compress so well


@dataclass(frozen=True, slots=True)
class About:
    """The origin of the embeddings of an index.

    ``model`` is the checkpoint as the user called it, ``folder`` where it lay, ``fingerprint`` and ``revision`` what
    tells it from any other. logit = ``logit_scale`` * (audio . text) + ``logit_bias``, of embeddings of ``width``
    numbers. ``window_seconds`` is None where each recording is one window.
    ``audio_track`` is the sound of files with several, counted from 1; None is the one that players choose.
    """

    model: str
    folder: str
    fingerprint: str
    revision: str
    width: int
    logit_scale: float
    logit_bias: float
    window_seconds: float | None
    overlap_seconds: float
    audio_track: int | None = None

    def check(self, path: Path, fingerprint: str, model: str) -> None:
        """Raise :class:`StoreError` if the checkpoint called ``model`` is not the one that the index was made with."""
        if fingerprint != self.fingerprint:
            raise StoreError(
                f"{path} was made with {self.model}, and {model} is another checkpoint now: name the one that it was "
                "made with (-m), or index the recordings again, into another file"
            )

    def flaw(self) -> str | None:
        """Return a description of an impossible value; None if there is none."""
        texts = (self.model, self.folder, self.fingerprint, self.revision)
        if not all(isinstance(text, str) and len(text) <= MAX_TEXT for text in texts):
            return "it does not say which model it was made with"
        if not re.fullmatch(REVISION, self.revision):
            return f"{self.revision!r} is no commit"
        if not isinstance(self.width, int) or not 1 <= self.width <= MAX_WIDTH:
            return f"embeddings of {self.width} numbers"
        if not (_is_finite(self.logit_scale) and _is_finite(self.logit_bias)):
            return "the model's scale or bias is no number"
        window, overlap = self.window_seconds, self.overlap_seconds
        if not _is_finite(overlap) or overlap < 0 or (window is not None and not (_is_finite(window) and window > 0)):
            return f"windows of {window} s with an overlap of {overlap} s"
        if self.audio_track is not None and self.audio_track < 1:
            return f"audio track {self.audio_track}"
        return None


def damaged(path: Path, reason: str) -> StoreError:
    """Return the error for an index that cannot be read, or has impossible values."""
    return StoreError(f"{path} cannot be read as an index ({reason}): index the recordings again, into another file")


def read_about(connection: DuckDBPyConnection, path: Path, version: int) -> About:
    """Read the table ``about``, after a check that all tables are those of an index of this version.

    Raises :class:`StoreError` if they are not, or what stands there cannot be true.
    """
    tables = _tables(connection)
    if ("version", "INTEGER") not in tables.get("about", ()):
        raise StoreError(f"{path} is a DuckDB database, but no index of peaudio")
    made_as = _only_row(connection, path, ["version"])[0]
    if made_as != version:
        raise StoreError(
            f"{path} is an index of version {made_as}, and this peaudio reads version {version}: index the recordings "
            "again, into another file"
        )
    _check_columns(path, "about", tables)
    about = About(*_only_row(connection, path, [field.name for field in fields(About)]))
    flaw = about.flaw()
    if flaw is not None:
        raise damaged(path, flaw)
    for name in ("recordings", "windows"):
        _check_columns(path, name, tables, about.width)
    _check_size(connection, path, about.width)
    return about


def _tables(connection: DuckDBPyConnection) -> dict[str, list[tuple[str, str]]]:
    """Return names and types of the columns of each known table; no views, and no tables with computed columns."""
    query = "SELECT table_name, sql FROM system.main.duckdb_tables() WHERE NOT internal AND schema_name = 'main'"
    plain = [name for name, sql in connection.execute(query).fetchall() if "GENERATED" not in sql and name in COLUMNS]
    described = {name: connection.execute(f"SELECT * FROM {name} LIMIT 0").description for name in plain}
    return {name: [(column, str(kind)) for column, kind, *_ in columns] for name, columns in described.items()}


def _check_columns(path: Path, name: str, tables: dict[str, list[tuple[str, str]]], width: int = 0) -> None:
    expected = [
        (column.strip('"'), kind)
        for column, kind in (each.split() for each in COLUMNS[name].format(width=width).split(", "))
    ]
    if name not in tables:
        raise damaged(path, f"it has no table {name}")
    if tables[name] != expected:
        raise damaged(path, f"its table {name} has other columns than those of an index")


def _only_row(connection: DuckDBPyConnection, path: Path, columns: Sequence[str]) -> tuple[Any, ...]:
    rows = connection.execute(f"SELECT {', '.join(columns)} FROM about LIMIT 2").fetchall()
    if len(rows) != 1:
        raise damaged(path, "its table about has no row or several")
    return tuple(rows[0])


def _check_size(connection: DuckDBPyConnection, path: Path, width: int) -> None:
    """Refuse a small file that claims to hold what would fill a disk or the memory."""
    counts = ", ".join(f"(SELECT {COUNT} FROM {name})" for name in ("windows", "recordings"))
    n_windows, n_recordings = connection.execute(f"SELECT {counts}").fetchall()[0]
    size = path.stat().st_size
    if n_windows * width * 4 + n_recordings * 64 > LEAST_LIMIT + MAX_RATIO * size:
        raise damaged(path, f"{n_windows} windows of {n_recordings} recordings in a file of {size} bytes")


def _is_finite(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)
