"""Recordings go out in any order, and answers come back in theirs, whatever gets lost on the way.

What is here is the truth of what has come back: all else is sent out once more, so that no answer is lost, and whatever
comes twice is passed over.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from pe_audio_cli._paths import exists
from pe_audio_cli.audio.addresses import is_address, reached_by
from pe_audio_cli.cluster.reorder_buffer import ReorderBuffer, Row
from pe_audio_cli.errors import RunError
from pe_audio_cli.inference.segments import SegmentResult
from pe_audio_cli.inference.tasks.base import EncodeOptions
from pe_audio_cli.outputs.files import STANDARD_INPUT
from pe_audio_cli.results import FileError, Recording

if TYPE_CHECKING:
    from pe_audio_cli.inference.pipeline import Reducer

__all__ = ["Fault", "Lost", "RecordingResult", "Send", "dispatched"]

ATTEMPTS = 3  # without any answer between them
NO_STANDARD_INPUT = FileError(STANDARD_INPUT, "unreadable", "a cluster cannot read it: save it to a file first")

ResultT = TypeVar("ResultT")

# Sends out inputs, absolute paths and addresses by their places in the run, and gives what comes back, in any order. A
# row's content is a RecordingResult, a SegmentResult, a FileError or a Fault, pickled. Raises Lost.
Send: TypeAlias = Callable[[Mapping[int, str]], Iterator[list[Row]]]


class Lost(Exception):
    """Not all that was sent out will come back."""


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """What became of a recording of one segment."""

    result: Any
    recording: Recording


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a worker can do nothing, and the run is to end."""

    message: str


def dispatched(
    files: Iterable[str | FileError],
    send: Send,
    reducer: Callable[[], Reducer[ResultT]],
    encoding: EncodeOptions,
    tell: Callable[[str], None],
) -> Iterator[ResultT | FileError]:
    """One answer or error for each of ``files``, in their order, as soon as it and all before it are there.

    Args:
        files: recordings, or errors that stand for them, which come out in their place.
        send: what sends them out.
        reducer: makes the answer of a recording that comes back in several parts.
        encoding: who is told of progress.
        tell: is told what gets lost.

    Raises:
        RunError: a worker can do nothing, or too much gets lost.
    """
    given = list(files)
    answers = _Answers(given, reducer, encoding)
    held = ReorderBuffer()
    inputs: dict[int, str] = {}
    for index, item in enumerate(given):
        if isinstance(item, str) and item != STANDARD_INPUT:
            inputs[index] = reached_by(item) if is_address(item) else os.path.abspath(item)
        else:
            held.put(Row(index, 0, True, pickle.dumps(item if isinstance(item, FileError) else NO_STANDARD_INPUT)))
    yield from answers.of(held.take())
    for rows in _all_rows(inputs, send, held, tell):
        for row in rows:
            held.put(row)
        yield from answers.of(held.take())


def _all_rows(
    inputs: Mapping[int, str], send: Send, held: ReorderBuffer, tell: Callable[[str], None]
) -> Iterator[list[Row]]:
    """Rows, in any order, until ``held``, which is to get them, misses none."""
    attempts = 0
    missing = list(inputs)
    while missing:
        reason = "not all that was sent out has come back"
        try:
            for rows in send({index: inputs[index] for index in missing}):
                attempts = 0
                yield rows
        except Lost as error:
            reason = str(error)
        missing = held.missing(missing[-1] + 1)
        attempts += 1
        if missing and attempts == ATTEMPTS:
            raise RunError(f"the cluster failed {ATTEMPTS} times without an answer in between ({reason})")
        if missing:
            tell(f"{reason}: {len(missing)} recordings are sent out again")


class _Answers(Generic[ResultT]):
    """Makes answers of rows that come in order, and calls recordings what the user called them."""

    def __init__(
        self, given: Sequence[str | FileError], reducer: Callable[[], Reducer[ResultT]], encoding: EncodeOptions
    ) -> None:
        self._given, self._new_reducer, self._encoding = given, reducer, encoding
        self._reducer: Reducer[ResultT] | None = None  # of a recording of several segments
        self._error: FileError | None = None

    def of(self, rows: Iterable[Row]) -> Iterator[ResultT | FileError]:
        """The answer to each input whose last row is among these."""
        for row in rows:
            content = _loaded(row)
            if isinstance(content, Fault):
                raise RunError(f"a worker cannot load the model: {content.message}")
            if isinstance(content, FileError):
                self._error = content
            if isinstance(content, SegmentResult) and self._error is None:
                self._add(content)
            if row.last:
                item = self._given[row.index]
                yield self._answer(item if isinstance(item, str) else item.file, content)
                self._reducer = self._error = None

    def _add(self, part: SegmentResult) -> None:
        try:
            if self._reducer is None:
                self._reducer = self._new_reducer()
            for scored in part.scored:
                self._reducer.add(scored)
        except Exception as error:
            self._error = FileError.caused_by(error, part.recording.file)

    def _answer(self, file: str, last: SegmentResult | RecordingResult | FileError) -> ResultT | FileError:
        if self._error is not None:
            return replace(self._error, file=file, message=_explained(self._error, file))
        assert isinstance(last, (SegmentResult, RecordingResult))
        recording = replace(last.recording, file=file)
        if self._encoding.on_piece is not None:
            self._encoding.on_piece(file, recording.duration, 1.0)
        try:
            if isinstance(last, RecordingResult):
                answer: ResultT = replace(last.result, recording=recording)
                return answer
            assert self._reducer is not None
            return self._reducer.finish(recording)
        except Exception as error:
            return FileError.caused_by(error, file)


def _loaded(row: Row) -> Any:
    try:
        return pickle.loads(row.content)
    except Exception as error:
        return FileError.caused_by(error, "")  # whose name its index tells


def _explained(error: FileError, file: str) -> str:
    if error.kind == "missing" and exists(file):
        return "it is here, but not on the node that was to read it: use a folder that all nodes share, or an address"
    return error.message
