"""Paths that the system refuses, in every option that takes one: one line that says so, and nothing is started."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import write_tone
from typer.testing import CliRunner, Result

from pe_audio_cli.cli.app import app

LONG = "x" * 5_000
ODD = {
    "a NUL": "a\0b.{extension}",
    "too long a name": LONG + ".{extension}",
    "in too long a folder": LONG + "/x.{extension}",
    "nobody's home": "~nobody-of-this-name/x.{extension}",
    "a link in a circle": "{folder}/circle/x.{extension}",
    "below a file": "{folder}/file/x.{extension}",
    "not UTF-8": "{folder}/\udcff/x.{extension}",
    "not to be encoded": "{folder}/\ud8ff/x.{extension}",
}
# What takes a path, by what is before it on the command line; the path's ending; whether it is read or written.
PLACES = {
    "tag PATH": (["tag", "-l", "loud", "{path}"], "wav"),
    "tag --manifest": (["tag", "-l", "loud", "--manifest", "{path}"], "txt"),
    "tag --labels-file": (["tag", "{tone}", "--labels-file", "{path}"], "txt"),
    "tag --settings": (["tag", "{tone}", "-l", "loud", "--settings", "{path}"], "toml"),
    "tag --model": (["tag", "{tone}", "-l", "loud", "--model", "./{path}"], "d"),
    "tag --output": (["tag", "{tone}", "-l", "loud", "-o", "{path}"], "json"),
    "tag --output FOLDER": (["tag", "{tone}", "-l", "loud", "-f", "json", "-o", "{path}/"], "d"),
    "tag --shard-size": (["tag", "{tone}", "-l", "loud", "--shard-size", "1", "-o", "{path}"], "d"),
    "tag --plot": (["tag", "{tone}", "-l", "loud", "--plot", "{path}"], "png"),
    "localize --plot": (["localize", "{tone}", "-l", "loud", "--plot", "{path}"], "png"),
    "localize --plot FOLDER": (["localize", "{tone}", "-l", "loud", "--plot", "{path}/"], "d"),
    "localize --report": (["localize", "{tone}", "-l", "loud", "--report", "{path}"], "html"),
    "embed --output": (["embed", "{tone}", "-o", "{path}"], "npz"),
    "index --index": (["index", "{tone}", "--index", "{path}"], "index"),
    "index PATH": (["index", "{path}", "--index", "{folder}/new.index"], "wav"),
    "search --index": (["search", "rain", "--index", "{path}"], "index"),
    "eval ANNOTATIONS": (["eval", "{path}"], "tsv"),
    "eval --audio": (["eval", "{table}", "--audio", "{path}"], "d"),
    "eval --map": (["eval", "{table}", "--map", "{path}"], "csv"),
    "eval --settings": (["eval", "{table}", "--settings", "{path}"], "toml"),
    "eval --tune": (["eval", "{table}", "--tune", "{path}"], "toml"),
    "eval --output": (["eval", "{table}", "-o", "{path}"], "json"),
    "models pull": (["models", "pull", "./{path}"], "d"),
}
NEW_FOLDERS = ("tag --output FOLDER", "tag --shard-size", "localize --plot FOLDER")  # may have odd names


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_tone(tmp_path / "tone.wav")
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "labels.tsv").write_text("filename\tonset\toffset\tevent_label\ntone.wav\t0.2\t0.5\tloud\n")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path


def ask(folder: Path, place: str, path: str) -> Result:
    arguments, extension = PLACES[place]
    named = path.format(folder=folder, extension=extension)
    if named.startswith(("/", "~")):
        arguments = [argument.replace("./{path}", "{path}") for argument in arguments]
    given = {"tone": folder / "tone.wav", "table": folder / "labels.tsv", "folder": folder, "path": named}
    return CliRunner().invoke(app, [argument.format(**given) for argument in arguments])


def check(result: Result) -> None:
    assert "Traceback" not in result.stderr
    assert result.exit_code in (1, 2), result.stderr
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit), result.exception
    assert "unexpectedly" not in result.stderr
    if not result.stderr.startswith("Usage: "):  # as Typer says it
        assert result.stderr.startswith("peaudio: ")
        assert len(result.stderr.splitlines()) == 1, result.stderr


@pytest.mark.parametrize(
    ("place", "path"),
    [
        pytest.param(place, path, id=f"{place}: {kind}")
        for place in PLACES
        for kind, path in ODD.items()
        if not (place in NEW_FOLDERS and kind in ("nobody's home", "not UTF-8"))
    ],
)
def test_it_is_refused_in_one_line_and_leaves_nothing(folder, place, path, encoder_without_a_model):
    before = sorted(folder.rglob("*"))
    check(ask(folder, place, path))
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("place", PLACES)
def test_nor_does_a_folder_that_may_not_be_read(powerless, place, encoder_without_a_model, monkeypatch):
    (powerless / "locked").mkdir(0o700)
    (powerless / "labels.tsv").write_text("filename\tonset\toffset\tevent_label\ntone.wav\t0.2\t0.5\tloud\n")
    write_tone(powerless / "tone.wav")
    monkeypatch.chdir(powerless)
    (powerless / "locked").chmod(0)
    try:
        check(ask(powerless, place, "{folder}/locked/x.{extension}"))
    finally:
        (powerless / "locked").chmod(0o700)
