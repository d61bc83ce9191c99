"""Dispatch of recordings to a cluster: results come in the order of the inputs, whatever gets lost.

Inputs without a complete result are sent again, so that none is lost; duplicates are ignored.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from pe_audio_cli._paths import exists
from pe_audio_cli.audio.addresses import is_address, reached_by
from pe_audio_cli.cluster.reorder_buffer import ReorderBuffer, SegmentRow
from pe_audio_cli.errors import RunError
from pe_audio_cli.inference.segments import SegmentResult
from pe_audio_cli.inference.tasks.base import EncodeOptions
from pe_audio_cli.outputs.files import STANDARD_INPUT
from pe_audio_cli.results import FileError, Recording

if TYPE_CHECKING:
    from pe_audio_cli.inference.pipeline import Reducer

__all__ = ["Fault", "Lost", "RecordingResult", "Send", "dispatched"]

logger = logging.getLogger(__name__)

ATTEMPTS = 3  # in a row without any result
NO_STANDARD_INPUT = FileError(STANDARD_INPUT, "unreadable", "a cluster cannot read it: save it to a file first")

ResultT = TypeVar("ResultT")

# Sends inputs, absolute paths and addresses by their positions in the run, and yields the results, in any order. A
# row's content is a RecordingResult, a SegmentResult, a FileError or a Fault, pickled. Raises Lost.
Send: TypeAlias = Callable[[Mapping[int, str]], Iterator[list[SegmentRow]]]


class Lost(Exception):
    """The results of some inputs will not come back."""


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """The result of a recording of one segment."""

    result: Any
    recording: Recording


@dataclass(frozen=True, slots=True)
class Fault:
    """A reason for which a worker can do nothing, and which ends the run."""

    message: str


def dispatched(
    files: Iterable[str | FileError],
    send: Send,
    reducer: Callable[[], Reducer[ResultT]],
    encoding: EncodeOptions,
) -> Iterator[ResultT | FileError]:
    """Yield a result or an error for each of ``files``, in order, as soon as it and all before it are complete.

    Args:
        files: recordings, or errors in place of them, which are passed on.
        send: sends inputs to the cluster and yields rows of results.
        reducer: combines the segments of a recording into its result.
        encoding: has the callback for progress.

    Raises:
        RunError: a worker cannot work at all, or results are lost repeatedly.
    """
    given = list(files)
    results = _Results(given, reducer, encoding)
    buffer = ReorderBuffer()
    inputs: dict[int, str] = {}
    for index, item in enumerate(given):
        if isinstance(item, str) and item != STANDARD_INPUT:
            inputs[index] = reached_by(item) if is_address(item) else os.path.abspath(item)
        else:
            buffer.put(
                SegmentRow(index, 0, True, pickle.dumps(item if isinstance(item, FileError) else NO_STANDARD_INPUT))
            )
    yield from results.of(buffer.take())
    for rows in _all_rows(inputs, send, buffer):
        for row in rows:
            buffer.put(row)
        yield from results.of(buffer.take())


def _all_rows(inputs: Mapping[int, str], send: Send, buffer: ReorderBuffer) -> Iterator[list[SegmentRow]]:
    """Yield rows, in any order, until ``buffer``, into which the caller puts them, misses none."""
    attempts = 0
    missing = list(inputs)
    while missing:
        reason = "some results did not come back"
        try:
            for rows in send({index: inputs[index] for index in missing}):
                attempts = 0
                yield rows
        except Lost as error:
            reason = str(error)
        missing = buffer.missing(missing[-1] + 1)
        attempts += 1
        if missing and attempts == ATTEMPTS:
            raise RunError(f"the cluster failed {ATTEMPTS} times in a row without any result ({reason})")
        if missing:
            logger.info("%s: %d recordings are sent again", reason, len(missing))


class _Results(Generic[ResultT]):
    """Combines rows in order into results, with the names of the recordings as the user gave them."""

    def __init__(
        self, given: Sequence[str | FileError], reducer: Callable[[], Reducer[ResultT]], encoding: EncodeOptions
    ) -> None:
        self._given, self._new_reducer, self._encoding = given, reducer, encoding
        self._reducer: Reducer[ResultT] | None = None  # of a recording of several segments
        self._error: FileError | None = None

    def of(self, rows: Iterable[SegmentRow]) -> Iterator[ResultT | FileError]:
        """Yield the result of each input whose last row is among these."""
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
                yield self._result(item if isinstance(item, str) else item.file, content)
                self._reducer = self._error = None

    def _add(self, segment: SegmentResult) -> None:
        try:
            if self._reducer is None:
                self._reducer = self._new_reducer()
            for scored in segment.scored:
                self._reducer.add(scored)
        except Exception as error:
            self._error = FileError.caused_by(error, segment.recording.file)

    def _result(self, file: str, last: SegmentResult | RecordingResult | FileError) -> ResultT | FileError:
        if self._error is not None:
            return replace(self._error, file=file, message=_explained(self._error, file))
        assert isinstance(last, (SegmentResult, RecordingResult))
        recording = replace(last.recording, file=file)
        if self._encoding.on_chunk is not None:
            self._encoding.on_chunk(file, recording.duration, 1.0)
        try:
            if isinstance(last, RecordingResult):
                result: ResultT = replace(last.result, recording=recording)
                return result
            assert self._reducer is not None
            return self._reducer.finish(recording)
        except Exception as error:
            return FileError.caused_by(error, file)


def _loaded(row: SegmentRow) -> Any:
    try:
        return pickle.loads(row.content)
    except Exception as error:
        return FileError.caused_by(error, "")  # the caller knows the name by its index


def _explained(error: FileError, file: str) -> str:
    if error.kind == "missing" and exists(file):
        return "it exists here, but not on the node that reads it: use a folder that all nodes share, or an address"
    return error.message
