"""The bootstrap over recordings, which estimates the spread of a metric over other recordings of the same kind.

Each metric is a function of sums over recordings, so that a resample is a row of weights: the count of each recording
in it. The first row is not a resample but all recordings, each once, so that the metric itself comes first when it is
computed for all rows at once. All metrics share these rows, so that a mean of several has an interval too.
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
    """A metric and the ends of its 95 % interval, which are None if there are too few recordings."""

    value: float
    low: float | None = None
    high: float | None = None


def resamples(n_recordings: int, n_resamples: int = RESAMPLES) -> NDArray[np.int64]:
    """Return the count of each recording in each resample, ``(1 + n_resamples, n_recordings)``.

    The first row counts each recording once. A single recording is not resampled.
    """
    drawn = np.random.default_rng(SEED).multinomial(
        n_recordings, np.full(n_recordings, 1 / n_recordings), size=n_resamples if n_recordings > 1 else 0
    )
    return np.concatenate([np.ones((1, n_recordings), np.int64), drawn])


def estimate(figures: NDArray[np.floating[Any]]) -> Estimate | None:
    """Return the first value with percentiles of the others, those that are not NaN; None if the first is NaN."""
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
    """Return the mean of each row of ``(n, n_labels)`` over the labels with a value; NaN if none has one."""
    known = np.isfinite(values)
    counts = known.sum(axis=1)
    sums = np.where(known, values, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
