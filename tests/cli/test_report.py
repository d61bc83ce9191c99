"""``--report`` as a shell sees it: what is in it, what is refused, and that it is there whole or not at all."""

from __future__ import annotations

import json
import os
from io import FileIO
from pathlib import Path

import pytest
from pages import Elements
from support import write_tone
from typer.testing import CliRunner, Result

from pe_audio_cli.cli.app import app

pytestmark = pytest.mark.usefixtures("encoder_without_a_model")

LABELS = ("-l", "loud,very loud")


def run(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    ran = CliRunner().invoke(app, ["localize", *map(str, arguments), *LABELS], input=stdin)
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    return ran


def recordings(page: Path) -> list[dict]:
    """Return the data of each recording in a report."""
    return Elements(page.read_text(encoding="utf-8")).recordings


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    return write_tone(tmp_path / "in" / "a b.wav", seconds=1.3, level=0.9)


@pytest.fixture
def folder(tone: Path) -> Path:
    """A loud recording, one that is none, a quiet one, and one in a folder of its own."""
    (tone.parent / "c.wav").write_text("text")
    write_tone(tone.parent / "d.wav", seconds=1.5, level=0.0001)
    write_tone(tone.parent / "sub" / "e.wav", seconds=0.5, level=0.9, rate=8_000)
    return tone.parent


def test_all_recordings_are_in_the_report_the_failed_among_them(folder, tmp_path):
    ran = run(folder, "--report", tmp_path / "out" / ".." / "r.html")
    assert ran.exit_code == 2, "there is no folder out"
    ran = run(folder, "--report", tmp_path / "r.html")
    assert ran.exit_code == 1
    printed = [json.loads(line) for line in ran.stdout.splitlines()]
    found = recordings(tmp_path / "r.html")
    assert [item["file"] for item in found] == [item["file"] for item in printed]
    assert found[1]["error"] == printed[1]["error"]["message"]
    for item, same in ((found[place], printed[place]) for place in (0, 2, 3)):
        assert item["labels"] == ["loud", "very loud"]
        assert (item["duration"], item["sampleRate"]) == (same["duration"], same["sample_rate"])
        assert item["eventsFound"] == len(same["events"])
    assert [item["link"] for item in (found[0], found[3])] == ["in/a%20b.wav", "in/sub/e.wav"]


@pytest.mark.parametrize("more", [(), ("--frames",)])
def test_the_output_is_the_same_with_a_report(tone, tmp_path, more):
    plain = run(tone, *more)
    assert run(tone, *more, "--report", tmp_path / "r.html").stdout == plain.stdout
    assert ("frames" in json.loads(plain.stdout)) == (more == ("--frames",))


def test_a_report_and_pictures_stand_beside_an_output_together(tone, tmp_path):
    pytest.importorskip("matplotlib")
    beside = ("--report", tmp_path / "r.html", "--plot", tmp_path / "p.svg")
    assert run(tone, *beside).stdout == run(tone).stdout
    assert {path.name for path in tmp_path.iterdir()} == {"in", "r.html", "p.svg"}


def test_the_rule_of_the_events_is_that_of_the_command(tone, tmp_path):
    rule = ("--threshold", "0.45", "--offset-threshold", "0.2", "--median", "0.2", "--merge-gap", "0.1")
    run(tone, *rule, "--min-duration", "0.1", "--report", tmp_path / "r.html")
    page = Elements((tmp_path / "r.html").read_text(encoding="utf-8"))
    (text,) = [text for _, attributes, text in page.found if attributes.get("id") == "settings"]
    settings = json.loads(text)
    assert settings["thresholds"][settings["onset"]] == 0.45
    assert settings["thresholds"][settings["rule"].pop("offset")] == 0.2
    assert settings["rule"] == {"median": 5, "gap": 2, "shortest": 3}


def test_links_lead_from_the_report_to_the_recordings(tone, tmp_path, monkeypatch):
    monkeypatch.chdir(tone.parent)
    (tmp_path / "reports").mkdir()
    run("a b.wav", "--report", "../reports/r.html")
    assert recordings(tmp_path / "reports" / "r.html")[0]["link"] == "../in/a%20b.wav"


def test_sounds_are_in_the_report_where_that_is_asked_for(folder, tmp_path):
    assert run(folder, "--report", tmp_path / "r.html", "--embed-audio").exit_code == 1
    found = recordings(tmp_path / "r.html")
    assert [item.get("soundType") for item in found] == ["audio/webm", None, "audio/webm", "audio/webm"]
    assert [item.get("link") for item in found] == [None] * 4


@pytest.mark.parametrize("embed", [False, True])
def test_standard_input_is_heard_only_in_a_report_that_holds_its_sound(tone, tmp_path, embed):
    more = ["--embed-audio"] if embed else []
    ran = run("-", "--report", tmp_path / "r.html", *more, stdin=tone.read_bytes())
    assert ran.exit_code == 0
    assert ("--embed-audio" in ran.stderr) == (not embed)
    (found,) = recordings(tmp_path / "r.html")
    assert (found["soundType"], found["link"]) == ("audio/webm" if embed else None, None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--embed-audio"], "--report"),
        (["--report", "r.txt"], "must end in .html"),
        (["--report", "in"], "must end in .html"),
        (["--report", "r.html/"], "must end in .html"),
        (["--report", "none/r.html"], "no folder"),
        (["--report", "in/c.wav/r.html"], "no folder"),
        (["--report", "there.html"], "--overwrite"),
        (["--report", "r.html", "--resume", "-o", "o.csv"], "--resume"),
        (["--report", "r.html", "-o", "./r.html", "-f", "json"], "both"),
        (["--report", "r.html", "--overwrite", "--resume", "-o", "o.csv"], "choose one"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(folder, tmp_path, monkeypatch, encoder, arguments, words):
    monkeypatch.chdir(tmp_path)
    Path("there.html").write_text("precious")
    ran = run(folder, *arguments)
    assert ran.exit_code == 2
    assert ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    assert words in line
    assert encoder.batches == []
    assert {path.name for path in tmp_path.iterdir()} == {"in", "there.html"}
    assert Path("there.html").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_refused(tone, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    ran = run(tone, "--report", tmp_path / "locked" / "r.html")
    assert ran.exit_code == 2
    assert "permission denied" in ran.stderr


def test_an_existing_report_is_replaced_where_that_is_asked_for_and_only_by_a_whole_one(folder, tmp_path):
    (tmp_path / "r.html").write_text("old")
    assert run(folder, "--report", tmp_path / "r.html", "--overwrite", "--fail-fast").exit_code == 1
    assert (tmp_path / "r.html").read_text() == "old"
    assert run(folder, "--report", tmp_path / "r.html", "--overwrite").exit_code == 1
    assert len(recordings(tmp_path / "r.html")) == 4


def test_a_run_that_stops_early_leaves_no_report(folder, tmp_path):
    ran = run(folder, "--report", tmp_path / "r.html", "--fail-fast", "-o", tmp_path / "o.jsonl")
    assert ran.exit_code == 1
    assert not list(tmp_path.glob("r.html*"))
    assert (tmp_path / "o.jsonl.part").exists(), "the output can be gone on with all the same"


def test_an_output_that_cannot_be_made_leaves_no_report(tone, tmp_path):
    ran = run(tone, "--report", tmp_path / "r.html", "-o", tmp_path / "none" / "o.json")
    assert ran.exit_code == 2
    assert not list(tmp_path.glob("r.html*"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk is full here")
def test_a_full_disk_is_one_error_and_leaves_no_report(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("pe_audio_cli._files.create", lambda path: FileIO("/dev/full", "r+b"))
    ran = run(folder, "--report", tmp_path / "r.html")
    assert ran.exit_code == 2
    (line,) = ran.stderr.splitlines()
    assert "r.html: No space left" in line
    assert not [*tmp_path.glob("r.html*")]
