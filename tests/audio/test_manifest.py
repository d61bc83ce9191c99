"""Manifests: what text files and Parquet tables name, and what is refused."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.audio.manifest import read_manifest
from pe_audio_cli.errors import UsageError


@pytest.mark.parametrize("content", [b"b.wav\na.wav\n\nb.wav", b"\xef\xbb\xbfb.wav\r\na.wav\r\n \r\nb.wav\r\n"])
def test_a_text_file_has_one_a_line_in_its_order_and_as_often(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    assert read_manifest(tmp_path / "list.txt") == ["b.wav", "a.wav", "b.wav"]


def test_a_line_is_taken_as_it_is(tmp_path: Path) -> None:
    lines = ["# 1.wav", " spaced .wav", "s3://bucket/a b.wav", "line\u2028separator.wav"]
    (tmp_path / "list").write_text("\n".join(lines), encoding="utf-8")
    assert read_manifest(tmp_path / "list") == lines


@pytest.mark.parametrize("column", ["file", "path", "url"])
def test_a_table_has_a_column_of_them(tmp_path: Path, column: str) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    files = ["s3://bucket/b.wav", "a.wav"]
    pandas.DataFrame({"id": [1, 2], column: files}).to_parquet(tmp_path / "list.parquet")
    assert read_manifest(tmp_path / "list.parquet") == files


@pytest.mark.parametrize(
    ("columns", "says"),
    [({"name": ["a.wav"]}, "no column file, path or url"), ({"file": [1]}, "not text"), ({"file": []}, "names no")],
)
def test_a_table_that_names_nothing_is_refused(tmp_path: Path, columns: dict[str, list[object]], says: str) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    pandas.DataFrame(columns).to_parquet(tmp_path / "list.parquet")
    with pytest.raises(UsageError, match=says):
        read_manifest(tmp_path / "list.parquet")


@pytest.mark.parametrize("name", ["list.txt", "list.parquet"])
def test_a_manifest_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_manifest(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("list.txt", b"\n \n", "names no"),
        ("list.txt", b"\xff\xfe", "not UTF-8"),
        ("list.txt", "a.wav\n".encode("utf-16"), "not UTF-8 but UTF-16"),
        ("list.txt", "café.wav\n".encode("latin-1"), r"not UTF-8 \(line 1\).*save it as UTF-8"),
        ("list.parquet", b"PAR1", "no Parquet"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=says):
        read_manifest(tmp_path / name)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8")).filter(str.strip), min_size=1))
def test_any_names_come_back(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    manifest = tmp_path_factory.mktemp("manifest") / "list.txt"
    manifest.write_text("\n".join(names), encoding="utf-8")
    assert read_manifest(manifest) == [names[0].removeprefix("\ufeff"), *names[1:]]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are not just bytes here")
def test_a_manifest_that_is_not_utf_8_names_files_by_their_bytes(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    with open(name, "wb"):
        pass
    (tmp_path / "list.txt").write_bytes("ünïcode.wav\n".encode() + name + b"\r\n")
    assert read_manifest(tmp_path / "list.txt") == ["ünïcode.wav", os.fsdecode(name)]


def table(path: Path) -> bytes:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"id": [1, 2, 3], "file": ["a.wav", "b.wav", "ü.wav"]}), path)
    return path.read_bytes()


def test_a_table_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    twice = pa.table([pa.array(["a.wav"]), pa.array(["b.wav"])], names=["file", "file"])
    parquet.write_table(twice, tmp_path / "list.parquet")
    with pytest.raises(UsageError, match="several columns file"):
        read_manifest(tmp_path / "list.parquet")


@pytest.mark.parametrize("cell", [{"a": 1}, ["a.wav"], b"a.wav", None], ids=["object", "list", "bytes", "nothing"])
def test_a_column_of_anything_but_text_is_refused(tmp_path: Path, cell: object) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"file": [cell]}), tmp_path / "list.parquet")
    with pytest.raises(UsageError, match="not text"):
        read_manifest(tmp_path / "list.parquet")


def test_a_damaged_table_is_an_error_of_its_own(tmp_path: Path) -> None:
    whole = table(tmp_path / "list.parquet")
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    print("seed", seed)
    for _ in range(400):
        content = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        (tmp_path / "list.parquet").write_bytes(content[: dice.choice([len(content), dice.randrange(len(content))])])
        with contextlib.suppress(UsageError):
            assert all(isinstance(name, str) for name in read_manifest(tmp_path / "list.parquet"))


def test_without_pyarrow_a_table_names_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"needs pyarrow: pip install 'pe-audio-cli\[parquet\]', or list"):
        read_manifest(tmp_path / "list.parquet")


def test_a_small_table_that_claims_millions_of_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("pe_audio_cli.audio.manifest.MOST_ROWS", 1_000)
    for rows in (1_000, 1_001):
        column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int8()), pa.array(["a.wav"]))
        parquet.write_table(pa.table({"path": column}), tmp_path / f"{rows}.parquet")
    assert read_manifest(tmp_path / "1000.parquet") == ["a.wav"] * 1_000
    with pytest.raises(UsageError, match="more than 1,000 rows"):
        read_manifest(tmp_path / "1001.parquet")


@pytest.mark.parametrize("by_number", [False, True], ids=["texts", "numbers of texts"])
def test_a_text_that_rows_repeat_in_memory_is_refused(tmp_path: Path, by_number: bool) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    texts = pa.array(["a.wav", "x" * 100_000])
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 1], pa.int8()), texts) if by_number else texts
    parquet.write_table(pa.table({"path": column}), tmp_path / "list.parquet")
    with pytest.raises(UsageError, match="a text of 100,000 bytes"):
        read_manifest(tmp_path / "list.parquet")
