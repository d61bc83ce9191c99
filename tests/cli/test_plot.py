"""``--plot`` as a shell sees it: which pictures there are, what is refused, how a run goes on."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from drawings import pdf_texts, png_pixels, svg_texts
from pages import result_of
from support import write_tone
from typer.testing import CliRunner, Result

from pe_audio_cli.cli.app import app
from pe_audio_cli.options import EventOptions
from pe_audio_cli.plots.text import without_glyphs

pytestmark = pytest.mark.usefixtures("encoder_without_a_model")

LABELS = ("-l", "loud,very loud")
AWKWARD = ["$x_1$", "\\frac{a}{", "a_b^c", "<script>alert(1)</script>", "-- & --", "🐶", "%s {} \\n", "犬"]


def run(command: str, *arguments: str | Path, labels: tuple[str, ...] = LABELS) -> Result:
    ran = CliRunner().invoke(app, [command, *map(str, arguments), *labels])
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    return ran


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


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", ["tag", "localize"])
def test_the_extension_tells_what_the_picture_is(tone, tmp_path, command):
    printed = run(command, tone).stdout
    pictures = {kind: tmp_path / f"picture.{kind}" for kind in ("png", "svg", "pdf", "PNG")}
    for picture in pictures.values():
        ran = run(command, tone, "--plot", picture)
        assert (ran.exit_code, ran.stdout, ran.stderr) == (0, printed, "")
    read = {kind: picture.read_bytes() for kind, picture in pictures.items()}
    for texts in (svg_texts(read["svg"]), pdf_texts(read["pdf"])):
        assert all(any(expected in text for text in texts) for expected in ("loud", "very loud", "a b.wav"))
    assert png_pixels(read["png"]).shape[1] >= 720
    assert read["PNG"] == read["png"]


def test_a_folder_of_recordings_gets_a_folder_of_pictures(folder, tmp_path):
    ran = run("localize", folder, "--plot", f"{tmp_path}/pictures/")
    assert ran.exit_code == 1
    assert ["error" in json.loads(line) for line in ran.stdout.splitlines()] == [False, True, False, False]
    assert files_in(tmp_path / "pictures") == {"a b.wav.png", "d.wav.png", "sub/e.wav.png"}


def test_pictures_and_results_may_share_a_folder(folder, tmp_path):
    run("localize", folder, "--plot", f"{tmp_path}/out/", "-o", f"{tmp_path}/out/")
    names = {"a b.wav", "d.wav", "sub/e.wav"}
    results = {name + extension for name in names for extension in (".json", ".png")}
    assert files_in(tmp_path / "out") == results | {".peaudio.journal"}  # one failed, and can be tried again


def test_tag_draws_one_picture_of_all_recordings(folder, tmp_path):
    assert run("tag", folder, "--plot", tmp_path / "map.svg").exit_code == 1
    texts = svg_texts((tmp_path / "map.svg").read_bytes())
    assert [text for text in texts if text.endswith(".wav")] == ["a b.wav", "c.wav", "d.wav", "sub/e.wav"]
    assert "failed, or left out" in texts
    assert files_in(tmp_path) - {f"in/{name}" for name in files_in(folder)} == {"map.svg"}


@pytest.mark.parametrize("command", ["tag", "localize"])
def test_labels_of_any_character_are_written_as_they_are(tone, tmp_path, command):
    labels = tuple(word for label in AWKWARD for word in ("--label", label))
    ran = run(command, tone, "--plot", tmp_path / "picture.svg", labels=labels)
    lacking = [label for label in AWKWARD if without_glyphs([label])]
    assert ran.exit_code == 0 and len(ran.stderr.splitlines()) == bool(lacking)
    assert all(f"{label!r}" in ran.stderr for label in lacking)
    texts = " ".join(svg_texts((tmp_path / "picture.svg").read_bytes())).replace(" ", "")
    for label in AWKWARD:
        escaped = label.encode("unicode_escape").decode()  # where no font has the character
        assert label.replace(" ", "") in texts or escaped in texts


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        ("localize", ["in/a b.wav", "--plot", "x.jpg"], "its name must end in one of .png, .svg, .pdf, or in / for"),
        ("localize", ["in/a b.wav", "--plot", "x"], "its name must end in one of .png, .svg, .pdf, or in / for"),
        ("localize", ["in", "--plot", "x.png"], "there are 4 recordings: name a folder, such as x/"),
        ("localize", ["in/a b.wav", "--plot", "there.png"], "there.png exists"),
        ("localize", ["in", "--plot", "there"], "there/sub/e.wav.png exists"),
        ("localize", ["in/a b.wav", "--plot", "none/x.png"], "none: it is no folder"),
        ("localize", ["in", "--plot", "there.png/x/"], "it is no folder"),
        ("localize", ["in/a b.wav", "--plot", "x.svg", "-o", "./x.svg", "-f", "json"], "--output and --plot are both"),
        ("localize", ["in/a b.wav", "--plot", "x.png", "--resume"], "name it with --output"),
        ("tag", ["in", "--plot", "x.jpg"], "its name must end in one of .png, .svg, .pdf"),
        ("tag", ["in", "--plot", "x/"], "names a file, not the folder x/"),
        ("tag", ["in", "--plot", "there"], "names a file, not the folder there"),
        ("tag", ["in", "--plot", "there.png"], "there.png exists"),
        ("tag", ["in", "--plot", "none/x.png"], "none: it is no folder"),
        ("tag", ["in", "--plot", "x.png", "-o", "o.csv", "--resume"], "leave out --plot or --resume"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(
    folder, tmp_path, monkeypatch, encoder, command, arguments, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there" / "sub").mkdir(parents=True)
    for name in ("there.png", "there/sub/e.wav.png"):
        (tmp_path / name).write_text("precious")
    before = files_in(tmp_path)
    ran = run(command, *arguments)
    assert (ran.exit_code, ran.stdout) == (2, "")
    (line,) = ran.stderr.splitlines()
    assert words in line
    assert encoder.batches == []
    assert files_in(tmp_path) == before
    assert (tmp_path / "there.png").read_text() == "precious"


@pytest.mark.parametrize("command", ["tag", "localize"])
def test_without_matplotlib_one_line_says_what_installs_it(tone, tmp_path, monkeypatch, encoder, command):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ran = run(command, tone, "--plot", tmp_path / "x.png")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr == "peaudio: --plot needs matplotlib: pip install 'pe-audio-cli[plot]'\n"
    assert encoder.batches == []
    assert run(command, tone).exit_code == 0


@pytest.mark.parametrize("command", ["tag", "localize"])
def test_an_existing_picture_is_replaced_where_that_is_asked_for(tone, tmp_path, command):
    picture = tmp_path / "x.png"
    picture.write_text("old")
    assert run(command, tone, "--plot", picture, "--overwrite").exit_code == 0
    assert png_pixels(picture.read_bytes()).size > 0


def test_a_run_that_stopped_goes_on_with_its_pictures(folder, tmp_path):
    command = ("localize", folder, "--plot", f"{tmp_path}/pictures/", "-o", tmp_path / "o.jsonl")
    assert run(*command, "--fail-fast").exit_code == 1
    assert files_in(tmp_path / "pictures") == {"a b.wav.png"}
    first = (tmp_path / "pictures" / "a b.wav.png").stat()
    assert run(*command, "--resume").exit_code == 1, "the recording that failed still counts"
    assert files_in(tmp_path / "pictures") == {"a b.wav.png", "d.wav.png", "sub/e.wav.png"}
    assert (tmp_path / "pictures" / "a b.wav.png").stat() == first
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 4


def test_a_tag_run_that_stops_early_has_no_picture(folder, tmp_path):
    assert run("tag", folder, "--plot", tmp_path / "map.png", "--fail-fast").exit_code == 1
    assert files_in(tmp_path) == {f"in/{name}" for name in files_in(folder)}


@pytest.mark.parametrize("command", ["tag", "localize"])
def test_labels_in_a_script_without_a_font_are_announced_once(tone, tmp_path, command):
    unknown = "\U00012000 a sound"  # cuneiform, which no font here has
    ran = run(command, tone, "--plot", tmp_path / "x.svg", labels=("--label", unknown, "-l", "rain"))
    (warning,) = ran.stderr.splitlines()
    assert ran.exit_code == 0 and f"no font here has all characters of {unknown!r}, so" in warning
    assert run(command, tone, "--plot", tmp_path / "y.svg", "-q", labels=("--label", unknown)).stderr == ""
    assert "no font" not in run(command, tone, labels=("--label", unknown)).stderr


@pytest.mark.parametrize("command", ["tag", "localize"])
def test_a_file_name_in_a_script_without_a_font_is_announced(tone, tmp_path, command):
    named = tone.with_name("\U00012000.wav")
    tone.rename(named)
    (warning,) = run(command, named, "--plot", tmp_path / "x.svg").stderr.splitlines()
    assert f"no font here has all characters of {str(named)!r}, so" in warning
    assert "no font" not in run(command, named).stderr


def test_default_labels_without_an_event_have_no_band(tone, tmp_path, monkeypatch):
    names = [f"{'quiet' if number else 'x'} label {number}" for number in range(9)]
    default = {"loud": 0.9, **dict.fromkeys(names, 0.1)}
    from pe_audio_cli.plots.timeline import draw_timeline

    frames = {label: np.full(33, level, np.float32) for label, level in default.items()}
    recording = result_of("a.wav", frames, EventOptions(0.5), 1.3)
    for detected_only, drawn in ((True, ["loud"]), (False, list(default))):
        stream = io.BytesIO()
        draw_timeline(recording, stream, "svg", detected_only)
        texts = svg_texts(stream.getvalue())
        assert [label for label in default if label in texts] == drawn
        assert any("1 of 10 labels that were detected" in text for text in texts) == detected_only
    stream = io.BytesIO()
    draw_timeline(result_of("a.wav", frames, EventOptions(0.95), 1.3), stream, "svg", detected_only=True)
    assert sum(label in svg_texts(stream.getvalue()) for label in default) == 5


def test_the_command_leaves_out_empty_bands_of_default_labels_alone(tone, tmp_path, monkeypatch):
    from pe_audio_cli.outputs import pictures

    asked = []
    real = pictures.TimelinePictures

    def noted(*arguments, **options):
        asked.append(options["detected_only"])
        return real(*arguments, **options)

    monkeypatch.setattr(pictures, "TimelinePictures", noted)
    for name, labels in (("a.svg", ()), ("b.svg", ("-l", "loud"))):
        run("localize", tone, "-m", "mini", "--plot", tmp_path / name, labels=labels)
    assert asked == [True, False]
