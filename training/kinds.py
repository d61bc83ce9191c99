"""The kinds that the audio tower tells apart: every concept that it knows, and the groups of them that have words.

"An animal" cannot be made of the logits for dog, cow and rooster by a linear map, so it is a kind of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from training.concepts import HYPERNYMS, KNOWN

__all__ = ["KINDS", "any_of", "kind_of"]

_KNOWN_IDS = tuple(concept.id for concept in KNOWN)


def _known(ids: Sequence[str]) -> tuple[str, ...]:
    """In the order of the concepts, those of ``ids`` that are known."""
    return tuple(id for id in _KNOWN_IDS if id in ids)


_GROUPS = dict.fromkeys(ids for ids in map(_known, HYPERNYMS.values()) if len(ids) > 1)

# The ids that each kind names: first one concept each, in the concepts' order, then the groups.
KINDS: tuple[tuple[str, ...], ...] = (*((id,) for id in _KNOWN_IDS), *_GROUPS)


def kind_of(ids: Sequence[str]) -> int | None:
    """The index of the kind that a phrase for the concepts ``ids`` stands for; None if it stands for none."""
    known = _known(ids)
    return KINDS.index(known) if known in KINDS else None


_MEMBERS = tuple(tuple(_KNOWN_IDS.index(id) for id in ids) for ids in KINDS[len(_KNOWN_IDS) :])


def any_of(heard: torch.Tensor) -> torch.Tensor:
    """The confidence in each concept, ``(..., concepts)``, as that in each kind, ``(..., kinds)``."""
    groups = [heard[..., list(members)].amax(-1) for members in _MEMBERS]
    return torch.cat([heard, torch.stack(groups, -1)], -1) if groups else heard
