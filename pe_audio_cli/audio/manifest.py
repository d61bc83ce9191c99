"""Long lists of recordings, written by programs: a text file with one a line, or a column of a Parquet table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pe_audio_cli.errors import UsageError

__all__ = ["read_manifest"]

COLUMNS = ("file", "path", "url")  # of a table, the first of these that it has


def read_manifest(manifest: Path) -> list[str]:
    """The paths and addresses in a manifest, in its order, as often as they stand in it.

    A table ends in ``.parquet``; anything else is UTF-8 text, in which blank lines count for nothing. Relative paths
    start from the current folder, as on the command line.

    Raises :class:`UsageError` if it cannot be read, holds nothing, or is a table without a column for this.
    """
    try:
        named = _column(manifest) if manifest.suffix.lower() == ".parquet" else _lines(manifest)
    except OSError as error:
        raise UsageError(f"cannot read the manifest {manifest}: {error.strerror}") from error
    if not named:
        raise UsageError(f"the manifest {manifest} names no recording")
    return named


def _lines(manifest: Path) -> list[str]:
    try:
        text = manifest.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"the manifest {manifest} is not UTF-8 (byte {error.start}): save it as UTF-8") from error
    # Not splitlines(), which also cuts at characters that may stand in a name.
    return [line.removesuffix("\r") for line in text.split("\n") if line.strip()]


def _column(manifest: Path) -> list[str]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(
            f"the manifest {manifest} needs pyarrow (pip install 'pe-audio-cli[ray]'): install it, or list the "
            "recordings in a text file"
        ) from error
    try:
        with manifest.open("rb") as opened:
            table: Any = parquet.ParquetFile(opened)
            name = next((name for name in COLUMNS if name in table.schema_arrow.names), None)
            if name is None:
                raise UsageError(f"the manifest {manifest} has no column {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}")
            named: list[str] = table.read([name])[name].to_pylist()
    except pa.ArrowInvalid as error:
        raise UsageError(f"the manifest {manifest} is no Parquet table: write it again") from error
    if not all(isinstance(each, str) for each in named):
        raise UsageError(f"the manifest {manifest} has rows in the column {name} that are not text")
    return named
