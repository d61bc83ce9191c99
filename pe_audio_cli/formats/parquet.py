"""Parquet: a table with a row for each recording and the column names of the JSON format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

from pe_audio_cli.formats.base import WriteOptions, Writer
from pe_audio_cli.formats.draft import unwritten
from pe_audio_cli.formats.escaping import utf8_text
from pe_audio_cli.formats.json import error_object, event_object, localize_head, tag_object
from pe_audio_cli.results import FileError, LocalizeResult, TagResult, Written

__all__ = ["ParquetWriter"]

ROW_GROUP = 1024  # recordings that are written, and read, at once


class ParquetWriter(Writer):
    """A table (https://parquet.apache.org), written to the binary stream under the text stream.

    A recording that failed has its name and its error only. The file can be read only after :meth:`close`.
    """

    name = "parquet"
    extensions = (".parquet",)
    commands = frozenset({"tag", "localize"})
    extra = "parquet"
    resumable = False

    def __init__(self, stream: TextIO, options: WriteOptions) -> None:
        super().__init__(stream, options)
        self._rows: list[Any] = []  # tables of one row each

    def open(self, written: int = 0) -> None:
        """Begin the table."""
        from pyarrow.parquet import ParquetWriter as TableWriter

        self._schema = _schema(self.options)
        self._table = TableWriter(_Sink(self.stream), self._schema)

    def write(self, result: Written) -> None:
        """Add one row."""
        self._take(self._row(result))

    def put(self, result: Written) -> None:
        """Add one row; raises :class:`InputError` if it cannot be made."""
        try:
            row = self._row(result)
        except Exception as error:
            raise unwritten(result, error) from error
        self._take(row)

    def close(self) -> None:
        """Write the remaining rows and the footer."""
        self._flush()
        self._table.close()

    def _row(self, result: Written) -> Any:
        import pyarrow as pa

        return pa.Table.from_pylist([_clean(_object(result))], self._schema)

    def _take(self, row: Any) -> None:
        self._rows.append(row)
        if len(self._rows) == ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._table.write_table(pa.concat_tables(self._rows).combine_chunks())
        self._rows = []


class _Sink:
    """The binary stream under a text stream.

    Writes after it is closed are ignored, because pyarrow finishes an abandoned table when it is garbage collected.
    """

    closed = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, content: bytes) -> int:
        if self._stream.closed:
            return len(content)
        return self._stream.buffer.write(content)

    def flush(self) -> None:
        if not self._stream.closed:
            self._stream.flush()


def _object(result: Written) -> dict[str, Any]:
    if isinstance(result, TagResult):
        return tag_object(result)
    if isinstance(result, LocalizeResult):
        thresholds = [{"label": label, "threshold": value} for label, value in result.thresholds.items()]
        events = [event_object(event, result.taught) for event in result.events]
        return {**localize_head(result), "thresholds": thresholds or None, "events": events}
    assert isinstance(result, FileError)
    return error_object(result)


def _clean(value: Any) -> Any:
    """Return the value with all of its text as valid UTF-8."""
    if isinstance(value, Mapping):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return utf8_text(value) if isinstance(value, str) else value


def _schema(options: WriteOptions) -> Any:
    import pyarrow as pa

    taught = {"taught": pa.bool_()}  # true, or null for labels that are words
    tags = pa.list_(pa.struct({"label": pa.string(), "probability": pa.float64(), **taught}))
    spans = {"start": pa.float64(), "end": pa.float64()}
    columns = {
        "file": pa.string(),
        "duration": pa.float64(),
        "sample_rate": pa.int64(),
        "channels": pa.int64(),
        "warnings": pa.list_(pa.string()),
        "model": pa.string(),
    }
    if options.command == "tag":
        columns |= {"windows": pa.int64(), "tags": tags}
        if options.per_window:
            columns["per_window"] = pa.list_(pa.struct({**spans, "tags": tags}))
    else:
        event = pa.struct({"label": pa.string(), **spans, "probability": pa.float64(), **taught})
        threshold = pa.struct({"label": pa.string(), "threshold": pa.float64()})
        columns |= {"frame_seconds": pa.float64(), "threshold": pa.float64(), "thresholds": pa.list_(threshold)}
        columns["events"] = pa.list_(event)
    columns["error"] = pa.struct({"kind": pa.string(), "message": pa.string()})
    return pa.schema(columns)
