"""The distance between two ways to compute the same, from the count of numbers that they add up and their rounding."""

from __future__ import annotations

import math

import torch
from torch import nn

from pe_audio_cli.models.modules.codec import Snake


def of_sum(n_terms: int, magnitude: torch.Tensor, *results: torch.Tensor) -> float:
    """The largest difference of sums of ``n_terms`` products in different orders; ``magnitude`` sums their sizes.

    Each is off by no more than about ``n_terms * eps / 2`` of the magnitude (Higham, Accuracy and Stability of
    Numerical Algorithms, 2002, section 3.1), and is rounded to its type, once more where something is added.
    """
    summed = n_terms * torch.finfo(torch.float32).eps * magnitude.float().abs().max().item()
    return summed + 2 * max(torch.finfo(each.dtype).eps * each.abs().max().item() for each in results)


def of_codec(codec: nn.Module, dtype: torch.dtype = torch.float32) -> float:
    """The largest difference of two computations of a codec, relative to its largest number.

    Rounding errors of a sum add up like the steps of a random walk, to the root of their number (Higham and Mary, SIAM
    Journal on Scientific Computing 41, 2019), and so do those of layers behind each other, which on the whole magnify
    none. Sums are in float32; the results of layers and the steps of activations are rounded to ``dtype``. The largest
    error is to the largest number as the usual error is to the usual number. Both computations are off.
    """
    layers = [part for part in codec.modules() if isinstance(part, nn.Conv1d)]
    n_terms = sum(layer.weight[0].numel() + 1 for layer in layers)
    n_rounded = len(layers) + 3 * sum(isinstance(part, Snake) for part in codec.modules())
    unit, coarse = (torch.finfo(each).eps / 2 for each in (torch.float32, dtype))
    return math.sqrt(2) * math.hypot(math.sqrt(n_terms) * unit, math.sqrt(n_rounded) * coarse)
