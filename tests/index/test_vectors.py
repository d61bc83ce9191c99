"""The copy that searches read: right, fresh, or not used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from shelf import N_WINDOWS, WIDTH, fill, put, vectors

from pe_audio_cli.index import vectors as module
from pe_audio_cli.index.database import Database
from pe_audio_cli.index.vectors import blocks_of, is_foreign, is_fresh, refresh, sweep, vectors_path


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
    monkeypatch.setattr(module, "BLOCK_WINDOWS", 4)
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


def test_a_copy_with_other_bytes_is_made_anew_and_that_is_said(index, caplog):
    right = everything(index)
    whole = vectors_path(index).read_bytes()
    for place in range(0, len(whole), 331):
        changed = bytearray(whole)
        changed[place] ^= 0x10
        vectors_path(index).write_bytes(changed)
        caplog.clear()
        with Database.open(index) as database:
            blocks = list(blocks_of(database))
        said = caplog.messages
        np.testing.assert_array_equal(np.concatenate([block.embeddings for block in blocks]), right)
        assert (
            said == []
            if place < 4096
            else said == [f"{vectors_path(index)} is damaged: it is made anew from the index"]
        )
        assert vectors_path(index).read_bytes() == whole


def test_a_change_is_found_though_its_time_is_put_back(index):
    right = everything(index)
    copy = vectors_path(index)
    status, changed = copy.stat(), bytearray(copy.read_bytes())
    changed[4100] ^= 1
    time.sleep(0.02)  # the system's clock of files ticks every few milliseconds
    copy.write_bytes(changed)
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    np.testing.assert_array_equal(everything(index), right)


@pytest.mark.parametrize("damaged", range(15))
def test_only_what_comes_after_the_damage_is_read_again(index, monkeypatch, damaged):
    monkeypatch.setattr(module, "BLOCK_WINDOWS", 4)
    monkeypatch.setattr(module, "MOST_SUMS", 2)
    everything(index)
    content = bytearray(vectors_path(index).read_bytes())
    content[4096 + damaged * WIDTH * 4] ^= 1
    vectors_path(index).write_bytes(content)
    np.testing.assert_array_equal(everything(index), expected("abcde"))


def test_where_a_damaged_copy_cannot_be_made_anew_the_database_is_read(index, monkeypatch):
    everything(index)
    content = bytearray(vectors_path(index).read_bytes())
    content[-1] ^= 1
    vectors_path(index).write_bytes(content)

    def full_disk(*arguments, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "refresh", full_disk)
    np.testing.assert_array_equal(everything(index), expected("abcde"))


def test_sums_are_compared_once_a_day_and_after_a_change(index, tmp_path, monkeypatch):
    sums = []
    crc = zlib.crc32
    monkeypatch.setattr(zlib, "crc32", lambda *arguments: sums.append(1) or crc(*arguments))

    def are_compared(path):
        sums.clear()
        np.testing.assert_array_equal(everything(path), expected("abcde"))
        return bool(sums)

    everything(index)
    assert not are_compared(index)
    other = tmp_path / "other"
    other.mkdir()
    for file in (index, vectors_path(index)):
        shutil.copy2(file, other)
    assert [are_compared(other / index.name) for _ in range(2)] == [True, False]
    os.utime(vectors_path(index), (1, 1))
    assert [are_compared(index) for _ in range(2)] == [True, False]
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 25 * 3600)
    assert [are_compared(index) for _ in range(2)] == [True, False]


def test_it_works_without_a_cache(index, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for _ in range(2):
        np.testing.assert_array_equal(everything(index), expected("abcde"))
    content = bytearray(vectors_path(index).read_bytes())
    content[5000 % len(content)] ^= 1
    vectors_path(index).write_bytes(content)
    np.testing.assert_array_equal(everything(index), expected("abcde"))


def test_a_copy_becomes_as_private_as_its_index(index):
    index.chmod(0o644)
    everything(index)
    index.chmod(0o600)
    with Database.open(index) as database:
        refresh(database, anew=True)
    assert vectors_path(index).stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("planted", ["the copy", "a link to it"])
def test_a_copy_that_another_user_made_is_not_believed(index, tmp_path, planted):
    everything(index)
    copy = vectors_path(index)
    real = copy.rename(tmp_path / "real")
    wrong = bytearray(real.read_bytes())
    real.write_bytes(wrong)
    if planted == "the copy":
        real.rename(copy)
    else:
        copy.symlink_to(real)
    os.chown(copy, 12345, 12345)
    before = copy.read_bytes()
    with Database.open(index) as database:
        assert not is_fresh(database)
        assert is_foreign(index)
        with pytest.raises(OSError, match="no copy of this index"):
            refresh(database)
    np.testing.assert_array_equal(everything(index), expected("abcde"))
    assert copy.read_bytes() == before


@pytest.mark.parametrize("name", ["*.index", "[ab].index", "a.index", "x" * 240])
def test_only_what_is_left_of_this_index_is_swept(tmp_path, name):
    index = fill(tmp_path / name, "a")
    others = [
        "aa.index.vectors.abcdefgh.part",
        "b.index.vectors.peaudio-0123456789abcdef.part",
        "y.vectors.peaudio-0123456789abcdef.part",
        "y.vectors.abcdefgh.part",
        "notes.part",
        f"{name[:200]}.vectors.notes of mine.part",
        f"{name[:200]}.vectors.part",
    ]
    for other in others:
        (tmp_path / other).write_text("mine")
    everything(index)
    sweep(index)
    assert {path.name for path in tmp_path.iterdir()} == {*others, name, vectors_path(index).name}


def test_what_is_being_made_is_not_swept_and_what_was_killed_is(index):
    """By the next search, for nobody may ever run the other command again."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom pe_audio_cli.index import vectors\n"
        "from pe_audio_cli.index.database import Database\n"
        "def hang(*arguments):\n    print('making', flush=True)\n    time.sleep(60)\n"
        "vectors._write = hang\n"
        "with Database.open(Path(sys.argv[1])) as database:\n    vectors.refresh(database)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, index]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "making\n"
        sweep(index)
        (part,) = index.parent.glob("*.part")
        process.kill()
    assert part.exists()
    everything(index)
    assert sorted(index.parent.iterdir()) == [index, vectors_path(index)]


def test_an_index_that_does_not_fit_beside_itself_is_read_without_a_copy(index, monkeypatch):
    usage = shutil.disk_usage(index.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100))
    np.testing.assert_array_equal(everything(index), expected("abcde"))
    assert list(index.parent.iterdir()) == [index]
