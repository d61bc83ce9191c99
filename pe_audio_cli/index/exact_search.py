"""Exact search of the best windows: all in float32, then in float64 those that may be among the best.

A float32 product of ``n`` numbers is off by at most ``gamma_n |x| |y|``, with ``gamma_n`` a little above ``n 2**-24``
and in whatever order it sums (Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, section 3.1, with
the Cauchy-Schwarz inequality). A window whose key is too low even with all of that in its favour cannot be among the
best, and is left out without further ado; no other is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pe_audio_cli.index.vectors import WindowBlock

__all__ = ["Key", "QueryVectors", "best"]

UNIT = 2.0**-24  # the relative error of one operation in float32
SPARE = 16  # operations more than a product has: the rounding of norms and of the bound itself


class Key(Protocol):
    """The score by which windows are ranked: it rises with the wanted product, and falls with unwanted ones."""

    def __call__(
        self, wanted: NDArray[np.float64], unwanted: NDArray[np.float64], norms: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Keys ``(n,)`` of ``n`` windows, by products ``(n,)`` and ``(n, n_unwanted)`` and norms ``(n,)``."""


@dataclass(frozen=True)
class QueryVectors:
    """Embeddings to look for, ``(n_queries, dim)``, each for itself, and to avoid, ``(n_unwanted, dim)``.

    ``own_keys`` are those of the queries, by their numbers, that are ranked by another key than ``key``.
    """

    wanted: NDArray[np.float32]
    unwanted: NDArray[np.float32]
    key: Key
    own_keys: Mapping[int, Key] = field(default_factory=dict)

    def key_of(self, query: int) -> Key:
        """Return the key by which windows are ranked for a query."""
        return self.own_keys.get(query, self.key)


class _Best:
    """The ``k`` windows with the highest keys so far, of those with the same key the first; all, if ``k`` is None."""

    def __init__(self, k: int | None) -> None:
        self._k = k
        self._ids: list[NDArray[np.int64]] = []
        self._keys: list[NDArray[np.float64]] = []
        self._n = 0
        self.threshold = -np.inf  # no window with a lower key is one of them

    def add(self, ids: NDArray[np.int64], keys: NDArray[np.float64]) -> None:
        self._ids.append(ids)
        self._keys.append(keys)
        self._n += len(ids)
        if self._k is not None and self._n >= 2 * self._k:
            self.settle()

    def settle(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        ids, keys = np.concatenate([np.empty(0, np.int64), *self._ids]), np.concatenate([np.empty(0), *self._keys])
        order = np.argsort(-keys, kind="stable")[: self._k]
        self._ids, self._keys, self._n = [ids[order]], [keys[order]], len(order)
        if self._n == self._k:
            self.threshold = self._keys[0][-1]
        return self._ids[0], self._keys[0]


def best(
    blocks: Iterable[WindowBlock], vectors: QueryVectors, k: int | None, only: NDArray[np.int64] | None = None
) -> Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Return ids and keys of the ``k`` best windows for each query, the best first, ties by id; None is all.

    Args:
        blocks: all windows, by rising id.
        vectors: what to look for.
        k: how many, 1 or more.
        only: the ids that count, rising; None counts all.
    """
    n_queries = len(vectors.wanted)
    texts = np.concatenate([vectors.wanted, vectors.unwanted]).astype(np.float32)
    exact = texts.astype(np.float64)
    # The most by which a float32 product may be too low, or for what is not wanted too high, by a window's norm.
    slack = (texts.shape[1] + SPARE) * UNIT * np.linalg.norm(exact, axis=1)
    slack[n_queries:] *= -1
    tops = [_Best(k) for _ in vectors.wanted]
    for block in blocks:
        norms = block.norms.astype(np.float64)
        hopes = (block.embeddings @ texts.T).astype(np.float64) + norms[:, None] * slack
        counts = None if only is None else _among(block.ids, only)
        for query, top in enumerate(tops):
            key = vectors.key_of(query)
            chosen = key(hopes[:, query], hopes[:, n_queries:], norms) >= top.threshold
            rows = np.flatnonzero(chosen if counts is None else chosen & counts)
            if len(rows) == 0:
                continue
            embeddings = block.embeddings[rows].astype(np.float64)
            products = _products(embeddings, exact[[query, *range(n_queries, len(exact))]])
            top.add(block.ids[rows], key(products[:, 0], products[:, 1:], np.linalg.norm(embeddings, axis=1)))
    return [top.settle() for top in tops]


def _products(embeddings: NDArray[np.float64], texts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Products ``(n, n_texts)``, each summed in the same order: equal embeddings have equal ones, as in no ``@``."""
    return np.stack([(embeddings * text).sum(axis=1) for text in texts], axis=1)


def _among(ids: NDArray[np.int64], rising: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return the mask of ``ids`` that are in ``rising``."""
    places = np.searchsorted(rising, ids)
    places[places == len(rising)] = -1
    return rising[places] == ids if len(rising) else np.zeros(len(ids), bool)
