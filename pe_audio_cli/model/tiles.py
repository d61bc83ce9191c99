"""The codec in tiles that stay in the processor's cache: the same numbers as its modules, in a fraction of the time.

A stage of the codec reads and writes tens of megabytes a second of audio between its many cheap steps, and waits for
memory most of the time. Here each stage runs on stretches of time short enough that all of them stay in the cache, with
as many rows more on either side as its convolutions reach; and in a layout of (time, channel), in which a convolution
is a matrix product without any rearrangement, on weights that oneDNN has rearranged once.

Sums are added up in another order than by the modules. With few channels, rounding would show in the fifth decimal of
probabilities and there is little to gain, so narrow codecs keep their modules: see :data:`MIN_CHANNELS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import nn
from torch.nn import functional

from pe_audio_cli.model.codec import ALPHA_EPS, DacEncoder, ResidualUnit, Snake, Stage

__all__ = ["TiledCodec", "is_wide"]

MIN_CHANNELS = 32  # behind the first convolution, from which on tiles pay
TILE_BYTES = 1 << 20  # of one activation of a tile, in float32: a handful of them fill a core's second-level cache

Rows: TypeAlias = torch.Tensor  # (time, channels), contiguous
Source: TypeAlias = Callable[[int, int], Rows]  # rows from .. to, zeros where there are none, for the taker to change


def is_wide(codec: nn.Module) -> bool:
    """Whether tiles pay for a codec's modules."""
    encoder = codec[0] if isinstance(codec, nn.Sequential) else None
    return isinstance(encoder, DacEncoder) and encoder.conv1.out_channels >= MIN_CHANNELS


class TiledCodec(nn.Module):
    """Samples ``(1, 1, n_frames * 1920)`` to features ``(1, codebook_dim, n_frames)``, on the CPU."""

    def __init__(self, codec: nn.Sequential, dtype: torch.dtype) -> None:
        """From the modules that :meth:`AudioTower.take_codec` gives, which are used up."""
        super().__init__()
        encoder, bottleneck = codec.to(dtype)
        assert isinstance(encoder, DacEncoder)
        self.first = Convolution(encoder.conv1)
        self.stages = [TiledStage(stage) for stage in encoder.block if isinstance(stage, Stage)]
        self.end = nn.Sequential(encoder.snake1, encoder.conv2, bottleneck)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """The features; what they depend on beyond either end counts as silent."""
        rows = samples.reshape(-1, 1)
        source = self._behind_first(rows)
        for stage in self.stages:
            rows = stage(source, len(rows))
            source = _rows_of(rows)
        features: torch.Tensor = self.end(rows.T[None])
        return features

    def _behind_first(self, samples: Rows) -> Source:
        """The first convolution, a tile at a time: all of its output would be 12 MB a second."""
        padded, reach = _rows_of(samples), self.first.reach

        def read(start: int, stop: int) -> Rows:
            rows = self.first(padded(start - reach, stop + reach))
            return _clear_outside(rows, start, len(samples))

        return read


class TiledStage:
    """A stage of the codec, on rows."""

    def __init__(self, stage: Stage) -> None:
        units = [unit for unit in stage.children() if isinstance(unit, ResidualUnit)]
        self.units = [Unit(unit) for unit in units]
        self.reach = sum(unit.reach for unit in self.units)
        self.snake = Activation(stage.snake1)
        self.down = Convolution(stage.conv1)
        self.stride = stage.conv1.stride[0]
        self.padding = math.ceil(self.stride / 2)
        self.channels = stage.conv1.in_channels
        self.doubled = stage.conv1.out_channels
        self.tile = max(1, TILE_BYTES // 4 // self.channels // self.stride)  # rows that come out

    def __call__(self, source: Source, n_rows: int) -> Rows:
        """All ``n_rows`` of the source to a ``stride``-th as many of twice the channels."""
        kernel = 2 * self.stride
        n_out = (n_rows + 2 * self.padding - kernel) // self.stride + 1
        out: Rows | None = None
        for start in range(0, n_out, self.tile):
            stop = min(start + self.tile, n_out)
            first = start * self.stride - self.padding
            rows = self.down(self._units(source, first, (stop - 1 - start) * self.stride + kernel + first, n_rows))
            if out is None:
                out = rows.new_empty(n_out, self.doubled)
            out[start:stop] = rows
        assert out is not None
        return out

    def _units(self, source: Source, start: int, stop: int, n_rows: int) -> Rows:
        """What the strided convolution reads from ``start`` to ``stop``."""
        at = start - self.reach
        rows = source(at, stop + self.reach)
        for unit in self.units:
            at += unit.reach
            rows = _clear_outside(unit(rows), at, n_rows)
        return self.snake(rows)


class Unit:
    """A residual unit, on rows of which the outer ones are used up."""

    def __init__(self, unit: ResidualUnit) -> None:
        self.snake1, self.snake2 = Activation(unit.snake1), Activation(unit.snake2)
        self.conv1, self.conv2 = Convolution(unit.conv1), Convolution(unit.conv2)
        self.reach = self.conv1.reach

    def __call__(self, rows: Rows) -> Rows:
        """``(time, channels)`` to ``(time - 2 * reach, channels)``; what came in is changed."""
        hidden = self.snake2(self.conv1(self.snake1(rows)))
        return self.conv2(hidden, onto=rows[self.reach : len(rows) - self.reach])


class Activation:
    """Snake, on rows, in as few passes over them as torch allows."""

    def __init__(self, snake: nn.Module) -> None:
        self.idle = not isinstance(snake, Snake)
        if isinstance(snake, Snake):
            self.alpha = snake.alpha[0, :, 0].clone()
            self.inverse = (self.alpha + ALPHA_EPS).reciprocal()

    def __call__(self, rows: Rows) -> Rows:
        """A new tensor of the same shape."""
        if self.idle:
            return rows
        wave = torch.mul(rows, self.alpha)
        torch.sin(wave, out=wave)
        torch.mul(wave, wave, out=wave)
        return torch.addcmul(rows, wave, self.inverse, out=wave)


class Convolution:
    """A convolution over rows, without padding, by oneDNN on weights that are rearranged once.

    The operators that take such weights are torch's own and not documented; where one fails at the first try,
    ``conv2d`` stands in for them, which rearranges weights each time.
    """

    def __init__(self, conv: nn.Conv1d) -> None:
        assert conv.bias is not None
        self.stride, self.dilation = [1, conv.stride[0]], [1, conv.dilation[0]]
        self.reach = conv.dilation[0] * (conv.kernel_size[0] - 1) // 2
        self.weight, self.bias = conv.weight[:, :, None], conv.bias
        self.packed = _pack(self.weight, self.bias, self.stride, self.dilation)

    def __call__(self, rows: Rows, onto: Rows | None = None) -> Rows:
        """``(time, in)`` to ``(time', out)``, added to what is there if ``onto`` is given."""
        image = _image(rows)
        if self.packed is None:
            out = functional.conv2d(image, self.weight, self.bias, self.stride, 0, self.dilation)
            return _rows(out) if onto is None else onto.add_(_rows(out))
        if onto is None:
            return _rows(_convolve(image, self.packed, self.bias, self.stride, self.dilation))
        return _rows(_convolve_onto(_image(onto), image, self.packed, self.bias, self.stride, self.dilation))


def _image(rows: Rows) -> torch.Tensor:
    """Rows as a picture one pixel high, ``(1, channels, 1, time)``, channels innermost."""
    return rows.T[None, :, None]


def _rows(image: torch.Tensor) -> Rows:
    return image[0, :, 0].T


def _convolve(
    image: torch.Tensor, packed: torch.Tensor, bias: torch.Tensor, stride: list[int], dilation: list[int]
) -> torch.Tensor:
    out: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
        image, packed, bias, [0, 0], stride, dilation, 1, "none", [], ""
    )
    return out


def _convolve_onto(
    onto: torch.Tensor,
    image: torch.Tensor,
    packed: torch.Tensor,
    bias: torch.Tensor,
    stride: list[int],
    dilation: list[int],
) -> torch.Tensor:
    out: torch.Tensor = torch.ops.mkldnn._convolution_pointwise_(
        onto, image, packed, bias, [0, 0], stride, dilation, 1, "add", 1.0, None, [], None
    )
    return out


def _pack(weight: torch.Tensor, bias: torch.Tensor, stride: list[int], dilation: list[int]) -> torch.Tensor | None:
    """The weights as oneDNN likes them, or None where this build of torch has no operators for that, or others."""
    rows = torch.randn(64 * stride[1] + dilation[1] * weight.shape[-1], weight.shape[1], dtype=weight.dtype)
    image = _image(rows)
    try:
        packed: torch.Tensor = torch.ops.mkldnn._reorder_convolution_weight(
            weight, [0, 0], stride, dilation, 1, list(image.shape)
        )
        wanted = functional.conv2d(image, weight, bias, stride, 0, dilation)
        got = _convolve(image, packed, bias, stride, dilation)
        twice = _convolve_onto(got.clone(memory_format=torch.channels_last), image, packed, bias, stride, dilation)
    except (RuntimeError, AttributeError, TypeError):
        return None
    near = 1e-4 if weight.dtype == torch.float32 else 0.05
    same = (got - wanted).abs().max() <= near * wanted.abs().max()
    added = (twice - 2 * wanted).abs().max() <= 2 * near * wanted.abs().max()
    return packed if bool(same) and bool(added) and _rows(got).is_contiguous() else None


def _rows_of(rows: Rows) -> Source:
    """Read from rows in memory."""

    def read(start: int, stop: int) -> Rows:
        before, after = max(0, -start), max(0, stop - len(rows))
        found = rows[max(0, start) : stop]
        return functional.pad(found, (0, 0, before, after)) if before or after else found.clone()

    return read


def _clear_outside(rows: Rows, at: int, n_rows: int) -> Rows:
    """Zero what lies before the first or behind the last of ``n_rows``; the first given is number ``at``."""
    if at < 0:
        rows[:-at] = 0
    if at + len(rows) > n_rows:
        rows[n_rows - at :] = 0
    return rows
