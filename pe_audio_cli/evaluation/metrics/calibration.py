"""Reliability of probabilities, the expected calibration error, and Platt scaling.

Reliability is measured in ten equal bins of probability; the expected calibration error is the mean distance in them of
the mean probability from the share of positives, weighted by the number of scores in each bin. A calibration is
Platt's: a scale and a bias of the logit, fitted to targets a little short of 0 and 1, as "Probabilistic Outputs for
Support Vector Machines", 1999, has them, so that few positives don't make it certain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.detection.scoring import probabilities

__all__ = ["Bin", "Calibration", "calibration_error", "fit_calibration", "reliability", "reliability_sums"]

N_BINS = 10
LOWEST, HIGHEST = 1e-7, 1 - 1e-7  # probabilities whose logits are distinct in float32

Scores = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin of ``count`` scores from ``low`` to ``high``, their mean, and the share of positives among them."""

    low: float
    high: float
    count: int
    mean: float
    share: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Probabilities become ``sigmoid(scale * logit + bias)``."""

    scale: float
    bias: float

    def apply(self, scores: Scores) -> NDArray[np.float32]:
        """Return the calibrated probabilities."""
        return probabilities(self.scale * logit(scores) + self.bias)


def logit(scores: Scores) -> NDArray[np.float64]:
    """Return the logits of probabilities; 0 and 1 are clipped to the nearest probabilities with a finite logit."""
    inside: NDArray[np.float64] = np.clip(np.asarray(scores, np.float64), LOWEST, HIGHEST)
    logits: NDArray[np.float64] = np.log(inside) - np.log1p(-inside)
    return logits


def reliability_sums(scores: Scores, truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return for each bin the number of scores, their sum, and the number of positives, ``(3, N_BINS)``."""
    bins = np.minimum((scores * N_BINS).astype(np.intp), N_BINS - 1)
    return np.stack([np.bincount(bins, weights, N_BINS) for weights in (None, scores, truth)]).astype(np.float64)


def calibration_error(sums: NDArray[np.float64]) -> float:
    """Return the expected calibration error from the sums of :func:`reliability_sums`.

    It has no interval, because the error of every resample is biased upwards.
    """
    counts, total, positives = sums
    return float(np.abs(total - positives).sum() / counts.sum())


def reliability(sums: NDArray[np.float64]) -> tuple[Bin, ...]:
    """Return the bins that are not empty."""
    edges = np.linspace(0, 1, N_BINS + 1)
    return tuple(
        Bin(float(low), float(high), int(count), float(total / count), float(positives / count))
        for low, high, (count, total, positives) in zip(edges, edges[1:], sums.T, strict=False)
        if count > 0
    )


def fit_calibration(scores: Scores, truth: NDArray[np.bool_]) -> Calibration | None:
    """Fit the scale and bias of maximum likelihood.

    None if there are no positives, no negatives, or the scores rank positives below negatives: a calibration would
    reverse their order.
    """
    n_positives, n_negatives = int(truth.sum()), int((~truth).sum())
    if n_positives == 0 or n_negatives == 0:
        return None
    from sklearn.linear_model import LogisticRegression

    targets = np.where(truth, (n_positives + 1) / (n_positives + 2), 1 / (n_negatives + 2))
    features = logit(scores)[:, None]
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    model.fit(
        np.concatenate([features, features]),
        np.repeat([True, False], len(scores)),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )
    scale, bias = float(model.coef_[0, 0]), float(model.intercept_[0])
    return Calibration(scale, bias) if scale > 0 else None
