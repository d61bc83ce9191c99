"""Embeddings to logits, logits to probabilities, and probabilities to the tags of a recording.

PE Audio scores a label by ``sigmoid(scale * (audio . text) + bias)``, with a learned scale and bias and without
normalizing either embedding; each label is judged by itself, so probabilities do not sum to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pe_audio_cli.options import Aggregate
from pe_audio_cli.results import Tag

__all__ = ["aggregate", "logit_without", "logits", "probabilities", "rank"]


def logits(audio: ArrayLike, text: ArrayLike, scale: float, bias: float) -> NDArray[np.float64]:
    """Return the logit of each label: ``scale * (audio . text) + bias``.

    In float64, whatever the embeddings are in, so that the order in which a matrix product sums, which varies with
    the number of labels, is far below any digit that is shown.

    Args:
        audio: embeddings of clips or frames, of shape ``(..., dim)``.
        text: embeddings of labels, of shape ``(n_labels, dim)``.
        scale: the checkpoint's logit scale.
        bias: the checkpoint's logit bias.

    Returns:
        Logits of shape ``(..., n_labels)``.
    """
    products: NDArray[np.float64] = np.asarray(audio, np.float64) @ np.asarray(text, np.float64).T
    return scale * products + bias


def probabilities(logits: ArrayLike) -> NDArray[np.float32]:
    """The logistic sigmoid of ``logits``, in the same shape; no finite logit overflows or gives a NaN."""
    x = np.asarray(logits, np.float64)
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, small, 1) / (1 + small), np.float32)


def logit_without(wanted: NDArray[np.float64], unwanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logit that one sound is present and none of the others, as independent events.

    The probability is ``p * (1 - q1) * (1 - q2) ...``; without others it is ``p``, and the logit comes out as it went
    in. It is worked out from the logarithm, so that probabilities next to 0 and to 1 keep their order.

    Args:
        wanted: logits of the label, of shape ``(n,)``.
        unwanted: logits of the others, of shape ``(n, n_others)``.
    """
    if unwanted.shape[1] == 0:
        return wanted
    surprise = np.logaddexp(0, -wanted) + np.logaddexp(0, unwanted).sum(axis=1)  # -log of the probability
    with np.errstate(divide="ignore"):  # a surprise of 0 is a logit of infinity
        return np.asarray(-surprise - np.log(-np.expm1(-surprise)))


def aggregate(window_probabilities: NDArray[np.floating[Any]], how: Aggregate) -> NDArray[np.float32]:
    """One probability for each label, of shape ``(n_labels,)``, from those of windows, ``(n_windows, n_labels)``."""
    if how == "max":
        return np.asarray(window_probabilities.max(axis=0), np.float32)
    return np.asarray(window_probabilities.mean(axis=0, dtype=np.float64), np.float32)


def rank(
    labels: Sequence[str],
    probabilities: NDArray[np.floating[Any]],
    top_k: int | None = None,
    threshold: float | Sequence[float] | None = None,
) -> tuple[Tag, ...]:
    """Return the labels that ``TagOptions`` selects by falling probability, ties in their given order.

    Args:
        labels: ``n_labels`` labels.
        probabilities: their probabilities, of shape ``(n_labels,)``.
        top_k: keep at most so many.
        threshold: keep those at or above it, or each label's own.
    """
    order = np.argsort(-probabilities, kind="stable")
    if threshold is not None:
        order = order[(probabilities >= np.asarray(threshold, probabilities.dtype))[order]]
    return tuple(Tag(labels[index], float(probabilities[index])) for index in order[:top_k])
