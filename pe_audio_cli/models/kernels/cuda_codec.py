"""The codec for CUDA: the results of its modules, in few passes over memory.

A GPU multiplies so fast that most of the codec's time goes into reading and writing. Here everything is stored as rows,
``(time, channels)``, so that convolutions are products of matrices without any rearrangement. In float32 the
convolution of a residual unit is one product for each of its taps, on shifted rows. Half precision would lose digits in
each sum, so there cuDNN computes these convolutions: on images ``dilation`` pixels wide, with a kernel one pixel wide,
since for dilated kernels it may choose an algorithm that takes longer than everything else together. The biases of
residual units are added in the next Snake, and a Snake is one kernel.

There are padding rows before the first and after the last row, for the silence around a recording. Their content is
undefined, and they are cleared before a convolution reads them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from pe_audio_cli.models.config import DILATIONS
from pe_audio_cli.models.kernels.cuda_snake import Activation, pick_activation, scaled
from pe_audio_cli.models.kernels.onednn import Rows
from pe_audio_cli.models.modules.codec import DacEncoder, ResidualUnit, Snake, Stage

__all__ = ["CudaCodec"]

ROWS_OF_IMAGE = math.lcm(*DILATIONS)  # a multiple of this many rows is a whole image for each dilation
ALIGNED = 8  # tensor cores need matrix rows whose length is a multiple of this


@dataclass(frozen=True)
class ValidRows:
    """The ``n`` rows of a recording, from ``first`` on, among ``total`` rows."""

    first: int
    n: int
    total: int

    def inside(self, rows: Rows) -> Rows:
        """Return the rows of the recording."""
        return rows[self.first : self.first + self.n]

    def silent(self, rows: Rows) -> Rows:
        """Set the rows around the recording to zero, in place."""
        rows[: self.first] = 0
        rows[self.first + self.n :] = 0
        return rows


class CudaCodec(nn.Module):
    """Samples ``(1, 1, n_frames * 1920)`` to features ``(1, codebook_dim, n_frames)``."""

    def __init__(self, codec: nn.Sequential) -> None:
        """Take the modules of :meth:`AudioTower.take_codec`, on their device and in their dtype."""
        super().__init__()
        encoder, self.bottleneck = codec
        assert isinstance(encoder, DacEncoder)
        weight = encoder.conv1.weight.detach()
        activation = pick_activation(weight.device, weight.dtype)
        self.first, self.stages = Unfolded(encoder.conv1), []
        bias = self.first.bias
        for stage in encoder.block:
            assert isinstance(stage, Stage)
            self.stages.append(CudaStage(stage, bias, activation))
            bias = self.stages[-1].bias
        self.snake, self.last = BiasedSnake(encoder.snake1, bias, activation), Unfolded(encoder.conv2)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the features; the input counts as silent beyond both ends."""
        extents = self._extents(samples.shape[-1])
        rows = self.first(samples.reshape(-1, 1), extents[0])
        for stage, extent, following in zip(self.stages, extents, extents[1:], strict=False):
            rows = stage(rows, extent, following)
        rows = self.last(self.snake(rows), extents[-1]).add_(self.last.bias)
        features: torch.Tensor = self.bottleneck(rows.T[None])
        return features

    def _extents(self, n_samples: int) -> list[ValidRows]:
        """Return the extents of the input of each stage, and of the output of the last one."""
        extents, n = [], n_samples
        for stage in self.stages:
            extents.append(stage.extent(n))
            n = stage.n_out(n)
        return [*extents, ValidRows(0, n, n)]


class CudaStage:
    """A stage of the codec, on rows without their ``bias``, to rows without :attr:`bias`."""

    def __init__(self, stage: Stage, bias: torch.Tensor, activation: Activation) -> None:
        self.units = []
        for unit in stage.children():
            if isinstance(unit, ResidualUnit):
                self.units.append(CudaUnit(unit, bias, activation))
                bias = self.units[-1].bias
        self.snake = BiasedSnake(stage.snake1, bias, activation)
        (self.stride,) = stage.conv1.stride
        self.padding = math.ceil(self.stride / 2)
        # A kernel of twice the stride is two products of blocks of rows.
        taps = stage.conv1.weight.detach().permute(2, 1, 0)
        self.halves = taps.reshape(2, -1, taps.shape[2])
        assert stage.conv1.bias is not None
        self.bias = stage.conv1.bias.detach()

    def n_out(self, n: int) -> int:
        """Return the number of output rows for ``n`` input rows."""
        return (n + 2 * self.padding - 2 * self.stride) // self.stride + 1

    def extent(self, n: int) -> ValidRows:
        """Return the extent for ``n`` rows of the recording: whole blocks, and whole images."""
        least = max(self.padding + n, (self.n_out(n) + 1) * self.stride)
        return ValidRows(self.padding, n, math.ceil(least / ROWS_OF_IMAGE) * ROWS_OF_IMAGE)

    def __call__(self, rows: Rows, extent: ValidRows, following: ValidRows) -> Rows:
        """Downsample rows by ``stride``; the input is overwritten."""
        for unit in self.units:
            rows = unit(rows, extent)
        rows = extent.silent(self.snake(rows))
        blocks = rows[: (following.n + 1) * self.stride].view(following.n + 1, -1)
        out = rows.new_empty(following.total, self.halves.shape[2])
        torch.mm(blocks[:-1], self.halves[0], out=following.inside(out))
        following.inside(out).addmm_(blocks[1:], self.halves[1])
        return out


class CudaUnit:
    """A residual unit, on rows without their ``bias``, to rows without :attr:`bias`."""

    def __init__(self, unit: ResidualUnit, bias: torch.Tensor, activation: Activation) -> None:
        assert unit.conv1.bias is not None and unit.conv2.bias is not None
        self.snake1 = BiasedSnake(unit.snake1, bias, activation)
        self.conv1 = Taps(unit.conv1) if unit.conv1.weight.dtype == torch.float32 else ImageConvolution(unit.conv1)
        self.snake2 = BiasedSnake(unit.snake2, unit.conv1.bias.detach(), activation)
        self.weight = unit.conv2.weight.detach()[:, :, 0].T
        self.bias = bias + unit.conv2.bias.detach()

    def __call__(self, rows: Rows, extent: ValidRows) -> Rows:
        """Add the residual to the rows, in place."""
        hidden = self.conv1(extent.silent(self.snake1(rows)))
        return rows.addmm_(self.snake2(hidden), self.weight)


class BiasedSnake:
    """Snake of rows plus their bias; or only that sum, if Snake is left out."""

    def __init__(self, snake: nn.Module, bias: torch.Tensor, activation: Activation) -> None:
        self.bias, self.activation = bias, activation
        self.scales = scaled(snake) if isinstance(snake, Snake) else None

    def __call__(self, rows: Rows) -> Rows:
        """Return a new tensor of the same shape."""
        return rows + self.bias if self.scales is None else self.activation(rows, self.bias, *self.scales)


class Taps:
    """A convolution of rows to as many, as a product for each tap; the bias is left out."""

    def __init__(self, conv: nn.Conv1d) -> None:
        self.weights = conv.weight.detach().permute(2, 1, 0).contiguous()  # (tap, in, out)
        self.shifts = [conv.dilation[0] * (tap - len(self.weights) // 2) for tap in range(len(self.weights))]

    def __call__(self, rows: Rows) -> Rows:
        """Return the convolution of the rows, padded with zeros."""
        out = torch.zeros_like(rows)
        for shift, weight in zip(self.shifts, self.weights, strict=True):
            before, behind = max(0, -shift), max(0, shift)
            out[before : max(0, len(out) - behind)].addmm_(rows[behind : max(0, len(rows) - before)], weight)
        return out


class ImageConvolution:
    """A convolution of rows to as many, a multiple of ``ROWS_OF_IMAGE``, by cuDNN; the bias is left out."""

    def __init__(self, conv: nn.Conv1d) -> None:
        (self.dilation,) = conv.dilation
        self.weight = conv.weight.detach().unsqueeze(-1).contiguous(memory_format=torch.channels_last)
        self.reach = conv.kernel_size[0] // 2

    def __call__(self, rows: Rows) -> Rows:
        """Return the convolution of the rows, padded with zeros."""
        image = rows.view(1, -1, self.dilation, rows.shape[1]).permute(0, 3, 1, 2)
        out = functional.conv2d(image, self.weight, padding=(self.reach, 0))
        return out.permute(0, 2, 3, 1).reshape(rows.shape)


class Unfolded:
    """A convolution that has few taps or few rows, as one product of all taps side by side; the bias is left out."""

    def __init__(self, conv: nn.Conv1d) -> None:
        weight = conv.weight.detach()
        self.reach, self.spare = weight.shape[2] // 2, -weight.shape[2] % ALIGNED if weight.shape[1] == 1 else 0
        self.weight = functional.pad(weight, (0, self.spare)).flatten(1).T.contiguous()
        self.taps = weight.shape[2] + self.spare
        assert conv.bias is not None
        self.bias = conv.bias.detach()

    def __call__(self, rows: Rows, extent: ValidRows) -> Rows:
        """Return all rows of an extent, from the rows of the recording."""
        padded = functional.pad(rows, (0, 0, self.reach, self.reach + self.spare))
        out = rows.new_empty(extent.total, self.weight.shape[1])
        torch.mm(padded.unfold(0, self.taps, 1).flatten(1), self.weight, out=extent.inside(out))
        return out
