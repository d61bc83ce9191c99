"""AUROC and average precision: scikit-learn's, in resamples too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from pe_audio_cli.evaluation.metrics.bootstrap import estimate, mean_over_labels, resamples
from pe_audio_cli.evaluation.metrics.ranking import BINS, ranking


def by_hand(scores: np.ndarray, truth: np.ndarray, owners: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Return scikit-learn's metrics of recordings that are repeated as often as their weights say."""
    each = weight[owners].astype(float)
    if not (each * truth).any() or not (each * ~truth).any():
        return np.nan, np.nan
    return (
        roc_auc_score(truth, scores, sample_weight=each),
        average_precision_score(truth, scores, sample_weight=each),
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 60), st.sampled_from([3, 20, 1000]))
@settings(deadline=None, max_examples=50)
def test_ranking_is_scikit_learns_in_each_resample(seed: int, n_recordings: int, n: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.integers(0, levels, n) / levels).astype(np.float32)
    truth, owners = rng.random(n) < 0.4, rng.integers(0, n_recordings, n)
    weights = resamples(n_recordings, 4)
    area, precision = ranking(scores, truth, owners, weights)
    for row, weight in enumerate(weights):
        np.testing.assert_allclose((area[row], precision[row]), by_hand(scores, truth, owners, weight), atol=1e-12)


def test_many_scores_move_an_interval_by_next_to_nothing() -> None:
    rng = np.random.default_rng(0)
    n = 40 * BINS
    truth, owners = rng.random(n) < 0.02, rng.integers(0, 30, n)
    scores = (rng.normal(size=n) + 1.5 * truth).astype(np.float32)
    weights = resamples(30, 5)
    found = np.stack(ranking(scores, truth, owners, weights), axis=1)
    expected = np.array([by_hand(scores, truth, owners, weight) for weight in weights])
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_array_equal(found[0], expected[0])


def test_known_values() -> None:
    scores, owners = np.array([0.9, 0.8, 0.7, 0.7, 0.1], np.float32), np.zeros(5, np.intp)
    area, precision = ranking(scores, np.array([True, False, True, False, False]), owners, np.ones((1, 1), np.int64))
    assert area[0] == pytest.approx((3 + 1.5) / 6)  # of 2 x 3 pairs, one is the wrong way round and one a tie
    assert precision[0] == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)


def test_without_positives_or_negatives_there_is_no_figure() -> None:
    scores, owners, weights = np.array([0.1, 0.9]), np.array([0, 1]), resamples(2, 3)
    for truth in (np.array([True, True]), np.array([False, False])):
        assert all(np.isnan(figure).all() for figure in ranking(scores, truth, owners, weights))


def test_resamples_are_of_all_recordings_and_the_first_row_is_all_of_them() -> None:
    weights = resamples(7, 100)
    assert weights.shape == (101, 7)
    assert (weights[0] == 1).all() and (weights.sum(axis=1) == 7).all()
    assert len(np.unique(weights, axis=0)) > 90
    np.testing.assert_array_equal(weights, resamples(7, 100))
    assert resamples(1, 100).tolist() == [[1]]


def test_an_interval_covers_as_much_as_it_says() -> None:
    """The mean of 40 normal numbers lies within 1.96 / sqrt(40) of 0 in 95 of 100 draws."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        values = rng.normal(size=40)
        told = estimate(resamples(40) @ values / 40)
        assert told is not None and told.low is not None and told.high is not None
        covered += told.low <= 0 <= told.high
    assert 0.90 <= covered / 200 <= 0.98


def test_a_figure_that_is_not_there_has_no_estimate_and_is_in_no_mean() -> None:
    assert estimate(np.array([np.nan, 1.0])) is None
    alone = estimate(np.array([0.5]))
    assert alone is not None and (alone.value, alone.low, alone.high) == (0.5, None, None)
    np.testing.assert_array_equal(mean_over_labels(np.array([[1.0, np.nan], [np.nan, np.nan]])), [1.0, np.nan])
