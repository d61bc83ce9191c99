"""A program that writes to a label cache without torch, which the tests would import."""

from __future__ import annotations

import numpy as np

from pe_audio_cli.models.text_cache import LabelCache


def write_often(cache: LabelCache, embedding: np.ndarray) -> None:
    """One label, again and again."""
    for _ in range(200):
        cache.put("rain", embedding)
