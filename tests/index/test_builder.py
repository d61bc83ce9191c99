"""Bringing an index up to date: what is encoded, what stays, what goes."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from support import REFERENCE, LevelEncoder, write_tone

from pe_audio_cli.audio.find import find_recordings
from pe_audio_cli.audio.framing import WindowOptions
from pe_audio_cli.errors import OutputError, RunError, StoreError, UsageError
from pe_audio_cli.index import builder as module
from pe_audio_cli.index.builder import IndexBuilder, Plan
from pe_audio_cli.index.database import Database
from pe_audio_cli.index.vectors import blocks_of, vectors_path
from pe_audio_cli.inference.runner import embed
from pe_audio_cli.inference.tasks.base import EncodeOptions
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.results import FileError

CHECKPOINT = Checkpoint.open(REFERENCE / "pe-a-frame-tiny", "tiny")
TEN_SECONDS = WindowOptions(10.0, 0.0)


@pytest.fixture
def sounds(tmp_path) -> Path:
    """Three recordings of rising level; the second is longer than a window, the third in a folder of its own."""
    for index, (name, seconds) in enumerate([("a.wav", 1.0), ("b.wav", 12.0), ("sub/c.wav", 2.0)]):
        write_tone(tmp_path / "sounds" / name, seconds=seconds, level=0.1 * (index + 1))
    return tmp_path / "sounds"


def update(index: Path, *paths: Path | str, prune: bool = False, windows=None, encoder=None, finish=True) -> Plan:
    """One run of ``peaudio index``, without the command."""
    encoder = LevelEncoder() if encoder is None else encoder
    names = list(map(str, paths))
    with IndexBuilder(index, CHECKPOINT, windows) as builder:
        plan = builder.plan(names, find_recordings(names))
        if prune:
            builder.drop(plan.vanished)
        builder.begin(encoder)
        for result in embed(plan.todo, encoder, "window", EncodeOptions(builder.windows)):
            builder.write(result)
        if finish:
            builder.finish()
        else:
            builder.abandon()
    return plan


def spans(index: Path) -> list[tuple[str, float, float]]:
    """The windows in it, by the names of their recordings."""
    with Database.open(index) as database:
        clips = database.clips(database.ids("true").tolist()).values()
    return sorted((Path(clip.file).name, clip.start, clip.end) for clip in clips)


def names(index: Path) -> list[str]:
    return sorted({name for name, _, _ in spans(index)})


def touch_later(file: Path) -> None:
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def test_windows_of_ten_seconds(sounds, tmp_path):
    update(tmp_path / "i", sounds)
    assert spans(tmp_path / "i") == [("a.wav", 0, 1), ("b.wav", 0, 10), ("b.wav", 2, 12), ("c.wav", 0, 2)]
    with Database.open(tmp_path / "i") as database:
        assert set(database.stamps()) == {str(sounds / name) for name in ("a.wav", "b.wav", "sub/c.wav")}
        about = database.about
        (block,) = blocks_of(database)
        np.testing.assert_allclose(block.embeddings[:, 0], np.array([1, 2, 2, 3]) * 20 / np.pi, rtol=1e-3)
    assert (about.model, about.fingerprint) == ("tiny", CHECKPOINT.fingerprint)
    assert Path(about.folder).is_absolute()
    assert (about.logit_scale, about.logit_bias, about.width) == (1.0, 0.0, 2)


def test_what_has_not_changed_is_not_encoded_again(sounds, tmp_path):
    update(tmp_path / "i", sounds)
    encoder = LevelEncoder()
    before = spans(tmp_path / "i")
    plan = update(tmp_path / "i", sounds, encoder=encoder)
    assert (list(plan.todo), plan.n_unchanged, encoder.batches) == ([], 3, [])
    write_tone(sounds / "d.wav", level=0.4)
    plan = update(tmp_path / "i", sounds, encoder=encoder)
    assert (list(plan.todo), plan.n_unchanged, len(encoder.batches)) == ([str(sounds / "d.wav")], 3, 1)
    assert spans(tmp_path / "i") == sorted([*before, ("d.wav", 0, 1)])


@pytest.mark.parametrize("change", ["size", "time"])
def test_what_has_changed_is_replaced(sounds, tmp_path, change):
    update(tmp_path / "i", sounds)
    if change == "size":
        status = (sounds / "b.wav").stat()
        write_tone(sounds / "b.wav", seconds=3.0)
        os.utime(sounds / "b.wav", ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        touch_later(sounds / "b.wav")
    plan = update(tmp_path / "i", sounds)
    assert list(plan.todo) == [str(sounds / "b.wav")]
    changed = [("b.wav", 0, 3)] if change == "size" else [("b.wav", 0, 10), ("b.wav", 2, 12)]
    assert [span for span in spans(tmp_path / "i") if span[0] == "b.wav"] == changed
    assert names(tmp_path / "i") == ["a.wav", "b.wav", "c.wav"]


def test_a_recording_counts_once_however_it_is_named(sounds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    update(tmp_path / "i", "sounds", "./sounds/a.wav", sounds / "sub" / ".." / "a.wav", "sounds/*.wav")
    assert len(spans(tmp_path / "i")) == 4
    monkeypatch.chdir(sounds)
    assert update(tmp_path / "i", ".").n_unchanged == 3


def test_one_bad_file_among_good_ones(sounds, tmp_path):
    (sounds / "b.wav").write_text("no recording")
    update(tmp_path / "i", sounds)
    assert names(tmp_path / "i") == ["a.wav", "c.wav"]
    assert list(update(tmp_path / "i", sounds).todo) == [str(sounds / "b.wav")]


def test_what_has_changed_beyond_recognition_is_dropped(sounds, tmp_path):
    update(tmp_path / "i", sounds)
    (sounds / "b.wav").write_text("no recording any more")
    update(tmp_path / "i", sounds)
    assert names(tmp_path / "i") == ["a.wav", "c.wav"]


def test_vanished_recordings_stay_until_they_are_pruned(sounds, tmp_path):
    update(tmp_path / "i", sounds)
    (sounds / "sub" / "c.wav").unlink()
    plan = update(tmp_path / "i", sounds)
    assert plan.vanished == [str(sounds / "sub" / "c.wav")]
    assert names(tmp_path / "i") == ["a.wav", "b.wav", "c.wav"]
    update(tmp_path / "i", sounds, prune=True)
    assert names(tmp_path / "i") == ["a.wav", "b.wav"]


@pytest.mark.parametrize(
    ("paths", "vanish"),
    [
        (["sounds"], {"b.wav", "c.wav"}),
        (["sounds/sub"], set()),  # nothing is found there: it may be a disk that is not mounted
        (["sounds/*.wav"], {"b.wav", "c.wav"}),
        (["sounds/a.wav"], set()),
        (["sound"], set()),
        (["elsewhere"], set()),
        (["elsewhere", "sounds"], {"b.wav", "c.wav"}),
    ],
    ids=lambda paths: " ".join(sorted(paths)),
)
def test_only_what_lies_below_the_paths_vanishes(sounds, tmp_path, monkeypatch, paths, vanish):
    monkeypatch.chdir(tmp_path)
    update(tmp_path / "i", sounds)
    write_tone(tmp_path / "elsewhere" / "d.wav")
    (sounds / "b.wav").unlink()
    (sounds / "sub" / "c.wav").unlink()
    plan = update(tmp_path / "i", *paths)
    assert {Path(path).name for path in plan.vanished} == vanish


NO_UTF8 = os.fsdecode(b"caf\xe9.wav")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
def test_a_name_that_is_no_utf_8_stays_and_goes_like_any_other(sounds, tmp_path):
    (sounds / "a.wav").rename(sounds / NO_UTF8)
    for _ in range(3):
        update(tmp_path / "i", sounds, prune=True)
        assert len(names(tmp_path / "i")) == 3
    (sounds / NO_UTF8).rename(sounds / os.fsdecode(b"caf\xe9.seen no more"))
    update(tmp_path / "i", sounds, prune=True)
    assert names(tmp_path / "i") == ["b.wav", "c.wav"]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
def test_a_name_that_is_no_utf_8_stays_where_its_file_is_there_and_not_found(sounds, tmp_path):
    hidden = sounds / os.fsdecode(b"caf\xe9 without an extension")
    (sounds / "a.wav").rename(hidden)
    update(tmp_path / "i", sounds, hidden)
    plan = update(tmp_path / "i", sounds, prune=True)
    assert (plan.vanished, plan.out_of_sight) == ([], [])
    assert len(names(tmp_path / "i")) == 3


def test_a_folder_that_is_not_there_may_be_a_disk_that_is_not_mounted(sounds, tmp_path):
    update(tmp_path / "i", sounds)
    (sounds / "sub").rename(tmp_path / "elsewhere")
    plan = update(tmp_path / "i", sounds, prune=True)
    assert (plan.vanished, plan.out_of_sight) == ([], [str(sounds / "sub" / "c.wav")])
    assert names(tmp_path / "i") == ["a.wav", "b.wav", "c.wav"]
    (sounds / "sub").mkdir()
    update(tmp_path / "i", sounds, prune=True)
    assert names(tmp_path / "i") == ["a.wav", "b.wav"]


@pytest.mark.parametrize("left", [[], ["notes.txt"]], ids=["empty", "not empty"])
def test_an_empty_folder_may_be_the_place_of_a_disk_that_held_all_of_it(sounds, tmp_path, left):
    disk, gone = sounds / "sub", str(sounds / "sub" / "c.wav")
    update(tmp_path / "i", disk)
    (disk / "c.wav").unlink()
    for name in left:
        (disk / name).touch()
    plan = update(tmp_path / "i", sounds, prune=True)
    assert (plan.vanished, plan.out_of_sight) == (([gone], []) if left else ([], [gone]))
    assert ("c.wav" in names(tmp_path / "i")) == (not left)


def test_an_empty_folder_from_which_nothing_was_removed_may_be_the_place_of_a_disk(sounds, tmp_path):
    update(tmp_path / "i", sounds)
    (sounds / "sub" / "c.wav").unlink()
    earlier = (tmp_path / "i").stat().st_mtime - 60
    os.utime(sounds / "sub", (earlier, earlier))
    plan = update(tmp_path / "i", sounds, prune=True)
    assert (plan.vanished, plan.out_of_sight) == ([], [str(sounds / "sub" / "c.wav")])
    assert names(tmp_path / "i") == ["a.wav", "b.wav", "c.wav"]


@pytest.mark.parametrize("trouble", ["folder cannot be listed", "disk fails", "link leads to nothing"])
def test_what_cannot_be_looked_for_stays(sounds, tmp_path, monkeypatch, trouble):
    update(tmp_path / "i", sounds)
    (sounds / "sub" / "c.wav").unlink()
    if trouble == "folder cannot be listed":
        listed = os.scandir

        def scandir(path="."):
            if os.fspath(path).endswith("sub"):
                raise PermissionError(13, "Permission denied", path)
            return listed(path)

        monkeypatch.setattr(os, "scandir", scandir)
    elif trouble == "disk fails":
        asked = os.lstat

        def lstat(path, **more):
            if os.fspath(path).endswith("c.wav"):
                raise OSError(5, "Input/output error", path)
            return asked(path, **more)

        monkeypatch.setattr(os, "lstat", lstat)
    else:
        (sounds / "sub" / "c.wav").symlink_to("/no/such/disk/c.wav")
    update(tmp_path / "i", sounds, prune=True)
    monkeypatch.undo()
    assert names(tmp_path / "i") == ["a.wav", "b.wav", "c.wav"]


ADDRESS = "https://example.com/sounds/bell.wav"


def index_an_address(index: Path, sounds: Path) -> None:
    encoder = LevelEncoder()
    with IndexBuilder(index, CHECKPOINT) as builder:
        builder.plan([ADDRESS], [ADDRESS])
        builder.begin(encoder)
        for result in embed([str(sounds / "a.wav")], encoder, "window", EncodeOptions(builder.windows)):
            builder.write(replace(result, recording=replace(result.recording, file=ADDRESS)))
        builder.finish()


def test_an_address_is_no_path(sounds, tmp_path):
    index_an_address(tmp_path / "i", sounds)
    with Database.open(tmp_path / "i") as database:
        assert list(database.stamps()) == [ADDRESS]


@pytest.mark.parametrize(
    ("kind", "prune", "stays"),
    [
        ("unreadable", True, True),  # 503, or nothing for too long
        ("unreadable", False, True),
        ("decode", True, True),  # what a network that wants a password answers in another's name
        ("missing", False, True),
        ("missing", True, False),
    ],
)
def test_an_address_is_forgotten_only_where_it_is_known_to_lead_nowhere(sounds, tmp_path, kind, prune, stays):
    index_an_address(tmp_path / "i", sounds)
    with IndexBuilder(tmp_path / "i", CHECKPOINT) as builder:
        plan = builder.plan([ADDRESS], [ADDRESS])
        assert (plan.todo, plan.vanished) == ([ADDRESS], [])
        if prune:
            builder.drop(plan.vanished)
        builder.write(FileError(ADDRESS, kind, "answers"))
        assert builder.n_forgotten == (not stays)
        builder.finish()
    with Database.open(tmp_path / "i") as database:
        assert list(database.stamps()) == [ADDRESS] * stays


def test_addresses_are_not_below_a_folder(sounds, tmp_path, monkeypatch):
    index_an_address(tmp_path / "i", sounds)
    monkeypatch.chdir(sounds)
    update(tmp_path / "i", ".", prune=True)
    with Database.open(tmp_path / "i") as database:
        assert ADDRESS in database.stamps()


def test_what_has_not_changed_and_cannot_be_read_now_stays(sounds, tmp_path, monkeypatch):
    update(tmp_path / "i", sounds)
    file = str(sounds / "a.wav")
    with IndexBuilder(tmp_path / "i", CHECKPOINT) as builder:
        monkeypatch.setattr(module, "stamp", lambda item: (None, None))
        builder.plan([file], [file])
        builder.write(FileError(file, "unreadable", "the system cannot read it"))
        builder.finish()
    assert names(tmp_path / "i") == ["a.wav", "b.wav", "c.wav"]


def test_an_index_is_made_with_the_first_recording(tmp_path):
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "a.wav").write_text("no recording")
    plan = update(tmp_path / "i", tmp_path / "sounds", tmp_path / "nowhere")
    assert [isinstance(item, FileError) for item in plan.todo] == [False, True]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sounds"]


def test_a_second_run_is_refused_before_there_is_an_index_and_after(sounds, tmp_path):
    encoder = LevelEncoder()
    with IndexBuilder(tmp_path / "i", CHECKPOINT) as builder:
        with pytest.raises(OutputError, match=rf"i is being written by another run \(process {os.getpid()}\)"):
            IndexBuilder(tmp_path / "i", CHECKPOINT)
        builder.plan([str(sounds)], find_recordings([str(sounds)]))
        builder.begin(encoder)
        for result in embed([str(sounds / "a.wav")], encoder, "window", EncodeOptions(builder.windows)):
            builder.write(result)
        with pytest.raises((StoreError, OutputError)):
            IndexBuilder(tmp_path / "i", CHECKPOINT)
        builder.finish()
    assert names(tmp_path / "i") == ["a.wav"]
    assert {path.name for path in tmp_path.iterdir()} == {"sounds", "i", "i.vectors"}
    update(tmp_path / "i", sounds)
    assert names(tmp_path / "i") == ["a.wav", "b.wav", "c.wav"]


def test_an_index_that_appears_meanwhile_is_left_alone(sounds, tmp_path):
    encoder = LevelEncoder()
    with IndexBuilder(tmp_path / "i", CHECKPOINT) as builder:
        plan = builder.plan([str(sounds)], find_recordings([str(sounds)]))
        builder.begin(encoder)
        (tmp_path / "i").write_text("mine")
        results = embed(plan.todo, encoder, "window", EncodeOptions(builder.windows))
        with pytest.raises(RunError, match="i has appeared meanwhile, and is left alone"):
            builder.write(next(results))
        results.close()
    assert (tmp_path / "i").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["i", "sounds"]


PLANTED = ["i.part", "i.part.wal", "i.wal", "i.lock"]


@pytest.mark.parametrize("kind", ["file", "link"])
@pytest.mark.parametrize("name", PLANTED)
def test_what_others_have_put_in_the_place_of_its_files_is_refused(sounds, tmp_path, name, kind):
    theirs = tmp_path / "theirs"
    theirs.write_text("precious")
    if kind == "link":
        (tmp_path / name).symlink_to(theirs)
    else:
        (tmp_path / name).write_text("precious")
    with pytest.raises((StoreError, OutputError), match=rf"{name} is in the way"):
        update(tmp_path / "i", sounds)
    assert (theirs.read_text(), (tmp_path / name).read_text()) == ("precious", "precious")
    assert {path.name for path in tmp_path.iterdir()} == {"sounds", "theirs", name}


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_others_have_put_in_the_place_of_the_copy_is_left_alone(sounds, tmp_path, kind):
    theirs = tmp_path / "theirs"
    theirs.write_text("precious")
    if kind == "link":
        vectors_path(tmp_path / "i").symlink_to(theirs)
    else:
        vectors_path(tmp_path / "i").write_text("precious")
    with pytest.raises(RunError, match=r"i.vectors: something is there that is no copy of this index: move it away"):
        update(tmp_path / "i", sounds)
    assert (theirs.read_text(), vectors_path(tmp_path / "i").read_text()) == ("precious", "precious")
    assert len(spans(tmp_path / "i")) == 4


def test_a_log_beside_an_index_that_is_none_of_it_is_refused(sounds, tmp_path):
    update(tmp_path / "i", sounds)
    (tmp_path / "i.wal").write_text("precious")
    before = (tmp_path / "i").read_bytes()
    for attempt in (lambda: update(tmp_path / "i", sounds), lambda: spans(tmp_path / "i")):
        with pytest.raises(StoreError, match=r"i\.wal is in the way"):
            attempt()
    assert ((tmp_path / "i").read_bytes(), (tmp_path / "i.wal").read_text()) == (before, "precious")


def test_an_index_that_is_refused_stays_as_it_is(sounds, tmp_path):
    """Even one with a log that DuckDB would move into it."""
    update(tmp_path / "i", sounds)
    with duckdb.connect(tmp_path / "i") as connection:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute("UPDATE about SET model = 'another'")
        log = (tmp_path / "i.wal").read_bytes()
    assert log
    before = (tmp_path / "i").read_bytes()
    (tmp_path / "i.wal").write_bytes(log)
    with pytest.raises(StoreError, match="was made with another"):
        IndexBuilder(tmp_path / "i", Checkpoint.open(REFERENCE / "pe-av-tiny", "other"))
    with pytest.raises(StoreError, match="has windows of 10 s"):
        IndexBuilder(tmp_path / "i", CHECKPOINT, WindowOptions(5.0))
    assert ((tmp_path / "i").read_bytes(), (tmp_path / "i.wal").read_bytes()) == (before, log)


def test_its_windows_are_kept_to(sounds, tmp_path):
    update(tmp_path / "i", sounds / "b.wav", windows=WindowOptions(5.0, 1.0))
    starts = [start for _, start, _ in spans(tmp_path / "i")]
    assert starts == [0, 4, 7]
    update(tmp_path / "i", sounds / "a.wav")
    update(tmp_path / "i", sounds / "a.wav", windows=WindowOptions(5.0, 1.0))
    with pytest.raises(StoreError, match=r"has windows of 5 s with an overlap of 1 s: leave out"):
        update(tmp_path / "i", sounds, windows=TEN_SECONDS)
    update(tmp_path / "full", sounds / "b.wav", windows=WindowOptions(None))
    assert spans(tmp_path / "full") == [("b.wav", 0, 12)]
    with pytest.raises(StoreError, match="has one window a recording"):
        update(tmp_path / "full", sounds, windows=TEN_SECONDS)


def test_another_checkpoint_is_refused_and_the_index_let_go(sounds, tmp_path):
    update(tmp_path / "i", sounds)
    other = Checkpoint.open(REFERENCE / "pe-av-tiny", "other")
    with pytest.raises(StoreError, match="was made with tiny, and other is another checkpoint"):
        IndexBuilder(tmp_path / "i", other)
    update(tmp_path / "i", sounds)


def test_standard_input_is_refused(tmp_path):
    with IndexBuilder(tmp_path / "i", CHECKPOINT) as builder, pytest.raises(UsageError, match="standard input"):
        builder.plan(["-"], ["-"])


def test_where_nothing_can_be_written_nothing_is_begun(tmp_path):
    with pytest.raises(OutputError, match="it is no folder"):
        IndexBuilder(tmp_path / "no" / "such" / "i", CHECKPOINT)


def test_a_run_that_stops_early_keeps_what_is_done(sounds, tmp_path):
    update(tmp_path / "i", sounds / "a.wav", finish=False)
    assert not vectors_path(tmp_path / "i").exists()
    plan = update(tmp_path / "i", sounds)
    assert plan.n_unchanged == 1
    assert names(tmp_path / "i") == ["a.wav", "b.wav", "c.wav"]
    assert vectors_path(tmp_path / "i").exists()


def test_a_copy_that_cannot_be_written_is_said_and_the_index_is_whole(sounds, tmp_path):
    vectors_path(tmp_path / "i").mkdir()
    with pytest.raises(RunError, match=r"cannot write .*vectors: .*; the index is whole"):
        update(tmp_path / "i", sounds)
    assert names(tmp_path / "i") == ["a.wav", "b.wav", "c.wav"]


def test_an_index_holds_one_sound_track(sounds, tmp_path):
    index = tmp_path / "i"
    with IndexBuilder(index, CHECKPOINT, audio_track=1) as builder:
        plan = builder.plan([str(sounds)], find_recordings([str(sounds)]))
        builder.begin(LevelEncoder())
        encoding = EncodeOptions(builder.windows, audio_track=builder.audio_track)
        for result in embed(plan.todo, LevelEncoder(), "window", encoding):
            builder.write(result)
        builder.finish()
    with pytest.raises(StoreError, match="audio track 1"):
        IndexBuilder(index, CHECKPOINT, audio_track=2)
    with IndexBuilder(index, CHECKPOINT) as builder:
        assert builder.audio_track == 1
