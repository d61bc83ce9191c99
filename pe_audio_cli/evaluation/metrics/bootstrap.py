"""The bootstrap over recordings: how far a figure would move had other recordings of the kind been annotated.

Whatever is measured is a function of sums over recordings, so that a resample is a row of weights: how often each
recording is in it. The first row is no resample but all recordings, each once, so that what is worked out for all rows
at once holds the figure itself in front. All figures share these rows, so that the mean of some has an interval too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RESAMPLES", "Estimate", "estimate", "mean_over_labels", "resamples"]

RESAMPLES = 1000
CONFIDENCE = 95.0  # percent
SEED = 0  # the same annotations give the same intervals


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and the ends of its 95 % interval; None where there are too few recordings to tell."""

    value: float
    low: float | None = None
    high: float | None = None


def resamples(n_recordings: int, n_resamples: int = RESAMPLES) -> NDArray[np.int64]:
    """How often each recording is in each row, ``(1 + n_resamples, n_recordings)``; a lone one is not resampled."""
    drawn = np.random.default_rng(SEED).multinomial(
        n_recordings, np.full(n_recordings, 1 / n_recordings), size=n_resamples if n_recordings > 1 else 0
    )
    return np.concatenate([np.ones((1, n_recordings), np.int64), drawn])


def estimate(figures: NDArray[np.floating[Any]]) -> Estimate | None:
    """The figure of the first row, between percentiles of the others'; None if it is NaN, which others may be too."""
    value, resampled = figures[0], figures[1:]
    if not np.isfinite(value):
        return None
    known = resampled[np.isfinite(resampled)]
    if len(known) == 0:
        return Estimate(float(value))
    outside = (100 - CONFIDENCE) / 2
    low, high = np.percentile(known, [outside, 100 - outside])
    return Estimate(float(value), float(low), float(high))


def mean_over_labels(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """The mean in each row of ``(n, n_labels)`` figures over the labels that have one; NaN where none has."""
    known = np.isfinite(values)
    counts = known.sum(axis=1)
    sums = np.where(known, values, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
