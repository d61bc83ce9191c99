"""Reliability, its error, and Platt's calibration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from pe_audio_cli.evaluation.metrics.calibration import (
    Calibration,
    calibration_error,
    fit_calibration,
    reliability,
    reliability_sums,
)

seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int, n: int, scale: float, bias: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose true probabilities are sigmoid(scale * logit + bias)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 2, n)
    truth = rng.random(n) < 1 / (1 + np.exp(-(scale * logits + bias)))
    return (1 / (1 + np.exp(-logits))).astype(np.float32), truth


@given(seeds, st.integers(1, 300))
@settings(deadline=None, max_examples=50)
def test_reliability_is_scikit_learns(seed: int, n: int) -> None:
    scores, truth = drawn(seed, n, 1.0, 0.0)
    bins = reliability(reliability_sums(scores, truth))
    share, mean = calibration_curve(truth, scores, n_bins=10)
    assert [each.share for each in bins] == pytest.approx(share)
    assert [each.mean for each in bins] == pytest.approx(mean, abs=1e-6)
    assert sum(each.count for each in bins) == n
    assert all(each.low - 1e-6 <= each.mean <= each.high + 1e-6 for each in bins)


def test_the_error_is_the_mean_distance_weighed_by_what_bins_hold() -> None:
    scores, truth = np.array([0.05, 0.05, 0.75, 0.75]), np.array([False, False, True, False])
    assert calibration_error(reliability_sums(scores, truth)) == pytest.approx(0.5 * 0.05 + 0.5 * 0.25)
    certain = np.array([0.0, 1.0])
    assert calibration_error(reliability_sums(certain, np.array([False, True]))) == 0


def test_a_calibration_is_found_again_and_mends_the_error() -> None:
    scores, truth = drawn(0, 20_000, 0.6, 1.2)
    found = fit_calibration(scores, truth)
    assert found is not None
    assert (found.scale, found.bias) == pytest.approx((0.6, 1.2), abs=0.06)
    before = calibration_error(reliability_sums(scores, truth))
    after = calibration_error(reliability_sums(found.apply(scores), truth))
    assert before > 0.1 and after < 0.02


@given(seeds)
@settings(deadline=None, max_examples=20)
def test_no_other_scale_or_bias_is_likelier(seed: int) -> None:
    scores, truth = drawn(seed, 60, 1.0, 0.5)
    found = fit_calibration(scores, truth)
    if found is None:
        return
    targets = np.where(truth, (truth.sum() + 1) / (truth.sum() + 2), 1 / ((~truth).sum() + 2))

    def surprise(scale: float, bias: float) -> float:
        logits = np.log(scores / (1 - scores.astype(float)))
        probability = 1 / (1 + np.exp(-(scale * logits + bias)))
        return float(-(targets * np.log(probability) + (1 - targets) * np.log(1 - probability)).sum())

    best = surprise(found.scale, found.bias)
    for scale, bias in ((1.05, 0), (0.95, 0), (1, 0.05), (1, -0.05)):
        assert best <= surprise(found.scale * scale, found.bias + bias) + 1e-6


def test_few_positives_and_certain_scores_give_numbers_all_the_same() -> None:
    scores = np.array([0.0, 1.0, 0.5, 0.2], np.float32)
    found = fit_calibration(scores, np.array([False, True, False, False]))
    assert found is not None and np.isfinite([found.scale, found.bias]).all()
    assert np.isfinite(found.apply(scores)).all()


def test_what_cannot_be_calibrated_is_not() -> None:
    scores = np.array([0.1, 0.9, 0.8])
    assert fit_calibration(scores, np.array([True, True, True])) is None
    assert fit_calibration(scores, np.array([False, False, False])) is None
    assert fit_calibration(scores, np.array([True, False, False])) is None  # the wrong way round


def test_a_calibration_of_one_and_nothing_changes_nothing() -> None:
    scores = np.linspace(0.001, 0.999, 50).astype(np.float32)
    np.testing.assert_allclose(Calibration(1.0, 0.0).apply(scores), scores, atol=1e-6)
