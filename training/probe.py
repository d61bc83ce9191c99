"""A linear map of embeddings that tells whether each of many things is named, or which one of them."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["fit_choice", "fit_probe"]

STEPS, BATCH, RATE = 400, 1024, 0.05
WEIGHT_DECAY = 0.2
CHOICE_STEPS, CHOICE_RATE = 600, 0.5


def fit_probe(embeddings: torch.Tensor, named: torch.Tensor, seed: int = 0, steps: int = STEPS) -> nn.Linear:
    """Regress which concepts are named, ``(n, n_concepts)`` in [0, 1], on embeddings of about length one, ``(n, dim)``.

    A label whose highest logit is low is one of which the embeddings' owner has never been told.
    """
    generator = torch.Generator().manual_seed(seed)
    probe = nn.Linear(embeddings.shape[1], named.shape[1])
    nn.init.zeros_(probe.weight)
    nn.init.constant_(probe.bias, -4.0)  # of so many concepts, hardly any is named
    optimizer = torch.optim.AdamW(probe.parameters(), RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for _ in range(steps):
        rows = torch.randint(len(embeddings), (BATCH,), generator=generator)
        logits = probe(embeddings[rows])
        loss = nn.functional.binary_cross_entropy_with_logits(logits, named[rows], reduction="none").sum(1).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return probe.requires_grad_(False)


def fit_choice(embeddings: torch.Tensor, classes: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Regress the class ``(n,)``, counted from 0, on embeddings of length one ``(n, dim)``: weights ``(classes, dim)``.

    Every class counts alike, however many embeddings it has. The softmax of the logits is nearly 1 or 0 for most texts:
    that a text is an unusual way to name a thing does not make it name the thing any less.
    """
    generator = torch.Generator().manual_seed(seed)
    count = torch.bincount(classes).float()
    weight = len(classes) / len(count) / count.clamp_min(1)
    choice = nn.Parameter(torch.zeros(len(count), embeddings.shape[1]))
    optimizer = torch.optim.Adam([choice], CHOICE_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, CHOICE_STEPS)
    for _ in range(CHOICE_STEPS):
        rows = torch.randint(len(embeddings), (BATCH,), generator=generator)
        loss = nn.functional.cross_entropy(embeddings[rows] @ choice.T, classes[rows], weight)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return choice.detach()
