"""Text towers on torch: our own modules, and those of transformers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from pe_audio_cli.models.backends.text_encoder import TextEncoder
from pe_audio_cli.models.backends.transformers_modules import transformers_text
from pe_audio_cli.models.checkpoint import TEXT_HEAD, TEXT_TOWER, Checkpoint, library_faults
from pe_audio_cli.models.config import BertConfig
from pe_audio_cli.models.modules.audio_tower import ContrastiveHead
from pe_audio_cli.models.modules.bert import Bert
from pe_audio_cli.models.threads import torch_alone
from pe_audio_cli.models.tokenizer import open_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["native_text_encoder", "transformers_text_encoder"]


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
        tokenize, max_tokens, config.vocab_size, _embedder(lambda ids: bert(ids)[:, 0], head), checkpoint.name
    )


def transformers_text_encoder(checkpoint: Checkpoint) -> TextEncoder:
    """Load any text tower that transformers knows, with its modules."""
    config = checkpoint.pe_audio_config.text_config
    max_tokens = min(checkpoint.max_label_tokens, getattr(config, "max_position_embeddings", sys.maxsize))
    tokenize = open_tokenizer(checkpoint, "auto")
    tower, head = transformers_text(checkpoint)
    return TextEncoder(tokenize, max_tokens, config.vocab_size, _embedder(tower, head), checkpoint.name)


def _embedder(
    tower: Callable[[torch.Tensor], torch.Tensor], head: nn.Module
) -> Callable[[list[int]], NDArray[np.float32]]:
    """Return token ids to an embedding ``(dim,)``; the tower gives the first token's state, ``(1, width)``."""

    @torch.inference_mode()
    def embed(ids: list[int]) -> NDArray[np.float32]:
        with torch_alone():
            embedding: NDArray[np.float32] = head(tower(torch.tensor([ids])))[0].numpy()
        return embedding

    return embed
