"""``--plot`` as a shell sees it: which pictures there are, what is refused, and that they are whole or not there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from support import write_tone
from typer.testing import CliRunner, Result

from pe_audio_cli.cli.app import app

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("encoder_without_a_model")

LABELS = ("-l", "loud,very loud")


def run(command: str, *arguments: str | Path) -> Result:
    ran = CliRunner().invoke(app, [command, *map(str, arguments), *LABELS])
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    return ran


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def pixels(picture: Path) -> np.ndarray:
    """Read by PyAV, which knows nothing of matplotlib."""
    import av

    with av.open(picture) as container:
        (frame,) = container.decode(video=0)
        return frame.to_ndarray(format="rgb24")


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    return write_tone(tmp_path / "in" / "a b.wav", seconds=1.3, level=0.9)


@pytest.fixture
def folder(tone: Path) -> Path:
    """Three recordings, one of which is none, and one in a folder of its own."""
    (tone.parent / "c.wav").write_text("text")
    write_tone(tone.parent / "sub" / "a b.wav", seconds=0.5, level=0.9, rate=8_000)
    return tone.parent


def test_a_picture_is_what_its_extension_says(tone, tmp_path):
    for name in ("p.png", "p.svg", "p.pdf"):
        assert run("localize", tone, "--plot", tmp_path / name).exit_code == 0
    assert pixels(tmp_path / "p.png").shape[1] == 1200
    assert ElementTree.parse(tmp_path / "p.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "p.pdf").read_bytes().startswith(b"%PDF-")


def test_a_folder_of_recordings_gives_a_like_folder_of_pictures(folder, tmp_path):
    ran = run("localize", folder, "--plot", f"{tmp_path}/out/")
    assert ran.exit_code == 1 and ran.stdout == run("localize", folder).stdout
    assert files(tmp_path / "out") == {"a b.wav.png", "sub/a b.wav.png"}, "what failed has none"


def test_several_recordings_have_no_room_in_one_timeline(folder, tmp_path):
    ran = run("localize", folder, "--plot", tmp_path / "p.png")
    assert ran.exit_code == 2 and "name a folder" in ran.stderr and ran.stdout == ""
    assert not (tmp_path / "p.png").exists()


def test_tag_draws_one_map_of_all(folder, tmp_path):
    ran = run("tag", folder, "--plot", tmp_path / "map.svg")
    assert ran.exit_code == 1 and ran.stdout == run("tag", folder).stdout
    text = (tmp_path / "map.svg").read_text(encoding="utf-8")
    assert "very loud" in text and "a b.wav" in text


@pytest.mark.parametrize("command", ["tag", "localize"])
@pytest.mark.parametrize(
    ("plot", "remedy"), [("p.bmp", ".png, .svg, .pdf"), ("p", ".png, .svg, .pdf"), ("no/p.png", "no folder")]
)
def test_what_cannot_be_drawn_is_refused_at_once(tone, tmp_path, command, plot, remedy):
    ran = run(command, tone, "--plot", tmp_path / plot)
    assert ran.exit_code == 2 and ran.stdout == "" and ran.stderr.count("\n") == 1
    assert remedy in ran.stderr


@pytest.mark.parametrize("command", ["tag", "localize"])
def test_a_picture_that_is_there_is_kept_unless_told_otherwise(tone, tmp_path, command):
    picture = tmp_path / "p.png"
    picture.write_bytes(b"mine")
    refused = run(command, tone, "--plot", picture)
    assert refused.exit_code == 2 and refused.stdout == "" and picture.read_bytes() == b"mine"
    assert run(command, tone, "--plot", picture, "--overwrite").exit_code == 0
    assert pixels(picture).size


def test_pictures_are_gone_on_with(folder, tmp_path):
    out, plots = tmp_path / "r.jsonl", f"{tmp_path}/plots/"
    first = run("localize", folder / "a b.wav", folder / "sub", "-o", out, "--plot", plots)
    assert first.exit_code == 0
    again = run("localize", folder / "a b.wav", folder / "sub", "-o", out, "--plot", plots, "--overwrite")
    assert again.exit_code == 0
    assert len(out.read_text().splitlines()) == 2 and len(files(tmp_path / "plots")) == 2


def test_without_matplotlib_one_line_says_how_to_get_it(tone, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ran = run("localize", tone, "--plot", tmp_path / "p.png")
    assert ran.exit_code == 2 and ran.stderr.count("\n") == 1
    assert "pip install 'pe-audio-cli[plot]'" in ran.stderr


@pytest.mark.parametrize("label", ["$x_1^2$", r"\frac", "<b>&amp;", "犬の声", "🐕", "a\nb"])
def test_any_label_can_be_drawn(tone, tmp_path, label):
    for command in ("tag", "localize"):
        arguments = [command, str(tone), "--label", label, "--plot", str(tmp_path / f"{command}.svg")]
        ran = CliRunner().invoke(app, arguments)
        assert ran.exit_code == 0, ran.stderr
        ElementTree.parse(tmp_path / f"{command}.svg")


def test_the_output_is_the_same_with_a_picture(tone, tmp_path):
    plain = run("localize", tone, "--frames")
    drawn = run("localize", tone, "--frames", "--plot", tmp_path / "p.png")
    assert drawn.stdout == plain.stdout and "frames" in json.loads(plain.stdout)
