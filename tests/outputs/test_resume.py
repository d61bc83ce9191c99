"""Runs that go on: what failed, what is new, what others did meanwhile, and journals that are not what they were."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import write_tone

from pe_audio_cli.errors import InputError, OutputError, PeAudioError, RunError
from pe_audio_cli.formats.base import WriteOptions
from pe_audio_cli.formats.registry import writer_for
from pe_audio_cli.outputs.base import Output
from pe_audio_cli.outputs.file import FileOutput
from pe_audio_cli.outputs.folder import FolderOutput
from pe_audio_cli.outputs.journal import Content, content, matched
from pe_audio_cli.outputs.shards import ShardedOutput
from pe_audio_cli.results import Event, FileError, LocalizeResult, Recording

SETTINGS = {"labels": ["rain"], "model": "m"}
KINDS = ["o.jsonl", "o.json", "o.csv", "o.selections.txt", "folder", "shards"]
NOT_ON_WINDOWS = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such thing")

Broken = Mapping[str, str]  # what is wrong with which recording


def output(path: Path, files: list[str], **more: bool) -> Output:
    name = "raven" if path.suffix == ".txt" else path.suffix.removeprefix(".") or "jsonl"
    arguments = path, writer_for(name, "localize"), WriteOptions("localize"), files
    if path.name.endswith("shards"):
        return ShardedOutput(*arguments, 2, **more)
    return (FolderOutput if path.suffix == "" else FileOutput)(*arguments, **more)


def result(file: str, broken: Broken) -> LocalizeResult | FileError:
    """Depends on what the recording holds, and on nothing else."""
    if file in broken or not Path(file).exists():
        return FileError(file, "decode", "no")
    seconds = Path(file).stat().st_size / 1000
    events = [Event("rain", 0.1 * n, 0.1 * n + 0.05, 0.5) for n in range(int(seconds) % 3)]
    return LocalizeResult(Recording(file, seconds, 8000, 1), "m", 0.04, 0.3, ("rain",), events)


def hand_on(target: Output, one: LocalizeResult | FileError) -> None:
    """As the command does: a result that cannot be kept becomes an error."""
    try:
        target.write(one)
    except InputError as error:
        target.write(FileError.of(error))


def run(
    path: Path,
    files: list[str],
    broken: Broken = MappingProxyType({}),
    stop: int | None = None,
    meanwhile: Callable[[int], object] = lambda n: None,
    **more: bool,
) -> list[str]:
    """Go through what is to be done, and return that; after ``stop`` of it the run ends early."""
    target = output(path, files, **more)
    done = target.open(SETTINGS)
    todo = list(target.reading(file for at, file in enumerate(files) if at not in done))
    try:
        for n, file in enumerate(todo[:stop]):
            meanwhile(n)
            hand_on(target, result(file, broken))
        meanwhile(len(todo))
        if stop is None:
            target.finish()
        else:
            target.abandon()
    except BaseException:
        target.abandon()
        raise
    return [Path(file).name for file in todo[:stop]]


def tree(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files if not file.name.startswith(".peaudio")}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"in"}


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return [str(write_tone(tmp_path / "in" / f"{n}.wav", seconds=0.01 * (n + 1))) for n in range(1, 7)]


@pytest.mark.parametrize("asked_before", [True, False])
@pytest.mark.parametrize("name", KINDS)
def test_what_failed_is_tried_again_and_nothing_else(files, tmp_path, name, asked_before):
    broken = {files[1]: "x", files[4]: "x"}
    run(tmp_path / name, files, broken, resume=asked_before)
    redone = run(tmp_path / name, files, {files[4]: "x"}, resume=True)
    assert {"2.wav", "5.wav"} <= set(redone)
    if name in ("o.jsonl", "o.json", "o.csv", "folder"):
        assert redone == ["2.wav", "5.wav"]
    run(tmp_path / name, files, resume=True)
    run(tmp_path / f"whole-{name}", files)
    assert tree(tmp_path / name) == tree(tmp_path / f"whole-{name}")
    assert run(tmp_path / name, files, resume=True) == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("name", KINDS)
def test_whatever_comes_between_the_end_equals_an_undisturbed_run(files, tmp_path, name, data):
    """Runs over growing sets of inputs, of which some fail for a while, each ended early anywhere."""
    folder = tmp_path / str(data.draw(st.integers(0, 1 << 60), label="folder"))
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    target, whole = folder / name, folder / "whole" / name
    whole.parent.mkdir()
    given_files: list[str] = []
    for _ in range(data.draw(st.integers(1, 4), label="runs")):
        given_files = sorted({*given_files, *data.draw(st.lists(st.sampled_from(files)), label="more")})
        broken = dict.fromkeys(data.draw(st.lists(st.sampled_from(files)), label="broken"), "x")
        run(target, given_files, broken, data.draw(st.integers(0, 7), label="stop"), resume=True)
    run(target, files, resume=True)
    run(whole, files)
    assert tree(target) == tree(whole)
    assert names(folder) <= {name, f"{name}.journal", "whole"}


@pytest.mark.parametrize("name", KINDS)
def test_a_new_input_that_sorts_in_front_is_done_in_its_place(files, tmp_path, name):
    run(tmp_path / name, files[1:], stop=4)
    redone = run(tmp_path / name, files, resume=True)
    assert redone[0] == "1.wav"
    if name in ("o.jsonl", "o.json", "o.csv", "folder"):
        assert redone == ["1.wav", "6.wav"]
    (tmp_path / "whole").mkdir()
    run(tmp_path / "whole" / name, files)
    assert tree(tmp_path / name) == tree(tmp_path / "whole" / name)


def test_an_input_that_is_given_twice_is_done_twice(files, tmp_path):
    run(tmp_path / "o.jsonl", [files[0]], resume=True)
    assert run(tmp_path / "o.jsonl", [files[0], files[1], files[0]], resume=True) == ["2.wav", "1.wav"]
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("seconds", [3600, -3600, 3601, 1.5, 5.75 * 3600])
def test_a_clock_that_was_put_forward_or_back_changes_no_recording(files, tmp_path, seconds):
    run(tmp_path / "o.jsonl", files, stop=3)
    for file in files:
        now = os.stat(file).st_mtime_ns + int(seconds * 1e9)
        os.utime(file, ns=(now, now))
    assert run(tmp_path / "o.jsonl", files, resume=True) == ["4.wav", "5.wav", "6.wav"]


def test_a_recording_that_is_another_one_an_hour_later_has_changed(files, tmp_path):
    run(tmp_path / "o.jsonl", files, stop=3)
    before = os.stat(files[0])
    write_tone(Path(files[0]), seconds=0.02, level=0.7)
    assert os.stat(files[0]).st_size == before.st_size
    os.utime(files[0], ns=(before.st_mtime_ns + 3600 * 10**9,) * 2)
    with pytest.raises(OutputError, match=r"1\.wav has changed"):
        run(tmp_path / "o.jsonl", files, resume=True)


@given(st.integers(-(10**15), 10**15))
def test_only_whole_quarters_of_an_hour_are_a_clocks_shift(by):
    second = 10**9
    before, now = Content(5, 10**18, "a"), Content(5, 10**18 + by, "a")
    off = abs(by) % (900 * second)
    assert before.same(now) == (
        abs(by) <= 26 * 3600 * second + 2 * second and min(off, 900 * second - off) <= 2 * second
    )
    assert not before.same(Content(6, 10**18 + by, "a"))


@pytest.mark.parametrize("name", KINDS)
def test_an_input_that_is_replaced_while_it_is_read_is_an_error_and_read_again(files, tmp_path, name):
    def replaced(n: int) -> None:
        if n == 1:
            os.replace(write_tone(tmp_path / "new.wav", seconds=0.5), files[1])

    run(tmp_path / name, files, meanwhile=replaced, resume=True)
    assert "2.wav" in run(tmp_path / name, files, resume=True)
    (tmp_path / "whole").mkdir()
    run(tmp_path / "whole" / name, files)
    assert tree(tmp_path / name) == tree(tmp_path / "whole" / name)


@pytest.mark.parametrize("name", KINDS)
def test_a_second_run_is_refused_in_one_line_and_the_first_goes_on(files, tmp_path, name):
    for more in ({}, {"overwrite": True}, {"resume": True}):

        def second(n: int, more: Mapping[str, bool] = more) -> None:
            if n == 2:
                with pytest.raises(OutputError, match=r"is being written by another run \(process \d+\)") as raised:
                    run(tmp_path / name, files, **more)
                assert "\n" not in str(raised.value)
                assert ".part is" not in str(raised.value)

        run(tmp_path / name, files, meanwhile=second, overwrite=True)
        whole = tree(tmp_path / name)
        run(tmp_path / name, files, overwrite=True)
        assert tree(tmp_path / name) == whole


@pytest.mark.parametrize("name", KINDS)
def test_a_second_run_is_refused_before_it_loads_a_model(files, tmp_path, name):
    run(tmp_path / name, files, {files[0]: "x"}, stop=2)  # so that there is something to go on with

    def second(n: int) -> None:
        for more in ({}, {"overwrite": True}, {"resume": True}):
            with pytest.raises(OutputError, match=r"is being written by another run \(process \d+\)"):
                output(tmp_path / name, files, **more)

    run(tmp_path / name, files, meanwhile=second, resume=True)


@pytest.mark.parametrize("name", ["o.jsonl", "o.csv", "folder", "shards"])
def test_a_target_that_appears_during_the_run_stays_as_it_is(files, tmp_path, name):
    target = {"folder": tmp_path / name / "5.wav.jsonl", "shards": tmp_path / name / "part-00002.jsonl"}
    place = target.get(name, tmp_path / name)

    def appears(n: int) -> None:
        if n == 1:
            place.write_text("mine")

    if name == "folder":
        run(tmp_path / name, files, meanwhile=appears, resume=True)
        assert set(tree(tmp_path / name)) == {f"{n}.wav.jsonl" for n in range(1, 7)}
    else:
        with pytest.raises(RunError, match=r"appeared|exists"):
            run(tmp_path / name, files, meanwhile=appears)
    assert place.read_text() == "mine"
    place.unlink()
    run(tmp_path / name, files, resume=True)
    run(tmp_path / f"whole-{name}", files)
    assert tree(tmp_path / name) == tree(tmp_path / f"whole-{name}")


@NOT_ON_WINDOWS
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("again", [False, True])
def test_a_folder_that_is_removed_during_the_run_is_an_error(files, tmp_path, name, again):
    (tmp_path / "gone").mkdir()

    def removed(n: int) -> None:
        if n == 3:
            shutil.rmtree(tmp_path / "gone")
            if again:
                (tmp_path / "gone" / name).mkdir(parents=True) if "." not in name else (tmp_path / "gone").mkdir()

    with pytest.raises(RunError) as raised:
        run(tmp_path / "gone" / name, files, meanwhile=removed)
    assert ".part: run" not in str(raised.value)
    assert not (tmp_path / "gone" / name / "_SUCCESS").exists()


def test_a_result_that_is_removed_during_the_run_is_an_error(files, tmp_path):
    with pytest.raises(RunError, match=r"2\.wav\.jsonl has been removed"):
        run(tmp_path / "folder", files, meanwhile=lambda n: n == 5 and (tmp_path / "folder/2.wav.jsonl").unlink())


def test_one_bad_place_is_one_error_and_every_resume_goes_on(tmp_path):
    long = "ü" * 124 + ".wav"  # 252 bytes
    files = [str(write_tone(tmp_path / "in" / name, seconds=0.02)) for name in ("a.wav", "b.wav", "c.wav", long)]
    (tmp_path / "folder" / "b.wav.jsonl").mkdir(parents=True)
    for _ in range(2):
        run(tmp_path / "folder", files, resume=True)
        found = {path.name for path in (tmp_path / "folder").iterdir() if path.is_file() and path.name[0] != "."}
        (shortened,) = found - {"a.wav.jsonl", "c.wav.jsonl"}
        assert shortened.startswith("ü" * 100)
        assert shortened.endswith(".jsonl")
        assert len(os.fsencode(shortened)) <= 245
    (tmp_path / "folder" / "b.wav.jsonl").rmdir()
    assert run(tmp_path / "folder", files, resume=True) == ["b.wav"]


def test_no_signature_is_in_a_name(tmp_path):
    files = [
        "https://user:password@host.example:8080/a/x.wav?X-Amz-Signature=abc&Expires=1",
        "https://host.example/a/y.wav?id=1",
        "https://host.example/a/y.wav?id=2",
        "https://host.example/../../etc/z.wav#secret",
        "s3://bucket/",
    ]
    target = output(tmp_path / "folder", files)
    target.open(SETTINGS)
    for file in files:
        target.write(LocalizeResult(Recording(file, 1.0, 8000, 1), "m", 0.04, 0.3, ("rain",), []))
    target.finish()
    made = set(tree(tmp_path / "folder"))
    assert len(made) == 5
    assert "host.example_8080/a/x.wav.jsonl" in made
    assert "host.example/etc/z.wav.jsonl" in made
    assert not [name for name in made if any(part in name for part in ("abc", "password", "id=", "secret", ".."))]


@NOT_ON_WINDOWS
@pytest.mark.parametrize("name", ["o.jsonl", "folder", "shards"])
@pytest.mark.parametrize("what", ["file", "link", "second name", "folder", "pipe"])
@pytest.mark.parametrize("more", [{}, {"overwrite": True}, {"resume": True}], ids=str)
def test_what_lies_in_the_place_of_a_helper_is_refused_and_stays(files, tmp_path, name, what, more):
    (tmp_path / "mine").write_text("mine")
    if name == "o.jsonl":
        helpers = [tmp_path / f"o.jsonl.{end}" for end in ("part", "journal", "lock")]
    else:
        (tmp_path / name).mkdir()
        helpers = [tmp_path / name / f".peaudio.{end}" for end in ("journal", "lock")]
    for helper in helpers:
        {
            "file": lambda helper=helper: helper.write_text("mine"),
            "link": lambda helper=helper: helper.symlink_to(tmp_path / "mine"),
            "second name": lambda helper=helper: os.link(tmp_path / "mine", helper),
            "folder": lambda helper=helper: helper.mkdir(),
            "pipe": lambda helper=helper: os.mkfifo(helper),
        }[what]()
        before = helper.lstat()
        with pytest.raises(OutputError) as raised:
            run(tmp_path / name, files, **more)
        assert helper.name in str(raised.value)
        assert (helper.lstat().st_ino, helper.lstat().st_size) == (before.st_ino, before.st_size)
        assert (tmp_path / "mine").read_text() == "mine"
        helper.rmdir() if what == "folder" else helper.unlink()


def test_a_part_that_a_full_disk_left_without_a_journal_is_no_obstacle(files, tmp_path):
    (tmp_path / "o.jsonl.part").touch()
    run(tmp_path / "o.jsonl", files, resume=True)
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 6


def test_a_full_disk_at_the_start_leaves_nothing(files, tmp_path, monkeypatch):
    def full(path: Path) -> object:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pe_audio_cli.outputs.file.create_alone", full)
        with pytest.raises(OutputError, match="No space left"):
            run(tmp_path / "o.jsonl", files)
    assert names(tmp_path) == set()
    run(tmp_path / "o.jsonl", files, resume=True)


@pytest.mark.parametrize("name", [*(name for name in KINDS if name != "shards"), "shards"])
@pytest.mark.parametrize("resume", [False, True])
def test_resuming_what_is_finished_does_nothing(files, tmp_path, name, resume):
    run(tmp_path / name, files, resume=resume)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert run(tmp_path / name, files, resume=True) == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["o.jsonl", "o.json", "o.selections.txt", "folder"])
def test_what_only_looks_finished_is_refused(files, tmp_path, name):
    run(tmp_path / name, files[:3])
    inputs = files if name != "o.selections.txt" else files[:3]
    if name == "o.selections.txt":  # it names only what was heard: a recording that is newer tells
        os.utime(files[0], ns=(4 * 10**18, 4 * 10**18))
    with pytest.raises(OutputError, match="exists"):
        run(tmp_path / name, inputs, resume=True)
    place = tmp_path / name if "." in name else tmp_path / name / "1.wav.jsonl"
    place.write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        run(tmp_path / name, files[:3], resume=True)


def test_a_finished_output_that_was_edited_is_not_mangled(files, tmp_path):
    run(tmp_path / "o.csv", files[:4], resume=True)
    with (tmp_path / "o.csv").open("a") as file:
        file.write("a note of mine\n")
    before = (tmp_path / "o.csv").read_bytes()
    with pytest.raises(OutputError, match="has changed since it was finished"):
        run(tmp_path / "o.csv", files, resume=True)
    assert (tmp_path / "o.csv").read_bytes() == before


def test_a_run_that_was_to_overwrite_goes_on_and_does(files, tmp_path):
    (tmp_path / "o.csv").write_text("old")
    run(tmp_path / "o.csv", files, stop=3, overwrite=True)
    assert (tmp_path / "o.csv").read_text() == "old"
    run(tmp_path / "o.csv", files, resume=True)
    run(tmp_path / "whole.csv", files)
    assert tree(tmp_path / "o.csv") == tree(tmp_path / "whole.csv")


def test_a_journal_of_the_first_version_is_read(files, tmp_path):
    run(tmp_path / "o.json", files, stop=3)
    journal = tmp_path / "o.json.journal"
    head, *entries = map(json.loads, journal.read_text().splitlines())
    old = [{key: entry[key] for key in ("file", "size", "mtime_ns", "end", "error", "state")} for entry in entries]
    lines = [{"journal": 1, "settings": head["settings"]}, *old]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run(tmp_path / "o.json", [*files[1:3], files[0], *files[3:]], resume=True) == ["4.wav", "5.wav", "6.wav"]
    run(tmp_path / "whole.json", [*files[1:3], files[0], *files[3:]])
    assert tree(tmp_path / "o.json") == tree(tmp_path / "whole.json")


VALUES = [None, True, -1, 1.5, 10**30, float("nan"), "x", "\ud800", [], [1], {}, {"size": {}}, [[0, "x"]]]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("name", ["o.jsonl", "o.selections.txt", "folder", "shards"])
def test_a_journal_that_was_doctored_or_cut_is_used_or_refused_in_one_line(files, tmp_path, name, data):
    target = tmp_path / name
    run(target, files, {files[1]: "x"}, stop=5, overwrite=True)
    journal = target / ".peaudio.journal" if "." not in name else tmp_path / f"{name}.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    how = data.draw(st.sampled_from(["cut", "bytes", "value", "key", "line", "deep", "order"]))
    at = data.draw(st.integers(0, len(lines) - 1))
    if how in ("value", "key"):
        entry = json.loads(lines[at])
        key = data.draw(st.sampled_from(sorted(entry)))
        if how == "key":
            entry[data.draw(st.sampled_from(["x", "output", "begun", "journal"]))] = entry.pop(key)
        else:
            entry[key] = data.draw(st.sampled_from(VALUES))
        lines[at] = json.dumps(entry).encode() + b"\n"
    elif how == "line":
        lines[at] = data.draw(
            st.sampled_from([b"[]\n", b"null\n", b"\n", b"1\n", b'"x"\n', b"\xff\xfe\n", b"9" * 5000 + b"\n"])
        )
    elif how == "deep":
        lines[at] = b'{"file": ' + b"[" * 100_000 + b"\n"
    elif how == "order":
        lines = data.draw(st.permutations(lines))
    content = b"".join(lines)
    if how == "cut":
        content = content[: data.draw(st.integers(0, len(content)))]
    elif how == "bytes":
        spot = data.draw(st.integers(0, len(content) - 1))
        content = content[:spot] + data.draw(st.binary(max_size=4)) + content[spot + 1 :]
    journal.write_bytes(content)
    try:
        run(target, files, resume=True)
    except PeAudioError as error:
        assert "\n" not in str(error)
    finally:
        for path in tmp_path.glob(f"{name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_what_was_done_and_is_not_given_now_is_named():
    from pe_audio_cli.outputs.journal import JournalEntry

    entries = [JournalEntry(name, None, None) for name in ("a", "b", "c")]
    assert list(matched(entries, ["c", "new", "a", "b"])) == [0, 2, 3]
    with pytest.raises(OutputError, match="had b where now is c"):
        matched(entries, ["a", "c"])


def test_content_is_told_by_its_ends(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(bytes(100_000))
    empty = content(str(file))
    for at in (0, 99_999):
        changed = bytearray(100_000)
        changed[at] = 1
        file.write_bytes(changed)
        assert content(str(file)).digest != empty.digest


def test_a_run_killed_anywhere_ends_like_one_that_was_not(files, tmp_path):
    """A killed run leaves what is on disk at that moment: here copied away, lock and all."""
    (tmp_path / "whole").mkdir()
    run(tmp_path / "whole" / "o.json", files)
    dice = random.Random(0)
    for turn in range(15):
        folder = tmp_path / str(turn)
        folder.mkdir()
        for _ in range(dice.randint(1, 4)):
            broken = dict.fromkeys(dice.sample(files, 2), "x")
            left = tmp_path / "left"

            def killed(n: int, at: int = dice.randint(0, 7), folder: Path = folder, left: Path = left) -> None:
                if n >= at and not left.exists():
                    shutil.copytree(folder, left)

            run(folder / "o.json", files, broken, meanwhile=killed, resume=True)
            if left.exists():
                shutil.rmtree(folder)
                left.rename(folder)
        run(folder / "o.json", files, resume=True)
        assert (folder / "o.json").read_bytes() == (tmp_path / "whole" / "o.json").read_bytes()
        assert {path.name for path in folder.iterdir()} == {"o.json", "o.json.journal"}
