"""Tuning of each label of a set, with cross-validated metrics of the improvement."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.detection.label_settings import LabelSettings
from pe_audio_cli.evaluation.metrics.bootstrap import mean_over_labels, resamples
from pe_audio_cli.evaluation.metrics.calibration import (
    Calibration,
    calibration_error,
    fit_calibration,
    reliability_sums,
)
from pe_audio_cli.evaluation.metrics.counts import Counts, hits
from pe_audio_cli.evaluation.metrics.measure import CALIBRATION
from pe_audio_cli.evaluation.metrics.scored import Clips, StrongRecording
from pe_audio_cli.evaluation.reporting.evaluation_result import TunedLabel, Tuning, estimates
from pe_audio_cli.evaluation.tuning.threshold_search import (
    Candidates,
    ClipCandidates,
    EventCandidates,
    Goal,
    search_thresholds,
)
from pe_audio_cli.options import EventOptions

__all__ = ["TuningOptions", "tune_clips", "tune_strong"]

DECIMALS = 4  # of a scale or a bias in the settings

OptionsT = TypeVar("OptionsT", bound=Hashable)
Figures = dict[str, NDArray[np.float64]]  # by name, (n_rows,) as ``bootstrap`` has them


@dataclass(frozen=True, slots=True)
class TuningOptions:
    """The goal of tuning, and whether to tune post-processing and to calibrate probabilities too."""

    goal: Goal = field(default_factory=Goal)
    postprocessing: bool = False
    calibration: bool = False


@dataclass(frozen=True)
class _Trial(Generic[OptionsT]):
    """One label: its scores, the truth and the recording of each, and its current settings.

    ``candidates`` gives the settings that can be chosen, on calibrated scores if a calibration is given; ``prefix``
    begins the names of the metrics.
    """

    scores: NDArray[np.floating[Any]]
    truth: NDArray[np.bool_]
    owners: NDArray[np.intp]
    current: OptionsT
    candidates: Callable[[Calibration | None], Candidates[OptionsT]]
    prefix: str


@dataclass(frozen=True)
class _Outcome:
    """The outcome for a label: the settings chosen, and its metrics before and after, the latter cross-validated."""

    chosen: Hashable
    calibration: Calibration | None
    before: Figures
    after: Figures
    missed: bool


def tune_strong(
    labels: Sequence[str],
    recordings: Sequence[StrongRecording],
    current: Sequence[EventOptions],
    base: Sequence[LabelSettings],
    folds: NDArray[np.intp],
    options: TuningOptions,
) -> Tuning:
    """Tune on events.

    Args:
        labels: the labels.
        recordings: the recordings with scores and references of these labels.
        current: the current settings of each label.
        base: the prompts of each label, and the calibration that its scores have already.
        folds: the fold of each recording.
        options: the goal and the options of tuning.
    """
    owners = np.repeat(np.arange(len(recordings)), [each.scores.shape[1] for each in recordings])

    def trial(label: int) -> _Trial[EventOptions]:
        def candidates(calibration: Calibration | None) -> EventCandidates:
            return EventCandidates(_alone(recordings, label, calibration), 0, options.postprocessing)

        scores = np.concatenate([each.scores[label] for each in recordings])
        truth = np.concatenate([each.truth(label) for each in recordings])
        return _Trial(scores, truth, owners, current[label], candidates, "event_")

    return _tuning(labels, map(trial, range(len(labels))), asdict, base, folds, options)


def tune_clips(
    labels: Sequence[str],
    clips: Clips,
    current: Sequence[float],
    base: Sequence[LabelSettings],
    folds: NDArray[np.intp],
    options: TuningOptions,
) -> Tuning:
    """Tune on whole recordings; the arguments are those of :func:`tune_strong`."""
    owners = np.arange(len(clips.scores))

    def trial(label: int) -> _Trial[float]:
        scores, truth = clips.scores[:, label], clips.truth[:, label]

        def candidates(calibration: Calibration | None) -> ClipCandidates:
            return ClipCandidates(Clips(_calibrated(scores, calibration)[:, None], truth[:, None]), 0)

        return _Trial(scores, truth, owners, current[label], candidates, "")

    return _tuning(labels, map(trial, range(len(labels))), _as_threshold, base, folds, options)


def _tuning(
    labels: Sequence[str],
    trials: Iterator[_Trial[OptionsT]],
    fields: Callable[[Any], dict[str, Any]],
    base: Sequence[LabelSettings],
    folds: NDArray[np.intp],
    options: TuningOptions,
) -> Tuning:
    weights = resamples(len(folds))
    tuned: list[TunedLabel] = []
    outcomes: list[_Outcome] = []
    not_tuned = []
    for label, trial, own in zip(labels, trials, base, strict=True):
        if not trial.truth.any():
            not_tuned.append(label)
            continue
        outcome = _outcome(trial, folds, weights, options)
        outcomes.append(outcome)
        rules = {name: value for name, value in fields(outcome.chosen).items() if value is not None}
        settings = LabelSettings(own.prompts, rules, **_composed(own, outcome.calibration))
        tuned.append(TunedLabel(label, settings, estimates(outcome.before), estimates(outcome.after), outcome.missed))
    before, after = (_means([getattr(each, when) for each in outcomes]) for when in ("before", "after"))
    return Tuning(str(options.goal), tuple(tuned), estimates(before), estimates(after), tuple(not_tuned))


def _outcome(
    trial: _Trial[OptionsT], folds: NDArray[np.intp], weights: NDArray[np.int64], options: TuningOptions
) -> _Outcome:
    calibration = fit_calibration(trial.scores, trial.truth) if options.calibration else None
    found = search_thresholds(trial.candidates(calibration), trial.current, options.goal, folds)
    before = _figures(trial, trial.candidates(None).counts(trial.current), weights, options.goal)
    after = _figures(trial, found.held_out, weights, options.goal)
    if options.calibration:
        before[CALIBRATION] = _error(trial, trial.scores)
        after[CALIBRATION] = _error(trial, _held_out_scores(trial, folds))
    missed = not options.goal.reached(found.counts.sum(axis=0))
    return _Outcome(found.options, calibration, before, after, missed)


def _figures(trial: _Trial[OptionsT], counts: Counts, weights: NDArray[np.int64], goal: Goal) -> Figures:
    found = hits(weights @ counts)
    return {f"{trial.prefix}{name}": getattr(found, name) for name in goal.figures}


def _error(trial: _Trial[OptionsT], scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    return np.array([calibration_error(reliability_sums(scores, trial.truth))])


def _held_out_scores(trial: _Trial[OptionsT], folds: NDArray[np.intp]) -> NDArray[np.floating[Any]]:
    """Return each recording's scores, calibrated on the other folds."""
    scores: NDArray[np.floating[Any]] = trial.scores.copy()
    fold_of = folds[trial.owners]
    for fold in np.unique(folds):
        own = fold_of == fold
        scores[own] = _calibrated(trial.scores[own], fit_calibration(trial.scores[~own], trial.truth[~own]))
    return scores


def _alone(recordings: Sequence[StrongRecording], label: int, calibration: Calibration | None) -> list[StrongRecording]:
    """Return the recordings with the scores and references of one label only."""
    return [
        StrongRecording(
            _calibrated(each.scores[label : label + 1], calibration), each.duration, [each.references[label]]
        )
        for each in recordings
    ]


def _calibrated(scores: NDArray[np.floating[Any]], calibration: Calibration | None) -> NDArray[np.floating[Any]]:
    return scores if calibration is None else calibration.apply(scores)


def _composed(base: LabelSettings, calibration: Calibration | None) -> dict[str, float]:
    """Return the calibration combined with the one that the scores have already."""
    if calibration is None:
        return {"scale": base.scale, "bias": base.bias}
    return {
        "scale": round(calibration.scale * base.scale, DECIMALS),
        "bias": round(calibration.scale * base.bias + calibration.bias, DECIMALS),
    }


def _means(figures: Sequence[Mapping[str, NDArray[np.float64]]]) -> Figures:
    names = figures[0] if figures else {}
    return {name: mean_over_labels(np.stack([each[name] for each in figures], axis=1)) for name in names}


def _as_threshold(threshold: float) -> dict[str, Any]:
    return {"threshold": threshold}
