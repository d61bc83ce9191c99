"""The content of an index, its changes, and its errors."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas
import pytest
from shelf import ABOUT, N_WINDOWS, WIDTH, entry, fill, put, vectors

from pe_audio_cli.errors import RunError, StoreError, UsageError
from pe_audio_cli.index import database as module
from pe_audio_cli.index.database import Clip, Database
from pe_audio_cli.index.vectors import blocks_of


def content(path: Path) -> list[tuple]:
    """All windows as a stranger to this package reads them."""
    with duckdb.connect(path, read_only=True) as connection:
        return connection.sql('SELECT file, start, "end", embedding FROM clips ORDER BY file, start').fetchall()


def held(names: str) -> list[tuple]:
    return [
        (entry(name).path, 10.0 * index, 10.0 * index + 10, tuple(vector.tolist()))
        for name in sorted(names)
        for index, vector in enumerate(vectors(name))
    ]


@pytest.fixture
def index(tmp_path) -> Path:
    return fill(tmp_path / "some.index", "abc")


def test_what_was_put_in_is_there_for_any_reader_of_duckdb(index):
    assert content(index) == held("abc")
    with Database.open(index) as database:
        assert database.about == ABOUT
        assert database.counts() == (3, 3 * N_WINDOWS)
        assert database.stamps() == {entry(name).path: (1000, entry(name).mtime_ns) for name in "abc"}


def test_the_clips_can_be_copied_to_parquet(index, tmp_path):
    with duckdb.connect(index, read_only=True) as connection:
        connection.execute(f"COPY clips TO '{tmp_path}/clips.parquet'")
    table = pandas.read_parquet(tmp_path / "clips.parquet")
    np.testing.assert_array_equal(np.stack(table["embedding"]), np.concatenate([vectors(name) for name in "abc"]))
    assert set(table["file"]) == {entry(name).path for name in "abc"}


def test_an_index_of_an_earlier_version_whose_clips_have_a_path_is_searched(index):
    with duckdb.connect(index) as connection:
        connection.execute(
            'CREATE OR REPLACE VIEW clips AS SELECT windows.id, path, start, "end", duration, sample_rate, channels, '
            "embedding FROM windows JOIN recordings ON recordings.id = windows.recording"
        )
    with Database.open(index) as database:
        ids = database.ids("file LIKE '%/b.wav' AND path = file")
        assert {clip.file for clip in database.clips(ids.tolist()).values()} == {entry("b").path}


def test_a_recording_is_replaced_with_all_of_its_windows(index):
    with Database.open(index, read_only=False) as database:
        before = database.state
        database.put(entry("b"), np.zeros(1), np.ones(1), vectors("z")[:1])
        assert database.state != before
        assert database.counts() == (3, 2 * N_WINDOWS + 1)
    assert [row[3] for row in content(index) if row[0] == entry("b").path] == [tuple(vectors("z")[0].tolist())]


def test_recordings_are_dropped(index):
    with Database.open(index, read_only=False) as database:
        database.drop([entry("a").path, entry("c").path, "/never/heard/of.wav"])
    assert content(index) == held("b")


def test_a_change_that_fails_changes_nothing(index):
    with Database.open(index, read_only=False) as database:
        before = database.state
        with pytest.raises(RunError, match="cannot write"):
            database.put(entry("b"), np.zeros(1), np.ones(1), np.ones((1, WIDTH + 1), np.float32))
        assert database.state == before
        put(database, "d")
    assert content(index) == held("abcd")


@pytest.mark.parametrize(
    ("where", "n_recordings"),
    [
        ("duration < 60", 3),
        ("duration < 60 AND file LIKE '%/b.wav'", 1),
        ("duration < 60 AND path LIKE '%/b.wav'", 1),  # its name in earlier versions
        ('"end" <= 10', 1),
        ("duration > 60", 0),
        ("duration < 60 -- or so", 3),
    ],
)
def test_a_condition_chooses_windows(index, where, n_recordings):
    with Database.open(index) as database:
        ids = database.ids(where)
    assert len(ids) == n_recordings * N_WINDOWS
    assert (np.diff(ids) > 0).all()


@pytest.mark.parametrize(
    "where",
    [
        "loudness > 3",
        "duration <",
        "",
        "duration < 'long'",
        "true); DROP TABLE windows; SELECT (1",
        " ",
        "path IN (SELECT content FROM read_text('/etc/hostname'))",
        "(SELECT count(*) FROM read_csv('/etc/hostname')) > 0",
    ],
)
def test_a_condition_that_makes_no_sense_or_reaches_out_is_refused_in_one_line(index, where):
    with Database.open(index) as database:
        with pytest.raises(UsageError) as caught:
            database.ids(where)
        assert "\n" not in str(caught.value).replace(repr(where), "")
        assert database.counts() == (3, 3 * N_WINDOWS)


def test_windows_are_told_by_their_ids(index):
    with Database.open(index) as database:
        first, *_, last = database.ids("true").tolist()
        assert database.clips([last, first]) == {
            first: Clip(entry("a").path, 0.0, 10.0, 30.0),
            last: Clip(entry("c").path, 20.0, 30.0, 30.0),
        }


def test_many_may_read_at_once_but_not_while_one_writes(index):
    with Database.open(index):
        assert in_another_process(f"Database.open(Path({str(index)!r})).counts()") == "(3, 9)"
        refused = in_another_process(f"Database.open(Path({str(index)!r}), read_only=False)")
        assert f"in use by process {os.getpid()}: wait" in refused
    with Database.open(index, read_only=False):
        assert "in use by process" in in_another_process(f"Database.open(Path({str(index)!r}))")


def in_another_process(expression: str) -> str:
    """Evaluate an expression in another process; return its value, or the last line of the error."""
    code = f"from pathlib import Path\nfrom pe_audio_cli.index.database import Database\nprint({expression}, end='')\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else done.stderr.splitlines()[-1]


def test_no_index(tmp_path):
    with pytest.raises(StoreError, match=r"there is no index at .*: make one with peaudio index"):
        Database.open(tmp_path / "none")
    with pytest.raises(StoreError, match="is a folder"):
        Database.open(tmp_path)


@pytest.mark.parametrize("content", [b"", b"a shopping list"])
def test_a_file_that_is_something_else(tmp_path, content):
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(StoreError, match="cannot be read as an index"):
        Database.open(tmp_path / "list")
    assert (tmp_path / "list").read_bytes() == content


def test_a_database_that_is_no_index(tmp_path):
    duckdb.connect(tmp_path / "other").execute("CREATE TABLE about (x INTEGER)").close()
    with pytest.raises(StoreError, match="but no index of peaudio"):
        Database.open(tmp_path / "other")


def test_an_index_of_another_version(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "VERSION", 7)
    fill(tmp_path / "later", "a")
    monkeypatch.undo()
    with pytest.raises(StoreError, match="an index of version 7, and this peaudio reads version 2"):
        Database.open(tmp_path / "later")


@pytest.mark.parametrize(
    "loss", ["DROP VIEW clips; DROP TABLE windows", "DROP TABLE recordings CASCADE", "ALTER TABLE about DROP width"]
)
def test_an_index_that_lacks_a_table_or_a_column(index, loss):
    duckdb.connect(index).execute(loss).close()
    with pytest.raises(StoreError, match="cannot be read as an index"), Database.open(index) as database:
        database.counts()


def test_what_is_left_of_an_index_that_is_gone_does_not_come_back(tmp_path):
    """After a kill -9, DuckDB's log lies beside the index, and who removes the one may leave the other."""
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom shelf import fill, put\n"
        "from pe_audio_cli.index.database import Database\n"
        "index = fill(Path(sys.argv[1]), 'a')\ndatabase = Database.open(index, read_only=False)\n"
        "put(database, 'b')\nos._exit(9)"
    )
    index = tmp_path / "i"
    subprocess.run([sys.executable, "-c", code, index], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    (tmp_path / "i.part.wal").write_bytes((tmp_path / "i.wal").read_bytes())
    assert content(index) == held("ab")
    index.unlink()
    fill(index, "cd")
    assert content(index) == held("cd")
    assert list(tmp_path.iterdir()) == [index]


def test_another_checkpoint_is_refused():
    ABOUT.check(Path("i"), "0123", "anything")
    with pytest.raises(StoreError, match="i was made with tiny, and base is another checkpoint"):
        ABOUT.check(Path("i"), "4567", "base")


def test_damage_is_one_line_or_does_no_harm(tmp_path):
    """Never a wrong answer, and nothing but our own error."""
    whole = fill(tmp_path / "whole", "abcdefgh").read_bytes()
    dice = random.Random(0)
    n_refused = 0
    for attempt in range(24):
        damaged = bytearray(whole)
        place = dice.randrange(len(whole))
        damaged[place : place + 4096] = b"" if attempt % 2 else dice.randbytes(4096)
        path = tmp_path / f"{attempt}.index"
        path.write_bytes(damaged if attempt % 2 else damaged[: len(whole)])
        try:
            with Database.open(path) as database:
                found = np.concatenate([block.embeddings for block in blocks_of(database)])
        except StoreError as error:
            n_refused += 1
            assert "\n" not in str(error)
        else:
            np.testing.assert_array_equal(found, np.concatenate([vectors(name) for name in "abcdefgh"]))
    assert n_refused > 10


def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr("pe_audio_cli._extras.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs duckdb: pip install 'pe-audio-cli\[search\]'"):
        Database.create(tmp_path / "new", ABOUT)


def test_a_full_disk_costs_only_what_did_not_fit(tmp_path):
    code = (
        "import resource, sys\nfrom pathlib import Path\nimport numpy as np\nfrom shelf import fill, put\n"
        "from pe_audio_cli.errors import RunError\nfrom pe_audio_cli.index.database import Database\n"
        "database = Database.open(fill(Path(sys.argv[1]), '', width=1024), read_only=False)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))\n"
        "n = 0\n"
        "try:\n"
        "    while n < 1000:\n"
        "        put(database, str(n), np.full((3, 1024), n, np.float32))\n"
        "        n += 1\n"
        "except RunError as error:\n"
        "    print(n, error)\n"
    )
    index = tmp_path / "i"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code, index], env=environment, capture_output=True, text=True)
    n, said = run.stdout.split(" ", 1)
    assert said.startswith(f"cannot write {index}: ")
    assert 0 < int(n) < 1000
    with Database.open(index) as database:
        assert database.counts() == (int(n), 3 * int(n))
        (block,) = blocks_of(database)
    assert block.embeddings[:, 0].tolist() == np.repeat(np.arange(int(n)), 3).tolist()
