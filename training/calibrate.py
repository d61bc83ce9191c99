"""Makes a trained audio tower's numbers mean what they say, on recordings by strangers.

Each concept's logit becomes ``scale * logit + bias + own``: one scale and one bias for all, and for each concept that
the recordings hold one of its own, held towards zero. They are fitted by cross-entropy against what is said to be
heard, of which unknown sounds and backgrounds hold nothing. Figures are cross-validated: what is fitted on four
fifths of the origins is measured on the fifth. At last all of it is folded into the contrastive head.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from training.concepts import FIRST
from training.kinds import KINDS
from training.student import Student

__all__ = ["Calibration", "columns", "fit", "fold_in", "held_out"]

PARTS = 5
HELD = 0.1  # how strongly a concept's own bias is held towards zero
STEPS = 60
BACKGROUND = "bg"
FALSE_ALARM = 0.8  # what a wrong label costs, beside 1 for one that is missed

# A background may hold what it is recorded in.
IN_BACKGROUNDS = ("speech", "music", "bird_song", "wind", "rain", "water", "engine", "insects", "footsteps")


@dataclass(frozen=True)
class Calibration:
    """``scale`` and ``bias`` of every logit, and the ``own`` bias of each of :data:`FIRST`."""

    scale: float
    bias: float
    own: torch.Tensor

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Calibrated logits ``(..., len(FIRST))``."""
        return logits * self.scale + self.bias + self.own


def columns() -> list[int]:
    """The numbers of :data:`FIRST` among the kinds."""
    return [KINDS.index((concept.id,)) for concept in FIRST]


def fit(logits: torch.Tensor, labels: Sequence[str]) -> Calibration:
    """From logits ``(n, len(FIRST))`` of recordings that are said to hold ``labels``."""
    names = [concept.label for concept in FIRST]
    truth = torch.tensor([[float(name == label) for name in names] for label in labels])
    # Every label counts alike, however many recordings it has.
    count = torch.tensor([max(1, labels.count(label)) for label in labels]).float()
    weight = count.clamp_min(4).pow(-0.5)[:, None] * torch.where(truth > 0, 1.0, FALSE_ALARM)
    scale, bias, own = torch.zeros(1), torch.zeros(1), torch.zeros(len(names))
    parameters = [it.requires_grad_() for it in (scale, bias, own)]
    optimizer = torch.optim.LBFGS(parameters, max_iter=STEPS, line_search_fn="strong_wolfe")

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        calibrated = logits * scale.exp() + bias + own
        loss = nn.functional.binary_cross_entropy_with_logits(calibrated, truth, weight, reduction="sum") / weight.sum()
        loss = len(names) * loss + HELD * own.square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(step)  # type: ignore[no-untyped-call]
    return Calibration(scale.exp().item(), bias.item(), own.detach())


def held_out(logits: torch.Tensor, labels: Sequence[str], groups: Sequence[str]) -> torch.Tensor:
    """Calibrated logits of each recording, by what was fitted on other origins."""
    part = np.array([zlib.crc32(group.encode()) % PARTS for group in groups])
    calibrated = torch.empty_like(logits)
    for index in range(PARTS):
        own = torch.from_numpy(part == index)
        others = [label for label, here in zip(labels, part == index, strict=True) if not here]
        calibrated[own] = fit(logits[~own], others)(logits[own])
    return calibrated


@torch.no_grad()
def fold_in(student: Student, calibration: Calibration) -> float:
    """Write it into the head; what is left of the biases that could not be written, at most.

    Scales go into the head's rows. It has no bias, but that of the layer norm before it, which has more dimensions
    than there are kinds.
    """
    rows = student.head.proj.weight
    own = torch.zeros(len(rows))
    own[columns()] = calibration.own
    groups = [index for index, ids in enumerate(KINDS) if len(ids) > 1]
    own[groups] = -abs(calibration.bias)  # nothing is said of these: rather too little than too much
    rows.mul_(calibration.scale)
    wanted = (calibration.scale - 1) * student.bias + calibration.bias + own
    # The bias that all have in common stays where it is; the rest is what each has beside it.
    common = wanted.median()
    student.bias.add_(common)
    shift = (wanted - common) / student.scale
    moments = rows @ rows.T
    added = rows.T @ torch.linalg.solve(moments + 1e-4 * moments.diagonal().mean() * torch.eye(len(rows)), shift)
    student.head.layer_norm.bias.add_(added)
    return float((rows @ added - shift).abs().max() * student.scale)
