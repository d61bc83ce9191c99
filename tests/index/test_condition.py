"""Conditions that take too long, reach out, or are interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from shelf import N_WINDOWS, fill

from pe_audio_cli.errors import UsageError
from pe_audio_cli.index.condition import LIMIT, MEMORY_LIMIT
from pe_audio_cli.index.database import Database

FOREVER = "(SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c) > 0"
IN_ONE_EXPRESSION = "levenshtein(repeat('a', 20000 + id::INT), repeat('b', 20000)) > 0"


@pytest.fixture
def index(tmp_path) -> Path:
    return fill(tmp_path / "some.index", "abc")


@pytest.mark.parametrize(
    "where",
    [FOREVER, "EXISTS (WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT n FROM t WHERE n < 0)"],
)
def test_a_condition_that_takes_too_long_is_one_line_and_the_next_one_works(index, monkeypatch, where):
    monkeypatch.setenv(LIMIT, "0.3")
    with Database.open(index) as database:
        began = time.perf_counter()
        with pytest.raises(UsageError, match=rf"takes longer than 0.3 s: make it simpler, or set {LIMIT} to more"):
            database.ids(where)
        assert time.perf_counter() - began < 5
        monkeypatch.setenv(LIMIT, "60")
        assert len(database.ids("true")) == 3 * N_WINDOWS


@pytest.mark.parametrize(("variable", "unit"), [(LIMIT, "seconds"), (MEMORY_LIMIT, "bytes")])
@pytest.mark.parametrize("limit", ["0", "-1", "nan", "soon"])
def test_a_limit_that_is_none_is_refused(index, monkeypatch, limit, variable, unit):
    monkeypatch.setenv(variable, limit)
    with Database.open(index) as database, pytest.raises(UsageError, match=f"a number of {unit} above 0"):
        database.ids("true")


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for a single thread")
def test_ctrl_c_ends_a_condition_at_once(index):
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Database.open(index) as database:
            timer.start()
            began = time.perf_counter()
            with pytest.raises(KeyboardInterrupt):
                database.ids(FOREVER)
            assert time.perf_counter() - began < 5
            assert len(database.ids("true")) == 3 * N_WINDOWS
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)


def search_apart(index: Path, where: str, **limits: str) -> str:
    """Search with a condition in another process, which must end, and return its only output."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom pe_audio_cli.errors import UsageError\n"
        "from pe_audio_cli.index.database import Database\n"
        "with Database.open(Path(sys.argv[1])) as database:\n"
        "    try:\n        database.ids(sys.argv[2])\n    except UsageError as error:\n        print(error)\n"
    )
    environment = {**os.environ, **limits, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, index, where]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_condition_that_heeds_nothing_is_left_to_itself(index):
    assert "takes longer than 0.2 s" in search_apart(index, IN_ONE_EXPRESSION, **{LIMIT: "0.2"})


@pytest.mark.skipif(sys.platform == "win32", reason="memory is not watched there")
def test_one_value_that_fills_the_memory_is_one_line(index):
    said = search_apart(index, "length(printf('%2000000000d', 1)) > 5", **{LIMIT: "60", MEMORY_LIMIT: "100000000"})
    assert f"needs too much memory: make it simpler, or set {MEMORY_LIMIT} to more than 100000000" in said


@pytest.mark.parametrize(
    "where",
    [
        "path IN (SELECT file FROM glob('/etc/*'))",
        "path IN (SELECT content FROM read_blob('/etc/hostname'))",
        "path IN (SELECT * FROM '/etc/hostname')",
        "path IN (SELECT * FROM read_json('http://127.0.0.1:9/x.json'))",
        "path IN (SELECT * FROM 's3://bucket/x.parquet')",
        "path IN (SELECT * FROM sniff_csv('/etc/hostname'))",
        "path IN (SELECT secret FROM python_variable)",
        "path IN (SELECT 1 FROM sqlite_scan('x.db', 'x'))",
    ],
)
def test_a_condition_reads_nothing_but_the_index(index, where):
    import pandas

    python_variable = pandas.DataFrame({"secret": ["a"]})
    with Database.open(index) as database, pytest.raises(UsageError, match="does not work") as caught:
        database.ids(where)
    assert "\n" not in str(caught.value)
    assert len(python_variable) == 1
