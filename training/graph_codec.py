"""The graph of the codec.

Most of the weights of `mini`'s codec are zeros (:mod:`training.codec`), so its convolutions are simplified, with the
same result but for rounding:

* strided convolutions that only put samples side by side become one reshape;
* a residual unit without activations becomes one convolution;
* channels that are always zero, and taps that are, are left out;
* convolutions between small groups of channels are grouped;
* what is multiplied before and behind a Snake is left to the convolutions there;
* residual units that only add up ``sin^2`` of scaled channels become these, mixed by the next convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.graph_builder import Array, Graph, both

__all__ = ["CodecGraph"]

ALPHA_EPS = 1e-9
DILATIONS = (1, 3, 9)
LEAST_ALPHA, LEAST_ALPHA_OF_COSINE = 1 / 64, 1 / 4  # below, ALPHA_EPS or the rounding of a cosine would be felt


@dataclass(frozen=True)
class Channels:
    """A value ``(batch, len(numbers), time)``: the channels of those numbers; all others are zero.

    The channels are ``(value + offset) / divisor``, if there is a divisor, ``(len(numbers),)``.
    """

    name: str
    numbers: tuple[int, ...]
    divisor: Array | None = None
    offset: float = 0.0


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

    def behind(self, matrix: Array) -> Kernel:
        """This convolution and a mixture ``(in, n)`` before it as one."""
        weight = np.einsum("oik,in->onk", self.weight.astype(np.float64), matrix)
        return self._with(weight.astype(np.float32), self.bias, self.padding)

    def scaled(self, input: Channels, factor: Array | None) -> Kernel:
        """This convolution of ``input`` as it is before its offset and divisor, with outputs times ``factor``."""
        weight, bias = self.weight.astype(np.float64), self.bias.astype(np.float64)
        if input.divisor is not None:
            weight = weight / input.divisor[:, None]
        bias = bias + input.offset * weight.sum(axis=(1, 2))
        if factor is not None:
            weight, bias = weight * factor[:, None, None], bias * factor
        return self._with(weight.astype(np.float32), bias.astype(np.float32), self.padding)

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
            channels = self._stage(channels, index)
        channels = self._snake(channels, self._alpha("dac_encoder.snake1"), is_padded=True)
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

    def _stage(self, channels: Channels, index: int) -> Channels:
        """Three residual units, a Snake and a strided convolution."""
        name, down = f"dac_encoder.block.{index}", self._down(index)
        for unit, dilation in enumerate(DILATIONS, 1):
            mixed = self._waves(channels, name, unit)
            if mixed is not None:
                waves, matrix = mixed
                return self._convolve(waves, down.behind(matrix))
            channels = self._unit(channels, f"{name}.res_unit{unit}", dilation)
        channels = self._snake(channels, self._alpha(f"{name}.snake1"), is_padded=True)
        is_last = index + 1 == len(self._strides)
        before = self._alpha("dac_encoder.snake1") if is_last else None
        return self._convolve(channels, down, f"{name}.conv1", before=before, is_padded=True)

    def _unit(self, input: Channels, name: str, dilation: int) -> Channels:
        first, second = self._kernel(f"{name}.conv1", 1, dilation, 3 * dilation), self._kernel(f"{name}.conv2")
        if not (second.weight.any() or second.bias.any()):
            return input
        alphas = [self._alpha(f"{name}.snake{number}") for number in (1, 2)]
        if not any(alpha.any() for alpha in alphas):
            return self._convolve(input, _as_one(first, second))
        is_padded = first.of_channels(input.numbers, first.live_outputs()).trimmed().padding > 0
        hidden = self._snake(input, alphas[0], is_padded)
        hidden = self._convolve(hidden, first, f"{name}.conv1", before=alphas[1])
        hidden = self._snake(hidden, alphas[1])
        added = self._convolve(hidden, second, f"{name}.conv2", order=input.numbers)
        if added.numbers == input.numbers:
            return Channels(self._graph.op("Add", input.name, added.name), input.numbers)
        if set(added.numbers) & set(input.numbers):
            raise ValueError(f"{name} changes some of its channels, and adds others")
        return Channels(self._graph.op("Concat", input.name, added.name, axis=1), input.numbers + added.numbers)

    def _waves(self, input: Channels, stage: str, unit: int) -> tuple[Channels, Array] | None:
        """``sin^2`` of multiples of channels, and the mixture of these that a stage is from a unit on; None if not.

        The multiples of one channel are side by side, as many of each.
        """
        if self._alpha(f"{stage}.snake1").any() or input.divisor is not None:
            return None
        linear = np.zeros((len(self._alpha(f"{stage}.snake1")[0]), len(input.numbers)))
        linear[list(input.numbers), np.arange(len(input.numbers))] = 1
        found: list[tuple[int, float, Array]] = []  # the channel, its multiple, the weights of the sin^2
        for name in (f"{stage}.res_unit{number}" for number in range(unit, len(DILATIONS) + 1)):
            first, second = (self._kernel(f"{name}.conv{number}") for number in (1, 2))
            if not (second.weight.any() or second.bias.any()):
                continue
            taps = np.flatnonzero(first.weight.any(axis=(0, 1)))
            if self._alpha(f"{name}.snake1").any() or first.bias.any() or second.bias.any() or list(taps) != [3]:
                return None
            point, middle = second.weight[:, :, 0].astype(np.float64), first.weight[:, :, 3].astype(np.float64)
            if any((middle @ weights).any() for _, _, weights in found):
                return None
            hidden = middle @ linear
            for row, alpha, weights in zip(hidden, self._alpha(f"{name}.snake2")[0, :, 0], point.T, strict=True):
                if not alpha or not weights.any():
                    continue
                if np.count_nonzero(row) != 1:
                    return None
                source = int(np.flatnonzero(row)[0])
                found.append((source, alpha * row[source], weights / (alpha + ALPHA_EPS)))
            linear += point @ hidden
        return None if linear.any() or not found else self._sines(input, found)

    def _sines(self, input: Channels, found: list[tuple[int, float, Array]]) -> tuple[Channels, Array] | None:
        found = sorted(found, key=lambda wave: wave[0])
        n, rest = divmod(len(found), len(input.numbers))
        if rest or [wave[0] for wave in found] != np.repeat(np.arange(len(input.numbers)), n).tolist():
            return None
        graph = self._graph
        multiples = np.array([wave[1] for wave in found], np.float32).reshape(1, -1, n, 1)
        apart = graph.op("Unsqueeze", input.name, graph.shape(2))
        wave = graph.op("Sin", graph.op("Mul", apart, graph.constant(multiples)))
        squares = graph.op("Reshape", graph.op("Mul", wave, wave), graph.shape(1, len(found), -1))
        return Channels(squares, tuple(range(len(found)))), np.stack([weights for _, _, weights in found], 1)

    def _snake(self, input: Channels, alphas: Array, is_padded: bool = False) -> Channels:
        """A Snake, but for the division by alpha, in the form for :func:`_factor`."""
        graph, alpha = self._graph, alphas[0, list(input.numbers), 0]
        if not alpha.any():
            return input
        factor = _factor(alpha, is_padded)
        if factor is None:
            wave = graph.op("Sin", graph.op("Mul", input.name, self._column(alpha)))
            squares = graph.op("Mul", graph.op("Mul", wave, wave), self._column(1 / (alpha + np.float32(ALPHA_EPS))))
            return Channels(graph.op("Add", input.name, squares), input.numbers)
        angle = input.name if input.divisor is not None else graph.op("Mul", input.name, self._column(factor))
        if (factor != alpha).any():
            return Channels(graph.op("Sub", angle, graph.op("Cos", angle)), input.numbers, factor, offset=1.0)
        wave = graph.op("Sin", angle)
        return Channels(graph.op("Add", angle, graph.op("Mul", wave, wave)), input.numbers, factor)

    def _column(self, numbers: Array) -> str:
        return self._graph.constant(numbers.reshape(1, -1, 1))

    def _convolve(
        self,
        input: Channels,
        kernel: Kernel,
        name: str | None = None,
        order: Sequence[int] | None = None,
        before: Array | None = None,
        is_padded: bool = False,
    ) -> Channels:
        """A convolution, of the live channels alone; ``order`` of its outputs, if it has just these.

        Its outputs are multiplied as a Snake with the alphas ``before`` wants them; ``is_padded`` is of what follows
        that.
        """
        outputs = kernel.live_outputs()
        if order is not None and set(order) == set(outputs):
            outputs = tuple(order)
        factor = None if before is None else _factor(before[0, list(outputs), 0], is_padded)
        part = kernel.of_channels(input.numbers, outputs).trimmed()
        whole = part.weight.shape == kernel.weight.shape and (part.weight == kernel.weight).all()
        groups = _groups(part.weight)
        if groups is not None and (order is None or _is_range(groups[1].ravel())):
            part = part.scaled(input, factor)
            return self._grouped(input, part, *groups, Channels("", outputs, factor))
        if name is not None and whole:
            parameters = self._stored(self._prefix + name, input, factor)
        else:
            part = part.scaled(input, factor)
            parameters = self._constants(part)
        return Channels(self._conv(input.name, part, parameters), outputs, factor)

    def _grouped(self, input: Channels, part: Kernel, ins: Array, outs: Array, output: Channels) -> Channels:
        """A convolution between groups of channels: ``ins`` and ``outs``, ``(n_groups, n)`` both."""
        name = input.name
        if not _is_range(ins.ravel()):
            name = self._graph.op("Gather", name, self._graph.constant(ins.ravel()), axis=1)
        weight = np.concatenate([part.weight[np.ix_(out, into)] for into, out in zip(ins, outs, strict=True)])
        kernel = Kernel(weight, part.bias[outs.ravel()], part.stride, part.dilation, part.padding)
        numbers = tuple(output.numbers[index] for index in outs.ravel())
        divisor = None if output.divisor is None else output.divisor[outs.ravel()]
        return Channels(self._conv(name, kernel, self._constants(kernel), len(ins)), numbers, divisor)

    def _conv(self, input: str, kernel: Kernel, parameters: Sequence[str], n_groups: int = 1) -> str:
        return self._graph.op(
            "Conv",
            input,
            *parameters,
            strides=[kernel.stride],
            dilations=[kernel.dilation],
            pads=[kernel.padding] * 2,
            group=n_groups,
        )

    def _constants(self, kernel: Kernel) -> list[str]:
        """Weight, and bias if there is one."""
        bias = [self._graph.constant(kernel.bias)] if kernel.bias.any() else []
        return [self._graph.constant(kernel.weight), *bias]

    def _stored(self, name: str, input: Channels, factor: Array | None) -> list[str]:
        """Weight and bias as they are in the file; onnxruntime scales them once, as :meth:`Kernel.scaled` does."""
        graph = self._graph
        weight, bias = (graph.weight(part) for part in both(name))
        if input.divisor is not None:
            weight = graph.op("Div", weight, self._column(input.divisor))
        if factor is not None:
            weight = graph.op("Mul", weight, graph.constant(factor.reshape(-1, 1, 1)))
            bias = graph.op("Mul", bias, graph.constant(factor))
        if input.offset:
            sums = graph.op("ReduceSum", weight, graph.shape(1, 2), keepdims=0)
            bias = graph.op("Add", bias, graph.op("Mul", sums, graph.constant(np.float32(input.offset))))
        return [weight, bias]

    def _down(self, stage: int) -> Kernel:
        stride = self._strides[stage]
        return self._kernel(f"dac_encoder.block.{stage}.conv1", stride, 1, -(-stride // 2))

    def _kernel(self, name: str, stride: int = 1, dilation: int = 1, padding: int = 0) -> Kernel:
        weight, bias = (self._graph.weights.read(part) for part in both(self._prefix + name))
        return Kernel(weight, bias, stride, dilation, padding)

    def _alpha(self, name: str) -> Array:
        return self._graph.weights.read(f"{self._prefix}{name}.alpha")


def _delays(kernel: Kernel, inputs: dict[int, int], rate: int) -> dict[int, int] | None:
    """The result of a convolution that only moves samples; None if it does anything else.

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


def _factor(alpha: Array, is_padded: bool) -> Array | None:
    """The factor of a Snake's input, by which its output is to be divided; None for the plain form.

    ``x + sin(a x)^2 / a`` is ``(g + 1 - cos(g)) / 2 a`` for ``g = 2 a x``, and ``(g + sin(g)^2) / a`` for ``g = a x``.
    The convolution behind it takes the 1 of the first into its bias, unless it pads its input.
    """
    if alpha.min() < LEAST_ALPHA:
        return None
    return alpha if is_padded or alpha.min() < LEAST_ALPHA_OF_COSINE else 2 * alpha


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
