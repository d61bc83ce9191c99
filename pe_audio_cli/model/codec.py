"""The codec encoder: 48 kHz samples to one feature every 40 ms.

The stock modules of transformers run it, with one change that costs nothing: a pointwise convolution is computed as the
matrix product that it is. Left to itself torch sends it through another kernel as soon as there are two threads, and
the many Snake activations behind it blow up that kernel's different rounding: on the suite's reference clips the frame
probabilities then move by up to 1.6e-5, and with this change they stay within 3e-6 for any number of threads.

What provably does nothing is left out: a residual unit whose last convolution is all zeros, and a Snake whose alpha is.
The shipped checkpoint has many of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from pe_audio_cli.audio.windows import HOP

__all__ = ["halo_frames", "split_codec"]

# Samples on either side, at its own rate, on which the output of each part of the codec depends.
FIRST, LAST = 3, 1  # kernels of 7 and 3
RESIDUAL_UNITS = 3 * (1 + 3 + 9)  # kernels of 7, dilated by 1, 3 and 9


class PointwiseConv1d(nn.Conv1d):
    """A convolution of kernel size 1, ``(batch, channels, time)`` to the same, as a matrix product."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Weight times input plus bias, at each step."""
        weight = self.weight[:, :, 0].expand(len(input), -1, -1)
        if self.bias is None:
            return torch.bmm(weight, input)
        return torch.baddbmm(self.bias[:, None], weight, input)


class Projection(nn.Module):
    """What is left of the tower's embedder without the codec: codec features in, the transformer's inputs out."""

    def __init__(self, data_proj: nn.Linear) -> None:
        super().__init__()
        self.data_proj = data_proj

    def forward(self, features: torch.Tensor, padding_mask: None = None) -> tuple[torch.Tensor, None]:
        """``(batch, n_frames, width)`` to ``(batch, n_frames, hidden)``; there is never any padding."""
        return self.data_proj(features), padding_mask


def split_codec(tower: Any) -> nn.Sequential:
    """Take the codec out of a PeAudioEncoder, which from then on takes codec features in place of samples.

    The codec maps samples of shape ``(batch, 1, n_frames * 1920)`` to features of shape ``(batch, width, n_frames)``.
    """
    codec = nn.Sequential(tower.embedder.dac_encoder, tower.embedder.bottleneck)
    _leave_out_idle_parts(codec)
    _use_matrix_products(codec)
    tower.embedder = Projection(tower.embedder.data_proj)
    return codec


def halo_frames(strides: Sequence[int]) -> int:
    """How many frames on either side a frame's codec features depend on, for the strides of its four stages."""
    samples, rate = FIRST, 1
    for stride in strides:
        # A stage's residual units, then its strided convolution with a kernel of twice the stride.
        samples += rate * (RESIDUAL_UNITS + math.ceil(3 * stride / 2))
        rate *= stride
    return math.ceil((samples + rate * LAST) / HOP)


def _leave_out_idle_parts(module: Any) -> None:
    """Put the identity in the place of every part that is the identity, to the last digit."""
    for name, part in module.named_children():
        kind = type(part).__name__  # the classes have moved between releases of transformers
        idle = (kind.endswith("ResidualUnit") and not any(bool(value.any()) for value in part.conv2.parameters())) or (
            kind == "Snake1d" and not bool(part.alpha.any())
        )
        if idle:
            setattr(module, name, nn.Identity())
        else:
            _leave_out_idle_parts(part)


def _use_matrix_products(module: nn.Module) -> None:
    for name, child in list(module.named_modules()):
        if type(child) is nn.Conv1d and child.kernel_size == (1,):
            with torch.device("meta"):
                product = PointwiseConv1d(child.in_channels, child.out_channels, 1, bias=child.bias is not None)
            product.load_state_dict(child.state_dict(), assign=True)
            module.set_submodule(name, product.requires_grad_(False).eval())
