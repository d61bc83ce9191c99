"""What a CUDA card needs. Most of it can be seen without one; what cannot is skipped."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_codec import random_codec, sound

from pe_audio_cli.model.card import SHARE, STATES, channels_inside, exact_cudnn, to_card, windows_at_once
from pe_audio_cli.model.checkpoint import Checkpoint
from pe_audio_cli.model.codec import Stage
from pe_audio_cli.model.encoder import DeviceOptions, PeEncoder

needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="NO CUDA CARD: what runs on one is not tested")


def test_channels_innermost_change_nothing_but_the_layout():
    codec, samples = random_codec(16), sound(9)
    plain = codec(samples)
    channels_inside(codec)
    laid_out = []
    for part in codec.modules():
        if isinstance(part, Stage):
            part.register_forward_hook(lambda _, __, out: laid_out.append(out.stride(1)))
    torch.testing.assert_close(codec(samples), plain, rtol=0, atol=1e-5 * plain.abs().max().item())
    assert laid_out == [1, 1, 1, 1]


def test_float32_is_float32_on_a_card():
    before = torch.backends.cudnn.allow_tf32
    with exact_cudnn():
        assert torch.backends.cudnn.enabled
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == before


@given(st.integers(0, 1 << 37), st.integers(1, 100_000), st.integers(1, 10_000))
def test_windows_fit_into_what_is_free(free, n_frames, widest):
    at_once = windows_at_once(free, n_frames, widest, torch.bfloat16)
    size = 2 * n_frames * widest * STATES
    assert at_once == 1 or at_once * size <= SHARE * free
    assert (at_once + 1) * size > SHARE * free


def test_elsewhere_tensors_are_brought_plainly():
    given = torch.ones(3)
    assert to_card(given, torch.device("cpu"), torch.float32) is given
    assert to_card(given, torch.device("cpu"), torch.bfloat16).dtype == torch.bfloat16


@needs_card
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.1)])
def test_a_card_gives_what_the_cpu_gives(reference, dtype, tolerance):
    frames = 0.1 * np.random.default_rng(0).standard_normal((50, 1920)).astype(np.float32)
    embedded = []
    for options in (DeviceOptions("cpu"), DeviceOptions("cuda", dtype)):
        encoder = PeEncoder(Checkpoint.open(reference.folder, "reference"), options)
        windows = encoder.encode_codec(frames).reshape(2, 25, -1)
        embeddings = encoder.encode_windows(windows)
        embedded.append((embeddings.clips, embeddings.frames))
    for here, there in zip(*embedded, strict=True):
        np.testing.assert_allclose(there, here, rtol=0, atol=tolerance * np.abs(here).max())
