"""The codec encoder: 48 kHz samples to one feature every 40 ms.

The modules compute what transformers' ``PeAudioDacEncoder`` computes, with one change that costs nothing: a pointwise
convolution is the matrix product that it is. Left to itself torch sends it through another kernel as soon as there are
two threads, and the many Snake activations behind it blow up that kernel's different rounding: on the suite's reference
clips the frame probabilities then move by up to 1.6e-5, and with this change they stay within 3e-6 for any number of
threads.

Modules that provably do nothing are left out: a residual unit whose last convolution is all zeros, and a Snake whose
alpha is. The shipped checkpoint has many of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pe_audio_cli.models.config import DILATIONS, FIRST_KERNEL, LAST_KERNEL, UNIT_KERNEL, CodecConfig

__all__ = ["DacEncoder", "PointwiseConv1d", "compile_snakes", "leave_out_idle_parts"]

ALPHA_EPS = 1e-9


class Snake(nn.Module):
    """The periodic activation of Ziyin et al. (2020), x + sin^2(alpha x) / alpha, with an alpha for each channel."""

    compiled: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.empty(1, channels, 1))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """``(batch, channels, time)`` to the same."""
        if self.compiled is not None:
            return self.compiled(input, self.alpha)
        wave = self.alpha * input
        # In place: the first stage's tensors are the largest there are.
        return wave.sin_().pow_(2).mul_((self.alpha + ALPHA_EPS).reciprocal()).add_(input)


def _snake(input: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Compute :class:`Snake` as one expression, which ``torch.compile`` turns into one loop."""
    wave = torch.sin(alpha * input)
    return input + wave * wave / (alpha + ALPHA_EPS)


class PointwiseConv1d(nn.Conv1d):
    """A convolution of kernel size 1, ``(batch, in_channels, time)`` to as many of the others, as a matrix product."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Weight times input plus bias, at each step, laid out as the input is."""
        assert self.bias is not None
        if input.stride(1) < input.stride(2):  # channels innermost
            return functional.linear(input.transpose(1, 2), self.weight[:, :, 0], self.bias).transpose(1, 2)
        return torch.baddbmm(self.bias[:, None], self.weight[:, :, 0].expand(len(input), -1, -1), input)


class ResidualUnit(nn.Module):
    """A dilated and a pointwise convolution, each behind a Snake, with a skip connection."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.snake1: nn.Module = Snake(channels)
        self.conv1 = nn.Conv1d(channels, channels, UNIT_KERNEL, dilation=dilation, padding=UNIT_KERNEL // 2 * dilation)
        self.snake2: nn.Module = Snake(channels)
        self.conv2 = PointwiseConv1d(channels, channels)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """``(batch, channels, time)`` to the same."""
        added: torch.Tensor = self.conv2(self.snake2(self.conv1(self.snake1(input))))
        return added.add_(input)


class Stage(nn.Sequential):
    """Three residual units, and a strided convolution that doubles the channels."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        for number, dilation in enumerate(DILATIONS, 1):
            self.add_module(f"res_unit{number}", ResidualUnit(channels, dilation))
        self.snake1: nn.Module = Snake(channels)
        self.conv1 = nn.Conv1d(channels, 2 * channels, 2 * stride, stride, padding=math.ceil(stride / 2))


class DacEncoder(nn.Sequential):
    """Samples ``(batch, 1, time)`` to ``(batch, channels, n_frames)``."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        channels = config.encoder_hidden_size
        self.conv1 = nn.Conv1d(1, channels, FIRST_KERNEL, padding=FIRST_KERNEL // 2)
        self.block = nn.Sequential(
            *(Stage(channels * 2**index, stride) for index, stride in enumerate(config.downsampling_ratios))
        )
        self.snake1 = Snake(config.last_stage_width)
        self.conv2 = nn.Conv1d(config.last_stage_width, config.width, LAST_KERNEL, padding=LAST_KERNEL // 2)


def compile_snakes(
    codec: nn.Module, kind: type[nn.Module] = Snake, expression: Callable[..., torch.Tensor] = _snake
) -> None:
    """Hand Snakes to ``torch.compile``, all together: shapes are left open, and so one compilation serves any length.

    Convolutions are libraries' work, which it would call as we do. Snakes are all else that takes time, and each
    becomes one pass over memory instead of several. Those of another ``kind`` have an ``expression`` of their own.
    """
    compiled = torch.compile(expression, dynamic=True)
    snakes: list[Any] = [part for part in codec.modules() if isinstance(part, kind)]
    for snake in snakes:
        snake.compiled = compiled


def leave_out_idle_parts(codec: nn.Module) -> None:
    """Replace every module that is exactly the identity by :class:`torch.nn.Identity`."""
    for module in list(codec.modules()):
        for name, part in module.named_children():
            if _is_idle(part):
                setattr(module, name, nn.Identity())


def _is_idle(part: nn.Module) -> bool:
    if isinstance(part, ResidualUnit):
        return not any(bool(value.any()) for value in part.conv2.parameters())
    return isinstance(part, Snake) and not bool(part.alpha.any())
