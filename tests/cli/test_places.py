"""The files that a command line may overwrite, and those that it must not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support import LevelEncoder, write_tone
from typer.testing import CliRunner, Result

from pe_audio_cli.cli.app import app
from pe_audio_cli.cli.pace import Pace, spoken

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither such devices nor links for all")


@pytest.fixture
def tone(tmp_path: Path, encoder_without_a_model: LevelEncoder) -> Path:
    return write_tone(tmp_path / "tone.wav", seconds=0.2)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def refused(*arguments: str | Path) -> str:
    """The one line that says why nothing was started."""
    ran = run(*arguments)
    assert ran.exit_code == 2, ran.output
    assert ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    return line


def contents(folder: Path) -> dict[str, object]:
    return {path.name: path.read_bytes() if path.is_file() else path.lstat().st_mode for path in folder.iterdir()}


def test_a_single_dash_is_standard_output(tone):
    printed = run("tag", tone, "-l", "loud")
    assert printed.exit_code == 0
    named = run("tag", tone, "-l", "loud", "-o", "-")
    assert (named.exit_code, named.stdout) == (0, printed.stdout)
    assert not Path("-").exists()


@pytest.mark.parametrize("flags", [[], ["--overwrite"], ["--resume"]])
def test_no_input_is_written_over(tone, tmp_path, flags):
    os.link(tone, tmp_path / "again.csv")
    (tmp_path / "link.csv").symlink_to(tone)
    texts = {name: tmp_path / name for name in ("labels.csv", "manifest.csv")}
    texts["labels.csv"].write_text("loud\n")
    texts["manifest.csv"].write_text(f"{tone}\n")
    before = contents(tmp_path)
    spelled = f"{tmp_path}/./{tone.name}"
    for output in (tone, spelled, tmp_path / "again.csv", tmp_path / "link.csv"):
        assert "is one of the recordings" in refused("tag", tone, "-l", "loud", "-f", "csv", "-o", output, *flags)
    labels = refused("tag", tone, "--labels-file", texts["labels.csv"], "-o", texts["labels.csv"], *flags)
    assert "is the label file" in labels
    listed = refused("tag", "--manifest", texts["manifest.csv"], "-l", "x", "-o", texts["manifest.csv"], *flags)
    assert "is the manifest" in listed
    assert contents(tmp_path) == before


def test_a_folder_of_results_writes_over_no_input_either(tone, tmp_path):
    other = write_tone(tmp_path / "tone.wav.json", seconds=0.1)
    line = refused("tag", tone, other, "-l", "loud", "-f", "json", "-o", f"{tmp_path}/", "--overwrite")
    assert "tone.wav.json is one of the recordings" in line
    assert other.read_bytes()[:4] == b"RIFF"


@pytest.mark.parametrize("flags", [[], ["--overwrite"]])
def test_no_device_or_pipe_is_replaced(tone, tmp_path, flags):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "null.csv").symlink_to("/dev/null")
    for output in (Path("/dev/null"), tmp_path / "pipe.csv", tmp_path / "null.csv"):
        assert "not a file" in refused("tag", tone, "-l", "loud", "-f", "csv", "-o", output, *flags)
    assert "not a file" in refused("embed", tone, "-o", _npz(tmp_path), *flags)
    assert not Path("/dev/null").is_file()


def _npz(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.npz")
    return folder / "pipe.npz"


def test_a_link_is_written_through(tone, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "o.csv").write_text("old")
    link = tmp_path / "o.csv"
    link.symlink_to(tmp_path / "far" / "o.csv")
    assert "exists" in refused("tag", tone, "-l", "loud", "-o", link)
    assert run("tag", tone, "-l", "loud", "-o", link, "--overwrite").exit_code == 0
    assert link.is_symlink()
    assert (tmp_path / "far" / "o.csv").read_text().startswith("file,label")
    assert set(contents(tmp_path / "far")) == {"o.csv"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("tag", "-o", "a.csv", "--output", "b.csv"),
        ("localize", "--report", "a.html", "--report", "b.html"),
        ("localize", "--plot", "a.png", "--plot", "a.png"),
        ("embed", "-o", "a.npz", "-o", "b.npz"),
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_a_second_output_is_refused(tone, arguments):
    command, *rest = arguments
    ran = run(command, tone, *rest)
    assert ran.exit_code == 2
    assert "is given twice" in " ".join(ran.stderr.split())


def test_a_name_of_an_output_that_has_no_room_for_those_of_its_helpers(tone, tmp_path):
    target = tmp_path / ("x" * 250 + ".csv")
    assert run("tag", tone, "-l", "loud", "-o", target, "--resume").exit_code == 0
    assert target.read_text().startswith("file,label")


def test_what_was_finished_without_a_journal_is_told(tone, tmp_path):
    command = ("tag", tone, "-l", "loud", "-o", tmp_path / "o.csv")
    assert run(*command).exit_code == 0
    again = run(*command, "--resume")
    assert again.exit_code == 0
    assert "no journal to compare with" in again.stderr


def test_how_long_a_recording_will_go_on_and_what_would_be_lost(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("pe_audio_cli.cli.pace.time.monotonic", lambda: now[0])
    pace = Pace()
    assert pace.stopping() == "stopping after this recording; once more stops at once"
    for minute in range(1, 16):
        now[0] = 60.0 * minute
        pace.chunk("long.wav", minute / 60)
    assert "in about 45 min" in pace.stopping()
    assert "loses what 15 min have made of it" in pace.stopping()
    assert "45 min" not in pace.stopping(soon=True)
    pace.done("long.wav")
    assert "about" not in pace.stopping()
    assert [spoken(seconds) for seconds in (0.2, 60, 600, 7200)] == ["1 s", "60 s", "10 min", "2.0 h"]
