"""Labels to text embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pe_audio_cli.errors import UsageError
from pe_audio_cli.model.checkpoint import TEXT_HEAD, TEXT_TOWER, Checkpoint

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TextEncoder"]


class TextEncoder:
    """The text tower and its projection head, in float32 on the CPU whatever the audio runs in.

    Each label is encoded by itself: beside others it would be padded to the longest, and its numbers would change in
    the last digits with the company it keeps.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        from transformers import AutoModel
        from transformers.models.pe_audio.modeling_pe_audio import PeAudioContrastiveHead

        config = checkpoint.pe_audio_config
        width = config.text_config.hidden_size
        self._normed = checkpoint.text_feature_is_normed
        build: Any = AutoModel.from_config  # transformers does not type it
        self._tower: torch.nn.Module = checkpoint.fill(
            lambda: build(config.text_config, dtype=torch.float32, trust_remote_code=False), TEXT_TOWER
        )
        self._head = checkpoint.fill(lambda: PeAudioContrastiveHead(width, width), TEXT_HEAD)
        self._tokenizer = checkpoint.tokenizer()
        self._max_tokens = min(self._tokenizer.model_max_length, config.text_config.max_position_embeddings)

    @torch.inference_mode()
    def encode(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """Text embeddings of shape ``(n_labels, dim)``.

        Raises :class:`UsageError` for a label of more tokens than the text tower takes; it is not cut short.
        """
        return np.stack([self._encode_one(label) for label in labels])

    def _encode_one(self, label: str) -> NDArray[np.float32]:
        tokens = self._tokenizer(label, return_tensors="pt", truncation=False, verbose=False)
        length = tokens["input_ids"].shape[1]
        if length > self._max_tokens:
            raise UsageError(
                f"the label {label[:40]!r}... has {length} tokens, and the model takes at most {self._max_tokens}: "
                "shorten it"
            )
        feature = self._first_token_state(tokens["input_ids"], tokens["attention_mask"])
        embedding: NDArray[np.float32] = self._head(feature)[0].numpy()
        return embedding

    def _first_token_state(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The first token's hidden state, ``(1, width)``, before the final norm unless the checkpoint says after it.

        ``hidden_states[-1]`` means either, depending on the release of transformers, so what enters the norm is taken
        from the norm itself. A tower without a final norm (BERT) has one last state only.
        """
        norm = getattr(self._tower, "final_norm", None)
        if norm is None or self._normed:
            state: torch.Tensor = self._tower(input_ids=ids, attention_mask=mask).last_hidden_state
            return state[:, 0]
        entering: list[torch.Tensor] = []
        hook = norm.register_forward_pre_hook(lambda _, args: entering.append(args[0]))
        try:
            self._tower(input_ids=ids, attention_mask=mask)
        finally:
            hook.remove()
        return entering[0][:, 0]
