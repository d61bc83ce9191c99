"""A set of annotations: the labels and events of each recording, and the problems found in the files."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pe_audio_cli._paths import exists, is_dir
from pe_audio_cli.errors import AnnotationError, UsageError
from pe_audio_cli.evaluation.annotations.formats import Kind, read_file, read_folder
from pe_audio_cli.evaluation.annotations.recording_locator import RecordingLocator
from pe_audio_cli.evaluation.annotations.rows import AnnotationRow, Problem

__all__ = ["SLACK", "Annotated", "Annotations", "Marked", "Reference", "check_durations", "read_annotations"]

SLACK = 0.1  # seconds by which an offset may exceed the end: annotations and encoders round a recording's length
MOST_BEYOND = 0.5  # seconds, up to which an offset is clipped with a warning: some of DESED exceed the end by 0.115


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A label that is present from ``onset`` to ``offset``, in seconds."""

    label: str
    onset: float
    offset: float


@dataclass(frozen=True, slots=True, order=True)
class Marked:
    """An excerpt, in seconds, of which a listener has said whether a label is present."""

    label: str
    onset: float
    offset: float
    is_present: bool


@dataclass(frozen=True, slots=True)
class Annotated:
    """A recording with its labels and events, sorted.

    ``labels`` are all labels, ``references`` their times if the annotation has any; those of one label do not overlap.
    ``rows`` are the rows of the annotation. A recording of which excerpts were judged has ``marks`` instead of
    ``references``, and ``labels`` are those that a listener was asked for; nothing is known of the rest of it.
    """

    file: str
    labels: tuple[str, ...]
    references: tuple[Reference, ...] = ()
    rows: tuple[AnnotationRow, ...] = ()
    marks: tuple[Marked, ...] = ()


@dataclass(frozen=True, slots=True)
class Annotations:
    """All annotated recordings, in the order in which the annotation names them first.

    ``n_joined`` is the number of events that became part of another, since they overlap or touch one of their label.
    ``problems`` describe the rows that were left out, ``clipped`` the rows that ended a little too late.
    """

    kind: Kind
    recordings: tuple[Annotated, ...]
    n_joined: int = 0
    problems: tuple[str, ...] = ()
    clipped: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that occurs, sorted."""
        return tuple(sorted({label for recording in self.recordings for label in recording.labels}))

    @property
    def n_rows(self) -> int:
        """The number of rows, including those that were left out."""
        return sum(len(recording.rows) for recording in self.recordings) + len(self.problems)

    @property
    def single_label(self) -> bool:
        """True if each recording has exactly one label."""
        return self.kind != "marked" and all(len(recording.labels) == 1 for recording in self.recordings)


def read_annotations(path: str, audio: str | None = None, strict: bool = True) -> Annotations:
    """Read annotations in any format of :data:`~pe_audio_cli.evaluation.annotations.formats.FORMATS`.

    Args:
        path: a file, or a folder of label files or of classes.
        audio: the folder in which the recordings are; None is the folder of the annotations.
        strict: whether a row that cannot be used is an error, or is left out and listed in ``problems``.

    Raises:
        UsageError: ``path`` does not exist, or ``audio`` is no folder.
        AnnotationError: the annotations cannot be used; it lists all problems.
    """
    if audio is not None and not is_dir(audio):
        raise UsageError(f"--audio {audio} is not a folder")
    if not exists(path):
        raise UsageError(f"there are no annotations at {path}")
    is_folder = is_dir(path)
    locator = RecordingLocator(
        audio if audio is not None else path if is_folder else os.path.dirname(path) or os.curdir
    )
    read = list(read_folder(path, locator) if is_folder else read_file(path))
    rows, problems = _placed(read, locator)
    rows, contradictions = _without_contradictions(rows)
    messages = [str(problem) for problem in (*problems, *contradictions)]
    if messages and (strict or not rows):
        raise AnnotationError(messages)
    if not rows:
        raise AnnotationError([f"{path} has no annotations of any recording"])
    if len({row.mark is None for of_recording in rows.values() for row in of_recording}) > 1:
        raise AnnotationError([f"{path} mixes the marks of a review with other annotations: use them one by one"])
    annotations = _assembled(rows)
    if not annotations.recordings:
        raise AnnotationError([f"{path} has no mark but unsure: mark some hits with yes or no"])
    return replace(annotations, problems=tuple(messages))


def check_durations(annotations: Annotations, durations: Mapping[str, float], strict: bool = True) -> Annotations:
    """Return the annotations of recordings with known ``durations``, in seconds, without rows beyond their ends.

    An offset a little beyond the end is clipped to the end: silently up to ``SLACK``, and unless ``strict`` up to
    ``MOST_BEYOND``, listed in ``clipped``. Raises :class:`AnnotationError` for other late rows if ``strict``, or if no
    row is left.
    """
    rows: dict[str, list[AnnotationRow]] = {}
    problems, clipped = [], []
    for recording in annotations.recordings:
        duration = durations.get(recording.file)
        if duration is None:
            continue
        for row in recording.rows:
            late = _too_late(row, duration)
            message = f"{row.where}: {late} is beyond the end of {recording.file}, which is at {duration:g} s"
            if late is not None and (strict or not _ends_a_little_late(row, duration)):
                problems.append(message)
                continue
            if late is not None:
                clipped.append(message)
            rows.setdefault(recording.file, []).append(row)
    if (problems and strict) or not rows:
        raise AnnotationError([*annotations.problems, *problems])
    return replace(_assembled(rows), problems=(*annotations.problems, *problems), clipped=tuple(clipped))


def _too_late(row: AnnotationRow, duration: float) -> str | None:
    if row.offset is not None and row.offset > duration + SLACK:
        return f"the offset {row.offset:g} s"
    return None if row.onset is None or row.onset < duration else f"the onset {row.onset:g} s"


def _ends_a_little_late(row: AnnotationRow, duration: float) -> bool:
    return row.onset is not None and row.offset is not None and row.onset < duration >= row.offset - MOST_BEYOND


def _placed(
    read: Iterable[AnnotationRow | Problem], locator: RecordingLocator
) -> tuple[dict[str, list[AnnotationRow]], list[Problem]]:
    """Return the rows of each recording, by its path, and the problems found."""
    rows: dict[str, list[AnnotationRow]] = defaultdict(list)
    problems = []
    for row in read:
        if isinstance(row, Problem):
            problems.append(row)
            continue
        try:
            rows[os.path.normpath(locator.find(row.name))].append(row)
        except LookupError as error:
            problems.append(Problem(row.where, str(error)))
    return rows, problems


def _without_contradictions(
    rows: Mapping[str, Sequence[AnnotationRow]],
) -> tuple[dict[str, list[AnnotationRow]], list[Problem]]:
    """Drop rows that repeat another, or that contradict others by saying that there is no event."""
    kept: dict[str, list[AnnotationRow]] = {}
    problems = []
    for file, of_recording in rows.items():
        seen: dict[tuple[str | None, float | None, float | None], AnnotationRow] = {}
        for row in of_recording:
            first = seen.setdefault((row.label, row.onset, row.offset), row)
            if first is not row:
                what = "a duplicate of" if first.mark == row.mark else "contradicts the mark of"
                problems.append(Problem(row.where, f"{what} {first.where}"))
        if len(seen) > 1 and (None, None, None) in seen:
            silent = seen.pop((None, None, None))
            what = f"it says that {silent.name} has no labels, but other rows have some"
            problems.append(Problem(silent.where, what))
        kept[file] = list(seen.values())
    return kept, problems


def _assembled(rows: Mapping[str, Sequence[AnnotationRow]]) -> Annotations:
    recordings = tuple(_annotated(file, of_recording) for file, of_recording in rows.items())
    if any(row.mark is not None for of_recording in rows.values() for row in of_recording):
        return Annotations("marked", tuple(recording for recording in recordings if recording.marks))
    n_events = sum(row.onset is not None for of_recording in rows.values() for row in of_recording)
    n_apart = sum(len(recording.references) for recording in recordings)
    return Annotations("strong" if n_events else "weak", recordings, n_events - n_apart)


def _annotated(file: str, rows: Sequence[AnnotationRow]) -> Annotated:
    if any(row.mark is not None for row in rows):
        marks = tuple(sorted(_marks(rows)))
        return Annotated(file, tuple(sorted({mark.label for mark in marks})), rows=tuple(rows), marks=marks)
    labels = tuple(sorted({row.label for row in rows if row.label is not None}))
    references = [
        Reference(row.label, row.onset, row.offset)
        for row in rows
        if row.label is not None and row.onset is not None and row.offset is not None
    ]
    return Annotated(file, labels, tuple(_joined(references)), tuple(rows))


def _marks(rows: Sequence[AnnotationRow]) -> Iterator[Marked]:
    """The judgements of excerpts; one of which a listener was unsure says nothing."""
    for row in rows:
        if row.label is not None and row.onset is not None and row.offset is not None and row.mark != "unsure":
            yield Marked(row.label, row.onset, row.offset, row.mark == "yes")


def _joined(references: Iterable[Reference]) -> list[Reference]:
    """Merge references of a label that overlap or touch."""
    joined: list[Reference] = []
    for each in sorted(references):
        if joined and joined[-1].label == each.label and each.onset <= joined[-1].offset:
            joined[-1] = replace(joined[-1], offset=max(joined[-1].offset, each.offset))
        else:
            joined.append(each)
    return joined
