"""AUROC and average precision: threshold-free metrics of how well scores separate positives from negatives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ranking"]

Scores = NDArray[np.floating[Any]]

BINS = 512  # of the scores of positives, and as many for negatives, in resamples


def ranking(
    scores: Scores, truth: NDArray[np.bool_], recording: NDArray[np.intp], weights: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUROC and average precision in each row of ``weights``; NaN where it lacks positives or negatives.

    Those of the first row are scikit-learn's. In the others, scores between two neighbouring quantiles count as ties,
    which moves the end of an interval by less than a thousandth; where there are no more different scores than
    quantiles, they too are exact.

    Args:
        scores: of shape ``(n,)``.
        truth: True for each score of a positive.
        recording: to which recording each belongs, as a column of ``weights``.
        weights: as :func:`~pe_audio_cli.evaluation.metrics.bootstrap.resamples` gives them.
    """
    if truth.all() or not truth.any():
        return np.full(len(weights), np.nan), np.full(len(weights), np.nan)
    from sklearn.metrics import average_precision_score, roc_auc_score

    area, precision = _resampled(scores, truth, recording, weights)
    area[0], precision[0] = roc_auc_score(truth, scores), average_precision_score(truth, scores)
    return area, precision


def _resampled(
    scores: Scores, truth: NDArray[np.bool_], recording: NDArray[np.intp], weights: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    edges = np.unique(np.concatenate([_quantiles(scores[truth]), _quantiles(scores[~truth])]))
    bins = np.searchsorted(edges, scores, "right") - 1
    shape = (weights.shape[1], len(edges))
    positives, negatives = (
        weights.astype(np.float64) @ _histogram(recording[chosen], bins[chosen], shape) for chosen in (truth, ~truth)
    )
    n_positives, n_negatives = positives.sum(axis=1), negatives.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.cumsum(negatives, axis=1) - negatives / 2
        area = (positives * below).sum(axis=1) / (n_positives * n_negatives)
        falling = positives[:, ::-1]
        found, taken = np.cumsum(falling, axis=1), np.cumsum((positives + negatives)[:, ::-1], axis=1)
        gained = np.where(falling > 0, falling * found / taken, 0.0)
        precision = np.where(n_negatives > 0, gained.sum(axis=1) / n_positives, np.nan)
    return area, precision


def _quantiles(scores: Scores) -> Scores:
    """Return all distinct scores, or quantiles of them if there are many."""
    different: Scores = np.unique(scores)
    if len(different) <= BINS:
        return different
    quantiles: Scores = np.quantile(scores, np.linspace(0, 1, BINS), method="nearest")
    return quantiles


def _histogram(rows: NDArray[np.intp], columns: NDArray[np.intp], shape: tuple[int, int]) -> NDArray[np.float64]:
    counts = np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1])
    return counts.reshape(shape).astype(np.float64)
