"""Moves a trained audio tower to another text head, by least squares.

A text head that learns along with the audio tower bends to the phrases that it is trained on, and wordings that it
never met fall between them. The text tower's own head, which learned from a sentence encoder, keeps its sense of them.
So in the end audio embeddings are mapped to where that head puts its texts: the logits of training phrases stay what
they were, as nearly as a linear map can do it.
"""

from __future__ import annotations

import torch
from torch import nn

from training.student import Student
from training.texts import PhraseBook

RIDGE = 0.03  # of the mean eigenvalue


@torch.no_grad()
def concept_embeddings(text_head: nn.Module, phrases: PhraseBook) -> torch.Tensor:
    """Mean text embeddings ``(n_concepts + 1, width)`` of each concept's phrases, and of those that name none."""
    embeddings = text_head(phrases.features)
    return torch.stack([embeddings[rows].mean(0) for rows in (*phrases.single, phrases.none)])


@torch.no_grad()
def adopt(student: Student, before: torch.Tensor, text_head: nn.Module, phrases: PhraseBook) -> None:
    """Change the student's head in place: it was trained against ``before``, and shall fit ``text_head``."""
    embeddings = text_head(phrases.features)
    kinds = [*phrases.single, phrases.none]
    target = torch.zeros(len(embeddings), len(kinds))
    weight = torch.zeros(len(embeddings), 1)
    for column, rows in enumerate(kinds):
        target[rows, column] = 1
        weight[rows] = 1 / len(rows)
    weight[phrases.none] *= 5  # there is far more that is not a concept than there are phrases of one
    gram = embeddings.T @ (weight * embeddings)
    ridge = RIDGE * gram.diagonal().mean() * torch.eye(len(gram))
    kind_of = torch.linalg.solve(gram + ridge, embeddings.T @ (weight * target))  # (width, kinds)
    student.head.proj.weight.copy_(kind_of @ before @ student.head.proj.weight)
