"""Names in annotations, as other systems and other people write them, and the recordings that they stand for."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.evaluation.annotations.recording_locator import RecordingLocator

CAFE = "café au lait.wav"


def places(tmp_path: Path, *names: str) -> RecordingLocator:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return RecordingLocator(str(tmp_path))


@pytest.mark.parametrize(
    "name",
    [
        r"C:\Users\me\My Data\sub\b.wav",
        r"sub\b.wav",
        r".\sub\b.wav",
        r"\\server\share\sub\b.wav",
        "D:/data/sub/b.wav",
        "SUB/B.WAV",
        r"E:\SUB\B.WAV",
        "sub/b",
        r"sub\b.mp3",
    ],
)
def test_paths_of_windows_and_other_case(name: str, tmp_path: Path) -> None:
    assert places(tmp_path, "sub/b.wav", "other/b.wav", "c.wav").find(name) == str(tmp_path / "sub" / "b.wav")


@pytest.mark.parametrize("written", ["NFC", "NFD"])
@pytest.mark.parametrize("stored", ["NFC", "NFD"])
def test_both_forms_of_unicode(written: str, stored: str, tmp_path: Path) -> None:
    stored_name = unicodedata.normalize(stored, CAFE)
    found = places(tmp_path, f"x/{stored_name}").find(unicodedata.normalize(written, CAFE))
    assert found == str(tmp_path / "x" / stored_name)
    assert places(tmp_path).find(unicodedata.normalize(written, CAFE.upper())) == found


def test_a_backslash_in_a_name_is_one_where_the_file_is_called_so(tmp_path: Path) -> None:
    assert places(tmp_path, r"x/a\b.wav", "b.wav").find(r"x/a\b.wav") == str(tmp_path / "x" / r"a\b.wav")


def test_the_very_name_wins_over_one_of_other_case_or_form(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, CAFE) for form in ("NFC", "NFD"))
    found = places(tmp_path, "x/Dog.wav", "x/dog.wav", f"x/{composed}", f"x/{decomposed}")
    for name in ("Dog.wav", "dog.wav", composed, decomposed, r"Z:\y\x\Dog.wav"):
        assert Path(found.find(name)).name == name.rpartition("\\")[2]


@pytest.mark.parametrize("name", ["DOG.WAV", r"C:\x\DOG.wav", "dog"])
def test_what_could_be_several_is_said_with_their_names(name: str, tmp_path: Path) -> None:
    found = places(tmp_path, "x/Dog.wav", "x/doG.wav", "x/cat.wav")
    with pytest.raises(LookupError, match=r"could be .*/x/Dog\.wav or .*/x/doG\.wav: give more of its path"):
        found.find(name)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0.wav", "\\", "", ".", "../..", "~nobody/x.wav", "*.wav", r"C:"])
def test_a_name_that_is_no_path_is_not_found(name: str, tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="there is no recording"):
        places(tmp_path, "a.wav").find(name)


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_any_name_is_found_or_not_and_nothing_else(name: str) -> None:
    try:
        assert isinstance(RecordingLocator("tests/evaluation").find(name), str)
    except LookupError as error:
        assert "there is no recording" in str(error)
