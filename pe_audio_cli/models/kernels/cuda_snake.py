"""Snake of rows plus a bias in one pass over memory, for :mod:`pe_audio_cli.models.kernels.cuda_codec`.

The kernel is a few lines of CUDA that torch hands to NVRTC, which comes with it; no compiler is needed. In half
precision it takes four channels as one integer of 64 bits, since torch reads numbers one at a time where a vector of
channels goes with all rows, and two bytes at a time would take a third longer. The interface is not documented, so the
kernel is tested once against plain operators, which replace it if it fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch

from pe_audio_cli.models.kernels.onednn import Rows
from pe_audio_cli.models.modules.codec import ALPHA_EPS, Snake

__all__ = ["Activation", "pick_activation", "plain_activation", "scaled"]

Vector: TypeAlias = torch.Tensor  # (channels,)
Activation: TypeAlias = Callable[[Rows, Vector, Vector, Vector], Rows]  # of rows, a bias, and the result of `scaled`

TOGETHER = 4  # channels in half precision
NEAR = {torch.float32: 1e-5, torch.bfloat16: 0.05, torch.float16: 0.01}  # difference that rounding may make
WHOLE = """
template <typename T> T snake(T x, T bias, T alpha, T inverse) {
  T sum = x + bias, wave = sin(alpha * sum);
  return sum + wave * wave * inverse;
}"""
HALVES = """
template <typename T> T snake(T x, T bias, T alpha, T inverse) {
  T out = 0;
  for (int bit = 0; bit < 64; bit += 16) {
    float numbers[4];
    T packed[4] = {x, bias, alpha, inverse};
    for (int i = 0; i < 4; ++i) {
      unsigned short half = static_cast<unsigned short>(packed[i] >> bit);
      %(widen)s
    }
    float sum = numbers[0] + numbers[1], wave = sinf(numbers[2] * sum), result = sum + wave * wave * numbers[3];
    unsigned short rounded;
    asm("cvt.rn.%(name)s.f32 %%0, %%1;" : "=h"(rounded) : "f"(result));
    out |= static_cast<T>(rounded) << bit;
  }
  return out;
}"""
WIDEN = {
    torch.bfloat16: "numbers[i] = __int_as_float(static_cast<int>(half) << 16);",
    torch.float16: 'asm("cvt.f32.f16 %0, %1;" : "=f"(numbers[i]) : "h"(half));',
}
NAMES = {torch.bfloat16: "bf16", torch.float16: "f16"}


def scaled(snake: Snake) -> tuple[Vector, Vector]:
    """Return alpha and the factor of the squared sine, 1 / alpha."""
    alpha = snake.alpha.detach()[0, :, 0]
    return alpha, (alpha.float() + ALPHA_EPS).reciprocal().to(alpha.dtype)


def plain_activation(rows: Rows, bias: Vector, alpha: Vector, inverse: Vector) -> Rows:
    """Snake of rows plus bias, by torch's operators."""
    total = rows + bias
    wave = torch.sin(alpha * total)
    return total + wave * wave * inverse


def pick_activation(device: torch.device, dtype: torch.dtype) -> Activation:
    """Return the kernel for CUDA if it works there, else torch's operators."""
    if device.type != "cuda":
        return plain_activation
    try:
        kernel = _halves(dtype) if dtype in WIDEN else _jit(WHOLE)
        works = _near(kernel, device, dtype)
    except (RuntimeError, AttributeError, TypeError):
        return plain_activation
    return kernel if works else plain_activation


def _halves(dtype: torch.dtype) -> Activation:
    kernel = _jit(HALVES % {"widen": WIDEN[dtype], "name": NAMES[dtype]})

    def activation(rows: Rows, bias: Vector, alpha: Vector, inverse: Vector) -> Rows:
        if rows.shape[1] % TOGETHER:
            return plain_activation(rows, bias, alpha, inverse)
        together = (each.view(torch.int64) for each in (rows, bias, alpha, inverse))
        return kernel(*together).view(dtype)

    return activation


def _jit(source: str) -> Activation:
    make: Any = torch.cuda.jiterator._create_jit_fn
    kernel: Activation = make(source)
    return kernel


def _near(kernel: Activation, device: torch.device, dtype: torch.dtype) -> bool:
    generator = torch.Generator().manual_seed(0)
    shapes = (33, 16), (16,), (16,), (16,)
    arguments = [torch.randn(shape, generator=generator).to(device, dtype) for shape in shapes]
    wanted = plain_activation(*(each.float() for each in arguments))
    return bool((kernel(*arguments).float() - wanted).abs().max() <= NEAR[dtype] * wanted.abs().max())
