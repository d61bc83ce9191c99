"""Whatever happens in one recording is that recording's error, whichever stage it happens in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from faults import FAULTS, FaultyEncoder, name, three_tones
from support import LevelEncoder

from pe_audio_cli.audio.decoding import AudioStream
from pe_audio_cli.audio.framing import WindowOptions
from pe_audio_cli.audio.spectrogram import StreamingSpectrogram
from pe_audio_cli.inference import pipeline, reader
from pe_audio_cli.inference.tasks import localization
from pe_audio_cli.inference.tasks.base import EncodeOptions, LocalEngine, Task
from pe_audio_cli.inference.tasks.embedding import Embedding
from pe_audio_cli.inference.tasks.localization import Localization
from pe_audio_cli.inference.tasks.query import Query
from pe_audio_cli.inference.tasks.tagging import Tagging
from pe_audio_cli.options import EventOptions, TagOptions
from pe_audio_cli.results import FileError

WINDOWS = WindowOptions(1.0, 0.0)
QUERY = Query(("loud", "deafening"), LevelEncoder().encode_text(["loud", "deafening"]))
TASKS = [
    Tagging(QUERY, TagOptions(per_window=True)),
    Localization(QUERY, EventOptions(), frames=True),
    Embedding("window"),
]

any_fault = pytest.mark.parametrize("fault", FAULTS, ids=name)
any_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return three_tones(tmp_path_factory.mktemp("tones"))


def answers(
    files: list[str],
    task: Task,
    encoder: LevelEncoder | None = None,
    *,
    batch_size: int = 2,
    shown: bool = False,
) -> list[object]:
    encoding = EncodeOptions(WINDOWS, batch_size, spectrograms=shown)
    return list(LocalEngine().run(files, LevelEncoder() if encoder is None else encoder, task, encoding))


def check(outcomes: list[object], files: list[str], task: Task) -> FileError:
    """The first and last recording are as if nothing had been wrong; the second has one error, of one line."""
    assert [outcomes[0], outcomes[2]] == answers([files[0], files[2]], task)
    error = outcomes[1]
    assert isinstance(error, FileError) and len(outcomes) == 3
    assert error.file == files[1]
    assert error.kind in ("internal", "encode")
    assert error.message and "\n" not in error.message
    return error


@any_fault
@any_task
@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize(("stage", "n_good"), [("codec", 0), ("windows", 0), ("windows", 1)])
def test_in_the_encoder(tones, task, fault, stage, n_good, batch_size):
    encoder = FaultyEncoder(fault, stage, n_good if batch_size == 1 else 0)
    check(answers(tones, task, encoder, batch_size=batch_size), tones, task)


@any_fault
@any_task
def test_when_it_is_opened(tones, task, fault, monkeypatch):
    real = reader.open_audio

    def faulty(file: str) -> AudioStream:
        if file == tones[1]:
            raise fault
        return real(file)

    monkeypatch.setattr(reader, "open_audio", faulty)
    check(answers(tones, task), tones, task)


@any_fault
@any_task
@pytest.mark.parametrize("n_good", [0, 1])
def test_while_it_is_read(tones, task, fault, n_good, monkeypatch):
    real = AudioStream.blocks

    def faulty(self: AudioStream) -> Iterator[np.ndarray]:
        for number, block in enumerate(real(self)):
            if self._file == tones[1] and number == n_good:
                fail(fault)
            yield block

    monkeypatch.setattr(AudioStream, "blocks", faulty)
    check(answers(tones, task), tones, task)


@any_fault
def test_when_its_spectrogram_is_made(tones, fault, monkeypatch):
    task = TASKS[1]
    once(monkeypatch, StreamingSpectrogram, "finish", fault)
    check(answers(tones, task, shown=True), tones, task)


@any_fault
@any_task
def test_while_it_is_cut(tones, task, fault, monkeypatch):
    real = pipeline.sliding_windows
    calls = []

    def faulty(features: Iterator[np.ndarray], options: WindowOptions) -> Iterator[object]:
        calls.append(1)
        for number, window in enumerate(real(features, options)):
            if len(calls) == 2 and number == 1:
                fail(fault)
            yield window
        if len(calls) == 2:
            fail(fault)

    monkeypatch.setattr(pipeline, "sliding_windows", faulty)
    check(answers(tones, task), tones, task)


@any_fault
@any_task
@pytest.mark.parametrize("stage", ["reducer", "score", "add", "finish"])
def test_in_what_makes_its_answer(tones, task, fault, stage):
    check(answers(tones, FaultyTask(task, stage, fault)), tones, task)


@any_fault
def test_when_its_events_are_found(tones, fault, monkeypatch):
    once(monkeypatch, localization, "find_events", fault)
    check(answers(tones, TASKS[1]), tones, TASKS[1])


def test_the_error_tells_what_it_was_and_keeps_the_traceback_apart(tones):
    fault = ZeroDivisionError("an odd\nmessage")
    error = check(answers(tones, TASKS[0], FaultyEncoder(fault, "codec")), tones, TASKS[0])
    assert error.kind == "internal"
    assert "ZeroDivisionError: an odd message" in error.message and "--verbose" in error.message
    assert error.traceback is not None and "encode_codec" in error.traceback


def test_no_memory_has_a_remedy(tones):
    error = check(answers(tones, TASKS[0], FaultyEncoder(MemoryError(), "codec")), tones, TASKS[0])
    assert error.kind == "encode" and "--window 30" in error.message


@pytest.mark.parametrize("fault", [KeyboardInterrupt, SystemExit])
def test_who_wants_to_stop_is_not_held_up(tones, fault):
    with pytest.raises(fault):
        answers(tones, TASKS[0], FaultyEncoder(fault, "windows"))


class FaultyTask:
    """The same task, with a reducer of the second recording that fails."""

    def __init__(self, task: Task, stage: str, fault: Exception) -> None:
        self._task, self._stage, self._fault = task, stage, fault
        self._n_reducers = 0

    def reducer(self, encoder: LevelEncoder) -> object:
        self._n_reducers += 1
        if self._n_reducers != 2:
            return self._task.reducer(encoder)
        if self._stage == "reducer":
            raise self._fault
        reducer = self._task.reducer(encoder)
        setattr(reducer, self._stage, lambda *arguments: fail(self._fault))
        return reducer


def once(monkeypatch: pytest.MonkeyPatch, where: object, what: str, fault: Exception) -> None:
    """Let the second call of a function fail."""
    real: Callable[..., object] = getattr(where, what)
    calls = []

    def faulty(*arguments: object) -> object:
        calls.append(1)
        return fail(fault) if len(calls) == 2 else real(*arguments)

    monkeypatch.setattr(where, what, faulty)


def fail(fault: Exception) -> None:
    raise fault
