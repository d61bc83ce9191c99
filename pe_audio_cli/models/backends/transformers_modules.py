"""The transformers backend, the reference for our own modules: ``PEAUDIO_ENGINE=transformers`` selects it.

It also runs checkpoints whose configuration our own modules do not support.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import nn

from pe_audio_cli.models.checkpoint import AUDIO_HEAD, AUDIO_TOWER, TEXT_HEAD, TEXT_TOWER, Checkpoint, library_faults

__all__ = ["transformers_audio", "transformers_text"]

# The text towers of transformers that download nothing.
TEXT_TOWERS = ("modernbert", "bert", "roberta", "xlm-roberta", "distilbert", "electra", "mpnet", "deberta-v2")

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class Projection(nn.Module):
    """The tower's embedder without the codec: codec features to the transformer's inputs."""

    def __init__(self, data_proj: nn.Linear) -> None:
        super().__init__()
        self.data_proj = data_proj

    def forward(self, features: torch.Tensor, padding_mask: None = None) -> tuple[torch.Tensor, None]:
        """``(batch, n_frames, width)`` to ``(batch, n_frames, hidden)``; there is never any padding."""
        return self.data_proj(features), padding_mask


class Tower(nn.Module):
    """A ``PeAudioEncoder`` that takes codec features, and gives a pair."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``(batch, n_frames, codebook_dim)`` to ``(batch, hidden)`` and ``(batch, n_frames, hidden)``."""
        encoded = self.encoder(features)
        return encoded.pooler_output, encoded.last_hidden_state


class TextTower(nn.Module):
    """A text tower that gives the state of the first token.

    ``normed`` is True if it is taken after the final norm. ``hidden_states[-1]`` means either, depending on the release
    of transformers, so the input of the norm is taken by a hook. A tower without a final norm has one last state only.
    """

    def __init__(self, tower: nn.Module, normed: bool) -> None:
        super().__init__()
        self.tower = tower
        self.normed = normed

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids ``(1, n_tokens)`` to ``(1, width)``."""
        norm = getattr(self.tower, "final_norm", None)
        mask = torch.ones_like(ids)
        if norm is None or self.normed:
            state: torch.Tensor = self.tower(input_ids=ids, attention_mask=mask).last_hidden_state
            return state[:, 0]
        entering: list[torch.Tensor] = []
        hook = norm.register_forward_pre_hook(lambda _, args: entering.append(args[0]))
        try:
            self.tower(input_ids=ids, attention_mask=mask)
        finally:
            hook.remove()
        return entering[0][:, 0]


def transformers_audio(checkpoint: Checkpoint) -> tuple[nn.Sequential, nn.Module, nn.Module]:
    """Load codec, tower and contrastive head."""
    from transformers import PeAudioEncoder
    from transformers.models.pe_audio.modeling_pe_audio import PeAudioContrastiveHead

    config = checkpoint.pe_audio_config
    encoder: Any = _filled(checkpoint, lambda: PeAudioEncoder(config.audio_config), AUDIO_TOWER)
    codec = nn.Sequential(encoder.embedder.dac_encoder, encoder.embedder.bottleneck)
    encoder.embedder = Projection(encoder.embedder.data_proj)
    widths = config.audio_config.hidden_size, config.text_config.hidden_size
    head = _filled(checkpoint, lambda: PeAudioContrastiveHead(*widths), AUDIO_HEAD)
    return codec, Tower(encoder), head


def transformers_text(checkpoint: Checkpoint) -> tuple[nn.Module, nn.Module]:
    """Load the text tower, from token ids to the first token's state, and its contrastive head."""
    from transformers import AutoModel
    from transformers.models.pe_audio.modeling_pe_audio import PeAudioContrastiveHead

    kind = checkpoint.text_section.get("model_type", TEXT_TOWERS[0])
    if kind not in TEXT_TOWERS:
        raise checkpoint.bad_config(ValueError(f"a text tower of the kind {kind!r}, of {', '.join(TEXT_TOWERS)}"))
    config = checkpoint.pe_audio_config.text_config
    build: Any = AutoModel.from_config  # transformers does not type it
    tower: nn.Module = _filled(
        checkpoint, lambda: build(config, dtype=torch.float32, trust_remote_code=False), TEXT_TOWER
    )
    head = _filled(checkpoint, lambda: PeAudioContrastiveHead(config.hidden_size, config.hidden_size), TEXT_HEAD)
    return TextTower(tower, checkpoint.text_feature_is_normed), head


def _filled(checkpoint: Checkpoint, build: Callable[[], ModuleT], prefix: str) -> ModuleT:
    """Build a module and fill it from the checkpoint.

    It is built without random initialization, which takes seconds at full size, since every tensor is overwritten.
    First it is built on the meta device, to compare shapes with the weights before any memory is allocated.
    """
    with library_faults(checkpoint.bad_config), _no_random_weights(), torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}
    checkpoint.check_shapes(wanted, prefix)
    with library_faults(checkpoint.bad_config), _no_random_weights():
        module = build()
    return checkpoint.fill(module, prefix)


def _no_random_weights() -> AbstractContextManager[None]:
    try:
        from transformers.initialization import no_init_weights
    except ImportError:  # it has moved between releases; without it, building only takes longer
        return nullcontext()
    skip: AbstractContextManager[None] = no_init_weights()
    return skip
