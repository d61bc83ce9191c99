"""The index as a DuckDB file: its tables, and changes in one transaction per recording.

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
    A view of both, for people and their queries, in which the path is called ``file``, as in all outputs.
"""

from __future__ import annotations

import contextlib
import math
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from pe_audio_cli import _paths
from pe_audio_cli._extras import require_extra
from pe_audio_cli._files import publish
from pe_audio_cli._paths import reason
from pe_audio_cli.errors import RunError, StoreError, UsageError
from pe_audio_cli.index.condition import LIMIT, MEMORY_LIMIT, bytes_allowed, seconds_allowed, within
from pe_audio_cli.index.files import check_index, clear_way, log_of, place_of, private_folder
from pe_audio_cli.index.schema import CLIPS, CLIPS_FOR_CONDITIONS, COUNT, MAX, TABLES, About, damaged, read_about

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

__all__ = ["BLOCK_WINDOWS", "About", "Clip", "Database", "IndexedRecording"]

VERSION = 2  # of the tables; raise it when they change
STORAGE = "v1.5.0"  # the oldest DuckDB that can read an index: the oldest that this package takes
LOG_SIZE = "64MB"  # at which DuckDB moves its log into the file; the more at once, the less is written twice
BLOCK_WINDOWS = 8192  # windows that are read at once: 32 MiB of 1,024 numbers each
COLUMNS = 'file, start, "end", duration, sample_rate and channels'  # that a condition may speak of


@dataclass(frozen=True, slots=True)
class IndexedRecording:
    """A recording of the index; ``size`` in bytes and ``mtime_ns`` are None for what has neither."""

    path: str
    size: int | None
    mtime_ns: int | None
    duration: float
    sample_rate: int
    channels: int


@dataclass(frozen=True, slots=True)
class Clip:
    """One window of a recording; ``start``, ``end`` and the ``duration`` of the recording are seconds."""

    file: str
    start: float
    end: float
    duration: float


class Database:
    """An open index; a context manager. Many processes may read one at a time, or one write."""

    def __init__(self, path: Path, connection: DuckDBPyConnection, read_only: bool) -> None:
        self.path = path
        self._connection = connection
        self._is_open = True
        self._next_window = self._next_recording = 1
        self._read_only = read_only
        self._known: tuple[str, int, int] | None = None  # what it holds, where it cannot change
        with _read_errors_explained(path):
            self.about = read_about(connection, path, VERSION)

    @classmethod
    def create(cls, path: Path, about: About) -> None:
        """Make an empty index, which appears whole or not at all.

        Raises :class:`RunError` if it cannot be written, and :class:`StoreError` if something is in its way.
        """
        require_extra("search", "an index")
        place = place_of(path)
        clear_way(place)
        marks = ", ".join("?" * (2 + len(fields(About))))
        # Nobody else can put anything beside a database that DuckDB makes in a folder of our own.
        with _write_errors_explained(path), private_folder(place) as folder:
            with contextlib.closing(_connect(folder / "index", read_only=False)) as connection:
                connection.execute(TABLES.format(width=about.width))
                connection.execute(f"INSERT INTO about VALUES ({marks})", [VERSION, _new_state(), *astuple(about)])
                connection.execute("CHECKPOINT")  # as closing does, but that would not tell of a full disk
            try:
                publish(folder / "index", place)
            except FileExistsError as error:
                raise RunError(f"{path} has appeared meanwhile, and is left alone: name another index") from error

    @classmethod
    def open(cls, path: Path, *, read_only: bool = True, accept: Callable[[About], None] | None = None) -> Database:
        """Open an index; whatever is refused, by ``accept`` too, stays as it is, byte for byte.

        Raises :class:`StoreError` if there is none, or if it is damaged, in use or of another version.
        """
        require_extra("search", "an index")
        check_index(path)
        if not read_only and _paths.exists(log_of(place_of(path))):
            cls.open(path, accept=accept).close()  # DuckDB moves its log into the file for who may write
        with _read_errors_explained(path):
            connection = _connect(place_of(path), read_only=read_only)
        try:
            database = cls(path, connection, read_only)
            if accept is not None:
                accept(database.about)
            if not read_only:
                database._next_window = database._after_last("windows")
                database._next_recording = database._after_last("recordings")
        except BaseException:
            connection.close()
            raise
        return database

    @property
    def state(self) -> str:
        """A random name, which changes with the content."""
        return self._summary()[0]

    def counts(self) -> tuple[int, int]:
        """Return the numbers of recordings and windows."""
        _, n_recordings, n_windows = self._summary()
        return n_recordings, n_windows

    def _summary(self) -> tuple[str, int, int]:
        """Return the state and the numbers of recordings and windows."""
        known = self._known
        if known is None:
            counts = ", ".join(f"(SELECT {COUNT} FROM {table})" for table in ("recordings", "windows"))
            with self._cursor() as cursor:
                ((state, n_recordings, n_windows),) = cursor.execute(
                    f"SELECT state, {counts} FROM about LIMIT 1"
                ).fetchall()
            known = (str(state), int(n_recordings), int(n_windows))
            if self._read_only:  # nobody else can write while this process has it open
                self._known = known
        return known

    def stamps(self) -> dict[str, tuple[int | None, int | None]]:
        """Return size and time of change of each recording when it was read, by its path."""
        with self._cursor() as cursor:
            rows = cursor.execute("SELECT path, size, mtime_ns FROM recordings").fetchall()
        if not all(isinstance(path, str) for path, _, _ in rows):
            raise damaged(self.path, "a recording without a path")
        return {path: (size, mtime_ns) for path, size, mtime_ns in rows}

    def put(
        self,
        entry: IndexedRecording,
        starts: NDArray[np.float64],
        ends: NDArray[np.float64],
        embeddings: NDArray[np.float32],
    ) -> None:
        """Add or replace a recording with its windows, ``(n,)``, ``(n,)`` and ``(n, width)``.

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
        """Remove recordings, all or none of them. Raises :class:`RunError` if that cannot be written."""
        with self._change():
            for path in paths:
                self._delete(path)

    def ids(self, where: str) -> NDArray[np.int64]:
        """Return the windows for which a condition in SQL holds, as rising ids.

        Raises :class:`UsageError` for a condition that DuckDB does not understand, or that takes too long, or too much
        memory.
        """
        import duckdb

        if not where.strip():
            raise UsageError(f"the condition is blank: there are {COLUMNS}")
        query = f"SELECT id FROM ({CLIPS_FOR_CONDITIONS}) AS clips WHERE (\n{where}\n) ORDER BY id"
        of_condition = (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError, duckdb.PermissionException)
        seconds, memory = seconds_allowed(), bytes_allowed()

        def ask(cursor: DuckDBPyConnection) -> NDArray[np.int64]:
            if len(cursor.extract_statements(query)) != 1:
                raise UsageError(f"the condition {where!r} is more than one")
            return np.asarray(cursor.execute(query).fetchnumpy()["id"])

        with _read_errors_explained(self.path):
            try:
                return within(seconds, memory, self._new_cursor(), ask)
            except TimeoutError as error:
                raise UsageError(
                    f"the condition {where!r} takes longer than {seconds:g} s: make it simpler, or set {LIMIT} to more"
                ) from error
            except (duckdb.OutOfMemoryException, MemoryError) as error:
                raise UsageError(
                    f"the condition {where!r} needs too much memory: make it simpler, or set {MEMORY_LIMIT} to more "
                    f"than {memory:.0f}"
                ) from error
            except of_condition as error:
                raise UsageError(
                    f"the condition {where!r} does not work: {_reason(error)}; there are {COLUMNS}"
                ) from error

    def clips(self, ids: Sequence[int]) -> dict[int, Clip]:
        """Return the windows of these ids; those of no recording are missing. Raises :class:`StoreError` for others."""
        query = f'SELECT id, file, start, "end", duration FROM ({CLIPS}) WHERE id IN (SELECT unnest(?))'
        with self._cursor() as cursor:
            rows = cursor.execute(query, [list(ids)]).fetchall()
        clips = {number: Clip(*rest) for number, *rest in rows}
        if len(clips) < len(rows) or not all(map(_is_true, clips.values())):
            raise damaged(self.path, "a window that is nowhere in its recording, or in several")
        return clips

    def windows_of(
        self, path: str
    ) -> tuple[IndexedRecording, NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]] | None:
        """Return a recording with the starts and ends of its windows, ``(n,)``, and their embeddings, ``(n, width)``.

        None if it is not in the index. Raises :class:`StoreError` if what is there of it cannot be true.
        """
        columns = ", ".join(field.name for field in fields(IndexedRecording))
        with self._cursor() as cursor:
            rows = cursor.execute(f"SELECT id, {columns} FROM recordings WHERE path = ?", [path]).fetchall()
            if len(rows) != 1:
                return None
            number, *values = rows[0]
            query = 'SELECT start, "end", embedding FROM windows WHERE recording = ? ORDER BY id'
            table: Any = cursor.execute(query, [number]).to_arrow_table()
        numbers = table.column(2).combine_chunks().flatten()
        if numbers.null_count or len(numbers) != len(table) * self.about.width or not len(table):
            raise damaged(self.path, "a recording without embeddings")
        starts, ends = (table.column(place).to_numpy() for place in (0, 1))
        embeddings = numbers.to_numpy().reshape(-1, self.about.width)
        if not all(np.isfinite(each).all() for each in (starts, ends, embeddings)):
            raise damaged(self.path, "numbers that are not finite")
        return IndexedRecording(*values), starts, ends, embeddings

    def blocks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield all windows by rising id, ``BLOCK_WINDOWS`` at a time: ids ``(n,)`` and embeddings ``(n, width)``.

        Raises :class:`StoreError` if there are others than those of an index.
        """
        last = 0
        # Rows come as they were put in, which DuckDB promises, so that gigabytes need no sorting.
        with self._cursor() as cursor:
            for batch in cursor.sql("SELECT id, embedding FROM windows").to_arrow_reader(BLOCK_WINDOWS):
                numbers = batch.column(1).flatten()
                if batch.column(0).null_count or batch.column(1).null_count or numbers.null_count:
                    raise damaged(self.path, "a window without an embedding")
                ids = batch.column(0).to_numpy()
                if len(ids) and (ids[0] <= last or (np.diff(ids) <= 0).any()):
                    raise damaged(self.path, "windows out of order")
                last = ids[-1] if len(ids) else last
                yield ids, numbers.to_numpy().reshape(-1, self.about.width)

    def close(self) -> None:
        """Close the file, with all changes."""
        import duckdb

        self._is_open = False
        with contextlib.suppress(duckdb.Error):  # a condition that was abandoned holds on to it
            self._connection.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _change(self) -> Iterator[DuckDBPyConnection]:
        """Open a transaction, at the end of which the state has another name."""
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

    def _after_last(self, table: str) -> int:
        last = self._one(f"SELECT {MAX}(id) FROM {table}")
        return 1 if last is None else int(last) + 1

    def _one(self, query: str) -> Any:
        with self._cursor() as cursor:
            ((value,),) = cursor.execute(query).fetchall()
        return value

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[DuckDBPyConnection]:
        """Open a connection for one query, so that any number of threads may query, and stop reading early."""
        with _read_errors_explained(self.path), self._new_cursor() as cursor:
            yield cursor

    def _new_cursor(self) -> DuckDBPyConnection:
        if not self._is_open:
            raise StoreError(f"{self.path} has been closed: open it again")
        return self._connection.cursor()


def _is_true(clip: Clip) -> bool:
    numbers = (clip.start, clip.end, clip.duration)
    if not isinstance(clip.file, str) or not all(isinstance(number, float) for number in numbers):
        return False
    return 0 <= clip.start <= clip.end < math.inf and 0 <= clip.duration < math.inf


def _connect(path: Path, *, read_only: bool) -> DuckDBPyConnection:
    import duckdb

    # A condition that a user gives has no business with other files, the network, or variables of Python.
    config: dict[str, Any] = {
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
        "temp_directory": "",
        "lock_configuration": "true",
    }
    if not read_only:
        config |= {"storage_compatibility_version": STORAGE, "checkpoint_threshold": LOG_SIZE}
    return duckdb.connect(path, read_only=read_only, config=config)


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
        raise damaged(path, _reason(error)) from error


@contextlib.contextmanager
def _write_errors_explained(path: Path) -> Iterator[None]:
    import duckdb

    try:
        yield
    except (duckdb.Error, OSError) as error:
        raise RunError(f"cannot write {path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The first line of what DuckDB or the system says, without the paths and pointers to its pages that follow."""
    if isinstance(error, OSError):
        return reason(error)
    return str(error).strip().split("\n")[0].removeprefix("IO Error: ").rstrip(".!")
