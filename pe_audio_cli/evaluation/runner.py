"""The runner of an evaluation: decodes annotated recordings, runs the model on them, and reports its metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pe_audio_cli._files import NewFile
from pe_audio_cli._paths import reason
from pe_audio_cli.audio.decoding import open_audio
from pe_audio_cli.detection.events import n_audio_frames
from pe_audio_cli.detection.label_settings import LabelSettings, SettingsFile
from pe_audio_cli.errors import AnnotationError, RunError
from pe_audio_cli.evaluation.annotations.folder import Annotations, check_durations
from pe_audio_cli.evaluation.evaluate import Evaluation, EvaluationOptions, evaluate_scores
from pe_audio_cli.evaluation.marked import MarkedSpan, of_spans, spans_of
from pe_audio_cli.evaluation.prompts import read_map
from pe_audio_cli.inference.labels import class_labels
from pe_audio_cli.inference.runner import localize, tag
from pe_audio_cli.inference.tasks.base import EncodeOptions
from pe_audio_cli.inference.tasks.query import Query, TaughtLabel
from pe_audio_cli.options import EventOptions, TagOptions
from pe_audio_cli.results import FileError, LocalizeResult, TagResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pe_audio_cli.evaluation.reporting.evaluation_result import EvaluationResult
    from pe_audio_cli.models.encoder import Encoder

__all__ = ["DecodedSet", "decode_recordings", "evaluate", "prompts_for", "save"]

logger = logging.getLogger(__name__)


def prompts_for(names: Sequence[str], map: str) -> dict[str, tuple[str, ...]]:
    """Return the prompts of each name, from a file or from the shipped label set of a data set.

    The bare name of a set is the set, even if a file in the current folder has that name: ``./desed`` is a file. The
    names of a file are all evaluated; of a set, which may be large, only these ``names``. Raises :class:`UsageError` if
    it is neither, and :class:`AnnotationError` if the file is malformed.
    """
    shipped = class_labels(map)
    if not shipped:
        return read_map(map)
    return {name: (shipped[name],) for name in names if name in shipped}


@dataclass(frozen=True)
class DecodedSet:
    """Annotations of readable recordings, their durations, ``warnings``, and errors of ``unread`` recordings."""

    annotations: Annotations
    durations: Mapping[str, float]
    warnings: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def decode_recordings(
    annotations: Annotations,
    strict: bool,
    on_done: Callable[[str], None] | None = None,
    audio_track: int | None = None,
) -> DecodedSet:
    """Decode all recordings, to find unreadable ones before the model runs.

    Warnings of the decoder are logged, too. ``audio_track`` selects one of several audio tracks of a file, see
    :class:`EncodeOptions`.

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
                    logger.warning("%s", warnings[-1])
        except Exception as error:
            unread.append(f"{recording.file}: {FileError.caused_by(error, recording.file).message}")
        if on_done is not None:
            on_done(recording.file)
    if unread and (strict or not durations):
        raise AnnotationError([*annotations.problems, *unread])
    left = check_durations(annotations, durations, strict)
    return DecodedSet(left, durations, tuple(warnings), tuple(unread))


def evaluate(
    evaluation: Evaluation,
    encoder: Encoder,
    options: EvaluationOptions,
    encoding: EncodeOptions,
    on_done: Callable[[str], None] | None = None,
    on_error: Callable[[FileError], None] | None = None,
    taught: Mapping[str, TaughtLabel] | None = None,
) -> EvaluationResult:
    """Run the model on the recordings and compare its results with the annotations.

    A recording that cannot be encoded is left out and passed to ``on_error``; without that, or if none is left,
    :class:`RunError` is raised and nothing is evaluated.
    """
    query = _query(evaluation, encoder, options.settings, taught or {})
    recordings = evaluation.annotations.recordings
    all_scores, scored = [], []
    for recording, scores in zip(recordings, _scores(evaluation, encoder, query, options, encoding), strict=True):
        if not isinstance(scores, FileError):
            all_scores.append(scores)
            scored.append(recording)
        elif on_error is None or (not scored and recording is recordings[-1]):
            raise RunError(f"{scores.file}: {scores.message}; nothing was evaluated")
        else:
            on_error(scores)
        if on_done is not None:
            on_done(recording.file)
    annotations = replace(evaluation.annotations, recordings=tuple(scored))
    durations = {recording.file: evaluation.durations[recording.file] for recording in scored}
    left = replace(evaluation, annotations=annotations, durations=durations)
    return evaluate_scores(left, query.model_name(encoder), all_scores, options)


def _scores(
    evaluation: Evaluation, encoder: Encoder, query: Query, options: EvaluationOptions, encoding: EncodeOptions
) -> Iterator[NDArray[np.float32] | FileError]:
    """Yield the probabilities of each recording, for each prompt, or its error."""
    recordings, kind = evaluation.annotations.recordings, evaluation.annotations.kind
    files = [recording.file for recording in recordings]
    how = TagOptions(aggregate=options.tags.default.aggregate)
    if kind == "strong":
        for events in localize(files, encoder, query, EventOptions(), encoding, frames=True):
            yield _scores_of(events, query.labels)
    elif kind == "weak":
        for tags in tag(files, encoder, query, how, encoding):
            yield _scores_of(tags, query.labels)
    else:
        found = of_spans(recordings, lambda inputs: tag(inputs, encoder, query, how, encoding), encoding.audio_track)
        for _, of_recording in groupby(found, key=lambda pair: pair[0].annotated):
            yield _of_all_spans([(span, _scores_of(result, query.labels)) for span, result in of_recording])


def _of_all_spans(
    scores: Sequence[tuple[MarkedSpan, NDArray[np.float32] | FileError]],
) -> NDArray[np.float32] | FileError:
    """Return the probabilities in all excerpts of a recording, ``(n_prompts, n_spans)``, or the error of one.

    They are in the order of :func:`spans_of`.
    """
    columns = {}
    for span, each in scores:
        if isinstance(each, FileError):
            return each
        columns[span] = each
    return np.concatenate([columns[span] for span in spans_of(scores[0][0].annotated)], axis=1)


def _query(
    evaluation: Evaluation, encoder: Encoder, settings: SettingsFile, taught: Mapping[str, TaughtLabel]
) -> Query:
    """Return the query of all prompts, by their numbers since several belong to one label, with its calibration."""
    labels = {
        str(number): replace(settings.labels.get(prompt.label, LabelSettings()), prompts=prompt.texts)
        for number, prompt in enumerate(evaluation.prompts)
    }
    learned = {
        str(number): taught[prompt.label]
        for number, prompt in enumerate(evaluation.prompts)
        if prompt.label in taught and prompt.template is None and prompt.text is None
    }
    return Query.ask(encoder, list(labels), settings=replace(settings, labels=labels), taught=learned)


def _scores_of(result: LocalizeResult | TagResult | FileError, names: Sequence[str]) -> NDArray[np.float32] | FileError:
    """Return the probabilities of each prompt, in each frame of the recording or in the whole recording."""
    if isinstance(result, FileError):
        return result
    try:
        if isinstance(result, TagResult):
            found = {tag.label: tag.probability for tag in result.tags}
            return np.array([[found[name]] for name in names], np.float32)
        assert result.frames is not None
        n_frames = n_audio_frames(result.recording.duration)
        return np.stack([result.frames[name][:n_frames] for name in names])
    except Exception as error:
        return FileError.caused_by(error, result.recording.file)


def save(path: Path, text: str, *, overwrite: bool = False) -> None:
    """Write a file atomically.

    Raises :class:`RunError` if it cannot be written, and :class:`OutputError` if it exists, or another run writes it.
    """
    file = NewFile(path, overwrite=overwrite)
    try:
        file.open().write(text.encode())
        file.publish()
    except OSError as error:
        raise RunError(f"cannot write {path}: {reason(error)}") from error
    finally:
        file.discard()
