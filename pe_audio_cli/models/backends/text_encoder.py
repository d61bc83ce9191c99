"""The text encoder: labels to text embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pe_audio_cli.errors import CheckpointError, UsageError
from pe_audio_cli.models.checkpoint import library_faults
from pe_audio_cli.models.tokenizer import Tokenize

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TextEncoder"]


@dataclass(frozen=True)
class TextEncoder:
    """The text tower and its projection head, in float32 on the CPU whatever device the audio runs on.

    ``tokenize`` gives a label's token ids, below ``vocabulary``, of which the tower takes ``max_tokens``; ``embed``
    maps these to an embedding ``(dim,)``. Each label is encoded by itself: in a batch it would be padded to the
    longest, and its embedding would depend in the last digits on the other labels. ``checkpoint`` is the name of their
    checkpoint.
    """

    tokenize: Tokenize
    max_tokens: int
    vocabulary: int
    embed: Callable[[list[int]], NDArray[np.float32]]
    checkpoint: str

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
            embedding = self.embed(ids)
        if not np.isfinite(embedding).all():
            raise self._refusal(ValueError("its output is not finite"))
        return embedding

    def _refusal(self, error: BaseException) -> CheckpointError:
        reason = " ".join(str(error).split())[:300]
        return CheckpointError(
            f"{self.checkpoint}: its text tower cannot be run ({reason}); fetch the checkpoint again"
        )
