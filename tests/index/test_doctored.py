"""An index that somebody made or changed with other means: a true answer, or one line, and nothing of it is run."""

from __future__ import annotations

import os
import random
import socket
import time
from pathlib import Path

import duckdb
import numpy as np
import pytest
from shelf import fill, put, vectors

from pe_audio_cli.errors import StoreError
from pe_audio_cli.index import schema
from pe_audio_cli.index.database import Clip, Database
from pe_audio_cli.index.vectors import blocks_of, vectors_path

FOREVER = "FROM range(1000000) a, range(1000000) b, range(1000000) c"


def everything(path: Path) -> tuple[np.ndarray, dict[int, Clip]]:
    """Return all embeddings and clips that a search reads."""
    with Database.open(path) as database:
        blocks = list(blocks_of(database))
        ids = np.concatenate([np.empty(0, np.int64), *(block.ids for block in blocks)])
        clips = database.clips(ids.tolist())
        if len(clips) < len(ids):
            raise StoreError("refused by a search")
        return np.concatenate([np.empty((0, 8), np.float32), *(block.embeddings for block in blocks)]), clips


DOCTORED = {
    "an embedding is null": "UPDATE windows SET embedding = NULL WHERE id = 2",
    "a number is null": "UPDATE windows SET embedding = [1, 2, NULL, 4, 5, 6, 7, 8]::FLOAT[8] WHERE id = 2",
    "a number is NaN": "UPDATE windows SET embedding = [1, 2, 'nan'::FLOAT, 4, 5, 6, 7, 8]::FLOAT[8] WHERE id = 2",
    "a number is infinite": "UPDATE windows SET embedding = [1, 2, 3, 4, 5, 6, 7, '-inf'::FLOAT]::FLOAT[8]",
    "a norm is infinite": "UPDATE windows SET embedding = [1, 3e38, 3e38, 4, 5, 6, 7, 8]::FLOAT[8] WHERE id = 2",
    "an id is null": "UPDATE windows SET id = NULL WHERE id = 2",
    "an id is there twice": "UPDATE windows SET id = 1 WHERE id = 2",
    "an id is negative": "UPDATE windows SET id = -1 WHERE id = 1",
    "ids fall": "UPDATE windows SET id = 100 - id",
    "a window has no recording": "UPDATE windows SET recording = NULL WHERE id = 2",
    "a window has another recording": "UPDATE windows SET recording = 99 WHERE id = 2",
    "a recording is there twice": "INSERT INTO recordings SELECT * FROM recordings",
    "recordings are gone": "DELETE FROM recordings",
    "a path is null": "UPDATE recordings SET path = NULL WHERE id = 1",
    "a duration is null": "UPDATE recordings SET duration = NULL WHERE id = 1",
    "a duration is NaN": "UPDATE recordings SET duration = 'nan' WHERE id = 1",
    "a start is null": "UPDATE windows SET start = NULL WHERE id = 2",
    "an end is infinite": "UPDATE windows SET \"end\" = 'inf' WHERE id = 2",
    "an end is before its start": 'UPDATE windows SET "end" = start - 1 WHERE id = 2',
    "a start is negative": "UPDATE windows SET start = -5 WHERE id = 2",
    "embeddings are wider": "ALTER TABLE windows ALTER embedding TYPE FLOAT[9] USING list_value(1,2,3,4,5,6,7,8,9)",
    "embeddings are lists": "ALTER TABLE windows ALTER embedding TYPE FLOAT[]",
    "embeddings are doubles": "ALTER TABLE windows ALTER embedding TYPE DOUBLE[8]",
    "ids are text": "ALTER TABLE windows ALTER id TYPE VARCHAR",
    "paths are numbers": "ALTER TABLE recordings ALTER path TYPE BIGINT USING id",
    "paths are bytes": "ALTER TABLE recordings ALTER path TYPE BLOB USING path::BLOB",
    "a column is missing": "ALTER TABLE windows DROP start",
    "a column is missing from recordings": "ALTER TABLE recordings DROP duration",
    "a column is one too many": "ALTER TABLE windows ADD COLUMN more INTEGER",
    "the width is null": "UPDATE about SET width = NULL",
    "the width is another": "UPDATE about SET width = 4",
    "the width is nothing": "UPDATE about SET width = 0",
    "the width is enormous": "UPDATE about SET width = 2000000000",
    "the version is null": "UPDATE about SET version = NULL",
    "the version is text": "ALTER TABLE about ALTER version TYPE VARCHAR",
    "the scale is NaN": "UPDATE about SET logit_scale = 'nan'",
    "the bias is null": "UPDATE about SET logit_bias = NULL",
    "the model is null": "UPDATE about SET model = NULL",
    "the folder is null": "UPDATE about SET folder = NULL",
    "the model is a megabyte": "UPDATE about SET model = repeat('x', 1000000)",
    "the commit leads elsewhere": "UPDATE about SET revision = '../../../tmp'",
    "a window is negative": "UPDATE about SET window_seconds = -1",
    "an overlap is NaN": "UPDATE about SET overlap_seconds = 'nan'",
    "about is empty": "DELETE FROM about",
    "about is there twice": "INSERT INTO about SELECT * FROM about",
    "about has a billion rows": "INSERT INTO about SELECT a.* FROM about a, range(1000000)",
    "windows are a view": "ALTER TABLE windows RENAME TO w; CREATE VIEW windows AS FROM w",
    "windows take for ever": f"ALTER TABLE windows RENAME TO w; CREATE VIEW windows AS SELECT d.* {FOREVER}, w AS d",
    "recordings take for ever": "ALTER TABLE recordings RENAME TO r; "
    f"CREATE VIEW recordings AS SELECT d.* {FOREVER}, r AS d",
    "about takes for ever": "ALTER TABLE about RENAME TO b; "
    f"CREATE VIEW about AS SELECT d.* {FOREVER}, b AS d WHERE width < 0",
    "embeddings are computed": "DROP TABLE windows CASCADE; CREATE TABLE windows "
    '(id BIGINT, recording BIGINT, start DOUBLE, "end" DOUBLE, '
    "embedding FLOAT[8] GENERATED ALWAYS AS (list_value(1, 2, 3, 4, 5, 6, 7, 8)::FLOAT[8]))",
}


@pytest.mark.parametrize("statement", DOCTORED.values(), ids=DOCTORED)
def test_it_is_refused_in_one_line(tmp_path, statement):
    index = fill(tmp_path / "i", "abc")
    with duckdb.connect(index) as connection:
        connection.execute("DROP VIEW clips")
        connection.execute(statement)
    began = time.perf_counter()
    with pytest.raises(StoreError) as caught:
        everything(index)
    assert time.perf_counter() - began < 5  # a second, on a machine that does nothing else
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert set(tmp_path.iterdir()) <= {index, vectors_path(index)}


def test_a_small_file_that_claims_to_hold_what_fills_a_disk(tmp_path, monkeypatch):
    index = fill(tmp_path / "i", "abc")
    with duckdb.connect(index) as connection:
        connection.execute("INSERT INTO windows SELECT i + 100, 1, 0, 1, [1,2,3,4,5,6,7,8] FROM range(100000) t(i)")
    assert len(everything(index)[0]) == 100_009
    monkeypatch.setattr(schema, "LEAST_LIMIT", 0)
    monkeypatch.setattr(schema, "MAX_RATIO", 1)
    with pytest.raises(StoreError, match="100009 windows of 3 recordings in a file of"):
        Database.open(index)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP VIEW clips",
        f"CREATE OR REPLACE VIEW clips AS SELECT 1 AS id {FOREVER}",
        f"CREATE MACRO count_star() AS (SELECT sum(a.range) {FOREVER})",
        f"CREATE MACRO max(x) AS (SELECT sum(a.range) {FOREVER})",
        f"CREATE MACRO count(x) AS (SELECT sum(a.range) {FOREVER})",
        f"CREATE MACRO unnest(x) AS (SELECT sum(a.range) {FOREVER})",
        f"CREATE MACRO duckdb_tables() AS TABLE (SELECT 'about' AS table_name, '' AS sql {FOREVER})",
        "CREATE TABLE of_my_own (x INTEGER)",
        "CREATE VIEW broken AS SELECT count(*) FROM clips; ALTER TABLE clips RENAME TO clops",
    ],
)
def test_what_else_stands_in_it_does_not_matter(tmp_path, statement):
    index = fill(tmp_path / "i", "abc")
    with duckdb.connect(index) as connection:
        try:
            connection.execute(statement)
        except duckdb.CatalogException:
            connection.execute("ALTER VIEW clips RENAME TO clops")
    found, clips = everything(index)
    np.testing.assert_array_equal(found, np.concatenate([vectors(name) for name in "abc"]))
    assert len(clips) == 9
    with Database.open(index) as database:
        assert len(database.ids("duration > 1")) == 9
    with Database.open(index, read_only=False) as database:
        put(database, "d")
        assert database.counts() == (4, 12)


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "link to a folder", "link to a fifo"])
@pytest.mark.parametrize("read_only", [True, False])
def test_what_is_no_plain_file_is_refused_at_once(tmp_path, kind, read_only):
    path = tmp_path / "i"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        if len(os.fsencode(path)) > 100:
            pytest.skip("the system has no room for so long a name of a socket")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    elif kind == "device":
        path = Path(os.devnull)
    elif kind == "link to a folder":
        path.symlink_to(tmp_path)
    else:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to(tmp_path / "pipe")
    with pytest.raises(StoreError, match="and an index is a file"):
        Database.open(path, read_only=read_only)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "\udcff" * 200])
def test_a_name_that_no_system_knows_is_one_line(tmp_path, name):
    with pytest.raises(StoreError):
        Database.open(tmp_path / name)


@pytest.mark.parametrize("read_only", [True, False])
def test_a_database_of_somebody_else_stays_as_it_is_with_its_log(tmp_path, read_only):
    other = duckdb.connect(tmp_path / "other")
    other.execute("CREATE TABLE t (x INTEGER)")
    other.execute("CHECKPOINT")
    other.execute("INSERT INTO t VALUES (1)")
    mine = tmp_path / "mine"
    mine.write_bytes((tmp_path / "other").read_bytes())
    log = tmp_path / "mine.wal"
    log.write_bytes((tmp_path / "other.wal").read_bytes())
    other.close()
    before = mine.read_bytes(), log.read_bytes()
    assert before[1]
    with pytest.raises(StoreError, match="no index of peaudio"):
        Database.open(mine, read_only=read_only)
    assert (mine.read_bytes(), log.read_bytes()) == before


def test_a_byte_that_has_changed_anywhere_gives_what_is_right_or_one_line(tmp_path):
    """In the database, its log, and the copy."""
    index = fill(tmp_path / "i", "abcdefgh")
    with duckdb.connect(index) as connection:  # some is in the database, some in its log
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute("UPDATE about SET state = 'another'")
        everything_there = {log: log.read_bytes() for log in (index, tmp_path / "i.wal")}
    for file, content in everything_there.items():
        file.write_bytes(content)
    right, clips = everything(index)
    everything_there[vectors_path(index)] = vectors_path(index).read_bytes()
    dice = random.Random(0)
    outcomes = []
    for attempt in range(45):
        for file, content in everything_there.items():
            file.write_bytes(content)
        victim = list(everything_there)[attempt % 3]
        changed = bytearray(everything_there[victim])
        for _ in range(dice.choice([1, 1, 3, 40])):
            changed[dice.randrange(len(changed))] ^= dice.randrange(1, 256)
        victim.write_bytes(changed)
        try:
            found, those = everything(index)
        except StoreError as error:
            outcomes.append("refused")
            assert "\n" not in str(error)
        else:
            outcomes.append("right")
            np.testing.assert_array_equal(found, right)
            assert those == clips
    assert outcomes[2::3] == ["right"] * 15, "a damaged copy is made anew"
    assert outcomes.count("refused") > 5
