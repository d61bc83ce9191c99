"""Random recordings with scores and references, for tests of what is measured on them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from pe_audio_cli.evaluation.metrics.scored import StrongRecording

FRAME = 0.04  # seconds


@st.composite
def scenes(draw: st.DrawFn, n_labels: int, longest: int = 40) -> StrongRecording:
    """Up to ``longest`` frames, with few different scores, so that there are ties; the last frame may be cut short."""
    n_frames = draw(st.integers(1, longest))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    levels = draw(st.integers(2, 30))
    scores = rng.integers(0, levels, (n_labels, n_frames)) / levels
    duration = round((n_frames - draw(st.sampled_from([0.0, 0.3, 0.75]))) * FRAME, 6)
    references = [_references(rng, duration, draw(st.integers(0, 4))) for _ in range(n_labels)]
    return StrongRecording(scores, duration, references)


def _references(rng: np.random.Generator, duration: float, n: int) -> np.ndarray:
    """Up to ``n`` spans apart from each other, some of them on the grid of frames."""
    edges = np.unique(np.round(rng.uniform(0, duration, 2 * n), 2))
    edges = np.where(rng.random(len(edges)) < 0.5, np.round(np.floor(edges / FRAME) * FRAME, 6), edges)
    edges = np.unique(edges)
    return edges[: len(edges) // 2 * 2].reshape(-1, 2)


def sets(n_labels: int, most: int = 4) -> st.SearchStrategy[list[StrongRecording]]:
    """A few recordings of the same labels."""
    return st.lists(scenes(n_labels), min_size=1, max_size=most)
