"""Search of the best threshold and post-processing for each label, with cross-validated metrics.

Metrics on the recordings that settings were chosen on are biased. So the reported metrics come from cross-validation by
recording: recordings are assigned to folds, and for each fold in turn the settings are chosen on the other folds and
evaluated on this one. The settings in the output are chosen on all recordings.

Thresholds are tried at equal steps of the logit. Other settings are tried one after the other, each around the best
threshold so far, in two rounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.errors import UsageError
from pe_audio_cli.evaluation.metrics.counts import Counts, clip_counts, event_counts, hits
from pe_audio_cli.evaluation.metrics.scored import Clips, StrongRecording
from pe_audio_cli.options import EventOptions, options_of

__all__ = [
    "THRESHOLDS",
    "BestOptions",
    "ClipCandidates",
    "EventCandidates",
    "Goal",
    "assign_folds",
    "search_thresholds",
]

N_FOLDS = 5
SEED = 0
LOGIT_STEP, LARGEST_LOGIT = 0.2, 8.0
DIGITS = 3  # of a threshold, or of its distance to 1, so that people can read it

N_STEPS = round(LARGEST_LOGIT / LOGIT_STEP)
LOW_THRESHOLDS = [float(f"{1 / (1 + math.exp(step * LOGIT_STEP)):.{DIGITS}g}") for step in range(N_STEPS, 0, -1)]
THRESHOLDS = (*LOW_THRESHOLDS, 0.5, *(round(1 - low, 6) for low in reversed(LOW_THRESHOLDS)))
NEARBY = 3  # steps of the threshold on either side that are tried with other values

TRIED = {name: known.tried for name, known in options_of(EventOptions).items() if known.tried}
OFFSET_SHARES = TRIED.pop("offset_threshold")  # of the threshold
ROUNDS = 2
SAME = 1e-9  # of a merit, below which nothing is gained

Figure: TypeAlias = Literal["f1", "precision", "recall"]
OptionsT = TypeVar("OptionsT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Goal:
    """The highest F1; or the highest recall at a precision of ``least``, or the other way round.

    Raises:
        UsageError: the text is not a goal.
    """

    figure: Figure = "f1"
    least: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Goal:
        """Parse a goal: ``precision=0.9``, ``recall=0.8`` or ``f1``."""
        figure, _, least = text.partition("=")
        try:
            share = float(least) if least else 0.0
        except ValueError:
            share = math.nan
        if figure not in get_args(Figure) or not 0 <= share <= 1 or (figure == "f1") == bool(least):
            raise UsageError(f"--for is f1, precision=P or recall=P, with P from 0 to 1: got {text!r}")
        return cls(figure, share)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return "F1" if self.figure == "f1" else f"{self.figure} {self.least:g}"

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The metrics that measure the goal."""
        return ("f1",) if self.figure == "f1" else ("precision", "recall")

    def merit(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return a score for each of ``(n, 3)`` counts: above 1 if a goal other than F1 is reached, else its share."""
        found = hits(counts)
        if self.figure == "f1":
            return found.f1
        own, other = (found.precision, found.recall) if self.figure == "precision" else (found.recall, found.precision)
        own, other = np.nan_to_num(own), np.nan_to_num(other)
        return np.where(own >= self.least, 1 + other, own)

    def reached(self, counts: NDArray[np.int64]) -> bool:
        """True if counts of shape ``(3,)`` reach the goal."""
        return self.figure == "f1" or bool(self.merit(counts[None])[0] >= 1)


class Candidates(Protocol[OptionsT]):
    """The settings that can be chosen for one label."""

    def first(self) -> Sequence[OptionsT]:
        """Return the settings to try first, in order."""

    def further(self) -> Iterator[Callable[[OptionsT], Sequence[OptionsT]]]:
        """Yield the next steps, each a function of the best settings so far that gives the settings to try."""

    def counts(self, options: OptionsT) -> Counts:
        """Return the counts of each recording with these settings."""


class EventCandidates:
    """Thresholds of events and, if enabled, hysteresis, median filter, merging and minimum duration."""

    def __init__(self, recordings: Sequence[StrongRecording], label: int, postprocessing: bool) -> None:
        self._recordings, self._label, self._postprocessing = recordings, label, postprocessing
        self._counts: dict[EventOptions, Counts] = {}

    def first(self) -> Sequence[EventOptions]:
        """Return thresholds without post-processing."""
        return [EventOptions(threshold) for threshold in THRESHOLDS]

    def further(self) -> Iterator[Callable[[EventOptions], Sequence[EventOptions]]]:
        """Hysteresis and each of the lengths, with thresholds nearby."""
        for _ in range(ROUNDS if self._postprocessing else 0):
            yield lambda best: [_with_threshold(best, t, share) for share in OFFSET_SHARES for t in _nearby(best)]
            for name, lengths in TRIED.items():
                yield lambda best, name=name, lengths=lengths: [  # type: ignore[misc]
                    _with_threshold(replace(best, **{name: length}), threshold, _share(best))
                    for length in lengths
                    for threshold in _nearby(best)
                ]

    def counts(self, options: EventOptions) -> Counts:
        """Events that match a reference; each choice is counted once."""
        if options not in self._counts:
            self._counts[options] = event_counts(self._recordings, self._label, options)
        return self._counts[options]


class ClipCandidates:
    """Thresholds of whole recordings."""

    def __init__(self, clips: Clips, label: int) -> None:
        self._clips, self._label = clips, label

    def first(self) -> Sequence[float]:
        """Return all thresholds."""
        return THRESHOLDS

    def further(self) -> Iterator[Callable[[float], Sequence[float]]]:
        """Return an empty iterator: there are no other settings."""
        return iter(())

    def counts(self, options: float) -> Counts:
        """Recordings that are at or above the threshold."""
        return clip_counts(self._clips, self._label, options)


@dataclass(frozen=True)
class BestOptions(Generic[OptionsT]):
    """The best settings on all recordings, their counts there, and the ``held_out`` counts of cross-validation."""

    options: OptionsT
    counts: Counts
    held_out: Counts


def assign_folds(kinds: Sequence[Hashable]) -> NDArray[np.intp]:
    """Assign each recording to a fold; recordings of the same kind are spread evenly."""
    shuffled = np.random.default_rng(SEED).permutation(len(kinds))
    ordered = sorted(shuffled, key=lambda index: repr(kinds[index]))
    folds = np.empty(len(kinds), np.intp)
    folds[ordered] = np.arange(len(kinds)) % min(N_FOLDS, len(kinds))
    return folds


def search_thresholds(
    candidates: Candidates[OptionsT], current: OptionsT, goal: Goal, folds: NDArray[np.intp]
) -> BestOptions[OptionsT]:
    """Return the best settings for one label; ``current`` if the label has no positives."""
    held_out = np.empty_like(candidates.counts(current))
    for fold in np.unique(folds):
        own = folds == fold
        held_out[own] = candidates.counts(_search(candidates, current, goal, ~own))[own]
    best = _search(candidates, current, goal, np.ones(len(folds), np.bool_))
    return BestOptions(best, candidates.counts(best), held_out)


def _search(candidates: Candidates[OptionsT], current: OptionsT, goal: Goal, seen: NDArray[np.bool_]) -> OptionsT:
    if candidates.counts(current)[seen, 2].sum() == 0:
        return current
    best, merit = _best(candidates, candidates.first(), goal, seen)
    for step in candidates.further():
        other, its_merit = _best(candidates, step(best), goal, seen)
        if its_merit > merit + SAME:
            best, merit = other, its_merit
    return best


def _best(
    candidates: Candidates[OptionsT], choices: Sequence[OptionsT], goal: Goal, seen: NDArray[np.bool_]
) -> tuple[OptionsT, float]:
    """Return the best choice and its score; the middle one of neighbours that are equally good, the most robust."""
    merits = goal.merit(np.stack([candidates.counts(choice)[seen].sum(axis=0) for choice in choices]))
    best = np.flatnonzero(merits > merits.max() - SAME)
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    longest = max(runs, key=len)
    return choices[int(longest[len(longest) // 2])], float(merits.max())


def _nearby(best: EventOptions) -> Sequence[float]:
    place = THRESHOLDS.index(best.threshold)
    return THRESHOLDS[max(place - NEARBY, 0) : place + NEARBY + 1]


def _share(options: EventOptions) -> float | None:
    """Return the offset threshold as a share of the threshold, rounded to one of ``OFFSET_SHARES``."""
    if options.offset_threshold is None:
        return None
    ratio = options.offset_threshold / options.threshold
    return min((share for share in OFFSET_SHARES if share is not None), key=lambda share: abs(share - ratio))


def _with_threshold(options: EventOptions, threshold: float, share: float | None) -> EventOptions:
    offset = None if share is None else float(f"{threshold * share:.{DIGITS}g}")
    return replace(options, threshold=threshold, offset_threshold=offset)
