"""Credentials open a recording, and appear in no output and no message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from support import LevelEncoder, write_tone
from typer.testing import CliRunner

from pe_audio_cli.cli.app import app

FORMATS = ["table", "json", "jsonl", "csv", "tsv"]
EVENT_FORMATS = ["audacity", "raven", "textgrid", "vtt", "srt", "rttm", "dcase"]


@pytest.fixture(autouse=True)
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder_without_a_model: LevelEncoder) -> Path:
    """A folder whose files lie at ``s3://USER:PASSWORD@box/NAME?token=...``, for whoever knows the token of today."""
    box = tmp_path / "box"
    for name, level in (("a.wav", 0.5), ("b.wav", 0.1), ("c.wav", 0.9)):
        write_tone(box / name, 2.0, level)

    class Stub(fsspec.AbstractFileSystem):
        cachable = False

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return path

        def get_file(self, rpath: str, lpath: str, **options: Any) -> None:
            if (tmp_path / "today").read_text() not in rpath:
                raise PermissionError(13, f"Forbidden: {rpath}")
            Path(lpath).write_bytes((box / rpath.partition("box/")[2].partition("?")[0]).read_bytes())

    monkeypatch.setattr(fsspec, "get_filesystem_class", lambda protocol: Stub)
    (tmp_path / "today").write_text("m0ndaysecret")
    return box


def signed(token: str = "m0ndaysecret", names: str = "abc") -> list[str]:
    return [f"s3://al1ce:wonderl4nd@box/{name}.wav?part=1&X-Amz-Date=2026&token={token}" for name in names]


def run(*arguments: str) -> tuple[int, str]:
    ran = CliRunner().invoke(app, list(arguments))
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    return ran.exit_code, ran.stdout + ran.stderr


def written(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        yield str(path), b"" if path.is_dir() else path.read_bytes()


def assert_silent(said: str, folder: Path) -> None:
    for name, content in [("the terminal", said.encode()), *written(folder)]:
        for secret in ("m0ndaysecret", "tu3sdaysecret", "al1ce", "wonderl4nd"):
            assert secret not in name
            assert secret.encode() not in content, name


@pytest.mark.parametrize(
    ("command", "format"), [*(("tag", each) for each in FORMATS), *(("localize", each) for each in EVENT_FORMATS)]
)
def test_no_format_tells_them(tmp_path: Path, command: str, format: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for target in ("one.txt", "each/"):
        code, said = run(command, signed()[0], "-l", "loud", "-v", "-f", format, "-o", f"{out}/{target}")
        assert code == 0, said
    assert_silent(said, out)
    assert sum(1 for _, content in written(out) if content) >= 2


def test_a_report_and_errors_do_not_tell_them(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    report = ("--report", f"{out}/r.html", "--embed-audio", "-f", "json", "-o", f"{out}/r.json")
    code, said = run("localize", *signed(), *signed("sundaysecret"), "-l", "loud", "-v", *report)
    assert code == 1
    assert_silent(said.replace("sundaysecret", "tu3sdaysecret"), out)
    names = [each["file"] for each in json.loads((out / "r.json").read_text())]
    assert names == [f"s3://box/{name}.wav?part=1{number}" for number in ("", "#2") for name in "abc"]


def test_a_run_goes_on_with_other_signatures(tmp_path: Path, bucket: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    content = (bucket / "b.wav").read_bytes()
    (bucket / "b.wav").write_bytes(b"")
    code, said = run("tag", *signed(), "-l", "loud", "-f", "jsonl", "-o", f"{out}/o.jsonl", "--fail-fast")
    assert code == 1
    assert_silent(said, out)
    (bucket / "b.wav").write_bytes(content)
    (tmp_path / "today").write_text("tu3sdaysecret")
    again = signed("tu3sdaysecret")
    code, said = run("tag", *again, "-l", "loud", "-f", "jsonl", "-o", f"{out}/o.jsonl", "--resume")
    assert code != 2, said
    assert_silent(said, out)
    assert "s3://box/a.wav" in (out / "o.jsonl").read_text()
    assert len((out / "o.jsonl").read_text().splitlines()) == 3


def test_an_index_does_not_tell_them(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    out = tmp_path / "out"
    out.mkdir()
    code, said = run("index", *signed(), *signed("sundaysecret", "a"), "--index", f"{out}/i.index", "-v")
    assert code == 1
    assert_silent(said.replace("sundaysecret", "tu3sdaysecret"), out)
    with duckdb.connect(f"{out}/i.index", read_only=True) as opened:
        paths = opened.sql("SELECT DISTINCT file FROM clips ORDER BY file").fetchall()
    assert paths == [(f"s3://box/{name}.wav?part=1",) for name in "abc"]
