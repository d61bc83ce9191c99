"""A BERT text tower, equivalent to transformers' ``BertModel`` for one unpadded text.

The shipped checkpoint has one; with transformers' modules, loading them would take longer than all the rest of a run.
After Devlin et al., BERT (2018). Names of parameters are those that checkpoints hold; a test holds every number
against transformers' own modules.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from pe_audio_cli.models.config import BertConfig

__all__ = ["Bert"]


class TokenEmbeddings(nn.Module):
    """The sum of word piece, position and token type embeddings, normed."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.word_embeddings = _table(config.vocab_size, config.hidden_size)
        self.position_embeddings = _table(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = _table(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids ``(batch, time)`` to ``(batch, time, width)``."""
        words = functional.embedding(ids, self.word_embeddings["weight"])
        places = self.position_embeddings["weight"][: ids.shape[1]]
        normed: torch.Tensor = self.LayerNorm(words + self.token_type_embeddings["weight"][0] + places)
        return normed


def _table(rows: int, width: int) -> nn.ParameterDict:
    """Return the parameters of ``nn.Embedding`` without random numbers, which would import torch's compiler."""
    return nn.ParameterDict({"weight": nn.Parameter(torch.empty(rows, width))})


class SelfAttention(nn.Module):
    """Self-attention of the tokens."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """``(batch, time, width)`` to the same."""
        heads = (
            projection(states).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        return functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)


class BertOutput(nn.Module):
    """The end of either half of a layer: projection, residual connection, norm."""

    def __init__(self, config: BertConfig, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, states: torch.Tensor, entering: torch.Tensor) -> torch.Tensor:
        """``(batch, time, width)`` beside ``(batch, time, hidden)`` to the latter's shape."""
        normed: torch.Tensor = self.LayerNorm(self.dense(states) + entering)
        return normed


class BertLayer(nn.Module):
    """One layer of the transformer, normed after each half."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": SelfAttention(config), "output": BertOutput(config, config.hidden_size)}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(config.hidden_size, config.intermediate_size)})
        self.output = BertOutput(config, config.intermediate_size)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """``(batch, time, hidden)`` to the same."""
        states = self.attention["output"](self.attention["self"](states), states)
        out: torch.Tensor = self.output(functional.gelu(self.intermediate["dense"](states)), states)
        return out


class Bert(nn.Module):
    """Token ids of one text to its states."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.embeddings = TokenEmbeddings(config)
        self.encoder = nn.ModuleDict(
            {"layer": nn.ModuleList(BertLayer(config) for _ in range(config.num_hidden_layers))}
        )
        # Checkpoints hold it; the model does not use it.
        self.pooler = nn.ModuleDict({"dense": nn.Linear(config.hidden_size, config.hidden_size)})

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids ``(1, n_tokens)`` to the last hidden states ``(1, n_tokens, hidden)``."""
        states: torch.Tensor = self.embeddings(ids)
        for layer in self.encoder["layer"].children():
            states = layer(states)
        return states
