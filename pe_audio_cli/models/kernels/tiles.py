"""The codec in tiles that stay in the processor's cache: the results of its modules, in a fraction of the time.

A stage of the codec reads and writes tens of megabytes a second of audio between its many cheap steps, and waits for
memory most of the time. Here each stage runs on tiles of time short enough to stay in the cache, with as many context
rows on either side as its convolutions need; and in a layout of (time, channel), in which a convolution is a matrix
product without any rearrangement, on weights that oneDNN has rearranged once.

Each tile is computed by one thread, so that threads need not wait for each other within it.

Snakes work on alpha times their input, which the convolution behind them undoes: with ``y = alpha x``,
``x + sin^2(alpha x) / alpha`` is ``(y + sin^2 y) / alpha``, in half of the passes over memory.

Fewer products by Winograd's F(2, 2) of the kernels' even and odd taps, once or twice over, were tried: oneDNN is so
near the machine's limit that the sums around the products cost what they save with 64 and 128 channels; with 256 and
512, convolutions get quicker by a fifth and the codec by a twenty-fifth, for as much code again. They were left.

So was overlap-save on real Fourier transforms of 24 rows with Gauss's three products for a complex one, 35 products for
18 rows in place of 126, all 35 in one convolution in groups. Two threads of cores with AVX-512 took 5.2 ns an element
in place of 7.1 with 128 channels and 8.5 in place of 14.3 with 256, but 6 to 8 with 128 while others used the machine.
64 channels lose. The codec got quicker by 5 % on 10 s of audio and by 4 % on 60 s; held to AVX2, by 9 % on 10 s. With
512 channels too it was 7 % on 60 s, for 140 MB of weights and a quarter of a second more to prepare them; and oneDNN
rearranges those in each call, which takes 50 times as long, when rows or threads are not as many as it packed them for.

Sums are added up in another order than by the modules. With few channels, rounding would show in the fifth decimal of
probabilities and there is little to gain, so narrow codecs keep their modules: see :data:`MIN_CHANNELS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from pe_audio_cli.models.kernels.cpu_snake import FusedSnake, fused_snake
from pe_audio_cli.models.kernels.onednn import Convolution, Product, Rows
from pe_audio_cli.models.modules.codec import ALPHA_EPS, DacEncoder, ResidualUnit, Snake, Stage, compile_snakes

__all__ = ["TiledCodec", "even_tile", "is_wide"]

MIN_CHANNELS = 32  # after the first convolution, from which on tiles are faster
TILE_BYTES = 4 << 20  # of one activation of a tile: those of all threads stay in the last level of a cache
LEAST_ALPHA = 0.01  # in size; below, dividing by it and by it plus ALPHA_EPS may differ in float32

Source: TypeAlias = Callable[[int, int], Rows]  # rows from start to stop, zeros where there are none; read-only


def is_wide(codec: nn.Sequential) -> bool:
    """True if tiles are faster for a codec's modules, which may be transformers' too."""
    first = codec[0].conv1
    assert isinstance(first, nn.Conv1d)
    return first.out_channels >= MIN_CHANNELS


class TiledCodec(nn.Module):
    """Samples ``(1, 1, n_frames * 1920)`` to features ``(1, codebook_dim, n_frames)``, on the CPU."""

    def __init__(self, codec: nn.Sequential, dtype: torch.dtype, compiled: bool = False) -> None:
        """Take the modules of :meth:`AudioTower.take_codec`, which are changed.

        With ``compiled``, Snakes between convolutions are left to ``torch.compile``.
        """
        super().__init__()
        encoder, bottleneck = codec
        assert isinstance(encoder, DacEncoder)
        _fold_snakes(encoder)
        codec.to(dtype)
        fused = None if compiled else fused_snake(dtype)
        self.layout = "in tiles, compiled" if compiled else "in tiles" if fused is None else "in tiles, fused"
        if compiled:
            compile_snakes(encoder, FoldedSnake, _folded_snake)
        for part in encoder.modules():
            if isinstance(part, FoldedSnake):
                part.fused = fused
        self.first = Convolution(encoder.conv1)
        self.stages = [TiledStage(stage) for stage in encoder.block if isinstance(stage, Stage)]
        self.end = nn.Sequential(encoder.snake1, encoder.conv2, bottleneck)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the features; the input counts as silent beyond both ends."""
        rows = samples.reshape(-1, 1)
        source = self._behind_first(rows)
        for stage in self.stages:
            rows = stage(source, len(rows))
            source = _rows_of(rows)
        features: torch.Tensor = self.end(rows.T[None])
        return features

    def _behind_first(self, samples: Rows) -> Source:
        """Return the first convolution as a source, computed by tile: its whole output would be 12 MB a second."""
        padded, reach = _rows_of(samples), self.first.reach

        def read(start: int, stop: int) -> Rows:
            rows = self.first(padded(start - reach, stop + reach))
            return _clear_outside(rows, start, len(samples))

        return read


class TiledStage:
    """A stage of the codec, on rows."""

    def __init__(self, stage: Stage) -> None:
        self.units = [Unit(unit) for unit in stage.children() if isinstance(unit, ResidualUnit)]
        self.reach = sum(unit.reach for unit in self.units)
        self.snake = _on_rows(stage.snake1)
        self.down = Convolution(stage.conv1)
        self.stride = stage.conv1.stride[0]
        self.padding = math.ceil(self.stride / 2)
        self.channels = stage.conv1.in_channels
        self.doubled = stage.conv1.out_channels
        self.dtype = stage.conv1.weight.dtype
        self.tile = max(1, TILE_BYTES // self.dtype.itemsize // self.channels // self.stride)  # rows that come out

    def __call__(self, source: Source, n_rows: int) -> Rows:
        """Downsample the ``n_rows`` of the source by ``stride``, to twice the channels."""
        n_out = (n_rows + 2 * self.padding - 2 * self.stride) // self.stride + 1
        out = torch.empty(n_out, self.doubled, dtype=self.dtype)
        tile = even_tile(n_out, self.tile)

        def fill(start: int) -> None:
            stop = min(start + tile, n_out)
            first = start * self.stride - self.padding
            out[start:stop] = self.down(self._units(source, first, first + (stop - start + 1) * self.stride, n_rows))

        _share_out(fill, range(0, n_out, tile))
        return out

    def _units(self, source: Source, start: int, stop: int, n_rows: int) -> Rows:
        """Return the input rows of the strided convolution from ``start`` to ``stop``."""
        at = start - self.reach
        rows = source(at, stop + self.reach)
        for unit in self.units:
            at += unit.reach
            rows = _clear_outside(unit(rows), at, n_rows)
        return self.snake(rows)


class Unit:
    """A residual unit, on rows of which the outer ones are used up."""

    def __init__(self, unit: ResidualUnit) -> None:
        self.snake1, self.snake2 = _on_rows(unit.snake1), _on_rows(unit.snake2)
        self.conv1, self.conv2 = Convolution(unit.conv1), Product(unit.conv2.weight[:, :, 0], unit.conv2.bias)
        self.reach = self.conv1.reach

    def __call__(self, rows: Rows) -> Rows:
        """``(time, channels)`` to ``(time - 2 * reach, channels)``."""
        hidden = self.snake2(self.conv1(self.snake1(rows)))
        out: Rows = self.conv2(hidden, onto=rows[self.reach : len(rows) - self.reach])
        return out


class FoldedSnake(nn.Module):
    """Alpha times the output of Snake, on rows.

    With ``alpha`` None, the input is multiplied by alpha already, and belongs to nobody else: it may be overwritten.
    """

    compiled: Callable[[Rows, torch.Tensor | None], Rows] | None = None
    fused: FusedSnake | None = None

    def __init__(self, alpha: torch.Tensor | None) -> None:
        super().__init__()
        self.alpha = alpha  # no buffer, which would be rounded to the codec's dtype

    def forward(self, rows: Rows) -> Rows:
        """Return the output, of the same shape."""
        if self.fused is not None:
            rows = rows.contiguous()
            out = rows if self.alpha is None else torch.empty_like(rows)
            self.fused(rows, self.alpha, out)
            return out
        alpha = None if self.alpha is None else self.alpha.to(rows.dtype)
        if self.compiled is not None:
            return self.compiled(rows, alpha)
        scaled = rows if alpha is None else rows * alpha
        wave = _sine(scaled)
        return torch.addcmul(scaled, wave, wave, out=wave)


def _folded_snake(rows: Rows, alpha: torch.Tensor | None) -> Rows:
    """Compute :class:`FoldedSnake` as one expression, which ``torch.compile`` turns into one loop."""
    scaled = rows if alpha is None else rows * alpha
    wave = torch.sin(scaled)
    return scaled + wave * wave


class PlainSnake:
    """Snake, on rows, where an alpha is too small to divide by."""

    def __init__(self, snake: Snake) -> None:
        self.alpha = snake.alpha[0, :, 0].clone()
        self.inverse = (self.alpha + ALPHA_EPS).reciprocal()

    def __call__(self, rows: Rows) -> Rows:
        """Return a new tensor of the same shape."""
        wave = _sine(torch.mul(rows, self.alpha))
        torch.mul(wave, wave, out=wave)
        return torch.addcmul(rows, wave, self.inverse, out=wave)


def _sine(rows: Rows) -> Rows:
    """Return the sine in a new tensor: by NumPy if it has the type, in half of the time of torch."""
    if rows.dtype != torch.float32:
        return torch.sin(rows)
    with np.errstate(invalid="ignore"):  # of infinite numbers, which the encoder reports at the end
        return torch.from_numpy(np.sin(rows.numpy()))


def _on_rows(snake: nn.Module) -> Callable[[Rows], Rows]:
    return PlainSnake(snake) if isinstance(snake, Snake) else snake


def _fold_snakes(encoder: DacEncoder) -> None:
    """Move alphas into the convolutions around Snakes, in float32, where that changes no more than rounding."""
    for part in encoder.modules():
        if isinstance(part, ResidualUnit):
            part.snake1 = _folded(part.snake1, None, part.conv1)
            part.snake2 = _folded(part.snake2, part.conv1, part.conv2)
        elif isinstance(part, Stage):
            part.snake1 = _folded(part.snake1, None, part.conv1)


def _folded(snake: nn.Module, before: nn.Conv1d | None, behind: nn.Conv1d) -> nn.Module:
    """Return the replacement of a Snake between convolutions; ``before`` is None where others use its input too."""
    if not isinstance(snake, Snake) or snake.alpha.abs().min() < LEAST_ALPHA:
        return snake
    alpha = snake.alpha.detach()[0, :, 0]
    behind.weight = nn.Parameter(behind.weight.detach() / alpha[:, None])
    if before is None:
        return FoldedSnake(alpha)
    assert before.bias is not None
    before.weight = nn.Parameter(before.weight.detach() * alpha[:, None, None])
    before.bias = nn.Parameter(before.bias.detach() * alpha)
    return FoldedSnake(None)


def even_tile(n_rows: int, most: int) -> int:
    """Return the rows of a tile, from a quarter of ``most`` to ``most``, so that all threads get as many tiles.

    The overlap with its neighbours would be too large a part of a smaller tile.
    """
    n_threads = torch.get_num_threads()
    n_tiles = max(math.ceil(n_rows / most), min(n_threads, 4 * n_rows // most))
    if n_tiles > n_threads:
        n_tiles = math.ceil(n_tiles / n_threads) * n_threads
    return math.ceil(n_rows / max(1, n_tiles))


def _share_out(work: Callable[[int], None], items: Sequence[int]) -> None:
    """Call ``work`` for each of the items, on as many threads as torch has.

    Each thread works alone: threads that share the work within torch's operations wait for each other at the end of
    every one. Only if there are few items do several threads share the work on one.
    """
    n_threads = torch.get_num_threads()
    n_workers = min(n_threads, len(items))

    def begin() -> None:
        torch.set_num_threads(n_threads // n_workers)  # for the calling thread, and for those that begin after it

    def do(item: int) -> None:
        with torch.inference_mode():
            work(item)

    if n_workers == 1:
        for item in items:
            do(item)
        return
    try:
        with ThreadPoolExecutor(n_workers, initializer=begin) as pool:
            for _ in pool.map(do, items):
                pass
    finally:
        torch.set_num_threads(n_threads)


def _rows_of(rows: Rows) -> Source:
    """Return a source that reads from rows in memory."""

    def read(start: int, stop: int) -> Rows:
        before, after = max(0, -start), max(0, stop - len(rows))
        found = rows[max(0, start) : stop]
        return functional.pad(found, (0, 0, before, after)) if before or after else found

    return read


def _clear_outside(rows: Rows, at: int, n_rows: int) -> Rows:
    """Set rows before the first or after the last of ``n_rows`` to zero; ``at`` is the index of ``rows[0]``."""
    if at < 0:
        rows[:-at] = 0
    if at + len(rows) > n_rows:
        rows[n_rows - at :] = 0
    return rows
