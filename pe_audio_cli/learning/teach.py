"""Teaching: the strength of each label's penalty, chosen and measured by cross-validation by recording.

For each fold in turn, labels are learned on the other folds with every strength and judged on this one. The strength
of a fold is the one that is best on the other folds, so that no figure is of recordings that anything was chosen on;
what is kept is learned on all of them, with the strength that is best on all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.detection.scoring import probabilities
from pe_audio_cli.evaluation.metrics.bootstrap import Estimate, estimate, resamples
from pe_audio_cli.evaluation.metrics.ranking import ranking
from pe_audio_cli.evaluation.metrics.scored import Clips
from pe_audio_cli.evaluation.tuning.threshold_search import ClipCandidates, Goal, assign_folds, search_thresholds
from pe_audio_cli.learning.examples import COUNTER, EXAMPLE, UNKNOWN, Examples
from pe_audio_cli.learning.fit import Learned, Words, fit, weigh

__all__ = ["CURVE", "DEFAULT_STRENGTH", "STRENGTHS", "LabelOutcome", "Ranking", "Taught", "teach"]

STRENGTHS = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)  # of the penalty, the strongest first
DEFAULT_STRENGTH = 0.01  # of a label with too few examples to choose by
CURVE = (1, 2, 5, 10, 20, 50)  # recordings with examples, of a learning curve
SEED = 0


@dataclass(frozen=True, slots=True)
class Ranking:
    """Metrics of a label's scores of examples and counter-examples, with 95 % intervals."""

    average_precision: Estimate
    auroc: Estimate


@dataclass(frozen=True)
class LabelOutcome:
    """The outcome for one label.

    ``n_examples`` and ``n_counter_examples`` count recordings. ``words`` and ``examples`` rank recordings that were
    held out, by the words alone and by what was learned; both are None if too few recordings have an example.
    ``learned`` is False where the examples did not help, and the words were kept. ``strength`` is that of the penalty.
    ``curve`` is the average precision with so many recordings of examples, by their number.
    """

    label: str
    n_examples: int
    n_counter_examples: int
    learned: bool
    strength: float
    threshold: float
    words: Ranking | None = None
    examples: Ranking | None = None
    curve: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Taught:
    """The labels, in the order of the examples, and the outcome of each."""

    learned: Learned
    outcomes: tuple[LabelOutcome, ...]


def teach(examples: Examples, words: Words, default_threshold: float, *, curve: bool = False) -> Taught:
    """Learn all labels of the examples.

    Args:
        examples: recordings with examples and counter-examples.
        words: what each label starts from, in the order of the examples' labels.
        default_threshold: of labels with too few examples to choose one by.
        curve: whether to measure what fewer examples would give.
    """
    validation = _CrossValidation.of(examples, words)
    strengths = np.array([_best_strength(validation.precisions(label)) for label in range(examples.n_labels)])
    weights = weigh(examples.truth, examples.owners)
    learned = fit(examples.embeddings, examples.truth, weights, words, strengths)
    curves = _curves(examples, words, validation.folds, strengths) if curve else [{} for _ in examples.labels]
    outcomes = [
        validation.outcome(label, float(strengths[label]), default_threshold, curves[label])
        for label in range(examples.n_labels)
    ]
    return Taught(_with_words(learned, words, [not outcome.learned for outcome in outcomes]), tuple(outcomes))


@dataclass(frozen=True)
class _CrossValidation:
    """The examples, the fold of each recording, and the logits of each row.

    ``by_words`` are ``(n, n_labels)``; ``held_out``, of shape ``(n_strengths, n, n_labels)``, were learned without the
    row's own fold.
    """

    examples: Examples
    folds: NDArray[np.intp]
    by_words: NDArray[np.float64]
    held_out: NDArray[np.float64]

    @classmethod
    def of(cls, examples: Examples, words: Words) -> _CrossValidation:
        folds = assign_folds(examples.kinds())
        return cls(examples, folds, words.logits(examples.embeddings), _held_out(examples, words, folds))

    def outcome(
        self, label: int, strength: float, default_threshold: float, curve: Mapping[int, float]
    ) -> LabelOutcome:
        """Return the outcome for one label."""
        held_out = self._chosen_elsewhere(label)
        before, after = (self._ranking(label, logits) for logits in (self.by_words[:, label], held_out))
        n_examples, n_counter = (self.examples.n_recordings(label, value) for value in (EXAMPLE, COUNTER))
        worse = after is not None and before is not None and _precision(after) < _precision(before)
        learned = n_examples > 0 and n_counter > 0 and not worse
        threshold = default_threshold
        if after is not None:
            threshold = self._threshold(label, held_out if learned else self.by_words[:, label], default_threshold)
        name = self.examples.labels[label]
        return LabelOutcome(name, n_examples, n_counter, learned, strength, threshold, before, after, curve)

    def precisions(self, label: int, rows: NDArray[np.bool_] | None = None) -> list[float]:
        """The average precision of a label with every strength, of all or some rows; NaN if it cannot be known."""
        from sklearn.metrics import average_precision_score

        told = self._told(label) if rows is None else self._told(label) & rows
        truth = self.examples.truth[told, label] == EXAMPLE
        if not self._can_be_held_out(label, told):
            return [np.nan] * len(STRENGTHS)
        return [float(average_precision_score(truth, logits[told, label])) for logits in self.held_out]

    def _chosen_elsewhere(self, label: int) -> NDArray[np.float64]:
        """The held-out logits of one label, ``(n,)``, in each fold with the strength that is best on the others."""
        logits = np.empty(len(self.examples.owners))
        for fold in np.unique(self.folds):
            own = self.folds[self.examples.owners] == fold
            strength = _best_strength(self.precisions(label, ~own))
            logits[own] = self.held_out[STRENGTHS.index(strength), own, label]
        return logits

    def _ranking(self, label: int, logits: NDArray[np.float64]) -> Ranking | None:
        told = self._told(label)
        if not self._can_be_held_out(label, told):
            return None
        truth, owners = self.examples.truth[told, label] == EXAMPLE, self.examples.owners[told]
        area, precision = ranking(logits[told], truth, owners, resamples(len(self.examples.recordings)))
        found = estimate(precision), estimate(area)
        return None if found[0] is None or found[1] is None else Ranking(found[0], found[1])

    def _threshold(self, label: int, logits: NDArray[np.float64], default: float) -> float:
        """The threshold with the best F1, as ``peaudio eval --tune`` finds it."""
        told = self._told(label)
        truth = self.examples.truth[told, label] == EXAMPLE
        candidates = ClipCandidates(Clips(probabilities(logits[told])[:, None], truth[:, None]), 0)
        return search_thresholds(candidates, default, Goal(), self.folds[self.examples.owners[told]]).options

    def _told(self, label: int) -> NDArray[np.bool_]:
        told: NDArray[np.bool_] = self.examples.truth[:, label] != UNKNOWN
        return told

    def _can_be_held_out(self, label: int, rows: NDArray[np.bool_]) -> bool:
        """True if rows have counter-examples, and examples from two recordings, so that one can be held out."""
        positive = self.examples.truth[:, label] == EXAMPLE
        return bool((rows & ~positive).any()) and len(np.unique(self.examples.owners[rows & positive])) > 1


def _precision(ranking: Ranking) -> float:
    return ranking.average_precision.value


def _held_out(examples: Examples, words: Words, folds: NDArray[np.intp]) -> NDArray[np.float64]:
    """The logits of each row, learned without its fold, with every strength: ``(n_strengths, n, n_labels)``."""
    logits = np.empty((len(STRENGTHS), *examples.truth.shape))
    for fold in np.unique(folds):
        own, others = folds[examples.owners] == fold, examples.chosen(folds != fold)
        weights, learned = weigh(others.truth, others.owners), None
        for place, strength in enumerate(STRENGTHS):
            learned = fit(
                others.embeddings, others.truth, weights, words, np.full(examples.n_labels, strength), learned
            )
            logits[place, own] = learned.logits(examples.embeddings[own], words)
    return logits


def _best_strength(precisions: Sequence[float] | NDArray[np.float64]) -> float:
    """The strength with the best average precision, each averaged with its neighbours; of equal ones the strongest."""
    if not np.isfinite(precisions).all():
        return DEFAULT_STRENGTH
    padded = np.pad(np.asarray(precisions), 1, mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return STRENGTHS[int(np.argmax(smooth > smooth.max() - 1e-9))]


def _with_words(learned: Learned, words: Words, kept: Sequence[bool]) -> Learned:
    """The same labels, of which some keep their words."""
    chosen = np.array(kept, np.bool_)
    embeddings = np.where(chosen[:, None], words.embeddings, learned.embeddings)
    return Learned(embeddings, np.where(chosen, 0.0, learned.biases))


def _curves(
    examples: Examples, words: Words, folds: NDArray[np.intp], strengths: NDArray[np.float64]
) -> list[dict[int, float]]:
    """The average precision of each label with fewer recordings of examples, by their number."""
    from sklearn.metrics import average_precision_score

    curves: list[dict[int, float]] = [{} for _ in examples.labels]
    for n_shown in CURVE:
        logits = np.empty(examples.truth.shape)
        least = np.full(examples.n_labels, n_shown)
        for fold in np.unique(folds):
            own = folds[examples.owners] == fold
            truth, shown = _fewer(examples, ~own, n_shown)
            least = np.minimum(least, shown)
            weights = weigh(truth, examples.owners[~own])
            learned = fit(examples.embeddings[~own], truth, weights, words, strengths)
            logits[own] = learned.logits(examples.embeddings[own], words)
        for label in np.flatnonzero(least == n_shown):
            told = examples.truth[:, label] != UNKNOWN
            positive = examples.truth[told, label] == EXAMPLE
            if not positive.all():
                curves[label][n_shown] = float(average_precision_score(positive, logits[told, label]))
    return curves


def _fewer(examples: Examples, rows: NDArray[np.bool_], n_shown: int) -> tuple[NDArray[np.int8], NDArray[np.intp]]:
    """The truth of some rows, with examples of each label in at most so many recordings; and how many there are."""
    truth, owners = examples.truth[rows].copy(), examples.owners[rows]
    order = np.random.default_rng(SEED).permutation(len(examples.recordings))
    shown = []
    for label in range(examples.n_labels):
        positive = truth[:, label] == EXAMPLE
        recordings = np.unique(owners[positive])
        drawn = recordings[np.argsort(order[recordings])][:n_shown]
        truth[positive & ~np.isin(owners, drawn), label] = UNKNOWN
        shown.append(len(drawn))
    return truth, np.array(shown)
