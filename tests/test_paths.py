"""Questions about paths have answers, whatever the path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pe_audio_cli import _paths

AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
QUESTIONS = (_paths.exists, _paths.is_file, _paths.is_dir, _paths.is_link)


@pytest.fixture
def circle(tmp_path: Path) -> Path:
    link = tmp_path / "circle"
    link.symlink_to(link)
    return link


@pytest.mark.parametrize(
    ("path", "why"),
    [("x" * 5000, "name too long"), ("a\0b", "NUL"), ("\ud8ff", "encoding")],
)
def test_a_path_that_the_system_refuses_is_not_there_and_says_why(path: str, why: str) -> None:
    assert not any(ask(path) for ask in QUESTIONS)
    said = _paths.hindrance(path)
    assert said is not None and why.lower() in said.lower()
    assert "\n" not in said and path not in said


def test_a_link_in_a_circle_is_there_and_nothing_else(circle: Path) -> None:
    assert _paths.exists(circle) and _paths.is_link(circle)
    assert not _paths.is_file(circle) and not _paths.is_dir(circle)
    assert _paths.hindrance(circle) is not None
    assert not _paths.exists(circle / "below")


def test_an_unreadable_folder_hides_what_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat", refuse)
    monkeypatch.setattr(os, "lstat", refuse)
    assert not any(ask(tmp_path / "a.wav") for ask in QUESTIONS)
    assert _paths.hindrance(tmp_path / "a.wav") == "Permission denied"


@pytest.mark.skipif(AS_ROOT or os.name == "nt", reason="root may read everything")
def test_the_same_of_a_real_one(tmp_path: Path) -> None:
    shut = tmp_path / "shut"
    shut.mkdir()
    (shut / "a.wav").touch()
    shut.chmod(0)
    try:
        assert not any(ask(shut / "a.wav") for ask in QUESTIONS)
        assert _paths.hindrance(shut / "a.wav") == "Permission denied"
    finally:
        shut.chmod(0o700)


def test_what_is_there_is_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    file.touch()
    link = tmp_path / "link"
    link.symlink_to(file)
    assert [ask(file) for ask in QUESTIONS] == [True, True, False, False]
    assert [ask(tmp_path) for ask in QUESTIONS] == [True, False, True, False]
    assert [ask(link) for ask in QUESTIONS] == [True, True, False, True]
    assert [_paths.hindrance(path) for path in (file, tmp_path / "no", file / "below")] == [None, None, None]


def test_a_home_that_nobody_has_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert _paths.expanduser("~nobody-of-this-name/x") == "~nobody-of-this-name/x"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert _paths.expanduser("~/x") == f"{tmp_path}/x"
    assert _paths.expanduser("a~b") == "a~b"
