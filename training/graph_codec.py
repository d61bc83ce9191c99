"""The graph of the codec.

Most of the weights of `mini`'s codec are zeros (:mod:`training.codec`), so its convolutions are simplified, with the
same result but for rounding:

* strided convolutions that only put samples side by side become one reshape;
* a residual unit without activations becomes one convolution;
* channels that are always zero, and taps that are, are left out;
* convolutions between small groups of channels are grouped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.graph_builder import Array, Graph, both

__all__ = ["CodecGraph"]

ALPHA_EPS = 1e-9
DILATIONS = (1, 3, 9)


@dataclass(frozen=True)
class Channels:
    """A value ``(batch, len(numbers), time)``: the channels of those numbers; all others are zero."""

    name: str
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Kernel:
    """A convolution: ``weight`` ``(out, in, taps)`` and ``bias`` ``(out,)``."""

    weight: Array
    bias: Array
    stride: int = 1
    dilation: int = 1
    padding: int = 0

    def of_channels(self, inputs: Sequence[int], outputs: Sequence[int]) -> Kernel:
        """The part between some channels."""
        return self._with(self.weight[np.ix_(outputs, inputs)], self.bias[list(outputs)], self.padding)

    def trimmed(self) -> Kernel:
        """Without as many zero taps as there are on both sides."""
        taps = np.flatnonzero(self.weight.any(axis=(0, 1)))
        last = self.weight.shape[2] - 1
        n = 0 if not len(taps) or self.stride > 1 else min(taps[0], last - taps[-1])
        return self._with(self.weight[:, :, n : last + 1 - n], self.bias, self.padding - int(n) * self.dilation)

    def live_outputs(self) -> tuple[int, ...]:
        """The channels that are not always zero."""
        live = self.weight.any(axis=(1, 2)) | (self.bias != 0)
        return tuple(np.flatnonzero(live).tolist())

    def _with(self, weight: Array, bias: Array, padding: int) -> Kernel:
        return Kernel(weight, bias, self.stride, self.dilation, padding)


class CodecGraph:
    """The codec, from its first convolution to its bottleneck."""

    def __init__(self, graph: Graph, prefix: str, strides: Sequence[int]) -> None:
        self._graph = graph
        self._prefix = prefix
        self._strides = strides

    def build(self, samples: str) -> str:
        """Samples ``(1, 1, n_frames * 1920)`` to features ``(1, n_frames, width)``."""
        return self._graph.op("Transpose", self._channels(samples).name, perm=[0, 2, 1])

    def _channels(self, samples: str) -> Channels:
        channels, stage = self._front(samples)
        for index in range(stage, len(self._strides)):
            for unit, dilation in enumerate(DILATIONS, 1):
                channels = self._unit(channels, f"dac_encoder.block.{index}.res_unit{unit}", dilation)
            channels = self._snake(channels, f"dac_encoder.block.{index}.snake1")
            channels = self._convolve(channels, self._down(index), f"dac_encoder.block.{index}.conv1")
        channels = self._snake(channels, "dac_encoder.snake1")
        channels = self._convolve(channels, self._kernel("dac_encoder.conv2", padding=1), "dac_encoder.conv2")
        bottleneck = self._kernel("bottleneck")
        if not bottleneck.bias.any() and _is_identity(bottleneck.weight[:, :, 0]):
            return channels
        return self._convolve(channels, bottleneck, "bottleneck")

    def _front(self, samples: str) -> tuple[Channels, int]:
        """The first convolution and those stages that only put samples side by side; and the number of these stages."""
        first = self._kernel("dac_encoder.conv1", padding=3)
        delays = _delays(first, {0: 0}, 1)
        rate, n_stages = 1, 0
        while delays is not None and n_stages < len(self._strides) and self._is_idle(n_stages):
            following = _delays(self._down(n_stages), delays, rate)
            if following is None:
                break
            delays, rate, n_stages = following, rate * self._strides[n_stages], n_stages + 1
        if delays is None or sorted(delays.values()) != list(range(rate)):
            return self._convolve(Channels(samples, (0,)), first, "dac_encoder.conv1"), 0
        blocks = self._graph.op("Reshape", samples, self._graph.constant(np.array([1, -1, rate])))
        order = sorted(delays, key=delays.__getitem__)
        return Channels(self._graph.op("Transpose", blocks, perm=[0, 2, 1]), tuple(order)), n_stages

    def _is_idle(self, stage: int) -> bool:
        """True if a stage has neither a residual unit nor an activation that does anything."""
        name = f"{self._prefix}dac_encoder.block.{stage}"
        idle = [f"{name}.res_unit{unit}.conv2.{part}" for unit in (1, 2, 3) for part in ("weight", "bias")]
        return not any(self._graph.weights.read(tensor).any() for tensor in [*idle, f"{name}.snake1.alpha"])

    def _unit(self, input: Channels, name: str, dilation: int) -> Channels:
        first, second = self._kernel(f"{name}.conv1", 1, dilation, 3 * dilation), self._kernel(f"{name}.conv2")
        if not (second.weight.any() or second.bias.any()):
            return input
        if not any(self._alpha(f"{name}.snake{number}").any() for number in (1, 2)):
            return self._convolve(input, _as_one(first, second))
        hidden = self._convolve(self._snake(input, f"{name}.snake1"), first, f"{name}.conv1")
        added = self._convolve(self._snake(hidden, f"{name}.snake2"), second, f"{name}.conv2", order=input.numbers)
        if added.numbers == input.numbers:
            return Channels(self._graph.op("Add", input.name, added.name), input.numbers)
        if set(added.numbers) & set(input.numbers):
            raise ValueError(f"{name} changes some of its channels, and adds others")
        return Channels(self._graph.op("Concat", input.name, added.name, axis=1), input.numbers + added.numbers)

    def _snake(self, input: Channels, name: str) -> Channels:
        alpha = self._alpha(name)[:, list(input.numbers)]
        if not alpha.any():
            return input
        graph = self._graph
        wave = graph.op("Sin", graph.op("Mul", input.name, graph.constant(alpha)))
        inverse = 1 / (alpha + np.float32(ALPHA_EPS))
        squares = graph.op("Mul", graph.op("Mul", wave, wave), graph.constant(inverse))
        return Channels(graph.op("Add", input.name, squares), input.numbers)

    def _convolve(
        self, input: Channels, kernel: Kernel, name: str | None = None, order: Sequence[int] | None = None
    ) -> Channels:
        """A convolution, of the live channels alone; ``order`` of its outputs, if it has just these."""
        outputs = kernel.live_outputs()
        if order is not None and set(order) == set(outputs):
            outputs = tuple(order)
        part = kernel.of_channels(input.numbers, outputs).trimmed()
        whole = part.weight.shape == kernel.weight.shape and (part.weight == kernel.weight).all()
        groups = None if order is not None else _groups(part.weight)
        if groups is not None:
            ins, outs = groups
            return self._grouped(input, part, ins, outs, outputs)
        if name is not None and whole:  # as it is in the file
            return Channels(self._conv(input.name, part, self._prefix + name), outputs)
        return Channels(self._conv(input.name, part), outputs)

    def _grouped(self, input: Channels, part: Kernel, ins: Array, outs: Array, outputs: Sequence[int]) -> Channels:
        """A convolution between groups of channels: ``ins`` and ``outs``, ``(n_groups, n)`` both."""
        name = input.name
        if not _is_range(ins.ravel()):
            name = self._graph.op("Gather", name, self._graph.constant(ins.ravel()), axis=1)
        weight = np.concatenate([part.weight[np.ix_(out, into)] for into, out in zip(ins, outs, strict=True)])
        kernel = Kernel(weight, part.bias[outs.ravel()], part.stride, part.dilation, part.padding)
        numbers = tuple(outputs[index] for index in outs.ravel())
        return Channels(self._conv(name, kernel, n_groups=len(ins)), numbers)

    def _conv(self, input: str, kernel: Kernel, stored: str | None = None, n_groups: int = 1) -> str:
        if stored is not None:
            parameters = [self._graph.weight(part) for part in both(stored)]
        else:
            parameters = [self._graph.constant(kernel.weight)]
            parameters += [self._graph.constant(kernel.bias)] if kernel.bias.any() else []
        return self._graph.op(
            "Conv",
            input,
            *parameters,
            strides=[kernel.stride],
            dilations=[kernel.dilation],
            pads=[kernel.padding] * 2,
            group=n_groups,
        )

    def _down(self, stage: int) -> Kernel:
        stride = self._strides[stage]
        return self._kernel(f"dac_encoder.block.{stage}.conv1", stride, 1, -(-stride // 2))

    def _kernel(self, name: str, stride: int = 1, dilation: int = 1, padding: int = 0) -> Kernel:
        weight, bias = (self._graph.weights.read(part) for part in both(self._prefix + name))
        return Kernel(weight, bias, stride, dilation, padding)

    def _alpha(self, name: str) -> Array:
        return self._graph.weights.read(f"{self._prefix}{name}.alpha")


def _delays(kernel: Kernel, inputs: dict[int, int], rate: int) -> dict[int, int] | None:
    """What a convolution that only moves samples makes of them; None if it does anything else.

    ``inputs`` are, by their channel, the samples of each block of ``rate`` that a convolution's inputs hold; the result
    are those that its outputs hold, of blocks of ``rate * stride``.
    """
    found = {}
    for channel in kernel.live_outputs():
        (into, taps), size = np.nonzero(kernel.weight[channel]), kernel.weight[channel].max()
        if len(taps) != 1 or size != 1 or kernel.bias[channel] or int(into[0]) not in inputs:
            return None
        step = int(taps[0]) - kernel.padding
        if not 0 <= step < kernel.stride:
            return None
        found[channel] = step * rate + inputs[int(into[0])]
    return found


def _as_one(first: Kernel, second: Kernel) -> Kernel:
    """A residual unit without activations: the pointwise convolution behind the other, plus the input."""
    point = second.weight[:, :, 0].astype(np.float64)
    weight = np.einsum("om,mik->oik", point, first.weight)
    weight[:, :, weight.shape[2] // 2] += np.eye(len(weight))
    bias = point @ first.bias + second.bias
    return Kernel(weight.astype(np.float32), bias.astype(np.float32), 1, first.dilation, first.padding)


def _groups(weight: Array) -> tuple[Array, Array] | None:
    """Equal groups of inputs and outputs that have no weights between each other; None if there are none."""
    linked = weight.any(axis=2)
    groups: dict[bytes, tuple[list[int], list[int]]] = {}
    reach = linked.astype(np.int64) @ linked.T.astype(np.int64) > 0  # outputs that share an input
    for output in range(len(linked)):
        together = reach[output]
        ins = linked[together].any(axis=0)
        groups.setdefault(ins.tobytes(), (np.flatnonzero(ins).tolist(), []))[1].append(output)
    ins, outs = [ins for ins, _ in groups.values()], [outs for _, outs in groups.values()]
    if len(groups) == 1 or len({len(each) for each in ins}) > 1 or len({len(each) for each in outs}) > 1:
        return None
    if sum(map(len, ins)) != weight.shape[1]:
        return None
    return np.array(ins), np.array(outs)


def _is_identity(matrix: Array) -> bool:
    return matrix.shape[0] == matrix.shape[1] and bool((matrix == np.eye(len(matrix))).all())


def _is_range(numbers: Array) -> bool:
    return bool((numbers == np.arange(len(numbers))).all())
