"""Products and convolutions on weights rearranged once, against torch's documented ones."""

import pytest
import tolerances
import torch
from torch import nn
from torch.nn import functional

from pe_audio_cli.models.kernels import onednn as packed

DTYPES = [torch.float32, torch.bfloat16]


def assert_near(got, wanted, n_terms, magnitude):
    torch.testing.assert_close(got, wanted, rtol=0, atol=tolerances.of_sum(n_terms, magnitude, got, wanted))


@pytest.fixture(params=["packed", "as given"])
def operators(request, monkeypatch):
    """Torch's own for packed weights, and a build of it without them."""
    if request.param == "as given":
        monkeypatch.setattr(packed, "_multiply", missing)
        monkeypatch.setattr(packed, "_convolve", missing)


def missing(*_):
    raise AttributeError("no such operator")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 24), (50, 24), (2, 100, 24)], ids=str)
@torch.inference_mode()
def test_a_product_is_a_linear_layer(operators, shape, bias, dtype):
    torch.manual_seed(0)
    linear, rows = nn.Linear(24, 40, bias, dtype=dtype), torch.randn(shape, dtype=dtype)
    product = packed.Product(linear.weight, linear.bias)
    below = torch.randn(*shape[:-1], 40, dtype=dtype)
    magnitude = rows.abs() @ linear.weight.T.abs() + below.abs() + (linear.bias.abs() if bias else 0)
    assert_near(product(rows), linear(rows), 25, magnitude)
    assert_near(product(rows, below), linear(rows) + below, 26, magnitude)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(7, 1, 9), (16, 8, 1), (1, 1, 1)])
@torch.inference_mode()
def test_a_convolution_is_a_convolution(operators, kernel, stride, dilation, dtype):
    torch.manual_seed(0)
    conv = nn.Conv1d(24, 40, kernel, stride, dilation=dilation, dtype=dtype)
    for n_rows in (dilation * (kernel - 1) + 1, 200):
        rows = torch.randn(n_rows, 24, dtype=dtype)
        wanted = functional.conv1d(rows.T[None], *conv.parameters(), stride, 0, dilation)[0].T
        absolute = (value.abs() for value in conv.parameters())
        magnitude = functional.conv1d(rows.T[None].abs(), *absolute, stride, 0, dilation)
        assert_near(packed.Convolution(conv)(rows), wanted, 24 * kernel + 1, magnitude)


@pytest.mark.parametrize("name", ["_multiply", "_convolve"])
def test_an_operator_that_computes_something_else_is_not_used(monkeypatch, name):
    real = getattr(packed, name)
    monkeypatch.setattr(packed, name, lambda *arguments: real(*arguments) + 1)
    conv, linear = nn.Conv1d(4, 4, 7), nn.Linear(4, 4)
    layers = packed.Convolution(conv), packed.Product(linear.weight, linear.bias)
    assert [layer.packed is None for layer in layers] == [name == "_convolve", name == "_multiply"]


@torch.inference_mode()
def test_linear_layers_are_replaced_wherever_they_are():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Sequential(nn.SiLU(), nn.Linear(16, 4, bias=False)))
    rows = torch.randn(3, 8)
    wanted = model(rows)
    packed.pack_linear_layers(model)
    assert not any(isinstance(module, nn.Linear) for module in model.modules())
    torch.testing.assert_close(model(rows), wanted)
