"""An exam: annotated recordings, what the model is asked about them, and the report on its answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.detection.events import EventOptions
from pe_audio_cli.detection.label_settings import LabelSettings, SettingsFile
from pe_audio_cli.detection.options import PerLabel
from pe_audio_cli.detection.scoring import TagOptions
from pe_audio_cli.evaluation.annotations.folder import Annotated, Annotations
from pe_audio_cli.evaluation.metrics.bootstrap import mean_over_labels, resamples
from pe_audio_cli.evaluation.metrics.measure import measure_clips, measure_strong
from pe_audio_cli.evaluation.metrics.ranking import ranking
from pe_audio_cli.evaluation.metrics.scored import Clips, StrongRecording, references_of
from pe_audio_cli.evaluation.prompts import Question
from pe_audio_cli.evaluation.reporting.report import Compared, Report, Subject, confusion_of, estimates, report_of
from pe_audio_cli.evaluation.tuning.threshold_search import deal
from pe_audio_cli.evaluation.tuning.tuning import TuneOptions, tune_clips, tune_strong

__all__ = ["CLIP_THRESHOLD", "Exam", "ExamOptions", "grade"]

CLIP_THRESHOLD = 0.5  # at which a label counts as heard in a whole recording, where nobody says otherwise

# One recording's probabilities, (n_questions, n_frames), or (n_questions, 1) of the whole of it.
Answers = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Exam:
    """Annotations that ``name`` names, the seconds of their recordings, and what the model is asked.

    The first of the ``questions`` are the labels that are evaluated, each once; the others are compared with them.
    """

    name: str
    annotations: Annotations
    durations: Mapping[str, float]
    questions: Sequence[Question]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that are evaluated."""
        return tuple(dict.fromkeys(question.label for question in self.questions))


@dataclass(frozen=True)
class ExamOptions:
    """Options of an evaluation: ``events`` for strong annotations, ``tags`` for weak ones, and what to tune.

    ``settings`` are those by which the answers are calibrated already.
    """

    events: PerLabel[EventOptions] = field(default_factory=lambda: PerLabel(EventOptions()))
    tags: PerLabel[TagOptions] = field(default_factory=lambda: PerLabel(TagOptions(threshold=CLIP_THRESHOLD)))
    settings: SettingsFile = field(default_factory=SettingsFile)
    tune: TuneOptions | None = None


def grade(exam: Exam, model: str, answers: Sequence[Answers], options: ExamOptions) -> Report:
    """The report on the answers of a model to each recording, in the order of the annotations."""
    durations = exam.durations
    subject = Subject(exam.annotations.kind, exam.name, model, len(durations), round(sum(durations.values()), 3))
    graded = _grade_events if exam.annotations.kind == "strong" else _grade_clips
    report, truth = graded(exam, subject, answers, options)
    return replace(report, compared=tuple(_compared(exam, answers, truth)))


def _grade_events(
    exam: Exam, subject: Subject, answers: Sequence[Answers], options: ExamOptions
) -> tuple[Report, NDArray[np.bool_]]:
    """The report, and for each label the truth of all frames, ``(n_labels, n)``."""
    labels = exam.labels
    recordings = [
        _recording(annotated, labels, exam.durations[annotated.file], scores)
        for annotated, scores in zip(exam.annotations.recordings, answers, strict=True)
    ]
    own = [options.events.of(label) for label in labels]
    counts = [sum(len(each.references[label]) for each in recordings) for label in range(len(labels))]
    thresholds = [each.threshold for each in own]
    report = report_of(subject, labels, counts, thresholds, measure_strong(recordings, own))
    if options.tune is not None:
        base, folds = _base(exam, options.settings), deal(_kinds(exam))
        report = replace(report, tuning=tune_strong(labels, recordings, own, base, folds, options.tune))
    truth = [np.concatenate([each.truth(label) for each in recordings]) for label in range(len(labels))]
    return report, np.stack(truth)


def _recording(annotated: Annotated, labels: Sequence[str], seconds: float, scores: Answers) -> StrongRecording:
    return StrongRecording(scores[: len(labels)], seconds, references_of(annotated, labels, seconds))


def _grade_clips(
    exam: Exam, subject: Subject, answers: Sequence[Answers], options: ExamOptions
) -> tuple[Report, NDArray[np.bool_]]:
    """The report, and for each label the truth of all recordings, ``(n_labels, n)``."""
    labels = exam.labels
    truth = np.array([[label in each.labels for label in labels] for each in exam.annotations.recordings])
    clips = Clips(np.concatenate(answers, axis=1)[: len(labels)].T, truth)
    own = [options.tags.of(label).threshold for label in labels]
    thresholds = [CLIP_THRESHOLD if threshold is None else threshold for threshold in own]
    counts = truth.sum(axis=0).tolist()
    report = report_of(subject, labels, counts, thresholds, measure_clips(clips, thresholds))
    if options.tune is not None:
        base, folds = _base(exam, options.settings), deal(_kinds(exam))
        report = replace(report, tuning=tune_clips(labels, clips, thresholds, base, folds, options.tune))
    return replace(report, confusion=confusion_of(labels, clips)), truth.T


def _kinds(exam: Exam) -> list[tuple[str, ...]]:
    return [each.labels for each in exam.annotations.recordings]


def _base(exam: Exam, settings: SettingsFile) -> list[LabelSettings]:
    """Return the prompts of each label, and the calibration that its scores have already."""
    known = (settings.labels.get(label, LabelSettings()) for label in exam.labels)
    return [replace(each, wordings=asked.texts) for each, asked in zip(known, exam.questions, strict=False)]


def _compared(exam: Exam, answers: Sequence[Answers], truth: NDArray[np.bool_]) -> Iterator[Compared]:
    """Yield the ranking metrics of each template and each prompt, the best first."""
    weights = resamples(len(answers))
    owners = np.repeat(np.arange(len(answers)), [scores.shape[1] for scores in answers])
    alone = exam.questions[len(exam.labels) :]
    ranked = {}
    for row, question in enumerate(alone, start=len(exam.labels)):
        scores = np.concatenate([of_recording[row] for of_recording in answers])
        area, precision = ranking(scores, truth[exam.labels.index(question.label)], owners, weights)
        ranked[question] = {"auroc": area, "average_precision": precision}
    found = []
    for template in dict.fromkeys(question.template for question in alone if question.template is not None):
        rows = [figures for question, figures in ranked.items() if question.template == template]
        means = {name: mean_over_labels(np.stack([row[name] for row in rows], axis=1)) for name in rows[0]}
        found.append(Compared(None, template, estimates(means)))
    for question, figures in ranked.items():
        if question.wording is not None:
            found.append(Compared(question.label, question.wording, estimates(figures)))
    order = [None, *exam.labels]
    yield from sorted(found, key=lambda each: (order.index(each.label), -_precision(each)))


def _precision(compared: Compared) -> float:
    precision = compared.figures.get("average_precision")
    return 0.0 if precision is None else precision.value
