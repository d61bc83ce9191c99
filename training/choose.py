"""The sounds that are advertised: those that the audio tower hears in recordings that were kept from training.

The bar, for each sound: at least :data:`FEWEST` recordings of as many origins hold it, by their label or because the
teacher is sure of it; of two recordings, one that holds it and one that does not, the first gets the higher probability
in 90 % of cases; and the average precision is at least a half. The labels that `mini` 1 had stay, since scripts use
them; where they miss the bar the model card says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.concepts import FIRST, KNOWN
from training.features import Recording, believed, open_questions
from training.kinds import KINDS
from training.student import Student, clip_products

__all__ = ["Heard", "advertised", "judge"]

FEWEST = 3
AUROC, PRECISION = 0.9, 0.5
SURE, ABSENT = 0.75, 0.15  # of the teacher, shifted
NOT_BY_DEFAULT = ("silence", "noise")  # they are heard where nothing is


@dataclass(frozen=True)
class Heard:
    """The accuracy for a concept in recordings that were kept from training, of which ``positives`` hold it."""

    id: str
    positives: int
    origins: int
    auroc: float
    precision: float

    @property
    def well(self) -> bool:
        """True if it meets the bar."""
        return self.origins >= FEWEST and self.auroc >= AUROC and self.precision >= PRECISION


@torch.no_grad()
def judge(student: Student, recordings: Sequence[Recording]) -> list[Heard]:
    """Of every concept, in their order."""
    scores = clip_products(student, [it.energies for it in recordings]).numpy()
    surest = torch.stack([believed(it.scores, it.concepts).amax(0) for it in recordings]).numpy()
    open_ = torch.stack([open_questions(it.concepts) for it in recordings]).numpy() > 0
    found = []
    for index, concept in enumerate(KNOWN):
        column = KINDS.index((concept.id,))
        holds, lacks = surest[:, index] > SURE, (surest[:, index] < ABSENT) & ~open_[:, index]
        origins = len({it.group for it, own in zip(recordings, holds, strict=True) if own})
        if holds.any() and lacks.any():
            chosen = holds | lacks
            ranked = rank_figures(scores[chosen, column], holds[chosen])
        else:
            ranked = (0.0, 0.0)
        found.append(Heard(concept.id, int(holds.sum()), origins, *ranked))
    return found


def rank_figures(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> tuple[float, float]:
    """The chance that one of the true scores higher than one of the others, and the average precision."""
    order = np.argsort(-scores, kind="stable")
    hits = truth[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores, kind="stable")] = np.arange(1, len(scores) + 1)
    count = int(truth.sum())
    area = (ranks[truth].sum() - count * (count + 1) / 2) / (count * (len(truth) - count))
    return float(area), float(precision[hits].mean())


def advertised(found: Sequence[Heard]) -> list[str]:
    """The ids of the default labels, those of `mini` 1 first."""
    first = [concept.id for concept in FIRST]
    well = [it.id for it in found if it.well and it.id not in (*first, *NOT_BY_DEFAULT)]
    return [*first, *well]
