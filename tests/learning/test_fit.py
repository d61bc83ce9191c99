"""Learned embeddings: the words without evidence, scikit-learn's regression without words, and known directions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_audio_cli.learning.fit import Words, fit, weigh


def drawn(seed: int, n: int = 120, dim: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    audio = rng.normal(size=(n, dim)) * 3
    direction = rng.normal(size=dim)
    truth = (audio @ direction + rng.normal(size=n) > 0).astype(np.int8)[:, None]
    return audio, truth, direction


@given(st.integers(0, 50), st.floats(0.01, 10))
@settings(max_examples=15, deadline=None)
def test_without_words_it_is_scikit_learns_logistic_regression(seed: int, strength: float) -> None:
    from sklearn.linear_model import LogisticRegression

    audio, truth, _ = drawn(seed)
    weights = weigh(truth, np.arange(len(audio)))
    words = Words(np.zeros((1, audio.shape[1]), np.float32), 1.0, 0.0)
    learned = fit(audio, truth, weights, words, np.array([strength]))
    length = np.sqrt((audio**2).sum(axis=1).mean())
    other = LogisticRegression(C=1 / strength, tol=1e-10, max_iter=10_000)
    other.fit(audio / length, truth[:, 0], sample_weight=weights[:, 0])
    expected = other.decision_function(audio / length)
    # The slope left is at most 1e-6 of the examples' weight, and the loss curves at least with the penalty.
    allowed = 1e-6 * weights.sum() / strength * 10 + 1e-5 * np.abs(expected).max()
    assert np.abs(learned.logits(audio, words)[:, 0] - expected).max() <= allowed


@given(st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_a_known_direction_is_learned_back(seed: int) -> None:
    audio, truth, direction = drawn(seed, n=2000)
    words = Words(np.random.default_rng(seed + 1).normal(size=(1, 6)).astype(np.float32), 2.0, -3.0)
    learned = fit(audio, truth, weigh(truth, np.arange(len(audio))), words, np.array([1e-3]))
    found = learned.embeddings[0]
    cosine = found @ direction / (np.linalg.norm(found) * np.linalg.norm(direction))
    assert cosine > 0.97


def test_labels_without_an_example_or_a_counter_example_keep_their_words_to_the_last_digit() -> None:
    audio, truth, _ = drawn(3)
    truth = np.concatenate([truth, np.zeros_like(truth), np.ones_like(truth), np.full_like(truth, -1)], axis=1)
    words = Words(np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32), 1.7, -2.0)
    learned = fit(audio, truth, weigh(truth, np.arange(len(audio))), words, np.full(4, 0.1))
    assert not np.array_equal(learned.embeddings[0], words.embeddings[0])
    assert np.array_equal(learned.embeddings[1:], words.embeddings[1:])
    assert np.array_equal(learned.biases[1:], np.zeros(3))
    assert np.array_equal(learned.logits(audio, words)[:, 1:], words.logits(audio)[:, 1:])


@pytest.mark.parametrize("strength", [0.003, 0.3, 30.0])
def test_a_label_is_learned_the_same_whatever_others_are_learned_beside_it(strength: float) -> None:
    audio, truth, _ = drawn(5)
    others = np.concatenate([truth, 1 - truth, drawn(6)[1]], axis=1)
    embeddings = np.random.default_rng(1).normal(size=(3, 6)).astype(np.float32)
    owners = np.arange(len(audio))
    together = fit(audio, others, weigh(others, owners), Words(embeddings, 1.2, -1.0), np.full(3, strength))
    words = Words(embeddings[:1], 1.2, -1.0)
    alone = fit(audio, truth, weigh(truth, owners), words, np.array([strength]))
    both = [
        each.logits(audio, each_words)[:, 0]
        for each, each_words in ((together, Words(embeddings, 1.2, -1.0)), (alone, words))
    ]
    assert np.allclose(*both, atol=1e-3 * max(1, np.abs(both[0]).max()))


def test_a_stronger_penalty_stays_closer_to_the_words() -> None:
    audio, truth, _ = drawn(7)
    words = Words(np.random.default_rng(2).normal(size=(1, 6)).astype(np.float32), 1.0, 0.0)
    weights = weigh(truth, np.arange(len(audio)))
    distances = [
        np.linalg.norm(fit(audio, truth, weights, words, np.array([strength])).embeddings - words.embeddings)
        for strength in (1e4, 1.0, 1e-3)
    ]
    assert distances == sorted(distances) and distances[0] < 1e-2


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 1)), min_size=1, max_size=40))
def test_recordings_weigh_alike_and_examples_as_much_as_counter_examples(rows: list[tuple[int, int]]) -> None:
    owners, truth = (np.array(column) for column in zip(*rows, strict=True))
    weights = weigh(truth[:, None].astype(np.int8), owners)[:, 0]
    positive, negative = truth == 1, truth == 0
    assert (weights[truth == -1] == 0).all()
    if not (positive.any() and negative.any()):
        assert (weights == 0).all()
        return
    assert weights[positive].sum() == pytest.approx(len(set(owners[positive])))
    assert weights[negative].sum() == pytest.approx(weights[positive].sum())
    shares = [weights[negative & (owners == owner)].sum() for owner in set(owners[negative])]
    assert shares == pytest.approx([shares[0]] * len(shares))
