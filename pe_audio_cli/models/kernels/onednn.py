"""Matrix products and convolutions by oneDNN, on weights that it has rearranged once.

torch multiplies matrices with MKL, which on processors other than Intel's reaches two thirds of oneDNN's speed, and its
convolutions rearrange their weights in each call. The operators that take weights rearranged before are torch's own and
not documented; each is tested once against the documented one, which replaces it if it fails.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn import functional

__all__ = ["Convolution", "Product", "Rows", "pack_linear_layers"]

Rows: TypeAlias = torch.Tensor  # (time, channels), contiguous
NEAR = {torch.float32: 1e-4, torch.bfloat16: 0.05, torch.float16: 0.01}  # relative difference that rounding may make
TRIAL = 64  # rows


class Product(nn.Module):
    """A linear layer, ``(..., in)`` to ``(..., out)``, on the CPU. The weight given is not kept."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.bias = bias
        self.packed = _pack_matrix(weight, bias)
        self.weight = weight if self.packed is None else None

    def forward(self, rows: torch.Tensor, onto: torch.Tensor | None = None) -> torch.Tensor:
        """Return the product, added to ``onto`` if that is given, which must have the product's shape."""
        if self.packed is not None:
            return _multiply(rows, self.packed, self.bias, onto)
        assert self.weight is not None
        out = functional.linear(rows, self.weight, self.bias)
        return out if onto is None else out.add_(onto)


class Convolution:
    """A convolution over rows, without padding."""

    def __init__(self, conv: nn.Conv1d) -> None:
        assert conv.bias is not None
        self.stride, self.dilation = [1, conv.stride[0]], [1, conv.dilation[0]]
        self.reach = conv.dilation[0] * (conv.kernel_size[0] - 1) // 2
        self.bias = conv.bias
        weight = conv.weight[:, :, None]
        self.packed = _pack_filters(weight, self.bias, self.stride, self.dilation)
        self.weight = weight if self.packed is None else None

    def __call__(self, rows: Rows) -> Rows:
        """``(time, in)`` to ``(time', out)``."""
        if self.packed is not None:
            return _convolve(rows, self.packed, self.bias, self.stride, self.dilation)
        assert self.weight is not None
        return _rows(functional.conv2d(_image(rows), self.weight, self.bias, self.stride, 0, self.dilation))


def pack_linear_layers(module: nn.Module) -> None:
    """Replace every linear layer by a :class:`Product`."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Linear):
                setattr(parent, name, Product(child.weight, child.bias))


def _image(rows: Rows) -> torch.Tensor:
    """Return rows as an image one pixel high, ``(1, channels, 1, time)``, channels innermost."""
    return rows.T[None, :, None]


def _rows(image: torch.Tensor) -> Rows:
    return image[0, :, 0].T


def _convolve(rows: Rows, packed: torch.Tensor, bias: torch.Tensor, stride: list[int], dilation: list[int]) -> Rows:
    image: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
        _image(rows), packed, bias, [0, 0], stride, dilation, 1, "none", [], ""
    )
    return _rows(image)


def _multiply(
    rows: torch.Tensor, packed: torch.Tensor, bias: torch.Tensor | None, onto: torch.Tensor | None
) -> torch.Tensor:
    multiply: Any = torch.ops.mkldnn._linear_pointwise
    out: torch.Tensor
    if onto is None:
        out = multiply(rows, packed, bias, "none", [], "")
    else:
        out = multiply.binary(rows, onto, packed, bias, "add")
    return out


def _pack_filters(
    weight: torch.Tensor, bias: torch.Tensor, stride: list[int], dilation: list[int]
) -> torch.Tensor | None:
    """Return the weights in oneDNN's layout; None if this build of torch has no such operators, or different ones."""
    n_rows = TRIAL * stride[1] + dilation[1] * weight.shape[-1]
    rows = torch.randn(n_rows, weight.shape[1], dtype=weight.dtype)
    try:
        packed: torch.Tensor = torch.ops.mkldnn._reorder_convolution_weight(
            weight, [0, 0], stride, dilation, 1, list(_image(rows).shape)
        )
        got = _convolve(rows, packed, bias, stride, dilation)
    except (RuntimeError, AttributeError, TypeError):
        return None
    wanted = _rows(functional.conv2d(_image(rows), weight, bias, stride, 0, dilation))
    return packed if _near(got, wanted) and got.is_contiguous() else None


def _pack_matrix(weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor | None:
    """Return a matrix ``(out, in)`` in oneDNN's layout; None as :func:`_pack_filters`."""
    rows = torch.randn(TRIAL, weight.shape[1], dtype=weight.dtype)
    try:
        packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), TRIAL)
        got = _multiply(rows, packed, bias, None)
        twice = _multiply(rows, packed, bias, got)
    except (RuntimeError, AttributeError, TypeError):
        return None
    wanted = functional.linear(rows, weight, bias)
    return packed if _near(got, wanted) and _near(twice, 2 * wanted) else None


def _near(got: torch.Tensor, wanted: torch.Tensor) -> bool:
    return bool((got - wanted).abs().max() <= NEAR[wanted.dtype] * wanted.abs().max())
