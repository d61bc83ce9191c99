"""The runner of an evaluation: decodes annotated recordings, runs the model on them, and reports its metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pe_audio_cli._files import NewFile
from pe_audio_cli._paths import reason
from pe_audio_cli.audio.decoding import open_audio
from pe_audio_cli.detection.events import EventOptions, n_heard_frames
from pe_audio_cli.detection.label_settings import LabelSettings, SettingsFile
from pe_audio_cli.detection.scoring import TagOptions
from pe_audio_cli.errors import AnnotationError, RunError
from pe_audio_cli.evaluation.annotations.folder import Annotations, check_durations
from pe_audio_cli.evaluation.evaluate import Exam, ExamOptions, grade
from pe_audio_cli.evaluation.prompts import read_map
from pe_audio_cli.inference.labels import class_labels
from pe_audio_cli.inference.runner import localize, tag
from pe_audio_cli.inference.tasks.base import EncodeOptions
from pe_audio_cli.inference.tasks.query import Query
from pe_audio_cli.results import FileError, LocalizeResult, TagResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pe_audio_cli.evaluation.reporting.report import Report
    from pe_audio_cli.models.encoder import Encoder

__all__ = ["Heard", "evaluate", "listen", "save", "words_for"]


def words_for(names: Sequence[str], map: str) -> dict[str, tuple[str, ...]]:
    """The words for each name, from a file or from the shipped set of a data set.

    The bare name of a set stands for the set, whatever is called so in the current folder: ``./desed`` is a file. A
    file also tells what else to look for; a set, which may be large, only how to ask for these ``names``.
    Raises :class:`UsageError` if it is neither, and :class:`AnnotationError` if the file makes no sense.
    """
    shipped = class_labels(map)
    if not shipped:
        return read_map(map)
    return {name: (shipped[name],) for name in names if name in shipped}


@dataclass(frozen=True)
class Heard:
    """Annotations of recordings that can be read, the seconds of each, and what was amiss.

    ``warnings`` are of those that could be read all the same, ``unread`` of those that could not.
    """

    annotations: Annotations
    durations: Mapping[str, float]
    warnings: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def listen(
    annotations: Annotations,
    strict: bool,
    on_done: Callable[[str], None] | None = None,
    on_warning: Callable[[str, str], None] | None = None,
    audio_track: int | None = None,
) -> Heard:
    """Decode all recordings: bad ones are known before the model has begun.

    ``on_warning`` is told what was amiss with one that could be decoded all the same: its name, and a sentence.
    ``audio_track`` is the sound that is heard of a file with several, see :class:`EncodeOptions`.

    Raises :class:`AnnotationError` for recordings that cannot be read, and for events beyond the end of theirs, if it
    is ``strict`` or nothing is left without them.
    """
    durations: dict[str, float] = {}
    warnings, unread = [], []
    for recording in annotations.recordings:
        try:
            with open_audio(recording.file, audio_track) as stream:
                for _ in stream.blocks():
                    pass
                durations[recording.file] = stream.duration
                for warning in stream.warnings:
                    warnings.append(f"{recording.file}: {warning}")
                    if on_warning is not None:
                        on_warning(recording.file, warning)
        except Exception as error:
            unread.append(f"{recording.file}: {FileError.caused_by(error, recording.file).message}")
        if on_done is not None:
            on_done(recording.file)
    if unread and (strict or not durations):
        raise AnnotationError([*annotations.problems, *unread])
    left = check_durations(annotations, durations, strict)
    return Heard(left, durations, tuple(warnings), tuple(unread))


def evaluate(
    exam: Exam,
    encoder: Encoder,
    options: ExamOptions,
    encoding: EncodeOptions,
    on_done: Callable[[str], None] | None = None,
    on_error: Callable[[FileError], None] | None = None,
) -> Report:
    """Run the model on the recordings and compare its results with the annotations.

    A recording that cannot be encoded is left out and handed to ``on_error``; without that, or if none is left,
    :class:`RunError` is raised and nothing is evaluated.
    """
    query = _query(exam, encoder, options.settings)
    files = [recording.file for recording in exam.annotations.recordings]
    if exam.annotations.kind == "strong":
        results: Iterator[LocalizeResult | TagResult | FileError] = localize(
            files, encoder, query, EventOptions(), encoding, frames=True
        )
    else:
        how = TagOptions(aggregate=options.tags.default.aggregate)
        results = tag(files, encoder, query, how, encoding)
    answers, answered = [], []
    for recording, result in zip(exam.annotations.recordings, results, strict=True):
        answer = _answers(result, query.labels)
        if not isinstance(answer, FileError):
            answers.append(answer)
            answered.append(recording)
        elif on_error is None or (not answered and recording.file == files[-1]):
            raise RunError(f"{answer.file}: {answer.message}; nothing was evaluated")
        else:
            on_error(answer)
        if on_done is not None:
            on_done(recording.file)
    annotations = replace(exam.annotations, recordings=tuple(answered))
    durations = {recording.file: exam.durations[recording.file] for recording in answered}
    left = replace(exam, annotations=annotations, durations=durations)
    return grade(left, query.model_name(encoder), answers, options)


def _query(exam: Exam, encoder: Encoder, settings: SettingsFile) -> Query:
    """All questions, by their numbers, since several are about the same label; calibrated as that label is."""
    labels = {
        str(number): replace(settings.labels.get(question.label, LabelSettings()), wordings=question.texts)
        for number, question in enumerate(exam.questions)
    }
    return Query.ask(encoder, list(labels), settings=replace(settings, labels=labels))


def _answers(result: LocalizeResult | TagResult | FileError, names: Sequence[str]) -> NDArray[np.float32] | FileError:
    """The probabilities of each question in each frame in which the recording is heard, or in all of it."""
    if isinstance(result, FileError):
        return result
    try:
        if isinstance(result, TagResult):
            found = {tag.label: tag.probability for tag in result.tags}
            return np.array([[found[name]] for name in names], np.float32)
        assert result.frames is not None
        n_heard = n_heard_frames(result.recording.duration)
        return np.stack([result.frames[name][:n_heard] for name in names])
    except Exception as error:
        return FileError.caused_by(error, result.recording.file)


def save(path: Path, text: str, *, overwrite: bool = False) -> None:
    """Write a whole file, or none.

    Raises :class:`RunError` if it cannot be written, and :class:`OutputError` if it exists, or another run is at it.
    """
    file = NewFile(path, overwrite=overwrite)
    try:
        file.open().write(text.encode())
        file.publish()
    except OSError as error:
        raise RunError(f"cannot write {path}: {reason(error)}") from error
    finally:
        file.discard()
