"""Standard streams that are closed or full, and what may not reach a terminal or a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from support import write_tone
from typer.testing import CliRunner

from pe_audio_cli.cli.app import app

PEAUDIO = [sys.executable, str(Path(__file__).parents[1] / "fake_peaudio.py")]
ODD_NAME = "a\x1b[31m\x9b31m\u202ered\u2066.wav"

posix = pytest.mark.skipif(os.name == "nt", reason="descriptors are closed before a process starts as POSIX does it")
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here that is always full")


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    return write_tone(tmp_path / "tone.wav")


def run(*arguments: str | Path, closed: Sequence[int] = (), **more) -> tuple[int, bytes, bytes]:
    """Run to the end, with some descriptors closed: exit code, standard output, standard error."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **more}

    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    done = subprocess.run([*PEAUDIO, *map(str, arguments)], preexec_fn=close, timeout=100, **streams)
    return done.returncode, done.stdout or b"", done.stderr or b""


@posix
@pytest.mark.parametrize("closed", [(2,), (0, 1, 2), (1,)])
def test_a_file_is_written_as_ever_whatever_is_closed(tone, tmp_path, closed):
    assert run("tag", tone, "-l", "rain", "-o", tmp_path / "whole.csv")[0] == 0
    assert run("tag", tone, "-l", "rain", "-o", tmp_path / "out.csv", closed=closed) == (0, b"", b"")
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@posix
def test_no_file_gets_the_descriptor_of_a_closed_stream(tmp_path):
    code = (
        "import os, sys\n"
        "from pe_audio_cli.cli.streams import prepare\n"
        "prepare()\n"
        "with open(sys.argv[1], 'w') as opened:\n"
        "    os.write(2, b'what a library says')\n"
        "    assert opened.fileno() > 2\n"
    )
    out = tmp_path / "out"
    subprocess.run([sys.executable, "-c", code, out], preexec_fn=lambda: [os.close(n) for n in range(3)], check=True)
    assert out.read_bytes() == b""


@posix
def test_with_standard_error_closed_nothing_but_data_is_in_standard_output(tone, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("no recording")
    code, out, _ = run("tag", tone, bad, "-l", "rain", "-q", closed=[2])
    assert code == 1
    assert [json.loads(line)["schema"] for line in out.splitlines()] == ["peaudio.tag/1", "peaudio.error/1"]


@posix
@needs_full
@pytest.mark.parametrize(
    "asked",
    [["--version"], ["--help"], ["tag", "--help"], ["tag", "TONE", "-l", "a"], ["tag", "TONE", "-l", "a", "-fcsv"]],
)
@pytest.mark.parametrize("where", ["full", "closed"])
def test_output_that_cannot_be_written_is_one_line(tone, asked, where):
    arguments = [str(tone) if each == "TONE" else each for each in asked]
    with open("/dev/full", "wb") as full:
        more = {"stdout": full} if where == "full" else {"closed": [1]}
        code, _, err = run(*arguments, **more)
    assert code == 1
    assert len(err.splitlines()) == 1 and err.startswith(b"peaudio: ")


def test_nothing_that_is_said_drives_a_terminal(tmp_path, encoder_without_a_model):
    write_tone(tmp_path / ODD_NAME)
    (tmp_path / f"bad{ODD_NAME}").write_text("no recording")
    asked = ["tag", str(tmp_path), "-l", f"rain,{ODD_NAME}", "-v"]
    for form in ("jsonl", "table", "csv"):
        check_harmless(CliRunner().invoke(app, [*asked, "-f", form]).stderr)
    check_harmless(CliRunner().invoke(app, [*asked, "-f", "table"]).stdout)
    check_harmless(CliRunner().invoke(app, ["tag", f"--{ODD_NAME}"]).stderr)
    check_harmless(CliRunner().invoke(app, ["tag", str(tmp_path), f"--window={ODD_NAME}", "-v"]).stderr)
    check_harmless(CliRunner().invoke(app, ["tag", "x", "-l", "a", "-m", f"./{ODD_NAME}", "-v"]).stderr)


def check_harmless(text: str) -> None:
    assert text
    assert not set(text) & set("\x1b\x9b\u202e\u2066")


def test_no_colour_is_forced_into_files(tone, tmp_path, encoder_without_a_model, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = tmp_path / "out.txt"
    assert CliRunner().invoke(app, ["tag", str(tone), "-l", "rain", "-f", "table", "-o", str(out)]).exit_code == 0
    piped = CliRunner().invoke(app, ["tag", str(tone), "-l", "rain", "-f", "table"]).stdout
    assert "rain" in piped and "\x1b" not in piped + out.read_text(encoding="utf-8")


@pytest.mark.parametrize("columns", ["0", "-5", "many", "", "1" * 30])
def test_widths_that_make_no_sense_are_forgotten(tone, encoder_without_a_model, monkeypatch, columns):
    asked = ["tag", str(tone), "-l", "rain", "-f", "table"]
    monkeypatch.delenv("COLUMNS", raising=False)
    plain = CliRunner().invoke(app, asked).stdout
    monkeypatch.setenv("COLUMNS", columns)
    assert CliRunner().invoke(app, asked).stdout == plain != ""
    environment = {**os.environ, "COLUMNS": columns, "TERMINAL_WIDTH": "many"}
    code, out, err = run("--help", env=environment)
    assert (code, err) == (0, b"") and b"localize" in out
