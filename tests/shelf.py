"""Small indexes for tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from pe_audio_cli.index.database import About, Database, IndexedRecording

WIDTH = 8
ABOUT = About("tiny", "/models/tiny", "0123", "", WIDTH, 2.0, -1.0, 10.0, 0.0)
N_WINDOWS = 3  # of each recording


def entry(name: str) -> IndexedRecording:
    return IndexedRecording(f"/sounds/{name}.wav", 1000, 1_700_000_000_000_000_000, 30.0, 44_100, 2)


def vectors(name: str, width: int = WIDTH) -> np.ndarray:
    """The embeddings of a recording's windows, another for every name."""
    seed = int.from_bytes(name.encode(), "big")
    return np.random.default_rng(seed).standard_normal((N_WINDOWS, width)).astype(np.float32)


def put(database: Database, name: str, embeddings: np.ndarray | None = None) -> None:
    starts = np.arange(N_WINDOWS) * 10.0
    database.put(entry(name), starts, starts + 10, vectors(name) if embeddings is None else embeddings)


def fill(path: Path, names: str, **about) -> Path:
    """An index with a recording for each letter."""
    Database.create(path, replace(ABOUT, **about))
    with Database.open(path, read_only=False) as database:
        for name in names:
            put(database, name)
    return path
