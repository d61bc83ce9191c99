"""Bringing an index up to date: what is encoded, what stays, what goes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from support import REFERENCE, LevelEncoder, write_tone

from pe_audio_cli.audio.find import find_recordings
from pe_audio_cli.audio.windows import WindowOptions
from pe_audio_cli.errors import OutputError, RunError, StoreError, UsageError
from pe_audio_cli.model.checkpoint import Checkpoint
from pe_audio_cli.results import FileError
from pe_audio_cli.run.indexing import IndexBuilder, Plan
from pe_audio_cli.run.session import EncodeOptions, embed
from pe_audio_cli.store.database import Database
from pe_audio_cli.store.vectors import blocks_of, vectors_path

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
    return sorted((Path(clip.path).name, clip.start, clip.end) for clip in clips)


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


def test_an_index_is_made_with_the_first_recording(tmp_path):
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "a.wav").write_text("no recording")
    plan = update(tmp_path / "i", tmp_path / "sounds", tmp_path / "nowhere")
    assert [isinstance(item, FileError) for item in plan.todo] == [False, True]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sounds"]


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
