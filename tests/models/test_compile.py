"""The codec with ``--compile`` against the codec without it."""

import shutil

import pytest
import tolerances
import torch
from random_codec import random_codec, sound

from pe_audio_cli.models.kernels.tiles import TiledCodec
from pe_audio_cli.models.modules.codec import compile_snakes

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="--compile needs a C++ compiler"),
    pytest.mark.timeout(400),
    pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning"),  # torch's own, of itself
]


def modules(compiled):
    codec = random_codec()
    if compiled:
        compile_snakes(codec)
    return codec


def tiles(compiled):
    return TiledCodec(random_codec(), torch.float32, compiled)


@pytest.mark.parametrize("build", [modules, tiles])
@torch.inference_mode()
def test_one_compilation_serves_any_length(build):
    codec, plain = build(compiled=True), build(compiled=False)
    codec(sound(5))
    with torch._dynamo.config.patch(error_on_recompile=True):
        for n_frames in (3, 9, 30):
            wanted = plain(sound(n_frames))
            atol = tolerances.of_codec(random_codec()) * wanted.abs().max().item()
            torch.testing.assert_close(codec(sound(n_frames)), wanted, rtol=0, atol=atol)


@torch.inference_mode()
def test_snakes_are_what_is_compiled(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda function, **_: lambda *args: compiled.append(0) or function(*args))
    for build, n_snakes in ((modules, 29), (tiles, 28)):  # tiles leave the last one, of frames, to its module
        compiled.clear()
        build(compiled=True)(sound(1))
        assert len(compiled) >= n_snakes
