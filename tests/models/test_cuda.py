"""Settings for CUDA. Most of them are tested without a GPU; the rest is skipped."""

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.audio.framing import whole_frames
from pe_audio_cli.detection.scoring import logits, probabilities
from pe_audio_cli.models.backends.torch_encoder import PeEncoder
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.encoder import DeviceOptions
from pe_audio_cli.models.kernels.cuda import SHARE, STATES, cudnn_flags, to_device, windows_at_once

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="NO CUDA: what needs it is not tested")


@pytest.mark.parametrize("enabled", [True, False])
def test_float32_is_float32_with_cuda(enabled):
    before = torch.backends.cudnn.allow_tf32
    with cudnn_flags(enabled):
        assert torch.backends.cudnn.enabled == enabled
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
    assert to_device(given, torch.device("cpu"), torch.float32) is given
    assert to_device(given, torch.device("cpu"), torch.bfloat16).dtype == torch.bfloat16


@needs_cuda
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 3e-5), ("bfloat16", 0.1)])
def test_cuda_gives_the_results_of_the_cpu(reference, dtype, tolerance):
    frames = 0.1 * np.random.default_rng(0).standard_normal((50, 1920)).astype(np.float32)
    embedded = []
    for options in (DeviceOptions("cpu"), DeviceOptions("cuda", dtype)):
        encoder = PeEncoder(Checkpoint.open(reference.folder, "reference"), options)
        windows = encoder.encode_codec(frames).reshape(2, 25, -1)
        embeddings = encoder.encode_windows(windows)
        embedded.append((embeddings.clips, embeddings.frames))
    for here, there in zip(*embedded, strict=True):
        np.testing.assert_allclose(there, here, rtol=0, atol=tolerance * np.abs(here).max())


@needs_cuda
def test_probabilities_with_cuda_are_the_references(reference):
    """Within 3e-5: a codec in float64 is 1.4e-5 off as well, so much does the reference's own rounding do to it."""
    encoder = PeEncoder(Checkpoint.open(reference.folder, "reference"), DeviceOptions("cuda", "float32"))
    text = encoder.encode_text(reference.labels)
    for clip, expected in reference.clips.items():
        samples, _ = soundfile.read(reference.audio(clip), dtype="float32")
        frames = np.concatenate(list(whole_frames([samples])))
        embeddings = encoder.encode_windows(encoder.encode_codec(frames)[None])
        for found, wanted in ((embeddings.clips[0], "clip_probs"), (embeddings.frames[0], "frame_probs")):
            logit = logits(found, text, encoder.facts.logit_scale, encoder.facts.logit_bias)
            np.testing.assert_allclose(probabilities(logit).T, expected[wanted], rtol=0, atol=3e-5)
