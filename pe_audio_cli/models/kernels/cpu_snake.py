"""Snake of rows in one pass over memory on a CPU, for :mod:`pe_audio_cli.models.kernels.tiles`.

torch and NumPy take several passes, which cost more than the convolutions around them where a processor multiplies
bfloat16. Here llvmlite compiles one loop for this processor when it is first asked for, in a twentieth of a second.
numba would compile it from fewer lines, in two seconds once and half a second at each later start, with a cache on
disk. Calls hold no lock of Python's, and each runs in the thread that calls.

What is computed is ``y + sin(y) ** 2``, in float32. The square repeats every pi, so with ``k`` the integer next to
``y / pi`` it is that of the sine of ``r = y - k * pi``, which is at most pi / 2 in size:

- ``k`` is found by adding and subtracting 1.5 * 2 ** 23, beside which a float32 has no digits for fractions.
- pi is the sum of two numbers, off by less than 2 ** -50, so ``k * pi`` is as good as exact where the processor adds a
  product without rounding it. Where it rounds products, ``k * pi`` is off by up to 2 ** -24 of ``y``.
- Beyond 2 ** 22 * pi, ``k`` may be off, and ``r`` is clipped to pi / 2. There a square is less than the last digit.
- The sine is an odd polynomial of degree nine, whose coefficients make its largest error the least (Remez's exchange):
  2e-8 with all of them rounded to float32, a third of what rounding the sum adds.

The result is never smaller than 0.275 ``y``: ``sin(y) ** 2 / y`` has its maximum of 0.725 where ``tan(y) = 2 * y``. In
units of ``u = 2 ** -24``, the product is off by ``u * y``, and so is the square by that much at most, as its slope is
never above one. The polynomial and the roundings of the sine add 2 ``u``, which the square doubles, and one at the end:
relative to the result 1 / 0.275 + 2 * 2 * 0.725 / 0.275 + 1, or 16 ``u``, which is 2 ** -20. Multiplying by alpha adds
the rounding of one product.
"""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

if TYPE_CHECKING:
    from pe_audio_cli.models.kernels.onednn import Rows

__all__ = ["FusedSnake", "compile_snake", "fused_snake"]

# Of rows, alpha (float32) or None where they are multiplied by it already, and the rows to write, maybe the same.
FusedSnake: TypeAlias = "Callable[[Rows, torch.Tensor | None, Rows], None]"

WIDTH = 16  # numbers that are computed together; LLVM splits them into what the processor has room for
(PI,) = struct.unpack("f", struct.pack("f", math.pi))  # in float32
ROUNDS = 1.5 * 2**23
SINE = -0.16666656732559204, 0.008333017118275166, -0.00019806614727713168, 2.6000548132287804e-06
NEAR = {torch.float32: 1e-5, torch.bfloat16: 0.01}  # relative difference that rounding may make
NAMES = PLAIN, SCALED = "plain", "scaled"


@cache
def fused_snake(dtype: torch.dtype) -> FusedSnake | None:
    """Return the loop for this processor, compiled once.

    None for a dtype that it does not know, and where llvmlite is missing or does not work.
    """
    if dtype not in NEAR:
        return None
    try:
        from llvmlite import binding

        snake = compile_snake(dtype, binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten())
        return snake if _near(snake, dtype) else None
    except (ImportError, OSError, RuntimeError, AttributeError, TypeError, ValueError):
        return None


def compile_snake(dtype: torch.dtype, processor: str, features: str) -> FusedSnake:
    """Compile the loop for a processor and its features, as LLVM calls them."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_triple(binding.get_process_triple())
    machine = target.create_target_machine(cpu=processor, features=features, opt=3, jit=True)
    engine = binding.create_mcjit_compiler(binding.parse_assembly(_source(dtype)), machine)
    engine.finalize_object()
    arguments = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2
    plain, scaled = (ctypes.CFUNCTYPE(None, *arguments)(engine.get_function_address(name)) for name in NAMES)

    def snake(rows: Rows, alpha: torch.Tensor | None, out: Rows) -> None:
        assert rows.is_contiguous() and out.is_contiguous() and rows.dtype == out.dtype == dtype
        assert rows.shape == out.shape and rows.device.type == "cpu"
        if alpha is None:
            plain(rows.data_ptr(), None, out.data_ptr(), 1, rows.numel())
        else:
            assert alpha.is_contiguous() and alpha.dtype == torch.float32 and alpha.shape == rows.shape[1:]
            scaled(rows.data_ptr(), alpha.data_ptr(), out.data_ptr(), *rows.shape)

    snake.engine = engine  # type: ignore[attr-defined]  # its end would be that of the code
    return snake


def _source(dtype: torch.dtype) -> str:
    """Return both functions in LLVM's language: of rows multiplied by alpha already, and of others."""
    from llvmlite import ir

    module = ir.Module()
    long, pointer = ir.IntType(64), ir.PointerType()
    kind = ir.FunctionType(ir.VoidType(), [pointer] * 3 + [long] * 2)
    for name in NAMES:
        function = ir.Function(module, kind, name)
        rows, alpha, out, n_rows, channels = function.args
        builder = ir.IRBuilder(function.append_basic_block())
        zero = ir.Constant(long, 0)
        with _loop(builder, zero, n_rows, 1) as row:
            start = builder.mul(row, channels)
            whole = builder.and_(channels, ir.Constant(long, -WIDTH))  # WIDTH is a power of two
            for width, begin, end in ((WIDTH, zero, whole), (1, whole, channels)):
                with _loop(builder, begin, end, width) as channel:
                    at = builder.add(start, channel)
                    step = Step(builder, width, dtype)
                    y = step.load(rows, at)
                    if name == SCALED:
                        y = builder.fmul(y, step.load_float(alpha, channel))
                    step.store(step.snake(y), out, at)
        builder.ret_void()
    return str(module)


@contextmanager
def _loop(builder: Any, start: Any, stop: Any, step: int) -> Iterator[Any]:
    """Repeat what is built in the block, for a number from ``start`` to ``stop``."""
    before, head = builder.block, builder.append_basic_block()
    body, behind = builder.append_basic_block(), builder.append_basic_block()
    builder.branch(head)
    builder.position_at_end(head)
    number = builder.phi(start.type)
    number.add_incoming(start, before)
    builder.cbranch(builder.icmp_signed("<", number, stop), body, behind)
    builder.position_at_end(body)
    yield number
    number.add_incoming(builder.add(number, start.type(step)), builder.block)
    builder.branch(head)
    builder.position_at_end(behind)


class Step:
    """The instructions for ``width`` numbers, which are float32 between :meth:`load` and :meth:`store`."""

    def __init__(self, builder: Any, width: int, dtype: torch.dtype) -> None:
        from llvmlite import ir

        self.builder, self.dtype, self.width = builder, dtype, width
        self.floats, self.ints, self.shorts = (
            ir.VectorType(kind, width) for kind in (ir.FloatType(), ir.IntType(32), ir.IntType(16))
        )

    def snake(self, y: Any) -> Any:
        """``y + sin(y) ** 2``."""
        build, rounds = self.builder, self._all(ROUNDS)
        k = build.fsub(self._add_product(y, self._all(1 / math.pi), rounds), rounds)
        r = self._add_product(k, self._all(-PI), y)
        r = self._add_product(k, self._all(PI - math.pi), r)
        for sign, end in (("<", self._all(math.pi / 2)), (">", self._all(-math.pi / 2))):
            r = build.select(build.fcmp_unordered(sign, r, end), r, end)  # true of what is not a number, which stays
        square = build.fmul(r, r)
        factor = self._all(SINE[-1])
        for coefficient in reversed(SINE[:-1]):
            factor = self._add_product(factor, square, self._all(coefficient))
        sine = self._add_product(build.fmul(square, r), factor, r)
        return self._add_product(sine, sine, y)

    def load(self, pointer: Any, index: Any) -> Any:
        """Read numbers of the dtype; bfloat16 is the upper half of float32."""
        if self.dtype == torch.float32:
            return self.load_float(pointer, index)
        build = self.builder
        halves = build.load(self._address(pointer, index, self.shorts), typ=self.shorts, align=2)
        return build.bitcast(build.shl(build.zext(halves, self.ints), self._number(16)), self.floats)

    def load_float(self, pointer: Any, index: Any) -> Any:
        """Read float32."""
        return self.builder.load(self._address(pointer, index, self.floats), typ=self.floats, align=4)

    def store(self, value: Any, pointer: Any, index: Any) -> None:
        """Write numbers of the dtype; to bfloat16 they are rounded to the nearest, of two as near to the even one."""
        build = self.builder
        if self.dtype == torch.float32:
            build.store(value, self._address(pointer, index, self.floats), align=4)
            return
        bits, upper = build.bitcast(value, self.ints), self._number(16)
        is_odd = build.and_(build.lshr(bits, upper), self._number(1))
        rounded = build.add(bits, build.add(is_odd, self._number(0x7FFF)))
        quiet = build.or_(bits, self._number(0x400000))  # rounding could turn what is not a number into one
        kept = build.select(build.fcmp_unordered("uno", value, value), quiet, rounded)
        halves = build.trunc(build.lshr(kept, upper), self.shorts)
        build.store(halves, self._address(pointer, index, self.shorts), align=2)

    def _add_product(self, left: Any, right: Any, summand: Any) -> Any:
        """``left * right + summand``, rounded once where the processor can."""
        once = ("contract",)
        return self.builder.fadd(self.builder.fmul(left, right, flags=once), summand, flags=once)

    def _address(self, pointer: Any, index: Any, vector: Any) -> Any:
        return self.builder.gep(pointer, [index], source_etype=vector.element)

    def _all(self, value: float) -> Any:
        return self.floats([value] * self.width)

    def _number(self, value: int) -> Any:
        return self.ints([value] * self.width)


def _near(snake: FusedSnake, dtype: torch.dtype) -> bool:
    """True if it computes what torch does."""
    rows = torch.linspace(-20, 20, 3 * 37).reshape(3, 37).to(dtype)
    alpha = torch.linspace(0.1, 2, 37)
    for given, scaled in ((None, rows.float()), (alpha, rows.float() * alpha)):
        out = torch.empty_like(rows)
        snake(rows, given, out)
        if not torch.allclose(out.float(), scaled + scaled.sin() ** 2, rtol=NEAR[dtype], atol=0):
            return False
    return True
