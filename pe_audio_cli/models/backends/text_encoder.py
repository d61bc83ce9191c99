"""The text encoder: labels to text embeddings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from pe_audio_cli.errors import CheckpointError, UsageError
from pe_audio_cli.models.backends.selection import pick_backend
from pe_audio_cli.models.backends.transformers_modules import transformers_text
from pe_audio_cli.models.checkpoint import TEXT_HEAD, TEXT_TOWER, Checkpoint, library_faults
from pe_audio_cli.models.config import BertConfig, Unsupported
from pe_audio_cli.models.modules.audio_tower import ContrastiveHead
from pe_audio_cli.models.modules.bert import Bert
from pe_audio_cli.models.text_cache import LabelCache
from pe_audio_cli.models.tokenizer import Tokenize, open_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TextEncoder", "encode_labels", "load_text", "native_text_encoder", "transformers_text_encoder"]


@dataclass(frozen=True)
class TextEncoder:
    """The text tower and its projection head, in float32 on the CPU whatever device the audio runs on.

    ``tokenize`` gives a label's token ids, below ``vocabulary``, of which the tower takes ``max_tokens``; ``tower``
    maps ids ``(1, n_tokens)`` to the first token's state ``(1, width)``. Each label is encoded by itself: in a batch it
    would be padded to the longest, and its embedding would depend in the last digits on the other labels.
    ``checkpoint`` is the name of their checkpoint.
    """

    tokenize: Tokenize
    max_tokens: int
    vocabulary: int
    tower: Callable[[torch.Tensor], torch.Tensor]
    head: nn.Module
    checkpoint: str

    @torch.inference_mode()
    def encode(self, label: str) -> NDArray[np.float32]:
        """Return the text embedding of a label, ``(dim,)``.

        Raises :class:`UsageError` for a label of more tokens than the text tower takes; it is not cut short. Raises
        :class:`CheckpointError` if the result is not an embedding.
        """
        ids = self.tokenize(label)
        if len(ids) > self.max_tokens:
            raise UsageError(
                f"the text {label[:40]!r}... has {len(ids)} tokens, and the model takes at most {self.max_tokens}: "
                "shorten it"
            )
        if not ids or max(ids) >= self.vocabulary:
            raise self._refusal(ValueError("its tokenizer and its vocabulary do not belong together"))
        with library_faults(self._refusal):
            embedding: NDArray[np.float32] = self.head(self.tower(torch.tensor([ids])))[0].numpy()
        if not np.isfinite(embedding).all():
            raise self._refusal(ValueError("its output is not finite"))
        return embedding

    def _refusal(self, error: BaseException) -> CheckpointError:
        reason = " ".join(str(error).split())[:300]
        return CheckpointError(
            f"{self.checkpoint}: its text tower cannot be run ({reason}); fetch the checkpoint again"
        )


def encode_labels(checkpoint: Checkpoint, labels: Sequence[str]) -> NDArray[np.float32]:
    """Return text embeddings, ``(n_labels, dim)``; the tower is loaded only for labels that are not cached.

    Raises :class:`UsageError` for a label that is too long, :class:`CheckpointError` for a damaged text tower.
    """
    cache = LabelCache.of_user(checkpoint.fingerprint, checkpoint.revision, checkpoint.embedding_width)
    return cache.embed(labels, lambda: load_text(checkpoint).encode)


def load_text(checkpoint: Checkpoint) -> TextEncoder:
    """Load a checkpoint's text tower, with our own modules if they support it.

    Raises :class:`CheckpointError` for a damaged one.
    """
    if pick_backend() == "reference":
        return transformers_text_encoder(checkpoint)
    try:
        return native_text_encoder(checkpoint)
    except Unsupported:
        return transformers_text_encoder(checkpoint)


def native_text_encoder(checkpoint: Checkpoint) -> TextEncoder:
    """Load a text tower of the BERT kind, without transformers.

    Raises :class:`Unsupported` for one of another kind.
    """
    try:
        config = BertConfig.read(checkpoint.text_section)
    except ValueError as error:
        raise checkpoint.bad_config(error) from error
    max_tokens = min(checkpoint.max_label_tokens, config.max_position_embeddings)
    tokenize = open_tokenizer(checkpoint, "bare")
    with torch.device("meta"), library_faults(checkpoint.bad_config):
        bert, head = Bert(config), ContrastiveHead(config.hidden_size, config.hidden_size)
    checkpoint.fill(bert, TEXT_TOWER)
    checkpoint.fill(head, TEXT_HEAD)
    return TextEncoder(
        tokenize,
        max_tokens,
        config.vocab_size,
        lambda ids: bert(ids)[:, 0],
        head,
        checkpoint.name,
    )


def transformers_text_encoder(checkpoint: Checkpoint) -> TextEncoder:
    """Load any text tower that transformers knows, with its modules."""
    config = checkpoint.pe_audio_config.text_config
    max_tokens = min(checkpoint.max_label_tokens, getattr(config, "max_position_embeddings", sys.maxsize))
    tokenize = open_tokenizer(checkpoint, "auto")
    tower, head = transformers_text(checkpoint)
    return TextEncoder(
        tokenize,
        max_tokens,
        config.vocab_size,
        tower,
        head,
        checkpoint.name,
    )
