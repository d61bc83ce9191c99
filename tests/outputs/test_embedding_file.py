"""Embeddings in one file: whole or not at all, and of one run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pe_audio_cli.errors import OutputError, RunError
from pe_audio_cli.formats.embeddings import NpzEmbeddingWriter
from pe_audio_cli.outputs.embedding_file import EmbeddingFile
from pe_audio_cli.results import EmbedResult, Recording


def test_two_runs_into_one_file_do_not_mix(tmp_path: Path) -> None:
    first, second = (EmbeddingFile(tmp_path / "e.npz", NpzEmbeddingWriter, "float32") for _ in range(2))
    first.open()
    with pytest.raises(OutputError, match="is being written by another run"):
        second.open()
    second.abandon()
    assert (tmp_path / "e.npz.part").exists()
    first.abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_appears_meanwhile_stays_and_the_embeddings_too(tmp_path: Path) -> None:
    file = EmbeddingFile(tmp_path / "e.npz", NpzEmbeddingWriter, "float32")
    file.open()
    numbers = np.ones((1, 2), np.float32)
    recording = Recording("a.wav", 1.0, 8000, 1)
    file.write(EmbedResult(recording, "m", "f", np.zeros(1), np.ones(1), numbers))
    (tmp_path / "e.npz").write_text("mine")
    with pytest.raises(RunError, match=r"e\.npz\.part, which can be renamed"):
        file.finish()
    file.abandon()
    assert (tmp_path / "e.npz").read_text() == "mine"
    with np.load(tmp_path / "e.npz.part") as kept:
        assert kept["embedding"].tolist() == numbers.tolist()
