"""The scan against sorting everything in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_audio_cli.index.exact_search import QueryVectors, best
from pe_audio_cli.index.vectors import WindowBlock


def product(wanted, unwanted, norms):
    return wanted - np.maximum(unwanted, 0).sum(axis=1)


def product_less(wanted, unwanted, norms):
    return wanted - unwanted.sum(axis=1)


def cosine(wanted, unwanted, norms):
    return wanted / norms


def blocks(embeddings, size):
    for first in range(0, len(embeddings), size):
        part = embeddings[first : first + size]
        ids = 10 + 2 * np.arange(first, first + len(part))
        yield WindowBlock(ids, part, np.linalg.norm(part.astype(np.float64), axis=1).astype(np.float32))


def brute_force(embeddings, vectors, k, only):
    """Everything in float64, sorted."""
    exact = embeddings.astype(np.float64)
    ids = 10 + 2 * np.arange(len(embeddings))
    unwanted = exact @ vectors.unwanted.astype(np.float64).T
    counts = np.ones(len(ids), bool) if only is None else np.isin(ids, only)
    for text in vectors.wanted.astype(np.float64):
        keys = vectors.key(exact @ text, unwanted, np.linalg.norm(exact, axis=1))[counts]
        order = np.argsort(-keys, kind="stable")[:k]
        yield ids[counts][order], keys[order]


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 60),
    dim=st.integers(1, 12),
    n_queries=st.integers(1, 3),
    n_unwanted=st.integers(0, 2),
    fine=st.sampled_from([2.0**-4, 2.0**-18]),
    k=st.none() | st.integers(1, 70),
    size=st.integers(1, 70),
    key=st.sampled_from([product, cosine]),
    filtered=st.booleans(),
)
def test_it_finds_what_sorting_everything_finds(seed, n, dim, n_queries, n_unwanted, fine, k, size, key, filtered):
    """The numbers are such that float64 is exact, in whatever order it sums, and float32 is not."""
    rng = np.random.default_rng(seed)
    embeddings = (rng.integers(1, 8, dim) + fine * rng.integers(-8, 9, (n, dim))).astype(np.float32)
    embeddings[rng.random(n) < 0.3] = embeddings[:1]  # some are equal
    texts = (rng.integers(-256, 257, (n_queries + n_unwanted, dim)) / 64).astype(np.float32)
    vectors = QueryVectors(texts[:n_queries], texts[n_queries:], key)
    only = np.sort(rng.choice(10 + 2 * np.arange(n + 1), size=(n + 1) // 2, replace=False)) if filtered else None
    found = best(blocks(embeddings, size), vectors, k, only)
    for (ids, keys), (right_ids, right_keys) in zip(found, brute_force(embeddings, vectors, k, only), strict=True):
        np.testing.assert_array_equal(ids, right_ids)
        np.testing.assert_array_equal(keys, right_keys)


@pytest.mark.parametrize("falls", [False, True], ids=["wanted", "unwanted"])
def test_an_order_that_float32_would_get_wrong_is_right(falls):
    rng = np.random.default_rng(0)
    text, nothing = rng.standard_normal((1, 1024)).astype(np.float32), np.zeros((1, 1024), np.float32)
    steps = 1e-10 * rng.permutation(2000)[:, None] * np.sign(text)
    embeddings = (rng.standard_normal(1024) + steps).astype(np.float32)
    exact = (embeddings * text.astype(np.float64)).sum(axis=1)
    assert (np.argsort(-(embeddings @ text[0])) != np.argsort(-exact)).any(), "float32 would do"
    order = np.argsort(exact if falls else -exact, kind="stable")
    vectors = QueryVectors(nothing, text, product_less) if falls else QueryVectors(text, text[:0], product)
    for k in (None, *range(1, 40)):
        ((ids, _),) = best(blocks(embeddings, 16), vectors, k)
        np.testing.assert_array_equal(ids, 10 + 2 * order[:k])


def test_few_windows_are_looked_at_twice(monkeypatch):
    """Or it would be no faster than float64 throughout."""
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((20_000, 64)).astype(np.float32)
    text = rng.standard_normal((1, 64)).astype(np.float32)
    n_exact = []

    def counting(wanted, unwanted, norms):
        n_exact.append(len(wanted))
        return wanted

    best(blocks(embeddings, 1000), QueryVectors(text, text[:0], counting), 10)
    looked_at = sum(n_exact) - 20_000
    assert 1000 <= looked_at < 1500


@pytest.mark.parametrize("k", [1, None])
def test_nothing_to_search_is_nothing_found(k):
    ((ids, keys),) = best([], QueryVectors(np.ones((1, 4), np.float32), np.ones((0, 4), np.float32), product), k)
    assert len(ids) == len(keys) == 0
