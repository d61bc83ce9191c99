"""Examples of labels: audio embeddings of annotated recordings, and what each says about each label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.learning.fit import Words

if TYPE_CHECKING:
    from pe_audio_cli.evaluation.annotations.folder import Annotated, Marked, Reference
    from pe_audio_cli.results import EmbedResult

__all__ = ["COUNTER", "EXAMPLE", "UNKNOWN", "Examples", "examples_of_frames", "examples_of_windows", "joined"]

EXAMPLE, COUNTER, UNKNOWN = 1, 0, -1  # what a row says about a label

LEAST_HEARD = 0.5  # seconds of an event within a window, or half of it, for the window to be an example
WHOLLY = 0.9  # of a mark or of a window: how much of one must be in the other, since times are rounded
EDGE = 0.08  # seconds on either side of an onset or offset, which nobody annotates to the frame
MOST_FRAMES = 100  # of a recording with and without each label: neighbouring frames tell much the same


@dataclass(frozen=True)
class Examples:
    """Rows of embeddings, each of a window or a frame.

    ``embeddings`` are float16, ``(n, dim)``; ``owners``, ``(n,)``, number the ``recordings``; ``truth``, int8 of shape
    ``(n, n_labels)``, is ``EXAMPLE``, ``COUNTER`` or ``UNKNOWN`` for each of the ``labels``.
    """

    labels: tuple[str, ...]
    recordings: tuple[str, ...]
    embeddings: NDArray[np.float16]
    owners: NDArray[np.intp]
    truth: NDArray[np.int8]

    @property
    def n_labels(self) -> int:
        """The number of labels."""
        return len(self.labels)

    def n_recordings(self, label: int, value: int) -> int:
        """Return the number of recordings in which a row says so of a label, given by its number."""
        return len(np.unique(self.owners[self.truth[:, label] == value]))

    def kinds(self) -> list[tuple[int, ...]]:
        """The labels that each recording has an example of, by their numbers, so that folds can be alike."""
        found: list[set[int]] = [set() for _ in self.recordings]
        for row, label in zip(*np.nonzero(self.truth == EXAMPLE), strict=True):
            found[self.owners[row]].add(int(label))
        return [tuple(sorted(labels)) for labels in found]

    def chosen(self, recordings: NDArray[np.bool_]) -> Examples:
        """The examples of some recordings, ``(n_recordings,)``."""
        rows = recordings[self.owners]
        numbers = np.cumsum(recordings) - 1
        kept = tuple(name for name, keep in zip(self.recordings, recordings, strict=True) if keep)
        return Examples(self.labels, kept, self.embeddings[rows], numbers[self.owners[rows]], self.truth[rows])


def examples_of_windows(
    result: EmbedResult, annotated: Annotated | None, labels: Sequence[str], words: Words
) -> Examples:
    """Return the windows of a recording as examples.

    With times, a window is an example if half a second of an event lies in it, or half of the event, and a
    counter-example if none does. Without, the window that the words find most probable stands for the recording, and
    nothing is known of the others (multiple-instance learning by the maximum). A mark of a listener says that the label
    is in each window that has all of the excerpt, or in no window that is a part of it; nothing is known of others.
    ``annotated`` is None for a recording in which none of the labels is heard.

    Args:
        result: the embeddings of the windows.
        annotated: what is heard in the recording.
        labels: the labels that are learned.
        words: what the labels are called.
    """
    if annotated is not None and annotated.marks:
        truth = _marked_windows(result, annotated.marks, labels)
        rows = np.flatnonzero((truth != UNKNOWN).any(axis=1))
        return _examples(result, labels, rows, truth)
    truth = np.full((len(result.starts), len(labels)), COUNTER, np.int8)
    spans = np.stack([result.starts, result.ends], axis=1)
    for column, references in _heard(annotated, labels).items():
        if references:
            truth[:, column] = _overlap(spans, references)
        else:
            truth[:, column] = UNKNOWN
            truth[np.argmax(_by_words(result, words, column)), column] = EXAMPLE
    return _examples(result, labels, np.arange(len(truth)), truth)


def examples_of_frames(
    result: EmbedResult, annotated: Annotated | None, labels: Sequence[str], words: Words
) -> Examples:
    """Return the frames of a recording as examples.

    Frames within an event are examples and those outside are counter-examples; those within 80 ms of an edge are left
    out. Without times, the tenth of the frames that the words find most probable are examples, and nothing is known of
    the others; so it is within an excerpt that a listener marked, and in one that was marked as wrong all frames are
    counter-examples. Of each kind at most a hundred are kept, at equal distances. The arguments are those of
    :func:`examples_of_windows`.
    """
    if annotated is not None and annotated.marks:
        truth = _marked_frames(result, annotated.marks, labels, words)
        return _examples(result, labels, _spread(truth), truth)
    truth = np.full((len(result.starts), len(labels)), COUNTER, np.int8)
    middles = (result.starts + result.ends) / 2
    for column, references in _heard(annotated, labels).items():
        if references:
            truth[:, column] = _within(middles, references)
        else:
            truth[:, column] = UNKNOWN
            truth[_likeliest(_by_words(result, words, column)), column] = EXAMPLE
    return _examples(result, labels, _spread(truth), truth)


def _marked_windows(result: EmbedResult, marks: Sequence[Marked], labels: Sequence[str]) -> NDArray[np.int8]:
    truth = np.full((len(result.starts), len(labels)), UNKNOWN, np.int8)
    for mark in sorted(marks, key=lambda mark: mark.is_present):  # present in a part is present in the whole
        shared = np.minimum(result.ends, mark.offset) - np.maximum(result.starts, mark.onset)
        least = mark.offset - mark.onset if mark.is_present else result.ends - result.starts
        truth[shared >= WHOLLY * least, labels.index(mark.label)] = EXAMPLE if mark.is_present else COUNTER
    return truth


def _marked_frames(
    result: EmbedResult, marks: Sequence[Marked], labels: Sequence[str], words: Words
) -> NDArray[np.int8]:
    truth = np.full((len(result.starts), len(labels)), UNKNOWN, np.int8)
    middles = (result.starts + result.ends) / 2
    for mark in sorted(marks, key=lambda mark: mark.is_present):
        column = labels.index(mark.label)
        inside = np.flatnonzero((middles >= mark.onset) & (middles < mark.offset))
        if mark.is_present and len(inside):
            truth[inside[_likeliest(_by_words(result, words, column)[inside])], column] = EXAMPLE
        elif not mark.is_present:
            truth[inside, column] = COUNTER
    return truth


def _likeliest(logits: NDArray[np.float64]) -> NDArray[np.intp]:
    """The numbers of the highest tenth, at least one."""
    return np.argsort(-logits, kind="stable")[: max(1, len(logits) // 10)]


def _by_words(result: EmbedResult, words: Words, label: int) -> NDArray[np.float64]:
    """The logits of one label by words alone, ``(n,)``."""
    alone = Words(words.embeddings[label : label + 1], words.scale, words.bias)
    return alone.logits(result.embeddings)[:, 0]


def _heard(annotated: Annotated | None, labels: Sequence[str]) -> dict[int, list[Reference]]:
    """The references of each label that is heard, by its number; an empty list if its times are not known."""
    if annotated is None:
        return {}
    found: dict[int, list[Reference]] = {labels.index(label): [] for label in annotated.labels if label in labels}
    for reference in annotated.references:
        if reference.label in labels:
            found[labels.index(reference.label)].append(reference)
    return found


def _overlap(spans: NDArray[np.float64], references: Sequence[Reference]) -> NDArray[np.int8]:
    truth = np.full(len(spans), COUNTER, np.int8)
    for each in references:
        shared = np.minimum(spans[:, 1], each.offset) - np.maximum(spans[:, 0], each.onset)
        enough = min(LEAST_HEARD, (each.offset - each.onset) / 2)
        truth[(shared > 0) & (truth != EXAMPLE)] = UNKNOWN
        truth[(shared > 0) & (shared >= enough)] = EXAMPLE
    return truth


def _within(middles: NDArray[np.float64], references: Sequence[Reference]) -> NDArray[np.int8]:
    truth = np.full(len(middles), COUNTER, np.int8)
    for each in references:
        inside = (middles >= each.onset) & (middles < each.offset)
        near = np.minimum(np.abs(middles - each.onset), np.abs(middles - each.offset)) < EDGE
        truth[near & (truth == COUNTER)] = UNKNOWN
        truth[inside & ~near] = EXAMPLE
        if inside.any() and not (inside & ~near).any():  # shorter than its edges
            middle = (each.onset + each.offset) / 2
            truth[np.argmin(np.abs(middles - middle))] = EXAMPLE
    return truth


def _spread(truth: NDArray[np.int8]) -> NDArray[np.intp]:
    """At most so many rows of each kind of row, at equal distances, in order."""
    _, kinds = np.unique(truth, axis=0, return_inverse=True)
    kept = []
    for kind in range(kinds.max(initial=-1) + 1):
        rows = np.flatnonzero(kinds.reshape(-1) == kind)
        if (truth[rows[0]] == UNKNOWN).all():
            continue
        places = np.linspace(0, len(rows) - 1, min(len(rows), MOST_FRAMES)).round().astype(int)
        kept.append(rows[places])
    return np.sort(np.concatenate(kept)) if kept else np.empty(0, np.intp)


def _examples(result: EmbedResult, labels: Sequence[str], rows: NDArray[Any], truth: NDArray[np.int8]) -> Examples:
    kept = result.embeddings[rows].astype(np.float16)
    owners = np.zeros(len(rows), np.intp)
    return Examples(tuple(labels), (result.recording.file,), kept, owners, truth[rows])


def joined(parts: Sequence[Examples], *, by_row: bool = False) -> Examples:
    """All examples together, of all labels; rows say nothing of labels that their part does not have.

    A recording may be in several parts: what a later one says of a label replaces what an earlier one says of it; with
    ``by_row``, only what it says of the same embedding, since the later one judges parts of recordings.
    """
    labels = tuple(dict.fromkeys(label for part in parts for label in part.labels))
    numbers = {name: number for number, name in enumerate(dict.fromkeys(n for part in parts for n in part.recordings))}
    embeddings, owners, truths = [], [], []
    for place, part in enumerate(parts):
        columns = [labels.index(label) for label in part.labels]
        truth = np.full((len(part.truth), len(labels)), UNKNOWN, np.int8)
        truth[:, columns] = part.truth
        for later in parts[place + 1 :]:
            again = _same_rows(part, later) if by_row else _same_recordings(part, later)
            rows, of_later = np.nonzero(again)
            columns_of_later = np.array([labels.index(label) for label in later.labels], np.intp)
            truth[rows, columns_of_later[of_later]] = UNKNOWN
        told = (truth != UNKNOWN).any(axis=1)
        embeddings.append(part.embeddings[told])
        owners.append(np.array([numbers[name] for name in part.recordings], np.intp)[part.owners[told]])
        truths.append(truth[told])
    return Examples(labels, tuple(numbers), np.concatenate(embeddings), np.concatenate(owners), np.concatenate(truths))


def _same_recordings(part: Examples, later: Examples) -> NDArray[np.bool_]:
    """True for all labels of the later part in rows of recordings that it has too, ``(n, n_labels_of_later)``."""
    rows = np.isin(np.array(part.recordings), np.array(later.recordings))[part.owners]
    return np.repeat(rows[:, None], later.n_labels, axis=1)


def _same_rows(part: Examples, later: Examples) -> NDArray[np.bool_]:
    """True for the labels of which the later part says something in a row of the same embedding, as above."""
    told = later.truth != UNKNOWN
    known = {row.tobytes(): each for row, each in zip(later.embeddings, told, strict=True)}
    nothing = np.zeros(later.n_labels, np.bool_)
    rows = [known.get(row.tobytes(), nothing) for row in part.embeddings]
    return np.array(rows, np.bool_).reshape(-1, later.n_labels)
