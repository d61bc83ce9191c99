"""An evaluation: annotated recordings, prompts for the model, and the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.detection.label_settings import LabelSettings, SettingsFile
from pe_audio_cli.evaluation.annotations.folder import Annotated, Annotations
from pe_audio_cli.evaluation.marked import spans_of
from pe_audio_cli.evaluation.metrics.bootstrap import mean_over_labels, resamples
from pe_audio_cli.evaluation.metrics.measure import measure_clips, measure_strong
from pe_audio_cli.evaluation.metrics.ranking import ranking
from pe_audio_cli.evaluation.metrics.scored import Clips, StrongRecording, references_of
from pe_audio_cli.evaluation.prompts import LabelPrompt
from pe_audio_cli.evaluation.reporting.evaluation_result import (
    Compared,
    EvaluationResult,
    Subject,
    confusion_of,
    estimates,
    result_of,
)
from pe_audio_cli.evaluation.tuning.threshold_search import assign_folds
from pe_audio_cli.evaluation.tuning.tuning import TuningOptions, tune_clips, tune_strong
from pe_audio_cli.options import EventOptions, PerLabel, TagOptions

__all__ = ["CLIP_THRESHOLD", "Evaluation", "EvaluationOptions", "evaluate_scores"]

CLIP_THRESHOLD = 0.5  # the default threshold of labels of whole recordings

# The probabilities of one recording, (n_prompts, n_frames), or (n_prompts, 1) of the whole recording, or
# (n_prompts, n_spans) of its excerpts that were marked.
Scores = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Evaluation:
    """Annotations, their ``name``, the durations of their recordings in seconds, and the prompts for the model.

    The first of the ``prompts`` are the labels that are evaluated, each once; the others are compared with them.
    """

    name: str
    annotations: Annotations
    durations: Mapping[str, float]
    prompts: Sequence[LabelPrompt]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that are evaluated."""
        return tuple(dict.fromkeys(prompt.label for prompt in self.prompts))


@dataclass(frozen=True)
class EvaluationOptions:
    """Options of an evaluation: ``events`` for strong annotations, ``tags`` for weak ones, and what to tune.

    ``settings`` are those by which the scores are calibrated already.
    """

    events: PerLabel[EventOptions] = field(default_factory=lambda: PerLabel(EventOptions()))
    tags: PerLabel[TagOptions] = field(default_factory=lambda: PerLabel(TagOptions(threshold=CLIP_THRESHOLD)))
    settings: SettingsFile = field(default_factory=SettingsFile)
    tune: TuningOptions | None = None


def evaluate_scores(
    evaluation: Evaluation, model: str, scores: Sequence[Scores], options: EvaluationOptions
) -> EvaluationResult:
    """Return the result of a model's scores of each recording, in the order of the annotations."""
    durations = evaluation.durations
    subject = Subject(
        evaluation.annotations.kind, evaluation.name, model, len(durations), round(sum(durations.values()), 3)
    )
    compute = _evaluate_events if evaluation.annotations.kind == "strong" else _evaluate_clips
    result, truth, known = compute(evaluation, subject, scores, options)
    return replace(result, compared=tuple(_compared(evaluation, scores, truth, known)))


def _evaluate_events(
    evaluation: Evaluation, subject: Subject, scores: Sequence[Scores], options: EvaluationOptions
) -> tuple[EvaluationResult, NDArray[np.bool_], NDArray[np.bool_] | None]:
    """Return the result, the truth of all frames for each label, ``(n_labels, n)``, and None: all of it is known."""
    labels = evaluation.labels
    recordings = [
        _recording(annotated, labels, evaluation.durations[annotated.file], each)
        for annotated, each in zip(evaluation.annotations.recordings, scores, strict=True)
    ]
    own = [options.events.of(label) for label in labels]
    counts = [sum(len(each.references[label]) for each in recordings) for label in range(len(labels))]
    thresholds = [each.threshold for each in own]
    result = result_of(subject, labels, counts, thresholds, measure_strong(recordings, own))
    if options.tune is not None:
        base, folds = _base(evaluation, options.settings), assign_folds(_kinds(evaluation))
        result = replace(result, tuning=tune_strong(labels, recordings, own, base, folds, options.tune))
    truth = [np.concatenate([each.truth(label) for each in recordings]) for label in range(len(labels))]
    return result, np.stack(truth), None


def _recording(annotated: Annotated, labels: Sequence[str], seconds: float, scores: Scores) -> StrongRecording:
    return StrongRecording(scores[: len(labels)], seconds, references_of(annotated, labels, seconds))


def _evaluate_clips(
    evaluation: Evaluation, subject: Subject, scores: Sequence[Scores], options: EvaluationOptions
) -> tuple[EvaluationResult, NDArray[np.bool_], NDArray[np.bool_] | None]:
    """Return the result, the truth of all clips for each label, ``(n_labels, n)``, and where it is known."""
    labels = evaluation.labels
    clips = _clips(evaluation, np.concatenate(scores, axis=1)[: len(labels)].T)
    truth = clips.truth
    own = [options.tags.of(label).threshold for label in labels]
    thresholds = [CLIP_THRESHOLD if threshold is None else threshold for threshold in own]
    counts = truth.sum(axis=0).tolist()
    result = result_of(subject, labels, counts, thresholds, measure_clips(clips, thresholds))
    if options.tune is not None:
        base, folds = _base(evaluation, options.settings), assign_folds(_kinds(evaluation))
        result = replace(result, tuning=tune_clips(labels, clips, thresholds, base, folds, options.tune))
    known = None if clips.known is None else clips.known.T
    return replace(result, confusion=confusion_of(labels, clips)), truth.T, known


def _clips(evaluation: Evaluation, scores: NDArray[np.floating[Any]]) -> Clips:
    """The recordings with the scores of each, ``(n_recordings, n_labels)``, or the excerpts that were marked."""
    recordings, labels = evaluation.annotations.recordings, evaluation.labels
    if evaluation.annotations.kind != "marked":
        return Clips(scores, np.array([[label in each.labels for label in labels] for each in recordings]))
    spans = [span for each in recordings for span in spans_of(each)]
    owners = np.repeat(np.arange(len(recordings)), [len(spans_of(each)) for each in recordings])
    present = np.array([[label in span.present for label in labels] for span in spans])
    known = np.array([[label in span.known for label in labels] for span in spans])
    return Clips(scores, present, known, owners)


def _kinds(evaluation: Evaluation) -> list[tuple[str, ...]]:
    return [each.labels for each in evaluation.annotations.recordings]


def _base(evaluation: Evaluation, settings: SettingsFile) -> list[LabelSettings]:
    """Return the prompts of each label, and the calibration that its scores have already."""
    known = (settings.labels.get(label, LabelSettings()) for label in evaluation.labels)
    return [replace(each, prompts=asked.texts) for each, asked in zip(known, evaluation.prompts, strict=False)]


def _compared(
    evaluation: Evaluation, scores: Sequence[Scores], truth: NDArray[np.bool_], known: NDArray[np.bool_] | None
) -> Iterator[Compared]:
    """Yield the ranking metrics of each template and each prompt, the best first."""
    weights = resamples(len(scores))
    owners = np.repeat(np.arange(len(scores)), [each.shape[1] for each in scores])
    alone = evaluation.prompts[len(evaluation.labels) :]
    ranked = {}
    for row, prompt in enumerate(alone, start=len(evaluation.labels)):
        of_prompt = np.concatenate([each[row] for each in scores])
        label = evaluation.labels.index(prompt.label)
        rows = slice(None) if known is None else known[label]
        area, precision = ranking(of_prompt[rows], truth[label][rows], owners[rows], weights)
        ranked[prompt] = {"auroc": area, "average_precision": precision}
    found = []
    for template in dict.fromkeys(prompt.template for prompt in alone if prompt.template is not None):
        rows = [figures for prompt, figures in ranked.items() if prompt.template == template]
        means = {name: mean_over_labels(np.stack([row[name] for row in rows], axis=1)) for name in rows[0]}
        found.append(Compared(None, template, estimates(means)))
    for prompt, figures in ranked.items():
        if prompt.text is not None:
            found.append(Compared(prompt.label, prompt.text, estimates(figures)))
    order = [None, *evaluation.labels]
    yield from sorted(found, key=lambda each: (order.index(each.label), -_precision(each)))


def _precision(compared: Compared) -> float:
    precision = compared.figures.get("average_precision")
    return 0.0 if precision is None else precision.value
