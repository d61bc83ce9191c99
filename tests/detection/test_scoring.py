"""Scores follow the reference's formula, a label's number is its own, and ranking keeps what it says it keeps."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.detection.scoring import aggregate, logits, probabilities, rank
from pe_audio_cli.errors import UsageError
from pe_audio_cli.options import TagOptions
from pe_audio_cli.results import Tag


def embeddings(rows: int, dim: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, dim), dtype=np.float32)


def test_a_logit_is_the_scaled_dot_product_plus_bias_without_normalization() -> None:
    audio = np.array([[3.0, 4.0], [0.0, 2.0]])
    text = np.array([[1.0, 1.0], [0.0, -1.0], [2.0, 0.0]])
    np.testing.assert_array_equal(logits(audio, text, scale=10, bias=-5), [[65, -45, 55], [15, -25, -5]])


def test_logits_keep_the_leading_axes_of_the_audio() -> None:
    text = embeddings(3, 8, 0)
    assert logits(embeddings(1, 8, 1)[0], text, 1, 0).shape == (3,)
    assert logits(embeddings(20, 8, 1).reshape(2, 10, 8), text, 1, 0).shape == (2, 10, 3)


def test_a_label_scores_the_same_whatever_labels_stand_beside_it() -> None:
    audio, text = embeddings(50, 257, 0), embeddings(40, 257, 1)
    together = probabilities(logits(audio, text, 3.7, -2.1))
    for index in range(len(text)):
        alone = probabilities(logits(audio, text[index : index + 1], 3.7, -2.1))
        np.testing.assert_allclose(together[:, [index]], alone, rtol=0, atol=1e-7)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_sigmoid_is_right_and_quiet_for_every_finite_logit(x: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (p,) = probabilities([x])
    assert p.dtype == np.float32
    expected = 1 / (1 + math.exp(-x)) if x > -700 else 0.0
    assert p == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_the_sigmoid_is_symmetric_and_rises() -> None:
    x = np.linspace(-30, 30, 1001)
    p = probabilities(x)
    np.testing.assert_allclose(p + probabilities(-x), 1, atol=1e-7)
    assert (np.diff(p) >= 0).all()


def test_windows_are_aggregated_by_their_maximum_or_mean() -> None:
    windows = np.array([[0.1, 0.9], [0.5, 0.1], [0.0, 0.2]], np.float32)
    np.testing.assert_array_equal(aggregate(windows, "max"), np.float32([0.5, 0.9]))
    np.testing.assert_allclose(aggregate(windows, "mean"), [0.2, 0.4], atol=1e-7)


@pytest.mark.parametrize("how", ["max", "mean"])
def test_a_single_window_is_its_own_aggregate(how: str) -> None:
    window = probabilities(embeddings(1, 9, 0))
    np.testing.assert_array_equal(aggregate(window, how), window[0])


def test_tags_fall_and_equal_ones_keep_the_order_of_the_labels() -> None:
    labels = ["wind", "dog", "rain", "bell"]
    tags = rank(labels, np.array([0.25, 0.75, 0.25, 0.5], np.float32))
    assert tags == (Tag("dog", 0.75), Tag("bell", 0.5), Tag("wind", 0.25), Tag("rain", 0.25))


def test_many_equal_tags_keep_the_order_of_the_labels() -> None:
    labels = [f"label {index}" for index in range(100)]
    assert [tag.label for tag in rank(labels, np.arange(100, dtype=np.float32) % 2)] == labels[1::2] + labels[::2]


@pytest.mark.parametrize("p", [0.7, 0.1, 1 / 3, 1.0, 0.0])
def test_the_threshold_keeps_a_label_that_is_at_it(p: float) -> None:
    """Although 0.7, for one, is less than 0.7 once it is a float32."""
    below = np.nextafter(np.float32(p), np.float32(-1))
    tags = rank(["at", "below"], np.array([p, below], np.float32), threshold=p)
    assert [tag.label for tag in tags] == ["at"]


@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20),
    st.none() | st.integers(1, 25),
    st.none() | st.floats(0, 1, width=32),
)
def test_top_k_and_threshold_keep_a_beginning_of_the_ranking(
    values: list[float], top_k: int | None, threshold: float | None
) -> None:
    labels = [f"label {index}" for index in range(len(values))]
    everything = rank(labels, np.array(values, np.float32))
    kept = rank(labels, np.array(values, np.float32), top_k, threshold)
    assert kept == everything[: len(kept)]
    passing = sum(threshold is None or value >= threshold for value in values)
    assert len(kept) == (passing if top_k is None else min(passing, top_k))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"top_k": 0}, "1 or more: got 0"),
        ({"top_k": -3}, "1 or more: got -3"),
        ({"threshold": -0.01}, "from 0 to 1: got -0.01"),
        ({"threshold": 1.01}, "from 0 to 1: got 1.01"),
        ({"threshold": math.nan}, "from 0 to 1: got nan"),
        ({"aggregate": "median"}, "max or mean: got 'median'"),
    ],
)
def test_values_out_of_range_are_refused_with_the_range(options: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        TagOptions(**options)


def test_the_ends_of_the_ranges_are_allowed() -> None:
    assert TagOptions(top_k=1, threshold=0.0).threshold == 0
    assert TagOptions(threshold=1.0, aggregate="mean").aggregate == "mean"
