"""Paths stand for recordings: in the order given, as often as given, each recording or error exactly once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import logged, remove_tree

from pe_audio_cli.audio.find import find_recordings
from pe_audio_cli.results import FileError

Tree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Makes empty files, named from the current folder, which is empty before."""
    monkeypatch.chdir(tmp_path)

    def make(*names: str) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


def the_error(path: str) -> FileError:
    """The one thing that a path stands for, an error."""
    (found,) = find_recordings([path])
    assert isinstance(found, FileError)
    return found


def test_files_come_in_the_order_given_and_as_often_as_given(tree: Tree) -> None:
    tree("b.wav", "a.wav")
    assert find_recordings(["b.wav", "a.wav", "b.wav", "-"]) == ["b.wav", "a.wav", "b.wav", "-"]


def test_a_file_that_is_named_is_taken_whatever_its_extension(tree: Tree) -> None:
    tree("notes.txt", ".hidden.wav", "no extension")
    assert find_recordings(["notes.txt", ".hidden.wav", "no extension"]) == ["notes.txt", ".hidden.wav", "no extension"]


def test_a_folder_stands_for_the_recordings_below_it_in_the_order_of_the_tree(tree: Tree) -> None:
    tree("d/b.wav", "d/a/z.flac", "d/a/A.MP3", "d/a-1.ogg", "d/c.mkv", "d/notes.txt", "d/cover.jpg", "d/wav")
    assert find_recordings(["d"]) == ["d/a/A.MP3", "d/a/z.flac", "d/a-1.ogg", "d/b.wav", "d/c.mkv"]


def test_the_folder_is_spelt_as_it_was_given(tree: Tree) -> None:
    folder = tree("d/a.wav")
    assert find_recordings(["d/", "./d", ".", str(folder / "d")]) == [
        "d/a.wav",
        "./d/a.wav",
        "./d/a.wav",
        str(folder / "d" / "a.wav"),
    ]


def test_what_is_hidden_is_left_out(tree: Tree) -> None:
    tree("d/a.wav", "d/._a.wav", "d/.b.wav", "d/.trash/c.wav")
    assert find_recordings(["d"]) == ["d/a.wav"]


def test_a_hidden_folder_that_is_named_is_searched(tree: Tree) -> None:
    tree(".d/a.wav")
    assert find_recordings([".d"]) == [".d/a.wav"]


@pytest.mark.parametrize("name", ["a*[1].wav", "**", "?", "-n.wav", "a\nb.wav", "音.wav", os.fsdecode(b"a\xff.wav")])
def test_what_exists_is_taken_as_it_is_whatever_its_characters(tree: Tree, name: str) -> None:
    tree(name, "a1.wav")
    assert find_recordings([name]) == [name]


def test_a_folder_that_looks_like_a_pattern_is_a_folder(tree: Tree) -> None:
    tree("take*[1]/a.wav", "take1/b.wav")
    assert find_recordings(["take*[1]"]) == ["take*[1]/a.wav"]


def test_undecodable_names_are_found_in_folders_and_by_patterns(tree: Tree) -> None:
    name = os.fsdecode(b"d/a\xff.wav")
    tree(name)
    assert find_recordings(["d", "d/*"]) == [name, name]


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("*.wav", ["a.wav", "b.wav"]),
        ("?.wav", None),
        ("d/*", ["d/c.wav", "d/e/f.ogg", "d/e/g/h.wav"]),
        ("d/*/", ["d/e/f.ogg", "d/e/g/h.wav"]),
        ("**/*.wav", ["a.wav", "b.wav", "d/c.wav", "d/e/g/h.wav"]),
        ("**", ["a.wav", "b.wav", "d/c.wav", "d/e/f.ogg", "d/e/g/h.wav"]),
        ("d/**/h.wav*", ["d/e/g/h.wav"]),
        ("**/e/**/*.*", ["d/e/f.ogg", "d/e/g/h.wav"]),
        ("d/?/*", ["d/e/f.ogg", "d/e/g/h.wav"]),
        ("[bc]*", ["b.wav"]),
        ("[!b]*.wav", ["a.wav"]),
        ("./*.wav", ["./a.wav", "./b.wav"]),
        ("d/../*.wav", ["d/../a.wav", "d/../b.wav"]),
        (".h*", [".hidden/i.wav"]),
        ("*/i.wav", None),
        ("*.txt", None),
        ("*.wav/*", None),
        ("nowhere/*", None),
    ],
)
def test_patterns(tree: Tree, pattern: str, matches: list[str] | None) -> None:
    tree("b.wav", "a.wav", "notes.txt", "d/c.wav", "d/e/f.ogg", "d/e/g/h.wav", ".hidden/i.wav")
    if matches is not None:
        assert find_recordings([pattern]) == matches
    else:
        assert (the_error(pattern).file, the_error(pattern).kind) == (pattern, "missing")


def test_an_absolute_pattern(tree: Tree) -> None:
    folder = tree("a.wav")
    assert find_recordings([f"{folder}/*"]) == [f"{folder}/a.wav"]


def test_a_part_of_a_pattern_that_exists_is_taken_as_it_is(tree: Tree) -> None:
    tree("take [1]/a.wav", "take 1/b.wav")
    assert find_recordings(["take [1]/*.wav"]) == ["take [1]/a.wav"]


def test_a_folder_without_recordings_is_one_error(tree: Tree) -> None:
    tree("d/notes.txt", "d/.hidden.wav", "d/e/cover.png")
    assert (the_error("d").file, the_error("d").kind) == ("d", "missing")
    assert "no recording in this folder" in the_error("d").message


@pytest.mark.parametrize("path", ["nowhere.wav", "", "nowhere/a.wav", "a.wav/b.wav", "a\0b.wav"])
def test_a_missing_path_is_one_error(tree: Tree, path: str) -> None:
    tree("a.wav")
    assert (the_error(path).file, the_error(path).kind) == (path, "missing")


def test_a_dangling_link_is_one_error_that_says_so(tree: Tree) -> None:
    folder = tree("a.wav")
    (folder / "link.wav").symlink_to("gone.wav")
    assert the_error("link.wav").kind == "missing"
    assert "dangling link to 'gone.wav'" in the_error("link.wav").message


def test_a_dangling_link_in_a_folder_is_not_passed_over(tree: Tree) -> None:
    folder = tree("d/a.wav")
    (folder / "d" / "b.wav").symlink_to("gone.wav")
    assert find_recordings(["d"]) == ["d/a.wav", "d/b.wav"]


def test_linked_folders_are_searched_but_never_in_circles(tree: Tree) -> None:
    folder = tree("d/a.wav", "elsewhere/b.wav")
    (folder / "d" / "up").symlink_to("..", target_is_directory=True)
    (folder / "d" / "self").symlink_to(".", target_is_directory=True)
    (folder / "d" / "knot").symlink_to("knot")
    (folder / "d" / "other").symlink_to(folder / "elsewhere", target_is_directory=True)
    assert find_recordings(["d"]) == ["d/a.wav", "d/other/b.wav"]
    assert find_recordings(["d/**/*.wav"]) == find_recordings(["d"])


def test_folders_that_contain_each_other_by_links_are_searched_once(tree: Tree) -> None:
    names = [f"d/{letter}" for letter in "abcdefgh"]
    folder = tree(*(f"{name}/x.wav" for name in names))
    for one in names:
        for other in names:
            (folder / one / f"to-{other[-1]}").symlink_to(folder / other, target_is_directory=True)
    assert find_recordings(["d"]) == [f"{name}/x.wav" for name in names]
    assert find_recordings(["d/**/*.wav"]) == [f"{name}/x.wav" for name in names]


def test_a_folder_is_called_by_its_own_name_rather_than_by_that_of_a_link(tree: Tree) -> None:
    folder = tree("d/b/c/x.wav")
    (folder / "d" / "a").symlink_to(folder / "d" / "b" / "c", target_is_directory=True)
    assert find_recordings(["d"]) == ["d/b/c/x.wav"]


def test_folders_in_folders_1200_deep_are_searched(tree: Tree) -> None:
    deep = tree("d/top.wav") / "d"
    descriptor = os.open(deep, os.O_RDONLY)
    for _ in range(1_200):
        os.mkdir("e", dir_fd=descriptor)
        below = os.open("e", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(os.open("x.wav", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)
    try:
        found, matching = find_recordings(["d"]), find_recordings(["d/**/x.wav"])
    finally:
        remove_tree(deep)
    assert found == ["d/" + 1_200 * "e/" + "x.wav", "d/top.wav"]
    assert matching == ["d/" + 1_200 * "e/" + "x.wav"]


@pytest.mark.parametrize("fault", [RuntimeError("odd"), MemoryError(), RecursionError(), OSError(5, "I/O error")])
def test_what_one_path_does_costs_no_other(tree: Tree, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    tree("a.wav", "d/b.wav", "e/c.wav")
    real = os.scandir

    def faulty(path: str) -> object:
        if path == "d":
            raise fault
        return real(path)

    monkeypatch.setattr(os, "scandir", faulty)
    found = find_recordings(["a.wav", "d", "e"])
    assert (found[0], found[2]) == ("a.wav", "e/c.wav")
    assert isinstance(found[1], FileError) and found[1].file == "d"


def test_an_unreadable_folder_is_one_error_and_hides_nothing_beside_it(powerless: Path) -> None:
    locked = powerless / "locked"
    locked.mkdir()
    for path in (powerless / "a.wav", locked / "b.wav", powerless / "z.wav"):
        path.touch()
    locked.chmod(0)
    try:
        first, error, last = find_recordings([str(powerless)])
        assert (first, last) == (str(powerless / "a.wav"), str(powerless / "z.wav"))
        assert isinstance(error, FileError)
        assert (error.file, error.kind) == (str(locked), "unreadable")
        assert the_error(str(locked)) == error
        assert the_error(str(locked / "b.wav")).kind == "unreadable"
    finally:
        locked.chmod(0o700)


def test_a_folder_of_ten_thousand_files_is_quick(tree: Tree) -> None:
    folder = tree(*(f"d/{index % 10}/{index}.wav" for index in range(10_000)))
    started = time.process_time()
    assert len(find_recordings([str(folder)])) == 10_000
    assert time.process_time() - started < 1.0


paths = st.lists(st.sampled_from(["a.wav", "-", "d", "gone.wav", "d/*.wav", "empty"]), max_size=8)


@given(paths=paths)
def test_what_a_path_stands_for_does_not_depend_on_the_others(
    paths: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("paths")
    for name in ("a.wav", "d/b.wav", "d/c.wav", "empty/notes.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    given_paths = [path if path == "-" else str(folder / path) for path in paths]
    assert find_recordings(given_paths) == [found for path in given_paths for found in find_recordings([path])]


NAMES_OF_SOUND = "3ga bwf bw64 sph amb mpga m4p f4a awb aa3 mp2 m2a sds paf pvf shn sf avr qcp qoa xi wve ec3"
NAMES_OF_FILMS = "m2t mk3d nut gxf 3gpp tp f4p ismv mpe"
NAMES_OF_OTHERS = "txt jpg png srt vtt m3u m3u8 pls cue json csv nfo gif svg heic webp h264 mks"


@pytest.mark.parametrize("extension", f"{NAMES_OF_SOUND} {NAMES_OF_FILMS}".split())
def test_whatever_the_decoders_read_is_found(tmp_path, extension):
    (tmp_path / f"a.{extension.upper()}").touch()
    assert find_recordings([str(tmp_path)]) == [str(tmp_path / f"a.{extension.upper()}")]


def skipped_in(line: str) -> str:
    """The file that a line of the log says was skipped."""
    return line.removeprefix("skipped ").removesuffix(", which is not a recording by its name or type")


def test_what_is_skipped_is_told_and_counted_where_nothing_else_is_there(tmp_path):
    for extension in NAMES_OF_OTHERS.split():
        (tmp_path / f"a.{extension}").touch()
    (tmp_path / "b.txt").touch()
    with logged() as said:
        (error,) = find_recordings([str(tmp_path)])
    assert sorted(map(skipped_in, said)) == sorted(str(path) for path in tmp_path.iterdir())
    assert error.kind == "missing"
    assert "2 .txt" in error.message
    assert "and others" in error.message
    (tmp_path / "c.wav").touch()
    assert find_recordings([str(tmp_path)]) == [str(tmp_path / "c.wav")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_sockets_in_a_folder_are_skipped(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    (tmp_path / "b.wav").touch()
    (tmp_path / "c.wav").symlink_to("a.wav")
    (tmp_path / "d.wav").symlink_to("gone.wav")
    expected = [str(tmp_path / name) for name in ("b.wav", "d.wav")]
    with logged() as said:
        assert find_recordings([str(tmp_path)]) == expected
    assert sorted(map(skipped_in, said)) == [str(tmp_path / name) for name in ("a.wav", "c.wav")]
    assert find_recordings([f"{tmp_path}/*.wav"]) == expected
    assert find_recordings([str(tmp_path / "a.wav")]) == [str(tmp_path / "a.wav")]
