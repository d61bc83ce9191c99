"""Long lists of recordings, written by programs: a text file with one a line, or a column of a Parquet table."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import Any

from pe_audio_cli import _paths
from pe_audio_cli._extras import require_extra
from pe_audio_cli._small_files import read_small
from pe_audio_cli.errors import UsageError

__all__ = ["read_manifest"]

COLUMNS = ("file", "path", "url")  # of a table, the first of these that it has
MOST_BYTES = 1 << 30  # of a text file: ten million paths
MOST_ROWS = 10_000_000  # of a table
LONGEST = 1 << 16  # bytes of a path or an address
UTF_16_AND_32 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)  # a UTF-32-LE one begins as UTF-16's


def read_manifest(manifest: Path) -> list[str]:
    """Return the paths and addresses in a manifest, in its order, with repetitions.

    A table ends in ``.parquet``; anything else is UTF-8 text, in which blank lines count for nothing. Relative paths
    start from the current folder, as on the command line. A line that is not UTF-8 names a file by its bytes, where
    there is such a file.

    Raises :class:`UsageError` if it cannot be read, holds nothing, or is a table without a column for this.
    """
    try:
        named = _column(manifest) if manifest.suffix.lower() == ".parquet" else _lines(manifest)
    except OSError as error:
        raise UsageError(f"cannot read the manifest {manifest}: {_paths.reason(error)}") from error
    if not named:
        raise UsageError(f"the manifest {manifest} names no recording")
    return named


def _lines(manifest: Path) -> list[str]:
    content = read_small(manifest, MOST_BYTES)
    if content.startswith(UTF_16_AND_32):
        raise UsageError(f"the manifest {manifest} is not UTF-8 but UTF-16 or UTF-32: save it as UTF-8")
    lines = content.removeprefix(codecs.BOM_UTF8).split(b"\n")
    return [
        _decoded(manifest, number, line.removesuffix(b"\r")) for number, line in enumerate(lines, 1) if line.strip()
    ]


def _decoded(manifest: Path, number: int, line: bytes) -> str:
    """A line as text; the bytes of a file's name that is not UTF-8 as the system hands such names to Python."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        name = line.decode("utf-8", "surrogateescape")
        if os.name == "posix" and _paths.exists(name):
            return name
        raise UsageError(
            f"the manifest {manifest} is not UTF-8 (line {number}), and there is no file with these bytes for a name: "
            "save it as UTF-8"
        ) from error


def _column(manifest: Path) -> list[str]:
    require_extra("parquet", f"the manifest {manifest}", "list the recordings in a text file")
    import pyarrow as pa
    from pyarrow import parquet

    with manifest.open("rb") as opened:
        try:
            table: Any = parquet.ParquetFile(opened)
            name = _name_of_column(manifest, table.schema_arrow)
            _check_size(manifest, table)
            named = [each for batch in table.iter_batches(columns=[name]) for each in _texts(manifest, batch.column(0))]
        except (pa.ArrowException, OSError, ValueError, LookupError, MemoryError, RecursionError) as error:
            # Arrow says with any of these that the file is damaged.
            raise UsageError(f"the manifest {manifest} is no Parquet table, or damaged: write it again") from error
    texts = [each for each in named if isinstance(each, str)]
    if len(texts) < len(named):
        raise UsageError(f"the manifest {manifest} has rows in the column {name} that are not text")
    return texts


def _check_size(manifest: Path, table: Any) -> None:
    """Raise :class:`UsageError` for more rows than anybody has recordings: a few kilobytes can claim billions."""
    if table.metadata.num_rows > MOST_ROWS:
        raise UsageError(f"the manifest {manifest} has more than {MOST_ROWS:,} rows: split it")


def _texts(manifest: Path, column: Any) -> list[object]:
    """The values of some rows. Raises :class:`UsageError` for a text that is no path: each row repeats it in memory."""
    import pyarrow as pa
    from pyarrow import compute

    values = column.dictionary if isinstance(column, pa.DictionaryArray) else column
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        longest = compute.max(compute.binary_length(values)).as_py()
        if longest is not None and longest > LONGEST:
            raise UsageError(f"the manifest {manifest} has a text of {longest:,} bytes for a path: correct it")
    texts: list[object] = column.to_pylist()
    return texts


def _name_of_column(manifest: Path, schema: Any) -> str:
    name = next((name for name in COLUMNS if name in schema.names), None)
    if name is None:
        raise UsageError(f"the manifest {manifest} has no column {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}")
    if schema.names.count(name) > 1:
        raise UsageError(f"the manifest {manifest} has several columns {name}: leave one of them")
    return name
