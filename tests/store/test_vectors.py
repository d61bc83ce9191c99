"""The copy that searches read: right, fresh, or not used."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from shelf import N_WINDOWS, WIDTH, fill, put, vectors

from pe_audio_cli.store import vectors as module
from pe_audio_cli.store.database import Database
from pe_audio_cli.store.vectors import blocks_of, refresh, sweep, vectors_path


@pytest.fixture
def index(tmp_path) -> Path:
    return fill(tmp_path / "some.index", "abcde")


def everything(index: Path) -> np.ndarray:
    with Database.open(index) as database:
        blocks = list(blocks_of(database))
        for block in blocks:
            np.testing.assert_allclose(block.norms, np.linalg.norm(block.embeddings, axis=1), rtol=1e-6)
        ids = np.concatenate([block.ids for block in blocks])
        np.testing.assert_array_equal(ids, database.ids("true"))
        return np.concatenate([block.embeddings for block in blocks])


def expected(names: str) -> np.ndarray:
    return np.concatenate([vectors(name) for name in names])


def test_the_copy_is_made_when_it_is_first_needed(index):
    assert not vectors_path(index).exists()
    np.testing.assert_array_equal(everything(index), expected("abcde"))
    assert vectors_path(index).stat().st_size == 4096 + 5 * N_WINDOWS * (4 * WIDTH + 4 + 8)


def test_it_is_read_while_it_is_fresh(index, monkeypatch):
    everything(index)
    monkeypatch.setattr(Database, "blocks", lambda self: pytest.fail("the database was read"))
    np.testing.assert_array_equal(everything(index), expected("abcde"))


@pytest.mark.parametrize("width", [1, 3, 8])
def test_it_comes_in_blocks(tmp_path, monkeypatch, width):
    monkeypatch.setattr(module, "BLOCK", 4)
    Database.create(tmp_path / "i", fill_about(width))
    with Database.open(tmp_path / "i", read_only=False) as database:
        for name in "abcde":
            put(database, name, vectors(name, width))
        refresh(database)
        blocks = list(blocks_of(database))
    assert [len(block.ids) for block in blocks] == [4, 4, 4, 3]
    np.testing.assert_array_equal(
        np.concatenate([block.embeddings for block in blocks]),
        np.concatenate([vectors(name, width) for name in "abcde"]),
    )


def fill_about(width):
    from dataclasses import replace

    from shelf import ABOUT

    return replace(ABOUT, width=width)


def test_it_is_made_anew_when_the_index_has_changed(index):
    everything(index)
    with Database.open(index, read_only=False) as database:
        put(database, "f")
        database.drop(["/sounds/a.wav"])
    np.testing.assert_array_equal(everything(index), expected("bcdef"))


def test_it_is_made_anew_for_another_index_of_the_same_size(index, tmp_path):
    everything(index)
    os.replace(fill(tmp_path / "other.index", "vwxyz"), index)
    np.testing.assert_array_equal(everything(index), expected("vwxyz"))


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: c + b"x", lambda c: b"", lambda c: b"x" + c[1:]])
def test_it_is_made_anew_when_it_is_not_whole(index, damage):
    everything(index)
    copy = vectors_path(index)
    copy.write_bytes(damage(copy.read_bytes()))
    np.testing.assert_array_equal(everything(index), expected("abcde"))


def test_where_it_cannot_be_written_the_database_is_read(index):
    vectors_path(index).mkdir()
    np.testing.assert_array_equal(everything(index), expected("abcde"))
    with Database.open(index) as database, pytest.raises(OSError):
        refresh(database)
    assert sorted(index.parent.iterdir()) == [index, vectors_path(index)]


def test_who_may_not_read_the_index_may_not_read_the_copy(index):
    index.chmod(0o640)
    everything(index)
    assert vectors_path(index).stat().st_mode & 0o777 == 0o640


def test_what_killed_processes_have_left_is_swept(index):
    left = index.with_name(f"{index.name}.vectors.abc123.part")
    left.write_bytes(b"half")
    everything(index)
    sweep(index)
    assert sorted(index.parent.iterdir()) == [index, vectors_path(index)]


def test_an_empty_index_has_no_block(index):
    with Database.open(index, read_only=False) as database:
        database.drop([f"/sounds/{name}.wav" for name in "abcde"])
        assert list(blocks_of(database)) == []
