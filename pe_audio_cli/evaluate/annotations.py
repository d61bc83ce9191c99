"""Annotations as a whole: each recording with what is heard in it, and nothing of it unless all of it makes sense."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pe_audio_cli.errors import AnnotationError, UsageError
from pe_audio_cli.evaluate.forms import Kind, read_file, read_folder
from pe_audio_cli.evaluate.places import Places
from pe_audio_cli.evaluate.rows import Problem, Row

__all__ = ["SLACK", "Annotated", "Annotations", "Reference", "check_durations", "read_annotations"]

SLACK = 0.1  # seconds by which an offset may lie beyond the end: annotations and encoders round a recording's length


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A label that is heard from ``onset`` to ``offset``, in seconds."""

    label: str
    onset: float
    offset: float


@dataclass(frozen=True, slots=True)
class Annotated:
    """A recording and what is heard in it, sorted.

    ``labels`` are all of them; ``references`` say when, where the annotation does. Those of one label lie apart.
    ``rows`` are what the annotation says, row by row.
    """

    file: str
    labels: tuple[str, ...]
    references: tuple[Reference, ...] = ()
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Annotations:
    """All annotated recordings, in the order in which the annotation names them first.

    ``n_joined`` is the number of events that became part of another, since they overlap or touch one of their label.
    """

    kind: Kind
    recordings: tuple[Annotated, ...]
    n_joined: int = 0

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that occurs, sorted."""
        return tuple(sorted({label for recording in self.recordings for label in recording.labels}))

    @property
    def single_label(self) -> bool:
        """Whether each recording has exactly one label."""
        return all(len(recording.labels) == 1 for recording in self.recordings)


def read_annotations(path: str, audio: str | None = None) -> Annotations:
    """Read annotations in any of the forms that ``forms`` lists.

    Args:
        path: a file, or a folder of label files or of classes.
        audio: the folder in which the recordings are; None looks beside the annotations.

    Raises:
        UsageError: ``path`` is not there, or ``audio`` is no folder.
        AnnotationError: with everything that is wrong in it.
    """
    if audio is not None and not os.path.isdir(audio):
        raise UsageError(f"--audio {audio} is not a folder")
    if not os.path.exists(path):
        raise UsageError(f"there are no annotations at {path}")
    is_folder = os.path.isdir(path)
    places = Places(audio if audio is not None else path if is_folder else os.path.dirname(path) or os.curdir)
    read = list(read_folder(path, places) if is_folder else read_file(path))
    rows, problems = _placed(read, places)
    problems += _contradictions(rows)
    if problems:
        raise AnnotationError([str(problem) for problem in problems])
    if not rows:
        raise AnnotationError([f"{path} says nothing of any recording"])
    return _assembled(rows)


def check_durations(annotations: Annotations, durations: Mapping[str, float]) -> None:
    """Raise :class:`AnnotationError` if an event begins or goes on after its recording has ended."""
    problems = [
        f"{row.where}: {late} is beyond the end of {recording.file}, which is at {durations[recording.file]:g} s"
        for recording in annotations.recordings
        for row in recording.rows
        if (late := _too_late(row, durations[recording.file])) is not None
    ]
    if problems:
        raise AnnotationError(problems)


def _too_late(row: Row, duration: float) -> str | None:
    if row.offset is not None and row.offset > duration + SLACK:
        return f"the offset {row.offset:g} s"
    return None if row.onset is None or row.onset < duration else f"the onset {row.onset:g} s"


def _placed(read: Iterable[Row | Problem], places: Places) -> tuple[dict[str, list[Row]], list[Problem]]:
    """The rows of each recording, by its path; and all that is wrong with them alone."""
    rows: dict[str, list[Row]] = defaultdict(list)
    problems = []
    for row in read:
        if isinstance(row, Problem):
            problems.append(row)
            continue
        try:
            rows[os.path.normpath(places.find(row.name))].append(row)
        except LookupError as error:
            problems.append(Problem(row.where, str(error)))
    return rows, problems


def _contradictions(rows: Mapping[str, Sequence[Row]]) -> Iterator[Problem]:
    for of_recording in rows.values():
        said: dict[tuple[str | None, float | None, float | None], Row] = {}
        for row in of_recording:
            first = said.setdefault((row.label, row.onset, row.offset), row)
            if first is not row:
                yield Problem(row.where, f"it says the same as {first.where}")
        if len(said) > 1 and (None, None, None) in said:
            silent = said[None, None, None]
            yield Problem(silent.where, f"it says that nothing is heard in {silent.name}, and other rows say otherwise")


def _assembled(rows: Mapping[str, Sequence[Row]]) -> Annotations:
    n_events = sum(row.onset is not None for of_recording in rows.values() for row in of_recording)
    recordings = tuple(_annotated(file, of_recording) for file, of_recording in rows.items())
    n_apart = sum(len(recording.references) for recording in recordings)
    return Annotations("strong" if n_events else "weak", recordings, n_events - n_apart)


def _annotated(file: str, rows: Sequence[Row]) -> Annotated:
    labels = tuple(sorted({row.label for row in rows if row.label is not None}))
    references = [
        Reference(row.label, row.onset, row.offset)
        for row in rows
        if row.label is not None and row.onset is not None and row.offset is not None
    ]
    return Annotated(file, labels, tuple(_joined(references)), tuple(rows))


def _joined(references: Iterable[Reference]) -> list[Reference]:
    """The same, with one in place of all of a label that overlap or touch."""
    joined: list[Reference] = []
    for each in sorted(references):
        if joined and joined[-1].label == each.label and each.onset <= joined[-1].offset:
            joined[-1] = replace(joined[-1], offset=max(joined[-1].offset, each.offset))
        else:
            joined.append(each)
    return joined
