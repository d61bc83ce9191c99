"""Results come once each and in order, although inputs are processed out of order, twice, or not at all."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import LevelEncoder, logged, write_tone

from pe_audio_cli.audio.framing import WindowOptions
from pe_audio_cli.cluster.dispatch import Fault, Lost, RecordingResult, dispatched
from pe_audio_cli.cluster.reorder_buffer import SegmentRow
from pe_audio_cli.errors import RunError
from pe_audio_cli.inference.pipeline import encode_items
from pe_audio_cli.inference.reader import read
from pe_audio_cli.inference.segments import Collector, SegmentResult, gathered, segments
from pe_audio_cli.inference.tasks.base import EncodeOptions, LocalEngine
from pe_audio_cli.inference.tasks.query import Query
from pe_audio_cli.inference.tasks.tagging import Tagging
from pe_audio_cli.options import TagOptions
from pe_audio_cli.results import FileError

WINDOWS = WindowOptions(1.0, 0.0)
ENCODER = LevelEncoder(too_loud=45)
LONGEST = 50  # frames from one segment to the next
TASK = Tagging(Query(("loud", "louder"), ENCODER.encode_text(["loud", "louder"])), TagOptions(per_window=True))


def rows_of(index: int, path: str) -> Iterator[SegmentRow]:
    """Yield the rows that a worker would make of a recording."""
    for segment in segments(read([path], WINDOWS, ENCODER.facts.context_frames), WINDOWS, LONGEST):
        reducer = TASK.reducer(ENCODER)
        (content,) = encode_items(iter(segment.items), ENCODER, WINDOWS, lambda: Collector(reducer))  # noqa: B023
        if segment.last and segment.place == 0 and isinstance(content, SegmentResult):
            content = RecordingResult(gathered([content], reducer), content.recording)
        yield SegmentRow(index, segment.place, segment.last, pickle.dumps(content))


@dataclass
class Cluster:
    """Does what it is sent in any order, some of it twice; it fails in the middle as often as ``n_failures`` says."""

    dice: random.Random
    n_failures: int = 0
    sent: list[list[int]] = field(default_factory=list)

    def send(self, inputs: Mapping[int, str]) -> Iterator[list[SegmentRow]]:
        self.sent.append(list(inputs))
        rows = [row for index, path in inputs.items() for row in rows_of(index, path)]
        rows += self.dice.sample(rows, self.dice.randint(0, len(rows)))
        self.dice.shuffle(rows)
        fails = self.n_failures > 0
        self.n_failures -= 1
        for first in range(0, self.dice.randint(1, len(rows)) if fails else len(rows), 3):
            yield rows[first : first + 3]
        if fails and self.dice.random() < 0.5:
            raise Lost("a node is gone")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Recordings of up to five segments; two are none, and one has a window that is too loud to be encoded."""
    folder = tmp_path_factory.mktemp("recordings")
    seconds = [0.4, 9.7, 1.0, 3.5, 1.0, 6.2, 2.0]
    files = [write_tone(folder / f"{n}.wav", each, level=0.05 * (n + 1), rate=8_000) for n, each in enumerate(seconds)]
    files[2].write_text("no recording")
    write_tone(files[5], 6.2, level=0.8, rate=8_000)
    return [*map(str, files), str(folder / "gone.wav")]


def dispatch(files: list[str | FileError], cluster: Cluster, **more: object) -> list[object]:
    encoding = EncodeOptions(WINDOWS, **more)
    reducer = lambda: TASK.reducer(ENCODER)  # noqa: E731
    return list(dispatched(files, cluster.send, reducer, encoding))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.lists(st.integers(0, 7), max_size=9), dice=st.randoms(), n_failures=st.integers(0, 2))
def test_answers_are_those_of_this_process_in_order(files, order, dice, n_failures):
    given_files = [files[index] for index in order]
    expected = list(LocalEngine().run(given_files, ENCODER, TASK, EncodeOptions(WINDOWS)))
    assert dispatch(given_files, Cluster(dice, n_failures)) == expected


def test_only_what_has_not_come_back_is_sent_out_again(files):
    cluster = Cluster(random.Random(3), n_failures=1)
    dispatch([files[0], files[1], files[3]] * 4, cluster)
    first, second = cluster.sent
    assert first == list(range(12))
    assert 0 < len(second) < 12


def test_a_result_comes_before_all_rows_have_arrived(files):
    def send(inputs: Mapping[int, str]) -> Iterator[list[SegmentRow]]:
        yield list(rows_of(0, inputs[0]))
        raise AssertionError("the first answer was held back")

    encoding = EncodeOptions(WINDOWS)
    answers = dispatched(files[:2], send, lambda: TASK.reducer(ENCODER), encoding)
    assert next(answers).recording.file == files[0]


def test_recordings_keep_the_names_that_the_user_gave_them(files, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    write_tone(tmp_path / "a.wav", 0.5)
    write_tone(tmp_path / "b.wav", 9.0)
    (tmp_path / "c.wav").write_text("no recording")
    sent = []

    class Remembering(Cluster):
        def send(self, inputs: Mapping[int, str]) -> Iterator[list[SegmentRow]]:
            sent.extend(inputs.values())
            return super().send(inputs)

    address = (tmp_path / "a.wav").as_uri()
    names = ["a.wav", "./b.wav", "c.wav", address]
    answers = dispatch(names, Remembering(random.Random(0)))
    assert [each.file if isinstance(each, FileError) else each.recording.file for each in answers] == names
    assert sent == [str(tmp_path / "a.wav"), str(tmp_path / "b.wav"), str(tmp_path / "c.wav"), address]


def test_errors_found_before_and_standard_input_stay_in_their_places(files):
    missing = FileError("nowhere", "missing", "not there")
    cluster = Cluster(random.Random(0))
    first, second, third = dispatch([missing, files[0], "-"], cluster)
    assert first == missing
    assert second.recording.file == files[0]
    assert (third.file, third.kind) == ("-", "unreadable")
    assert cluster.sent == [[1]]
    assert dispatch([missing], cluster) == [missing]
    assert dispatch([], cluster) == []
    assert cluster.sent == [[1]]


def test_progress_and_warnings_are_reported_for_short_and_long_recordings(tmp_path):
    files = [str(write_tone(tmp_path / f"{seconds}.wav", seconds)) for seconds in (1, 9)]
    for file in files:
        with open(file, "r+b") as opened:
            opened.truncate(opened.seek(0, 2) - 100_000)  # its header claims more than it holds
    done: list[tuple[str, float]] = []
    results = dispatch(
        files, Cluster(random.Random(0)), on_chunk=lambda file, seconds, fraction: done.append((file, seconds))
    )
    assert [file for file, _ in done] == files
    for result, file in zip(results, files, strict=True):
        ((warning,), about) = result.recording.warnings, result.recording.file
        assert "cut short" in warning
        assert about == file
    assert done[1][1] == pytest.approx(9 - 100_000 / 48_000 / 4)


def test_a_file_that_only_this_machine_has_is_explained(tmp_path):
    file = str(write_tone(tmp_path / "a.wav"))
    lost = pickle.dumps(FileError(file, "missing", "there is no such file or folder: check the path"))
    encoding = EncodeOptions(WINDOWS)
    (error,) = dispatched([file], lambda inputs: iter([[SegmentRow(0, 0, True, lost)]]), list, encoding)
    assert error.kind == "missing"
    assert "not on the node" in error.message


def test_a_cluster_that_never_answers_is_given_up():

    def send(inputs: Mapping[int, str]) -> Iterator[list[SegmentRow]]:
        raise Lost("a node is gone")
        yield []

    with logged() as told, pytest.raises(RunError, match=r"3 times in a row without any result \(a node is gone\)"):
        list(dispatched(["a.wav", "b.wav"], send, list, EncodeOptions(WINDOWS)))
    assert told == ["a node is gone: 2 recordings are sent again"] * 2


def test_a_worker_that_can_do_nothing_ends_the_run():
    rows = [SegmentRow(0, 0, True, pickle.dumps(Fault("no such checkpoint")))]
    with pytest.raises(RunError, match="no such checkpoint"):
        list(dispatched(["a.wav"], lambda inputs: iter([rows]), list, EncodeOptions(WINDOWS)))
