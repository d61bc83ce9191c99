"""A finished text tower's data about the labels that it was trained for: see :mod:`pe_audio_cli.models.unfamiliar`.

A phrase for a sound that the audio tower hears badly is no more familiar than one for no sound at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from pe_audio_cli.models.unfamiliar import UnfamiliarLabels
from training.concepts import KNOWN
from training.probe import fit_probe
from training.texts import PhraseBook

MISSED = 0.02  # share of phrases for known sounds that may count as strange
PARTS = 4  # of the phrases, each judged by what was fitted on the others


def measure(phrases: PhraseBook, heard: Sequence[str] | None = None, seed: int = 0) -> UnfamiliarLabels:
    """Fit which concepts a text embedding names, and set the threshold on phrases that were not fitted on.

    ``heard`` are the ids of the concepts that the audio tower hears well; by default, all.
    """
    embeddings = nn.functional.normalize(phrases.embeddings, dim=1)
    named = phrases.named[:, [heard is None or concept.id in heard for concept in KNOWN]]
    part = torch.randint(PARTS, (len(named),), generator=torch.Generator().manual_seed(seed))
    highest = torch.empty(len(named))
    for index in range(PARTS):
        own = part == index
        highest[own] = fit_probe(embeddings[~own], named[~own], seed)(embeddings[own]).amax(1)
    known = named.any(1)
    threshold = float(np.quantile(highest[known].numpy(), MISSED))
    caught = (highest[~known] < threshold).float().mean()
    print(f"familiar: {MISSED:.0%} of unseen phrases for known sounds and {caught:.0%} of the others count as strange")
    probe = fit_probe(embeddings, named, seed)
    return UnfamiliarLabels(probe.weight.numpy(), probe.bias.numpy(), threshold)
