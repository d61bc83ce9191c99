"""Pictures beside an output: whole or not at all, no fewer than the output promises, and nothing else changed."""

from __future__ import annotations

import json
from io import FileIO
from pathlib import Path

import numpy as np
import pytest
from drawings import png_pixels, svg_texts
from pages import result_of
from support import write_tone

from pe_audio_cli.errors import OutputError, RunError, UsageError
from pe_audio_cli.formats.base import Command, WriteOptions
from pe_audio_cli.formats.registry import writer_for
from pe_audio_cli.options import EventOptions
from pe_audio_cli.outputs.base import Output
from pe_audio_cli.outputs.file import FileOutput
from pe_audio_cli.outputs.folder import FolderOutput
from pe_audio_cli.outputs.pictures import TagPicture, TimelinePictures
from pe_audio_cli.outputs.side_outputs import OutputList
from pe_audio_cli.results import FileError, LocalizeResult, Recording, Tag, TagResult

SETTINGS = {"labels": ["rain", "wind"], "model": "m"}
FAILED = 2  # the recording, by its place, that cannot be read

needs_a_full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk is full here")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    names = ("a.wav", "sub/a.wav", "sub/b.wav", "sub/c.wav")
    return [str(write_tone(tmp_path / "in" / name, seconds=0.01)) for name in names]


def localized(file: str) -> LocalizeResult:
    rows = {label: np.full(5, level, np.float32) for label, level in (("rain", 0.9), ("wind", 0.1))}
    return result_of(file, rows, EventOptions(), 0.2)


def tagged(file: str) -> TagResult:
    return TagResult(Recording(file, 0.2, 48_000, 1), "m", 1, (Tag("rain", 0.9), Tag("wind", 0.1)))


def plain(path: Path, files: list[str], command: Command, **more: bool) -> Output:
    kind = FolderOutput if path.suffix == "" else FileOutput
    return kind(path, writer_for(path.suffix[1:] or "json", command), WriteOptions(command), files, **more)


def draw(output: Output | OutputList, files: list[str], upto: int | None = None, one=localized) -> int:
    """Write results up to one input, then stop as if interrupted (None: to the end). Returns how many were done."""
    done = len(before := output.open(SETTINGS))
    try:
        for place, file in enumerate(files[:upto]):
            if place not in before:
                output.write(FileError(file, "decode", "no") if place == FAILED else one(file))
        if upto is None:
            output.finish()
        else:
            output.abandon()
    except RunError:
        output.abandon()
        raise
    return done


def width(picture: Path) -> int:
    return png_pixels(picture.read_bytes()).shape[1]


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=["out", "out.jsonl"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(tmp_path / request.param)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


def timelines(out: Path, pictures: Path, files: list[str], overwrite: bool = False, resume: bool = False):
    output = plain(out, files, "localize", overwrite=overwrite, resume=resume)
    drawn = TimelinePictures(f"{pictures}/", files, overwrite=overwrite, known=output.known)
    return OutputList(output, [drawn], keep_frames=False)


def test_the_pictures_are_in_a_tree_like_that_of_the_inputs(out, pictures, files):
    draw(timelines(out, pictures, files), files)
    assert tree(pictures) == {"a.wav.png", "sub/a.wav.png", "sub/c.wav.png"}
    assert [width(picture) for picture in pictures.rglob("*.png")] == [1_200] * 3


@pytest.mark.parametrize("frames", [False, True])
def test_the_output_is_what_it_would_be_without_pictures(tmp_path, pictures, files, frames):
    beside, alone = tmp_path / "beside.json", tmp_path / "alone.json"
    drawn = TimelinePictures(f"{pictures}/", files)
    draw(OutputList(plain(beside, files, "localize"), [drawn], keep_frames=frames), files)
    draw(plain(alone, files, "localize"), files)
    found, expected = (json.loads(path.read_text()) for path in (beside, alone))
    if not frames:
        for item in expected:
            item.pop("frames", None)
    assert found == expected


@pytest.mark.parametrize("upto", [1, 3])
def test_a_resumed_run_draws_what_is_missing_and_no_more(out, pictures, files, upto):
    draw(timelines(out, pictures, files, resume=True), files, upto)
    drawn = list(pictures.rglob("*.png"))
    for picture in drawn:
        picture.write_text("as it was")
    assert draw(timelines(out, pictures, files, resume=True), files) == upto - (upto > FAILED)
    assert tree(pictures) == {"a.wav.png", "sub/a.wav.png", "sub/c.wav.png"}
    assert {picture for picture in pictures.rglob("*.png") if picture.read_bytes() == b"as it was"} == set(drawn)


def test_a_run_whose_pictures_are_gone_or_elsewhere_is_not_resumed(out, pictures, files):
    draw(timelines(out, pictures, files), files, upto=2)
    with pytest.raises(OutputError, match=r'plot was .*pictures/" and is now .*others/"'):
        draw(timelines(out, pictures.with_name("others"), files, resume=True), files)
    with pytest.raises(OutputError, match=r'plot was ".* and is now null'):
        draw(plain(out, files, "localize", resume=True), files)
    (pictures / "sub" / "a.wav.png").unlink()
    with pytest.raises(OutputError, match=r"sub/a\.wav\.png is gone; start again with --overwrite"):
        draw(timelines(out, pictures, files, resume=True), files)


def fill_the_disk(monkeypatch: pytest.MonkeyPatch, picture: Path) -> None:
    """There is no room for this picture."""

    def create(path: Path) -> FileIO:
        is_it = path.parent == picture.parent and path.name.startswith(picture.name)
        return FileIO("/dev/full", "r+b") if is_it else FileIO(path, "x+b")

    monkeypatch.setattr("pe_audio_cli._files.create", create)


@needs_a_full_disk
def test_a_picture_that_cannot_be_written_leaves_nothing_and_can_be_drawn_later(out, pictures, files, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(RunError, match=r"cannot write .*a\.wav\.png: No space left"):
        fill_the_disk(patch, pictures / "sub" / "a.wav.png")
        draw(timelines(out, pictures, files), files)
    assert tree(pictures) == {"a.wav.png"}
    assert draw(timelines(out, pictures, files, resume=True), files) == 1
    assert tree(pictures) == {"a.wav.png", "sub/a.wav.png", "sub/c.wav.png"}


def test_whatever_is_refused_is_refused_before_anything_is_touched(out, pictures, files):
    (pictures / "sub").mkdir(parents=True)
    (pictures / "sub" / "c.wav.png").write_text("precious")
    for resume in (False, True):  # there is nothing to go on with
        with pytest.raises(OutputError, match=r"c\.wav\.png exists: choose another name for --plot"):
            timelines(out, pictures, files, resume=resume)
    with pytest.raises(OutputError, match="it is no folder"):
        timelines(out, Path(files[0]) / "pictures", files)
    assert tree(pictures) == {"sub/c.wav.png"}
    assert not out.exists()
    draw(timelines(out, pictures, files, overwrite=True), files)
    assert width(pictures / "sub" / "c.wav.png") == 1_200


def test_standard_input_has_a_picture_too(out, pictures):
    draw(timelines(out, pictures, ["-"]), ["-"])
    assert tree(pictures) == {"stdin.png"}


def tag_map(target: Path, files: list[str], overwrite: bool = False) -> OutputList:
    output = plain(target.with_suffix(".jsonl"), files, "tag", overwrite=overwrite)
    return OutputList(output, [TagPicture(str(target), files, overwrite=overwrite)])


def test_the_picture_has_a_row_for_each_recording(tmp_path, files):
    draw(tag_map(tmp_path / "map.svg", files), files, one=tagged)
    found = svg_texts((tmp_path / "map.svg").read_bytes())
    names = [text for text in found if text.endswith(".wav")]
    assert names == ["a.wav", "sub/a.wav", "sub/b.wav", "sub/c.wav"]
    assert [text for text in found if text in ("0.90", "0.10")] == ["0.90", "0.10"] * 3
    assert len((tmp_path / "map.jsonl").read_text().splitlines()) == 4


def test_a_run_that_stops_early_has_none_and_leaves_an_older_one(tmp_path, files):
    target = tmp_path / "map.png"
    draw(tag_map(target, files), files, upto=3, one=tagged)
    assert {path.name for path in tmp_path.iterdir()} == {"in", "map.jsonl.part", "map.jsonl.journal"}
    target.write_text("as it was")
    draw(tag_map(target, files, overwrite=True), files, upto=3, one=tagged)
    assert target.read_text() == "as it was"


@needs_a_full_disk
def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path, files, monkeypatch):
    fill_the_disk(monkeypatch, tmp_path / "map.png")
    with pytest.raises(RunError, match=r"cannot write .*map\.png: No space left"):
        draw(tag_map(tmp_path / "map.png", files), files, one=tagged)
    assert not [*tmp_path.glob("map.png*")]


def test_a_folder_is_refused(tmp_path, files):
    with pytest.raises(UsageError, match="names a file, not the folder"):
        tag_map(tmp_path / "in", files)
