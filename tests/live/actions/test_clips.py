"""Clips: the right samples, whole or not at all, under names that every system takes, in memory that does not grow."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from io import FileIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from live.actions.heard import ODD_LABELS, eventually, heard, warnings

from pe_audio_cli import _files
from pe_audio_cli.errors import OutputError, UsageError
from pe_audio_cli.live.actions import clips
from pe_audio_cli.live.actions.base import Notice
from pe_audio_cli.live.actions.clips import ClipSaver, Ring, clip_name
from pe_audio_cli.live.event import LiveEvent

RATE = 48_000
needs_a_full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk is full here")


def sample(number: np.ndarray | int) -> np.ndarray:
    """Each sample tells its number, in 16 bits."""
    return ((np.asarray(number) * 7) % 30_011 - 15_000).astype(np.float32) / 32_768


class Listening:
    """Feeds a clip saver in blocks; ``saved`` are the labels and paths that it told."""

    def __init__(self, folder: Path, pre_roll: float = 0.5, post_roll: float = 0.25) -> None:
        self.saved: list[tuple[str, Path]] = []
        self.clips = ClipSaver(folder, pre_roll, post_roll, self.note)
        self.now = 0

    def note(self, event: LiveEvent, path: str) -> None:
        self.saved.append((event.label, Path(path)))

    def hear(self, until: float, block: int = 4_800) -> None:
        while self.now < round(until * RATE):
            n_samples = min(block, round(until * RATE) - self.now)
            self.clips.on_audio(sample(np.arange(self.now, self.now + n_samples)), self.now / RATE)
            self.now += n_samples

    def start(self, label: str, onset: float) -> None:
        self.clips.notify(Notice("start", heard(label, onset)))

    def end(self, label: str, onset: float, offset: float) -> None:
        self.clips.notify(Notice("end", heard(label, onset, offset)))

    def close(self) -> dict[str, Path]:
        self.clips.close(60)
        return dict(self.saved)


def check(path: Path, first: float, end: float) -> None:
    """The clip holds the samples between two times, and nothing else."""
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE
    expected = sample(np.arange(round(first * RATE), round(end * RATE)))
    assert len(samples) == len(expected)
    assert np.array_equal(samples, expected)


@given(
    st.integers(1, 40),
    st.lists(st.tuples(st.sampled_from([0, 0, 4_801, 4_850, 480_000]), st.integers(0, 60)), max_size=12),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 60)), min_size=1, max_size=5),
)
def test_the_ring_is_the_end_of_an_endless_list(
    capacity: int, blocks: list[tuple[int, int]], stretches: list[tuple[int, int]]
) -> None:
    """Of blocks with gaps before them."""
    ring, everything = Ring(capacity), np.zeros(0, np.int16)
    for gap, n_samples in blocks:
        first = len(everything) + (gap if len(everything) else 0)
        values = (np.arange(first, first + n_samples) % 1_000 + 1).astype(np.int16)
        ring.append(values.astype(np.float32) / 32_768, first / RATE)
        silence = np.zeros(first - len(everything), np.int16)
        everything = np.concatenate([everything, silence, values])
        assert ring.end == len(everything)
        assert ring.number(first / RATE) == first
    for before_end, n_samples in stretches:
        first = max(len(everything) - before_end, 0)
        got, n_gone = ring.read(first, first + n_samples)
        kept = max(len(everything) - capacity, 0)
        assert np.array_equal(got, everything[max(first, kept) : first + n_samples])
        assert n_gone == min(max(kept - first, 0), len(everything[first : first + n_samples]))


@given(st.lists(st.integers(-4_000, 4_000), max_size=20), st.integers(0, 10**12))
def test_a_correction_of_the_clock_leaves_the_sound_whole_and_moves_the_times(
    corrections: list[int], begin: int
) -> None:
    ring, now, n_samples = Ring(100_000), begin, 0
    for correction in corrections:
        now += correction if n_samples else 0
        ring.append(np.full(500, 0.5, np.float32), now / RATE)
        assert ring.number(now / RATE) == n_samples
        now, n_samples = now + 500, n_samples + 500
    got, n_gone = ring.read(0, ring.end)
    assert got.tolist() == [16_384] * n_samples
    assert n_gone == 0


def test_a_clip_is_the_event_with_what_was_before_and_after(tmp_path: Path) -> None:
    listening = Listening(tmp_path / "new" / "clips")
    listening.hear(4.0)
    listening.start("a dog", 3.2)
    listening.hear(6.0)
    listening.end("a dog", 3.2, 5.9)
    assert listening.saved == []  # what comes after is still to be heard
    listening.hear(6.2)
    assert eventually(lambda: listening.saved)
    assert listening.saved[0][1].name == "20261128T120003.200+0100-a-dog.flac"
    check(listening.saved[0][1], 2.7, 6.15)
    assert list(listening.close()) == ["a dog"]


def test_times_are_kept_when_sound_is_missing(tmp_path: Path) -> None:
    listening = Listening(tmp_path)
    listening.hear(2.0)
    listening.now = 3 * RATE  # a second was not received
    listening.hear(5.0)
    listening.start("a dog", 1.9)
    listening.end("a dog", 1.9, 3.1)
    samples, _ = soundfile.read(listening.close()["a dog"], dtype="float32")
    expected = sample(np.arange(round(1.4 * RATE), round(3.35 * RATE)))
    expected[round(0.6 * RATE) : round(1.6 * RATE)] = 0
    assert np.array_equal(samples, expected)


def test_what_was_not_heard_is_not_in_the_clip(tmp_path: Path) -> None:
    """At the beginning and at the end of the listening."""
    listening = Listening(tmp_path, pre_roll=5, post_roll=5)
    listening.hear(2.0)
    listening.start("a dog", 1.0)
    listening.end("a dog", 1.0, 1.8)
    check(listening.close()["a dog"], 0, 2.0)


def test_an_event_that_goes_on_at_the_end_is_saved(tmp_path: Path) -> None:
    listening = Listening(tmp_path)
    listening.hear(3.0)
    listening.start("a siren", 2.0)
    check(listening.close()["a siren"], 1.5, 3.0)


def test_an_event_without_an_end_is_cut(tmp_path: Path) -> None:
    listening = Listening(tmp_path)
    listening.hear(3.0)
    listening.start("rain", 2.0)
    listening.hear(2.0 + clips.LONGEST_EVENT + 0.24, block=48_000)
    assert not listening.clips._waiting and listening.saved == []
    listening.hear(2.0 + clips.LONGEST_EVENT + 1)
    assert eventually(lambda: listening.saved)
    listening.hear(200, block=48_000)
    listening.end("rain", 2.0, 199.0)
    listening.close()
    ((_, path),) = listening.saved  # once
    check(path, 1.5, 2.0 + clips.LONGEST_EVENT + 0.25)


def test_loud_sound_is_clipped_at_full_scale_and_does_not_wrap(tmp_path: Path) -> None:
    listening = Listening(tmp_path, 0, 0)
    listening.clips.on_audio(np.array([1.5, -1.5, np.nan, np.inf, 0.5], np.float32), 0)
    listening.start("a bang", 0.0)
    samples, _ = soundfile.read(listening.close()["a bang"], dtype="int16")
    assert samples.tolist() == [32_767, -32_768, 0, 32_767, 16_384]


def test_every_label_gives_a_name_that_every_system_takes(tmp_path: Path) -> None:
    listening = Listening(tmp_path)
    listening.hear(3.0)
    for label in ODD_LABELS:
        listening.start(label, 1.0)
        listening.end(label, 1.0, 2.0)
    saved = listening.close()
    assert saved.keys() == set(ODD_LABELS)
    assert len(set(saved.values())) == len(ODD_LABELS)
    assert set(saved.values()) == set(tmp_path.iterdir())
    for path in saved.values():
        assert re.fullmatch(r"20261128T120001\.000\+0100-[\w~-]+\.flac", path.name)
        assert len(os.fsencode(path.name)) <= 255
        check(path, 0.5, 2.25)


def test_a_name_keeps_the_zone_and_the_letters_of_the_label() -> None:
    event = heard("Ein Käuzchen (ruft)")
    west = type(event)(event.label, 1.0, "2026-11-28T23:59:59.999-05:30", 0.5)
    assert clip_name(west) == "20261128T235959.999-0530-Ein-Käuzchen-ruft"


def test_a_clip_never_replaces_a_file(tmp_path: Path) -> None:
    taken = tmp_path / "20261128T120001.000+0100-a-dog.flac"
    taken.write_text("mine")
    listening = Listening(tmp_path)
    listening.hear(3.0)
    listening.start("a dog", 1.0)
    listening.start("a-dog", 1.0)
    names = {path.name for path in listening.close().values()}
    assert taken.read_text() == "mine"
    assert names == {"20261128T120001.000+0100-a-dog-2.flac", "20261128T120001.000+0100-a-dog-3.flac"}


@needs_a_full_disk
def test_a_full_disk_is_one_warning_and_later_clips_are_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_full = True
    create = _files.create
    listening = Listening(tmp_path)
    monkeypatch.setattr(_files, "create", lambda path: FileIO("/dev/full", "r+b") if is_full else create(path))
    listening.hear(3.0)
    with warnings() as told:
        for number in range(5):
            listening.start(f"dog {number}", 1.0)
            listening.end(f"dog {number}", 1.0, 2.0)
        assert eventually(lambda: listening.clips.failures._n_in_streak == 5)
        is_full = False
        listening.start("a cat", 1.0)
        assert list(listening.close()) == ["a cat"]
    assert len(told) == 1
    assert "No space left on device" in told[0]
    assert [path.name for path in tmp_path.iterdir()] == ["20261128T120001.000+0100-a-cat.flac"]


def test_a_folder_that_vanishes_is_made_again(tmp_path: Path) -> None:
    listening = Listening(tmp_path / "clips")
    (tmp_path / "clips").rmdir()
    listening.hear(3.0)
    listening.start("a dog", 1.0)
    check(listening.close()["a dog"], 0.5, 3.0)


def test_a_burst_of_thousands_of_events_is_saved_as_far_as_the_disk_keeps_up(tmp_path: Path) -> None:
    listening = Listening(tmp_path, 0, 0)
    listening.hear(3.0)
    n_events = 1_500
    with warnings() as told:
        for number in range(n_events):
            listening.start(f"dog {number}", 1.0)
            listening.end(f"dog {number}", 1.0, 1.01)
        listening.close()
    assert clips.MOST_WAITING <= len(listening.saved) <= n_events
    assert len(list(tmp_path.iterdir())) == len(listening.saved)
    assert len(told) == (len(listening.saved) < n_events)
    assert listening.saved[-1][0] == f"dog {n_events - 1}"


def test_sound_that_is_gone_when_it_is_to_be_written_is_one_warning(tmp_path: Path) -> None:
    listening = Listening(tmp_path)
    listening.hear(200.0, block=48_000)
    with warnings() as told:
        listening.start("long ago", 1.0)
        listening.end("long ago", 1.0, 2.0)
        assert listening.close() == {}
    assert len(told) == 1
    assert "no longer kept" in told[0]


@pytest.mark.parametrize(("pre_roll", "post_roll"), [(-1, 0), (0, 61), (float("nan"), 0)])
def test_lengths_out_of_range_are_refused(tmp_path: Path, pre_roll: float, post_roll: float) -> None:
    with pytest.raises(UsageError, match="must be from 0 to 60 s"):
        ClipSaver(tmp_path, pre_roll, post_roll, lambda event, path: None)


def test_a_folder_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="clips cannot be saved in"):
        Listening(tmp_path / "file")


KILLED = """
import sys, time
from pathlib import Path
from pe_audio_cli._files import growing
with growing(Path(sys.argv[1]) / "20261128T120001.000+0100-a-dog.flac") as file:
    print("begun", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        Listening(tmp_path).close()
        assert len(list(tmp_path.iterdir())) == 1  # it is being written
        process.kill()
        process.wait()
    Listening(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_hearing_costs_little(tmp_path: Path) -> None:
    """An hour's sound takes a few seconds of a core: a thousandth of its length."""
    listening = Listening(tmp_path)
    block = np.zeros(24_000, np.float32)
    before = time.thread_time()
    for number in range(7_200):
        listening.clips.on_audio(block, number / 2)
    assert time.thread_time() - before < 36
