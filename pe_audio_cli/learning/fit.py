"""Regularized logistic regression that starts from words: the embedding and the bias of a learned label.

The model scores a label by ``logit = scale * (audio . text) + bias``, so that a logistic regression on audio embeddings
*is* a text embedding and a bias. Its penalty is on the distance from the embedding of the label's words, not on the
length: with a penalty that is large, or without any evidence against them, what is learned is the words.

With features ``x / r``, where ``r`` is the root mean square length of the audio embeddings, and the logits of the words
``z0``, each label minimizes::

    sum of s * log(1 + exp(-y * (z0 + (x / r) . theta + c)))  +  strength / 2 * |theta|^2

over ``theta`` and ``c``, where ``y`` is 1 for an example of the label and -1 for a counter-example, and ``s`` the
weight of each. Since the features are of unit length, strengths mean the same for every checkpoint. With ``z0 = 0``
this is scikit-learn's ``LogisticRegression`` with ``C = 1 / strength``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.detection.scoring import logits

__all__ = ["Learned", "Words", "fit", "weigh"]

MOST_ITERATIONS = 500
TOLERANCE = 1e-6  # of the largest slope that is left, relative to the weight of a label's examples


@dataclass(frozen=True)
class Words:
    """The embeddings of the labels' words, ``(n_labels, dim)``, and the checkpoint's logit scale and bias."""

    embeddings: NDArray[np.float32]
    scale: float
    bias: float

    def logits(self, audio: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The logits of audio embeddings, ``(n, dim)``, by words alone: ``(n, n_labels)``."""
        return logits(audio, self.embeddings, self.scale, self.bias)


@dataclass(frozen=True)
class Learned:
    """Embeddings, ``(n_labels, dim)``, and biases, ``(n_labels,)``, which are added to the checkpoint's own bias."""

    embeddings: NDArray[np.float32]
    biases: NDArray[np.float64]

    def logits(self, audio: NDArray[np.floating[Any]], words: Words) -> NDArray[np.float64]:
        """The logits of audio embeddings, ``(n, dim)``: ``(n, n_labels)``."""
        return Words(self.embeddings, words.scale, words.bias).logits(audio) + self.biases


def weigh(truth: NDArray[np.int8], owners: NDArray[np.intp]) -> NDArray[np.float64]:
    """The weight of each example for each label, ``(n, n_labels)``.

    Recordings count alike, however many windows or frames they have: the examples of a label in a recording share a
    weight of 1. So do its counter-examples, whose sum is then made equal to that of the examples, so that a probability
    of 0.5 is where both are equally likely.

    Args:
        truth: 1 for examples, 0 for counter-examples, -1 for what says nothing about the label, ``(n, n_labels)``.
        owners: the number of the recording that each row belongs to, ``(n,)``.
    """
    weights = np.zeros(truth.shape)
    for label in range(truth.shape[1]):
        positives, negatives = (_shared(truth[:, label] == value, owners) for value in (1, 0))
        if positives.any() and negatives.any():
            weights[:, label] = positives + negatives * (positives.sum() / negatives.sum())
    return weights


def _shared(chosen: NDArray[np.bool_], owners: NDArray[np.intp]) -> NDArray[np.float64]:
    counts = np.bincount(owners[chosen], minlength=int(owners.max(initial=-1)) + 1)
    return np.where(chosen, 1 / np.maximum(counts[owners], 1), 0.0)


def fit(
    audio: NDArray[np.floating[Any]],
    truth: NDArray[np.int8],
    weights: NDArray[np.float64],
    words: Words,
    strengths: NDArray[np.float64],
    start: Learned | None = None,
) -> Learned:
    """Learn each label by itself.

    A label without an example or without a counter-example keeps its words, to the last digit.

    Args:
        audio: embeddings of clips or frames, ``(n, dim)``.
        truth: as in :func:`weigh`, ``(n, n_labels)``.
        weights: of each row for each label, ``(n, n_labels)``.
        words: what each label starts from.
        strengths: of each label's penalty, above 0, ``(n_labels,)``.
        start: where the search begins; it changes the time that the search takes, not what it finds.
    """
    found = [label for label in range(truth.shape[1]) if {0, 1} <= set(truth[weights[:, label] > 0, label].tolist())]
    embeddings, biases = words.embeddings.copy(), np.zeros(truth.shape[1])
    if not found:
        return Learned(embeddings, biases)
    length = float(np.sqrt(np.mean(np.einsum("ij,ij->i", audio, audio, dtype=np.float64))))
    unit = length * words.scale if length > 0 else 1.0  # of theta, in which a step of 1 moves a typical logit by 1
    features = audio.astype(np.float64) * (words.scale / unit)
    problem = _Problem(
        features, words.logits(audio)[:, found], truth[:, found] == 1, weights[:, found], strengths[found]
    )
    begin = np.zeros((len(found), audio.shape[1] + 1))
    if start is not None:
        moved = start.embeddings[found].astype(np.float64) - words.embeddings[found]
        begin = np.concatenate([moved * unit, start.biases[found, None]], axis=1)
    theta = problem.solve(begin)
    embeddings[found] = words.embeddings[found] + theta[:, :-1] / unit
    biases[found] = theta[:, -1]
    return Learned(embeddings, biases)


@dataclass(frozen=True)
class _Problem:
    """Several labels at once, since one product of matrices is quicker than a product for each."""

    features: NDArray[np.float64]  # (n, dim)
    offsets: NDArray[np.float64]  # (n, n_labels), the logits of the words
    positive: NDArray[np.bool_]  # (n, n_labels)
    weights: NDArray[np.float64]  # (n, n_labels)
    strengths: NDArray[np.float64]  # (n_labels,)

    def solve(self, begin: NDArray[np.float64]) -> NDArray[np.float64]:
        """Minimize from ``begin``, ``(n_labels, dim + 1)``."""
        from scipy.optimize import minimize

        # Labels are judged relative to their weight, so that one with few examples is searched as long as another.
        totals = self.weights.sum(axis=0)
        found = minimize(
            lambda flat: self._loss(flat.reshape(begin.shape), totals),
            begin.ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": MOST_ITERATIONS, "gtol": TOLERANCE, "ftol": 0.0, "maxcor": 20},
        )
        theta: NDArray[np.float64] = found.x.reshape(begin.shape)
        return theta

    def _loss(self, theta: NDArray[np.float64], totals: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = self.offsets + self.features @ theta[:, :-1].T + theta[:, -1]
        signed = np.where(self.positive, logits, -logits)
        small = np.exp(-np.abs(signed))
        losses = self.weights * (np.maximum(-signed, 0) + np.log1p(small))
        wrong = np.where(signed < 0, 1, small) / (1 + small)  # the probability of the other side
        slopes = self.weights * np.where(self.positive, -wrong, wrong)
        total = losses.sum(axis=0) + self.strengths / 2 * (theta[:, :-1] ** 2).sum(axis=1)
        inner = slopes.T @ self.features + self.strengths[:, None] * theta[:, :-1]
        gradient = np.concatenate([inner, slopes.sum(axis=0)[:, None]], axis=1) / totals[:, None]
        return float((total / totals).sum()), gradient.ravel()
