"""Excerpts that a listener has marked, each decoded and given to the model as a recording of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pe_audio_cli.audio.framing import SAMPLE_RATE
from pe_audio_cli.audio.inputs import DataInput, Samples
from pe_audio_cli.audio.spans import read_spans
from pe_audio_cli.evaluation.annotations.folder import SLACK, Annotated, Marked
from pe_audio_cli.results import FileError

__all__ = ["MarkedSpan", "of_spans", "spans_of"]

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class MarkedSpan:
    """A part of a recording, in seconds, that has one or several marks."""

    annotated: Annotated
    onset: float
    offset: float

    @property
    def known(self) -> frozenset[str]:
        """The labels of which it is known whether they are present."""
        return frozenset(mark.label for mark in self._marks())

    @property
    def present(self) -> frozenset[str]:
        """The labels that are present."""
        return frozenset(mark.label for mark in self._marks() if mark.is_present)

    def _marks(self) -> Iterator[Marked]:
        return (each for each in self.annotated.marks if (each.onset, each.offset) == (self.onset, self.offset))


def spans_of(annotated: Annotated) -> list[MarkedSpan]:
    """Return the excerpts of a recording that were marked, each once."""
    return [MarkedSpan(annotated, *times) for times in sorted({(mark.onset, mark.offset) for mark in annotated.marks})]


def of_spans(
    recordings: Sequence[Annotated],
    run: Callable[[Iterable[str | FileError]], Iterable[ResultT | FileError]],
    audio_track: int | None = None,
) -> Iterator[tuple[MarkedSpan, ResultT | FileError]]:
    """Yield the result of each marked excerpt, recording by recording.

    A recording that cannot be read has an error, after the results of what was read.

    Args:
        recordings: annotated by marks.
        run: what gives one result or error for each input, in their order.
        audio_track: selects one of several audio tracks of a file.
    """
    asked: deque[MarkedSpan] = deque()  # filled as the inputs are taken, perhaps by another thread
    for result in run(_inputs(recordings, asked, audio_track)):
        yield asked.popleft(), result


def _inputs(
    recordings: Iterable[Annotated], asked: deque[MarkedSpan], audio_track: int | None
) -> Iterator[str | FileError]:
    for annotated in recordings:
        spans = spans_of(annotated)
        if not spans:
            continue
        times = [(span.onset, span.offset) for span in spans]
        n_read = 0
        try:
            for number, samples in read_spans(annotated.file, times, audio_track):
                asked.append(spans[number])
                n_read += 1
                seconds = len(samples) / SAMPLE_RATE
                if seconds < times[number][1] - times[number][0] - SLACK:
                    yield _beyond_the_end(spans[number], seconds)
                else:
                    yield DataInput(annotated.file, Samples(samples, SAMPLE_RATE))
        except Exception as error:
            asked.append(spans[min(n_read, len(spans) - 1)])
            yield FileError.caused_by(error, annotated.file)


def _beyond_the_end(span: MarkedSpan, seconds: float) -> FileError:
    if seconds > 0:
        what = f"the mark from {span.onset:g} to {span.offset:g} s exceeds its end at {span.onset + seconds:g} s"
    else:
        what = f"the mark at {span.onset:g} s is beyond its end"
    return FileError(span.annotated.file, "annotation", f"{what}: it may be another version of the recording")
