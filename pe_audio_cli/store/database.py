"""The index as a DuckDB file: what it holds, and how it changes, by one transaction a recording.

``about``
    One row: the layout's version, the checkpoint, how recordings are cut, and ``state``, which is another random name
    after every change.
``recordings``
    ``id``, ``path`` (absolute), ``size`` (bytes) and ``mtime_ns`` when it was read, ``duration`` (seconds),
    ``sample_rate`` and ``channels``.
``windows``
    ``id``, which rises from recording to recording, ``recording`` (its id), ``start`` and ``end`` (seconds),
    ``embedding``.
``clips``
    A view of both, for people and their queries.
"""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from pe_audio_cli.errors import RunError, StoreError, UsageError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

__all__ = ["BLOCK", "About", "Clip", "Database", "Entry", "need_search_extra"]

VERSION = 1  # of the tables; raise it when they change
STORAGE = "v1.5.0"  # the oldest DuckDB that can read an index: the oldest that this package takes
LOG_SIZE = "64MB"  # at which DuckDB moves its log into the file; the more at once, the less is written twice
BLOCK = 8192  # windows that are read at once: 32 MiB of 1,024 numbers each
COLUMNS = 'path, start, "end", duration, sample_rate and channels'  # that a condition may speak of

TABLES = """
CREATE TABLE about (
    version INTEGER, state VARCHAR, model VARCHAR, folder VARCHAR, fingerprint VARCHAR, revision VARCHAR,
    width INTEGER, logit_scale DOUBLE, logit_bias DOUBLE, window_seconds DOUBLE, overlap_seconds DOUBLE
);
CREATE TABLE recordings (
    id BIGINT, path VARCHAR, size BIGINT, mtime_ns BIGINT, duration DOUBLE, sample_rate INTEGER, channels INTEGER
);
CREATE TABLE windows (id BIGINT, recording BIGINT, start DOUBLE, "end" DOUBLE, embedding FLOAT[{width}]);
CREATE VIEW clips AS
    SELECT windows.id, path, start, "end", duration, sample_rate, channels, embedding
    FROM windows JOIN recordings ON recordings.id = windows.recording;
"""


@dataclass(frozen=True, slots=True)
class About:
    """What an index remembers of how its embeddings came about.

    ``model`` is the checkpoint as the user called it, ``folder`` where it lay, ``fingerprint`` and ``revision`` what
    tells it from any other. logit = ``logit_scale`` * (audio . text) + ``logit_bias``, of embeddings of ``width``
    numbers. ``window_seconds`` is None where each recording is one window.
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

    def check(self, path: Path, fingerprint: str, model: str) -> None:
        """Raise :class:`StoreError` if the checkpoint called ``model`` is not the one that the index was made with."""
        if fingerprint != self.fingerprint:
            raise StoreError(
                f"{path} was made with {self.model}, and {model} is another checkpoint now: name the one that it was "
                "made with (-m), or index the recordings again, into another file"
            )


@dataclass(frozen=True, slots=True)
class Entry:
    """A recording as the index knows it; ``size`` in bytes and ``mtime_ns`` are None for what has neither."""

    path: str
    size: int | None
    mtime_ns: int | None
    duration: float
    sample_rate: int
    channels: int


@dataclass(frozen=True, slots=True)
class Clip:
    """One window of a recording, and how long that is, in seconds."""

    path: str
    start: float
    end: float
    duration: float


class Database:
    """An open index; a context manager. Many processes may read one at a time, or one write."""

    def __init__(self, path: Path, connection: DuckDBPyConnection) -> None:
        self.path = path
        self._connection = connection
        self.about = self._read_about()
        self._next_window = self._after_last("windows")
        self._next_recording = self._after_last("recordings")

    @classmethod
    def create(cls, path: Path, about: About) -> None:
        """Make an empty index, which appears whole or not at all. Raises :class:`RunError` if it cannot be written."""
        need_search_extra()
        part = path.with_name(f"{path.name}.part")
        logs = [_log_of(part), _log_of(path)]  # of an index that is gone, nothing must come into the new one
        marks = ", ".join("?" * (2 + len(fields(About))))
        with _write_errors_explained(path):
            try:
                for old in (part, *logs):
                    old.unlink(missing_ok=True)
                with contextlib.closing(_connect(part, read_only=False)) as connection:
                    connection.execute(TABLES.format(width=about.width))
                    connection.execute(f"INSERT INTO about VALUES ({marks})", [VERSION, _new_state(), *astuple(about)])
                    connection.execute("CHECKPOINT")  # as closing does, but that would not tell of a full disk
                os.replace(part, path)
            except BaseException:
                for new in (part, _log_of(part)):
                    new.unlink(missing_ok=True)
                raise

    @classmethod
    def open(cls, path: Path, *, read_only: bool = True) -> Database:
        """Open an index.

        Raises :class:`StoreError` if there is none, or if it is damaged, in use or of another version.
        """
        need_search_extra()
        if path.is_dir():
            raise StoreError(f"{path} is a folder, and an index is a file")
        if not path.exists():
            raise StoreError(f"there is no index at {path}: make one with peaudio index PATH... --index {path}")
        with _read_errors_explained(path):
            connection = _connect(path, read_only=read_only)
        try:
            return cls(path, connection)
        except BaseException:
            connection.close()
            raise

    @property
    def state(self) -> str:
        """A name for what it holds now."""
        return str(self._one("SELECT state FROM about"))

    def counts(self) -> tuple[int, int]:
        """How many recordings and windows there are."""
        return int(self._one("SELECT count(*) FROM recordings")), int(self._one("SELECT count(*) FROM windows"))

    def stamps(self) -> dict[str, tuple[int | None, int | None]]:
        """Size and time of change of each recording when it was read, by its path."""
        with _read_errors_explained(self.path):
            rows = self._connection.execute("SELECT path, size, mtime_ns FROM recordings").fetchall()
        return {path: (size, mtime_ns) for path, size, mtime_ns in rows}

    def put(
        self, entry: Entry, starts: NDArray[np.float64], ends: NDArray[np.float64], embeddings: NDArray[np.float32]
    ) -> None:
        """Add a recording with its windows, ``(n,)``, ``(n,)`` and ``(n, width)``, instead of what is there of it.

        Raises :class:`RunError` if it cannot be written; nothing has changed then.
        """
        import pyarrow as pa

        n, width = embeddings.shape
        numbers = pa.array(np.ascontiguousarray(embeddings, np.float32).reshape(-1))
        incoming = pa.table(
            {
                "id": pa.array(np.arange(self._next_window, self._next_window + n)),
                "recording": pa.array(np.full(n, self._next_recording)),
                "start": pa.array(starts),
                "end": pa.array(ends),
                "embedding": pa.FixedSizeListArray.from_arrays(numbers, width),
            }
        )
        with self._change() as connection:
            self._delete(entry.path)
            values = [self._next_recording, *astuple(entry)]
            connection.execute(f"INSERT INTO recordings VALUES ({', '.join('?' * len(values))})", values)
            connection.register("incoming", incoming)
            connection.execute('INSERT INTO windows SELECT id, recording, start, "end", embedding FROM incoming')
            connection.unregister("incoming")
        self._next_window += n
        self._next_recording += 1

    def drop(self, paths: Sequence[str]) -> None:
        """Forget recordings, all or none of them. Raises :class:`RunError` if that cannot be written."""
        with self._change():
            for path in paths:
                self._delete(path)

    def ids(self, where: str) -> NDArray[np.int64]:
        """The windows for which a condition in SQL holds, as rising ids.

        Raises :class:`UsageError` for a condition that DuckDB does not understand.
        """
        import duckdb

        if not where.strip():
            raise UsageError(f"the condition is blank: there are {COLUMNS}")
        query = f"SELECT id FROM clips WHERE (\n{where}\n) ORDER BY id"
        of_condition = (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError, duckdb.PermissionException)
        with _read_errors_explained(self.path):
            try:
                if len(self._connection.extract_statements(query)) != 1:
                    raise UsageError(f"the condition {where!r} is more than one")
                return np.asarray(self._connection.execute(query).fetchnumpy()["id"])
            except of_condition as error:
                reason = f"{_reason(error)}; there are {COLUMNS}"
                raise UsageError(f"the condition {where!r} does not work: {reason}") from error

    def clips(self, ids: Sequence[int]) -> dict[int, Clip]:
        """The windows of these ids."""
        query = (
            'SELECT windows.id, path, start, "end", duration '
            "FROM windows JOIN recordings ON recordings.id = windows.recording "
            "WHERE windows.id IN (SELECT unnest(?))"
        )
        with _read_errors_explained(self.path):
            rows = self._connection.execute(query, [list(ids)]).fetchall()
        return {number: Clip(*rest) for number, *rest in rows}

    def blocks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """All windows by rising id, ``BLOCK`` at a time: ids ``(n,)`` and embeddings ``(n, width)``."""
        # A cursor of its own: the connection can be asked other things before all is read, or if it never is. Rows
        # come as they were put in, which DuckDB promises, so that gigabytes need no sorting.
        with _read_errors_explained(self.path), self._connection.cursor() as cursor:
            for batch in cursor.sql("SELECT id, embedding FROM windows").to_arrow_reader(BLOCK):
                embeddings = batch.column(1).flatten().to_numpy().reshape(-1, self.about.width)
                yield batch.column(0).to_numpy(), embeddings

    def close(self) -> None:
        """Let go of the file, with all that was changed in it."""
        self._connection.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _change(self) -> Iterator[DuckDBPyConnection]:
        """A transaction, at the end of which the state has another name."""
        connection = self._connection
        with _write_errors_explained(self.path):
            connection.begin()
            try:
                yield connection
                connection.execute("UPDATE about SET state = ?", [_new_state()])
                connection.commit()
            except BaseException:
                with contextlib.suppress(Exception):  # what failed first is what matters
                    connection.rollback()
                raise

    def _delete(self, path: str) -> None:
        for (recording,) in self._connection.execute("SELECT id FROM recordings WHERE path = ?", [path]).fetchall():
            self._connection.execute("DELETE FROM windows WHERE recording = ?", [recording])
            self._connection.execute("DELETE FROM recordings WHERE id = ?", [recording])

    def _read_about(self) -> About:
        import duckdb

        with _read_errors_explained(self.path):
            try:
                ((version,),) = self._connection.execute("SELECT version FROM about").fetchall()
            except (duckdb.ProgrammingError, ValueError) as error:
                raise StoreError(f"{self.path} is a DuckDB database, but no index of peaudio") from error
            if version != VERSION:
                raise StoreError(
                    f"{self.path} is an index of version {version}, and this peaudio reads version {VERSION}: index "
                    "the recordings again, into another file"
                )
            columns = ", ".join(field.name for field in fields(About))
            ((*about,),) = self._connection.execute(f"SELECT {columns} FROM about").fetchall()
        return About(*about)

    def _after_last(self, table: str) -> int:
        return int(self._one(f"SELECT coalesce(max(id), 0) + 1 FROM {table}"))

    def _one(self, query: str) -> Any:
        with _read_errors_explained(self.path):
            ((value,),) = self._connection.execute(query).fetchall()
        return value


def _connect(path: Path, *, read_only: bool) -> DuckDBPyConnection:
    import duckdb

    # A condition that a user gives has no business with other files or the network.
    config: dict[str, Any] = {"enable_external_access": "false"}
    if not read_only:
        config |= {"storage_compatibility_version": STORAGE, "checkpoint_threshold": LOG_SIZE}
    return duckdb.connect(path, read_only=read_only, config=config)


def _log_of(path: Path) -> Path:
    """DuckDB's write-ahead log beside a database."""
    return path.with_name(f"{path.name}.wal")


def need_search_extra() -> None:
    """Raise :class:`UsageError` if a package is missing that an index needs."""
    for package in ("duckdb", "pyarrow"):
        if find_spec(package) is None:
            raise UsageError(f"an index needs {package}: pip install 'pe-audio-cli[search]'")


def _new_state() -> str:
    return uuid.uuid4().hex


@contextlib.contextmanager
def _read_errors_explained(path: Path) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        holder = re.search(r"lock is held in .*\(PID (\d+)\)", str(error))
        if holder is not None:
            raise StoreError(f"{path} is in use by process {holder[1]}: wait until it is done") from error
        raise StoreError(
            f"{path} cannot be read as an index ({_reason(error)}): index the recordings again, into another file"
        ) from error


@contextlib.contextmanager
def _write_errors_explained(path: Path) -> Iterator[None]:
    import duckdb

    try:
        yield
    except (duckdb.Error, OSError) as error:
        raise RunError(f"cannot write {path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The first line of what DuckDB says, without the paths and pointers to its pages that follow."""
    return str(error).strip().split("\n")[0].removeprefix("IO Error: ").rstrip(".!")
