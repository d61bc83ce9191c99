"""The codec for CUDA against its plain modules. It runs anywhere; only its one-kernel Snake needs CUDA."""

import pytest
import tolerances
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_codec import random_codec, sound, with_idle_parts, with_small_alphas
from torch import nn
from torch.nn import functional

from pe_audio_cli.models.kernels import cuda_codec as cuda_codec
from pe_audio_cli.models.kernels import cuda_snake as snake_kernel

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="NO CUDA: what needs it is not tested")


def assert_same(codec, n_frames=9, dtype=torch.float32, device="cpu"):
    tolerance = tolerances.of_codec(codec, dtype)
    with torch.inference_mode():
        plain = codec(sound(n_frames))
        rows = cuda_codec.CudaCodec(codec.to(device, dtype))(sound(n_frames).to(device, dtype))
    torch.testing.assert_close(rows.float().cpu(), plain, rtol=0, atol=tolerance * plain.abs().max().item())


@pytest.mark.parametrize("n_frames", [1, 2, 9])
@pytest.mark.parametrize("strides", [(2, 8, 10, 12), (12, 10, 8, 2), (5, 3, 4, 4, 8), (12, 2, 2, 2, 5, 4)], ids=str)
def test_rows_give_what_the_modules_give(strides, n_frames):
    assert_same(random_codec(4, strides), n_frames)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("n_frames", [1, 9])
def test_half_precision_is_near(n_frames, dtype):
    assert_same(random_codec(16), n_frames, dtype)


def test_idle_parts_are_left_out_of_rows_too():
    assert_same(with_idle_parts())


@pytest.mark.parametrize("alpha", [0.0, 1e-9, 1e-5, -0.5])
def test_alphas_of_any_size(alpha):
    assert_same(with_small_alphas(alpha))


def test_what_lies_around_the_recording_does_not_matter(monkeypatch):
    """Memory that nobody has written to may hold anything."""
    codec = cuda_codec.CudaCodec(random_codec())
    with torch.inference_mode():
        wanted = codec(sound(3))
        real = torch.Tensor.new_empty
        monkeypatch.setattr(torch.Tensor, "new_empty", lambda *args: real(*args).fill_(torch.nan))
        assert torch.equal(codec(sound(3)), wanted)


@given(st.integers(1, 6), st.sampled_from([1, 3, 9]), st.integers(0, 9))
@settings(deadline=None)
def test_both_forms_of_a_dilated_convolution(images, dilation, seed):
    torch.manual_seed(seed)
    conv = nn.Conv1d(3, 3, 7, dilation=dilation, padding=3 * dilation).requires_grad_(False)
    rows = torch.randn(cuda_codec.ROWS_OF_IMAGE * images, 3)
    wanted = functional.conv1d(rows.T[None], conv.weight, None, 1, 3 * dilation, dilation)[0].T
    magnitude = functional.conv1d(rows.T[None].abs(), conv.weight.abs(), None, 1, 3 * dilation, dilation)
    for form in (cuda_codec.Taps, cuda_codec.ImageConvolution):
        atol = tolerances.of_sum(conv.weight[0].numel(), magnitude, wanted)
        torch.testing.assert_close(form(conv)(rows), wanted, rtol=0, atol=atol)


def test_numbers_that_are_not_finite_are_passed_on():
    with torch.inference_mode():
        assert cuda_codec.CudaCodec(random_codec())(sound(9).fill_(torch.inf)).isnan().all()


def test_a_kernel_that_computes_something_else_or_fails_is_not_used(monkeypatch):
    device = torch.device("cuda")

    def fail(_):
        raise RuntimeError("no such thing")

    monkeypatch.setattr(snake_kernel, "_near", lambda *_: True)
    for kernel, wanted in ((fail, "plain_activation"), (lambda _: "kernel", "kernel")):
        monkeypatch.setattr(snake_kernel, "_jit", kernel)
        picked = snake_kernel.pick_activation(device, torch.float32)
        assert getattr(picked, "__name__", picked) == wanted


def test_kernels_are_compared_with_plain_operators():
    here = torch.device("cpu")
    right = snake_kernel.plain_activation
    assert snake_kernel._near(right, here, torch.float32)
    assert not snake_kernel._near(lambda *args: right(*args) + 0.01, here, torch.float32)


@needs_cuda
@pytest.mark.parametrize("channels", [32, 33])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("bfloat16", 8e-3), ("float16", 1e-3)])
def test_snake_as_one_kernel(dtype, tolerance, channels):
    device, dtype = torch.device("cuda"), getattr(torch, dtype)
    kernel = snake_kernel.pick_activation(device, dtype)
    assert kernel is not snake_kernel.plain_activation
    arguments = [torch.randn(shape, device=device).to(dtype) for shape in ((1000, channels), *[(channels,)] * 3)]
    wanted = snake_kernel.plain_activation(*(each.double() for each in arguments))
    atol = tolerance * wanted.abs().max().item()
    torch.testing.assert_close(kernel(*arguments).double(), wanted, rtol=tolerance, atol=atol)
    arguments[0][0, 0] = torch.nan
    assert kernel(*arguments)[0, 0].isnan()


@needs_cuda
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("channels", [4, 32])
def test_rows_with_cuda(dtype, channels):
    assert_same(random_codec(channels), 9, getattr(torch, dtype), "cuda")
