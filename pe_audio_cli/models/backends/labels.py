"""Labels to text embeddings, with the engine that suits the checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pe_audio_cli.models.backends.engines import forced_engine, or_torch, wants_graphs
from pe_audio_cli.models.backends.graphs import Graph
from pe_audio_cli.models.backends.text_encoder import TextEncoder
from pe_audio_cli.models.config import BertConfig, Unsupported
from pe_audio_cli.models.text_cache import LabelCache
from pe_audio_cli.models.threads import torch_alone
from pe_audio_cli.models.tokenizer import open_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pe_audio_cli.models.checkpoint import Checkpoint

__all__ = ["encode_labels", "graph_text_encoder", "load_text"]


def encode_labels(checkpoint: Checkpoint, labels: Sequence[str]) -> NDArray[np.float32]:
    """Return text embeddings, ``(n_labels, dim)``; the tower is loaded only for labels that are not cached.

    Engines share the cache: their embeddings differ by rounding alone, a few parts in ten million.

    Raises :class:`UsageError` for a label that is too long, :class:`CheckpointError` for a damaged text tower.
    """
    cache = LabelCache.of_user(checkpoint.fingerprint, checkpoint.revision, checkpoint.embedding_width)
    return cache.embed(labels, lambda: load_text(checkpoint).encode)


def load_text(checkpoint: Checkpoint) -> TextEncoder:
    """Load a checkpoint's text tower: its graph, else our own modules if they support it, else those of transformers.

    Raises :class:`CheckpointError` for a damaged one.
    """
    if wants_graphs(checkpoint):
        return or_torch(lambda: graph_text_encoder(checkpoint), lambda: _torch_text_encoder(checkpoint))
    return _torch_text_encoder(checkpoint)


def _torch_text_encoder(checkpoint: Checkpoint) -> TextEncoder:
    from pe_audio_cli.models.backends.torch_text import native_text_encoder, transformers_text_encoder

    with torch_alone():
        if forced_engine() == "transformers":
            return transformers_text_encoder(checkpoint)
        try:
            return native_text_encoder(checkpoint)
        except Unsupported:
            return transformers_text_encoder(checkpoint)


def graph_text_encoder(checkpoint: Checkpoint) -> TextEncoder:
    """Open a text tower's graph. Raises :class:`GraphError` if it cannot be run."""
    config = BertConfig.read(checkpoint.text_section)  # graphs are made of no other kind
    graph = Graph(checkpoint, "text.onnx")
    return TextEncoder(
        open_tokenizer(checkpoint, "bare"),
        min(checkpoint.max_label_tokens, config.max_position_embeddings),
        config.vocab_size,
        lambda ids: graph.run(ids=np.array([ids], np.int64))[0][0],
        checkpoint.name,
    )
