"""The formats of localize as a shell sees them: which is chosen, what is refused, how a run goes on."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas
import pytest
from support import write_tone
from typer.testing import CliRunner, Result

from pe_audio_cli.cli.app import app

FORMATS = {
    "audacity": ".txt",
    "raven": ".selections.txt",
    "textgrid": ".TextGrid",
    "vtt": ".vtt",
    "srt": ".srt",
    "rttm": ".rttm",
    "dcase": ".dcase.tsv",
}
SEVERAL = ["raven", "rttm", "dcase"]
LONE = sorted(FORMATS.keys() - SEVERAL)


pytestmark = pytest.mark.usefixtures("encoder_without_a_model")


def run(*arguments: str | Path, command: str = "localize") -> Result:
    ran = CliRunner().invoke(app, [command, *map(str, arguments)])
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    return ran


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two recordings that are loud, and between them one that is none and one without events."""
    write_tone(tmp_path / "in" / "a b.wav", seconds=1.0, level=0.9)
    (tmp_path / "in" / "c.wav").write_text("text")
    write_tone(tmp_path / "in" / "d.wav", seconds=1.5, level=0.0001)
    write_tone(tmp_path / "in" / "sub" / "e.wav", seconds=0.5, level=0.9, rate=8_000)
    return tmp_path / "in"


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_holds_what_standard_output_would(folder: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / f"out{FORMATS[name]}"
    printed = run(folder / "a b.wav", "-l", "loud", "-f", name)
    flags = ["-f", name] if name == "audacity" else []  # a .txt could be a table as well
    assert run(folder / "a b.wav", "-l", "loud", "-o", target, *flags).exit_code == printed.exit_code == 0
    assert target.read_text(encoding="utf-8") == printed.stdout
    assert "loud" in printed.stdout


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_gets_a_file_for_each_recording_that_could_be_read(folder: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    assert run(folder, "-l", "loud", "-f", name, "-o", f"{out}/").exit_code == 1
    extension = FORMATS[name]
    found = sorted(str(path.relative_to(out)) for path in out.rglob("[!.]*") if path.is_file())
    assert (out / ".peaudio.journal").is_file()  # what failed can be tried again
    assert found == [f"a b.wav{extension}", f"d.wav{extension}", f"sub/e.wav{extension}"]
    alone = run(folder / "sub" / "e.wav", "-l", "loud", "-f", name)
    assert (out / f"sub/e.wav{extension}").read_text(encoding="utf-8") == alone.stdout


@pytest.mark.parametrize("where", [[], ["-o", "{tmp}/out"]], ids=["standard output", "file"])
@pytest.mark.parametrize("name", LONE)
def test_several_recordings_are_refused_where_a_format_holds_one(
    folder: Path, tmp_path: Path, name: str, where: list[str]
) -> None:
    refused = run(folder, "-l", "loud", "-f", name, *(each.format(tmp=tmp_path) for each in where))
    assert refused.exit_code == 2
    assert refused.stdout == ""
    assert (
        refused.stderr == f"peaudio: {name} holds one recording, not 4: give each a file of its own with -o FOLDER/\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("name", LONE)
def test_a_lone_recording_that_fails_leaves_no_file(folder: Path, tmp_path: Path, name: str) -> None:
    assert run(folder / "c.wav", "-l", "loud", "-f", name, "-o", tmp_path / "out").exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("name", SEVERAL)
def test_an_interrupted_run_ends_like_one_that_was_not(folder: Path, tmp_path: Path, name: str) -> None:
    whole, target = tmp_path / "whole", tmp_path / "out"
    asked = (folder, "-l", "loud", "-f", name)
    assert run(*asked, "-o", whole).exit_code == 1
    assert run(*asked, "-o", target, "--fail-fast").exit_code == 1
    assert not target.exists()
    assert run(*asked, "-o", target, "--resume").exit_code == 1
    assert target.read_bytes() == whole.read_bytes()
    assert len(whole.read_bytes().splitlines()) >= 2


def test_a_raven_table_of_a_folder_counts_on_over_its_recordings(folder: Path) -> None:
    table = pandas.read_csv(io.StringIO(run(folder, "-l", "loud", "-f", "raven").stdout), sep="\t")
    assert table["Begin Time (s)"].tolist() == [0.0, 2.5]
    assert table["End Time (s)"].tolist() == [1.0, 3.0]
    assert table["File Offset (s)"].tolist() == [0.0, 0.0]
    assert table["High Freq (Hz)"].tolist() == [24_000.0, 4_000.0]
    assert all(Path(path).is_file() for path in table["Begin Path"])


def test_names_that_a_format_spells_otherwise_are_told_on_standard_error(folder: Path) -> None:
    asked = (folder / "a b.wav", "-l", "very loud", "-f", "rttm")
    done = run(*asked)
    assert done.stdout.startswith("SPEAKER a_b 1 0.000000 1.000000 <NA> <NA> very_loud ")
    assert done.stderr.splitlines() == [
        "peaudio: rttm writes 'very loud' as 'very_loud'",
        "peaudio: rttm writes 'a b' as 'a_b'",
    ]
    assert run(*asked, "-q").stderr == ""


@pytest.mark.parametrize(
    ("labels", "more", "says"),
    [
        ("very loud,very_loud", [], "rttm writes both"),
        ("loud", ["{tmp}/in/sub/../../in2/e.flac"], "the same name"),
        ("loud", ["--frames"], "--frames needs"),
    ],
)
def test_what_rttm_cannot_hold_is_refused_before_any_work(
    folder: Path, tmp_path: Path, labels: str, more: list[str], says: str
) -> None:
    write_tone(tmp_path / "in2" / "e.flac")
    file = folder / "sub" / "e.wav"
    refused = run(file, *(each.format(tmp=tmp_path) for each in more), "-l", labels, "-f", "rttm")
    assert refused.exit_code == 2
    assert says in refused.stderr
    assert refused.stdout == ""


def test_tag_has_none_of_these_formats(folder: Path) -> None:
    for name in FORMATS:
        refused = run(folder, "-l", "loud", "-f", name, command="tag")
        assert refused.exit_code == 2
        assert f"tag has no format '{name}'" in refused.stderr


def test_a_label_cannot_become_a_formula_in_a_spreadsheet(folder: Path) -> None:
    label = '=HYPERLINK("http://example.org","loud")'
    done = run(folder / "a b.wav", "--label", label, "-f", "csv", command="tag")
    assert list(csv.reader(io.StringIO(done.stdout)))[1][1] == f"'{label}"
    done = run(folder / "a b.wav", "--label", label, "-f", "json", command="tag")
    assert json.loads(done.stdout)[0]["tags"][0]["label"] == label
