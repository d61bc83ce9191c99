"""The phrases that a finished text tower was trained on, with what it makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from training.concepts import KNOWN
from training.text_tower import TextTower, read_phrases


@dataclass(frozen=True)
class PhraseBook:
    """Text embeddings ``(n, width)`` of phrases that somebody has looked at; what each names, ``(n, concepts)``."""

    embeddings: torch.Tensor
    named: torch.Tensor

    @classmethod
    def load(cls, work: Path) -> PhraseBook:
        """By the text tower in ``WORK/text``."""
        tower = TextTower.load(work / "text")
        phrases = [phrase for phrase in read_phrases(work / "text") if phrase.concepts is not None]
        named = torch.tensor([[float(it.id in (phrase.concepts or ())) for it in KNOWN] for phrase in phrases])
        return cls(tower.encode([phrase.text for phrase in phrases]), named)
