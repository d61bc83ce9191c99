"""The phrases of a training step: what they name, and what the text tower makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers.models.pe_audio.modeling_pe_audio import PeAudioContrastiveHead

from training.concepts import ESC10, KNOWN
from training.phrases import Phrase
from training.text_tower import TextTower, read_phrases


@dataclass(frozen=True)
class PhraseBook:
    """Phrases with their first-token features ``(n, width)``, grouped by what they name.

    ``single`` holds the rows of each concept's phrases, ``several`` those that name more than one, ``none`` those
    that name none; ``named`` ``(n, concepts)`` says which.
    """

    features: torch.Tensor
    named: torch.Tensor
    single: tuple[torch.Tensor, ...]
    several: torch.Tensor
    none: torch.Tensor
    head_state: dict[str, torch.Tensor]

    @classmethod
    def load(cls, work: Path) -> PhraseBook:
        """From the text tower in ``WORK/text``; the features of thousands of phrases are computed once and kept."""
        tower = TextTower.load(work / "text")
        phrases = [phrase for phrase in read_phrases(work / "text") if phrase.concepts is not None]
        cached = work / "text-features.pt"
        if not cached.is_file():
            torch.save(tower.features([phrase.text for phrase in phrases]), cached)
        return cls.of(phrases, torch.load(cached), {k: v.clone() for k, v in tower.head.state_dict().items()})

    @classmethod
    def of(cls, phrases: list[Phrase], features: torch.Tensor, head_state: dict[str, torch.Tensor]) -> PhraseBook:
        """Sort phrases by what they name."""
        column = {concept.id: index for index, concept in enumerate(KNOWN)}
        named = torch.zeros(len(phrases), len(KNOWN))
        for row, phrase in enumerate(phrases):
            for id in phrase.concepts or ():
                if id in column:
                    named[row, column[id]] = 1
        count = named.sum(1)
        single = tuple(torch.nonzero((count == 1) & (named[:, index] > 0))[:, 0] for index in range(len(KNOWN)))
        several, none = torch.nonzero(count > 1)[:, 0], torch.nonzero(count == 0)[:, 0]
        return cls(features, named, single, several, none, head_state)

    @property
    def width(self) -> int:
        """Of the text embeddings."""
        return self.features.shape[1]

    def head(self) -> PeAudioContrastiveHead:
        """A fresh copy of the text tower's contrastive head, to be trained on."""
        head = PeAudioContrastiveHead(self.width, self.width)
        head.load_state_dict(self.head_state)
        with torch.no_grad():
            # Products with fresh audio embeddings, which have a norm of about 5, shall be about 1.
            head.proj.weight.mul_(4 / head(self.features).norm(dim=1).mean())
        return head

    def draw(self, several: int, none: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Features of one phrase for each concept, then of some that name several and some that name none.

        Returns the features ``(n, width)``, what they name ``(n, concepts)``, and how many name one concept.
        """
        generator = torch.Generator().manual_seed(seed)
        rows = [_pick(choice, 1, generator) for choice in self.single]
        rows += [_pick(self.several, several, generator), _pick(self.none, none, generator)]
        chosen = torch.cat(rows)
        return self.features[chosen], self.named[chosen], len(self.single)


def _pick(rows: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    return rows[torch.randint(0, len(rows), (count,), generator=generator)]


def esc10_columns() -> list[int]:
    """Where the ten classes of ESC-10 stand among the concepts."""
    ids = [concept.id for concept in KNOWN]
    return [ids.index(id) for id in ESC10]
