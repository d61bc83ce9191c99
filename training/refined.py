"""The teacher refined on labels: a linear classifier on its embeddings has a say beside its scores.

AudioSet's classes are not our concepts, and where the teacher is weak its embedding often knows better. The classifier
starts from what the mapped scores say, is held towards that, and counts half: on its own it is too sure of itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from training.features import Recording, Recordings, believed, open_questions
from training.mixtures import clip_targets
from training.teacher import class_names

__all__ = ["Refined", "build", "evened"]

HELD = 1e-3  # how strongly weights are held towards zero
STEPS = 60
SAY = 0.5  # of the classifier, against the mapped scores
MOST_OF_A_CONCEPT, NOBODY_KNOWS = 20, 300  # origins of a concept that count in full; what all unlabelled ones count
HIGHEST = 0.98  # what only somebody who has labelled it knows better
SMALLEST = 0.05  # that is added to standard deviations


@dataclass(frozen=True)
class Refined:
    """Added logits: ``(scale - 1) * logit + bias + embedding @ weight``, of embeddings evened out and standardized."""

    mean: torch.Tensor
    deviation: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor
    weight: torch.Tensor

    def __call__(self, mapped: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """The confidence in each concept, ``(..., concepts)``, of mapped scores and embeddings ``(..., 1024)``."""
        shape = mapped.shape
        believes = believed(mapped.reshape(-1, shape[-1]), None)
        logits = torch.logit(believes, 1e-4)
        standard = (evened(embeddings.reshape(-1, embeddings.shape[-1])) - self.mean) / self.deviation
        added = (self.scale - 1) * logits + self.bias + standard @ self.weight
        return (torch.sigmoid(logits + SAY * added).clamp_max(HIGHEST) * (believes > 0)).view(shape)

    @classmethod
    def fit(cls, items: Sequence[Recording]) -> Refined:
        """On recordings that were heard with embeddings."""
        features = torch.stack([evened(item.embeddings.float()).mean(0) for item in items])
        mean, deviation = features.mean(0), features.std(0) + SMALLEST
        standard = (features - mean) / deviation
        logits = torch.logit(torch.stack([_of_clip(believed(item.scores, None)) for item in items]), 1e-4)
        truth = torch.stack([_of_clip(believed(item.scores, item.concepts)) for item in items])
        known = 1 - torch.stack([open_questions(item.concepts) for item in items]) * (truth < 1)
        weight = known * weights(items)[:, None]
        scale, bias = torch.ones(1), torch.zeros(truth.shape[1])
        matrix = torch.zeros(standard.shape[1], truth.shape[1])
        parameters = [it.requires_grad_() for it in (scale, bias, matrix)]
        optimizer = torch.optim.LBFGS(parameters, max_iter=STEPS, history_size=8, line_search_fn="strong_wolfe")

        def step() -> torch.Tensor:
            optimizer.zero_grad()
            said = logits * scale + bias + standard @ matrix
            loss = nn.functional.binary_cross_entropy_with_logits(said, truth, weight, reduction="none").sum(1).mean()
            loss = loss + HELD * (matrix.square().sum() + bias.square().sum())
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimizer.step(step)  # type: ignore[no-untyped-call]
        return cls(mean, deviation, *(it.detach() for it in parameters))


def evened(embeddings: torch.Tensor) -> torch.Tensor:
    """They are never negative and have a long tail."""
    return embeddings.clamp_min(0).sqrt()


def _of_clip(heard: torch.Tensor) -> torch.Tensor:
    return clip_targets(heard.T[None])[0]


def weights(items: Sequence[Recording]) -> torch.Tensor:
    """The weight of each, 1 on average: every origin of a concept alike, and a concept for no more than some."""
    keys = [(item.concepts[0] if item.concepts else "", item.group) for item in items]
    origins, size = Counter(id for id, _ in set(keys)), Counter(keys)
    whole = {id: NOBODY_KNOWS if not id else min(MOST_OF_A_CONCEPT, count) for id, count in origins.items()}
    found = torch.tensor([whole[key[0]] / origins[key[0]] / size[key] for key in keys])
    return found / found.mean()


def build(work: Path, teacher: Path, folds: Sequence[int] = (1, 2, 3)) -> Refined:
    """From ``WORK/refined.pt``, which is made where it is missing."""
    file = work / "refined.pt"
    if not file.is_file():
        items = Recordings.load(work, class_names(teacher)).train(folds)
        torch.save(vars(Refined.fit(items)), file.with_suffix(".part"))
        file.with_suffix(".part").rename(file)
    return Refined(**torch.load(file))
