"""Embedding files, read back with NumPy and pyarrow."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas
import polars
import pyarrow.parquet
import pytest

from pe_audio_cli.errors import UsageError
from pe_audio_cli.formats import embeddings as module
from pe_audio_cli.formats.embeddings import (
    EMBEDDING_WRITERS,
    NpzEmbeddingWriter,
    ParquetEmbeddingWriter,
    embedding_writer,
)
from pe_audio_cli.results import EmbedResult, Recording

WIDTH = 6
PATHS = ("clips/dog.wav", "clips/łódź, 犬.flac", "clips/\udcff.wav")
AS_TEXT = ("clips/dog.wav", "clips/łódź, 犬.flac", r"clips/\udcff.wav")


def results(n_rows: tuple[int, ...] = (1, 3, 2)) -> Iterator[EmbedResult]:
    rng = np.random.default_rng(0)
    for path, n in zip(PATHS, n_rows, strict=True):
        starts = np.arange(n) * 10.0
        numbers = rng.standard_normal((n, WIDTH)).astype(np.float32)
        yield EmbedResult(Recording(path, n * 10.0 - 0.5, 48_000, 1), "base", "0123", starts, starts + 9.5, numbers)


def written(writer, precision="float32", items=None) -> io.BytesIO:
    stream = io.BytesIO()
    opened = writer(stream, precision)
    for result in results() if items is None else items:
        opened.write(result)
    opened.close()
    stream.seek(0)
    return stream


def by_pandas(file: Path) -> dict[str, np.ndarray]:
    table = pandas.read_parquet(file)
    return {name: np.stack(table[name]) if name == "embedding" else table[name].to_numpy() for name in table}


def by_polars(file: Path) -> dict[str, np.ndarray]:
    table = polars.read_parquet(file)
    return {name: table[name].to_numpy() for name in table.columns}


def by_duckdb(file: Path) -> dict[str, np.ndarray]:
    with duckdb.connect() as connection:
        rows = connection.sql(f"SELECT * FROM '{file}'")
        columns = zip(*rows.fetchall(), strict=True)
        return {name: np.array(column) for name, column in zip(rows.columns, columns, strict=True)}


def check(columns: dict[str, np.ndarray], names: tuple[str, ...], precision: str) -> None:
    right = list(results())
    n_rows = [len(result.starts) for result in right]
    assert columns["file"].tolist() == np.repeat(names, n_rows).tolist()
    np.testing.assert_array_equal(columns["start"], np.concatenate([result.starts for result in right]))
    np.testing.assert_array_equal(columns["end"], np.concatenate([result.ends for result in right]))
    np.testing.assert_array_equal(columns["duration"], np.repeat([9.5, 29.5, 19.5], n_rows))
    numbers = np.concatenate([result.embeddings for result in right]).astype(precision)
    np.testing.assert_array_equal(columns["embedding"].astype(np.float32), numbers.astype(np.float32))


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("read", [by_pandas, by_polars, by_duckdb])
def test_parquet_is_what_others_read(tmp_path, read: Callable, precision: str):
    (tmp_path / "clips.parquet").write_bytes(written(ParquetEmbeddingWriter, precision).getvalue())
    columns = read(tmp_path / "clips.parquet")
    assert set(columns) == {"file", "start", "end", "duration", "fingerprint", "embedding"}
    check(columns, AS_TEXT, precision)
    assert set(columns["fingerprint"].tolist()) == {"0123"}


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_parquet_has_numbers_of_the_type_that_was_asked_for(precision):
    schema = pyarrow.parquet.read_schema(written(ParquetEmbeddingWriter, precision))
    kind = {"float32": pyarrow.float32(), "float16": pyarrow.float16()}[precision]
    assert schema.field("embedding").type == pyarrow.list_(kind, WIDTH)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_an_archive_is_what_numpy_loads(precision):
    with np.load(written(NpzEmbeddingWriter, precision)) as archive:
        columns = dict(archive)
    assert columns["embedding"].dtype == precision
    assert columns.pop("fingerprint") == "0123"
    assert set(columns) == {"file", "start", "end", "duration", "embedding"}
    check(columns, PATHS, precision)


def test_parquet_is_written_row_group_by_row_group(monkeypatch):
    """A recording's frames may be many, and those of each a few."""
    monkeypatch.setattr(module, "ROW_GROUP", 4)
    stream = written(ParquetEmbeddingWriter, items=[*results((1, 2, 11)), *results((1, 1, 1))])
    groups = pyarrow.parquet.ParquetFile(stream).metadata
    sizes = [groups.row_group(index).num_rows for index in range(groups.num_row_groups)]
    assert sum(sizes) == 17
    assert all(4 <= size < 8 for size in sizes[:-1])


@pytest.mark.parametrize("writer", EMBEDDING_WRITERS)
def test_the_extension_chooses_the_format(writer):
    assert embedding_writer(f"a.b/clips{writer.extension.upper()}") is writer


@pytest.mark.parametrize("path", ["clips.csv", "clips", "clips.parquet/"])
def test_another_extension_is_refused_with_those_that_are_known(path):
    with pytest.raises(UsageError, match=r"ends in \.parquet or \.npz: got"):
        embedding_writer(path)


def test_without_pyarrow_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setattr("pe_audio_cli._extras.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs pyarrow: pip install 'pe-audio-cli\[parquet\]'"):
        embedding_writer("clips.parquet")
    assert embedding_writer("clips.npz") is NpzEmbeddingWriter
