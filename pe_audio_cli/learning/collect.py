"""Examples from annotated recordings: each is embedded once, and what it says about each label is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pe_audio_cli.errors import AnnotationError, first_problems
from pe_audio_cli.evaluation.annotations.folder import Annotated, Annotations, check_durations
from pe_audio_cli.learning.examples import Examples, examples_of_frames, examples_of_windows, joined
from pe_audio_cli.learning.fit import Words
from pe_audio_cli.results import EmbedResult, FileError

if TYPE_CHECKING:
    from pe_audio_cli.detection.label_settings import Command
    from pe_audio_cli.inference.tasks.embedding import Unit

__all__ = ["UNIT_OF_COMMAND", "from_embeddings"]

logger = logging.getLogger(__name__)

# What a command judges: windows by their clip embeddings, or frames.
UNIT_OF_COMMAND: dict[Command, Unit] = {"tag": "window", "localize": "frame"}


def from_embeddings(
    results: Iterable[EmbedResult | FileError],
    annotations: Annotations,
    labels: Sequence[str],
    words: Words,
    command: Command,
    on_done: Callable[[EmbedResult | FileError], None] | None = None,
    *,
    strict: bool = False,
) -> Examples:
    """Return the examples in recordings, from their embeddings.

    Args:
        results: the embeddings of each recording's windows or frames, or its error.
        annotations: what is heard in recordings; in those that are not among them, none of the labels is.
        labels: the labels to learn.
        words: what they start from.
        command: whether it is windows (``tag``) or frames (``localize``).
        on_done: receives each result.
        strict: whether a recording that cannot be used is an error; else it is left out.

    Raises:
        AnnotationError: no recording could be used, or one could not and it is ``strict``.
    """
    annotated = {recording.file: recording for recording in annotations.recordings}
    examples_of = examples_of_windows if command == "tag" else examples_of_frames
    parts: list[Examples] = []
    problems: list[str] = []  # rows that cannot be used, and recordings that cannot
    unread: list[str] = []
    for result in results:
        if on_done is not None:
            on_done(result)
        if isinstance(result, FileError):
            unread.append(f"{result.file}: {result.message}")
            continue
        file = result.recording.file
        try:
            heard, left_out = _within(annotations, annotated.get(file), result.recording.duration, strict)
        except AnnotationError as error:
            problems += error.problems
            continue
        problems += left_out
        parts.append(examples_of(result, heard, labels, words))
    if (problems or unread) and (strict or not parts):
        raise AnnotationError([*problems, *unread])
    for line in first_problems(problems):
        logger.warning("%s", line)
    return joined(parts)


def _within(
    annotations: Annotations, annotated: Annotated | None, duration: float, strict: bool
) -> tuple[Annotated | None, tuple[str, ...]]:
    """Return the labels and times in a recording of this length, in seconds, and the rows beyond its end.

    Raises :class:`AnnotationError` if all of them are beyond its end.
    """
    if annotated is None or annotated.marks:  # marks are checked where the excerpts are read
        return annotated, ()
    alone = replace(annotations, recordings=(annotated,), problems=(), clipped=())
    left = check_durations(alone, {annotated.file: duration}, strict)
    clipped = (f"{line}, so the event ends there" for line in left.clipped)
    return left.recordings[0], (*left.problems, *clipped)
