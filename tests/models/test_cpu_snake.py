"""The compiled loop against the same in float64, and what happens where there is none."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tolerances
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from random_codec import random_codec, sound

from pe_audio_cli.models.kernels import cpu_snake, tiles

NEAR = 2.0**-20  # relative; cpu_snake derives it
SHAPES = st.tuples(st.integers(0, 5), st.integers(1, 50))
ANY = st.floats(width=32)  # infinities, what is not a number, subnormal numbers
FINITE = st.floats(-1e9, 1e9, width=32)


@pytest.fixture(scope="module", params=["this processor", "any processor"])
def compiled(request):
    """By dtype; the second for processors of which nothing is known, on x86 without AVX."""
    binding = pytest.importorskip("llvmlite.binding", reason="NO LLVMLITE: the compiled loop is not tested")
    kind = "", ""
    if request.param == "this processor":
        kind = binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
    return {dtype: cpu_snake.compile_snake(dtype, *kind) for dtype in (torch.float32, torch.bfloat16)}


def rows_of(shape, numbers):
    return arrays.arrays(np.float32, shape, elements=numbers).map(torch.from_numpy)


def run(snake, rows, alpha=None):
    out = torch.full_like(rows, torch.nan)
    snake(rows, alpha, out)
    return out


def exact(y):
    return y.double() + y.double().sin() ** 2


@given(st.data())
def test_numbers_are_those_of_float64(compiled, data):
    rows = data.draw(SHAPES.flatmap(lambda shape: rows_of(shape, FINITE)))
    alpha = data.draw(rows_of(rows.shape[1], st.floats(-4, 4, width=32)))
    snake = compiled[torch.float32]
    torch.testing.assert_close(run(snake, rows).double(), exact(rows), rtol=NEAR, atol=1e-44)
    torch.testing.assert_close(run(snake, rows, alpha).double(), exact(rows * alpha), rtol=NEAR, atol=1e-44)


def test_numbers_of_every_size(compiled):
    """Densely, where the reduction modulo pi and the result's only zero are."""
    steps = torch.linspace(-1, 1, 100_003)
    for size in (1e-3, 1, 10, 1e4, 1e6, 2**22 * 3.15, 1e9, 3e38):
        rows = (size * steps)[None]
        torch.testing.assert_close(run(compiled[torch.float32], rows).double(), exact(rows), rtol=NEAR, atol=1e-44)


@given(st.data())
def test_bfloat16_is_float32_rounded_once(compiled, data):
    rows = data.draw(SHAPES.flatmap(lambda shape: rows_of(shape, ANY))).bfloat16()
    alpha = data.draw(st.none() | rows_of(rows.shape[1], st.floats(-4, 4, width=32)))
    wanted = run(compiled[torch.float32], rows.float(), alpha).bfloat16()
    torch.testing.assert_close(run(compiled[torch.bfloat16], rows, alpha), wanted, rtol=0, atol=0, equal_nan=True)


@given(st.data())
def test_a_number_gives_the_same_wherever_it_stands_and_in_place(compiled, data):
    rows = data.draw(SHAPES.flatmap(lambda shape: rows_of(shape, ANY)))
    snake = compiled[torch.float32]
    out = run(snake, rows)
    alone = torch.cat([run(snake, number.reshape(1, 1)) for number in rows.flatten()] or [torch.empty(0, 1)])
    torch.testing.assert_close(alone.reshape(rows.shape), out, rtol=0, atol=0, equal_nan=True)
    snake(rows, None, rows)
    torch.testing.assert_close(rows, out, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_not_finite_is_not_a_number(compiled, dtype):
    rows = torch.tensor([[torch.inf, -torch.inf, torch.nan, 0, 3e38]], dtype=dtype)
    assert run(compiled[dtype], rows).isfinite().tolist() == [[False, False, False, True, True]]
    assert run(compiled[dtype], rows)[0, :3].isnan().all()


def test_threads_do_not_disturb_each_other(compiled):
    rows = torch.randn(8, 1000, 40)
    alpha = torch.rand(40)
    alone = [run(compiled[torch.float32], part, alpha) for part in rows]
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda part: run(compiled[torch.float32], part, alpha), rows)
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


def test_nothing_is_written_beyond_the_rows(compiled):
    memory = torch.zeros(3, 37)
    run_into = memory[1:2]
    compiled[torch.float32](torch.ones(1, 37), torch.ones(37), run_into)
    assert (memory[1] != 0).all()
    assert not memory[0].any() and not memory[2].any()


@pytest.mark.parametrize("alpha", [None, torch.tensor([0.5, 2.0, -1.0])])
def test_rows_in_any_layout(alpha):
    rows = torch.randn(3, 20).T
    folded = tiles.FoldedSnake(alpha)
    folded.fused = cpu_snake.fused_snake(torch.float32)
    y = rows.clone() if alpha is None else rows * alpha
    torch.testing.assert_close(folded(rows).double(), exact(y), rtol=1e-6, atol=0)


def broken(*_):
    raise RuntimeError("no such processor")


def test_float16_has_none():
    assert cpu_snake.fused_snake(torch.float16) is None


@pytest.mark.parametrize("fault", ["missing", "broken", "wrong"])
def test_what_does_not_work_is_not_used(monkeypatch, fault):
    if fault == "missing":
        monkeypatch.setitem(sys.modules, "llvmlite", None)
    else:
        monkeypatch.setattr(cpu_snake, "compile_snake", broken if fault == "broken" else lambda *_: zeros)
    found = cpu_snake.fused_snake.__wrapped__(torch.float32)
    assert found is None


def zeros(rows, alpha, out):
    out.zero_()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_codec_gives_the_same_without_it(monkeypatch, dtype):
    fused = tiles.TiledCodec(random_codec(16), dtype)
    monkeypatch.setattr(tiles, "fused_snake", lambda _: None)
    plain = tiles.TiledCodec(random_codec(16), dtype)
    with torch.inference_mode():
        one, other = fused(sound(3).to(dtype)).float(), plain(sound(3).to(dtype)).float()
    assert plain.layout == "in tiles"
    near = tolerances.of_codec(random_codec(16), dtype)
    torch.testing.assert_close(one, other, rtol=0, atol=near * other.abs().max().item())
