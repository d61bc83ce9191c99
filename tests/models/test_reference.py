"""The numbers of Meta's own implementation, through the encoder."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import soundfile
import torch
from transformers import PeAudioFeatureExtractor

from pe_audio_cli.audio.framing import HOP, chunked, whole_frames
from pe_audio_cli.detection.scoring import logits, probabilities
from pe_audio_cli.models.backends.torch_encoder import PeEncoder
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.config import codec_context
from pe_audio_cli.models.encoder import DeviceOptions
from pe_audio_cli.results import Embeddings


@pytest.fixture(scope="session")
def real(reference) -> PeEncoder:
    return PeEncoder(Checkpoint.open(reference.folder, "reference"), DeviceOptions(device="cpu"))


def frames_of(samples: np.ndarray) -> np.ndarray:
    return np.concatenate(list(whole_frames([samples.astype(np.float32)])))


def encode(encoder: PeEncoder, samples: np.ndarray) -> Embeddings:
    """Both embeddings of a recording in one pass."""
    return encoder.encode_windows(encoder.encode_codec(frames_of(samples))[None])


def score(encoder: PeEncoder, embeddings: np.ndarray, labels: list[str]) -> np.ndarray:
    text = encoder.encode_text(labels)
    return probabilities(logits(embeddings, text, encoder.facts.logit_scale, encoder.facts.logit_bias))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("clip", ["clip_a", "clip_b", "clip_c"])
def test_probabilities_are_the_references(real, reference, tolerance, clip, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        samples, _ = soundfile.read(reference.audio(clip), dtype="float32")
        encoded = encode(real, samples)
        expected = reference.clips[clip]
        clip_probs = score(real, encoded.clips[0], reference.labels)
        frame_probs = score(real, encoded.frames[0], reference.labels).T
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(clip_probs, expected["clip_probs"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(frame_probs, expected["frame_probs"], rtol=0, atol=tolerance)


def test_a_window_gives_the_same_alone_and_in_a_batch(real):
    rng = np.random.default_rng(0)
    windows = (0.1 * rng.standard_normal((4, 30 * HOP))).astype(np.float32)
    features = np.stack([real.encode_codec(frames_of(window)) for window in windows])
    together = real.encode_windows(features)
    for index, window in enumerate(windows):
        alone = encode(real, window)
        labels = ["a dog barking", "rain falling"]
        for one, all_ in [(alone.clips[0], together.clips[index]), (alone.frames[0], together.frames[index])]:
            np.testing.assert_allclose(score(real, one, labels), score(real, all_, labels), rtol=0, atol=1e-6)


def test_a_label_gives_the_same_whatever_labels_stand_beside_it(real):
    alone = real.encode_text(["a dog barking"])
    beside = real.encode_text(
        ["rain", "a dog barking", "a person speaking on the phone in a car with the engine running"]
    )
    np.testing.assert_array_equal(alone[0], beside[1])


@pytest.mark.parametrize("n_samples", [1, 2, 1919, 1920, 1921, 5000])
def test_the_end_is_padded_as_the_feature_extractor_pads_it(n_samples):
    samples = np.random.default_rng(1).standard_normal(n_samples).astype(np.float32)
    extracted = PeAudioFeatureExtractor()(samples, sampling_rate=48_000, return_tensors="np")
    np.testing.assert_array_equal(frames_of(samples).ravel(), extracted["input_values"][0, 0])


@pytest.mark.parametrize("n_samples", [1, 1919, 1920])
def test_shorter_than_a_frame_is_one_frame(real, n_samples):
    encoded = encode(real, np.full(n_samples, 0.1))
    assert encoded.frames.shape[1] == 1
    assert np.isfinite(encoded.frames).all()


def test_bfloat16_stays_near_float32(reference):
    options = DeviceOptions(device="cpu", dtype="bfloat16")
    rough = PeEncoder(Checkpoint.open(reference.folder, "reference"), options)
    samples, _ = soundfile.read(reference.audio("clip_a"), dtype="float32")
    clip = score(rough, encode(rough, samples).clips[0], reference.labels)
    np.testing.assert_allclose(clip, reference.clips["clip_a"]["clip_probs"], rtol=0, atol=0.02)


def test_the_codec_gives_the_same_in_chunks_as_in_one_piece(real):
    """In float64, where a context_frames too small would show far above the rounding."""
    rng = np.random.default_rng(2)
    frames = frames_of(0.1 * rng.standard_normal(100 * HOP + 7))
    codec = copy.deepcopy(real._codec).double()

    def run(part: np.ndarray) -> torch.Tensor:
        with torch.inference_mode():
            return codec(torch.from_numpy(part).double().reshape(1, 1, -1))[0].T

    whole = run(frames)
    chunks = [
        run(chunk.frames)[chunk.n_before : chunk.n_before + chunk.n_frames]
        for chunk in chunked([frames], 60, 30, real.facts.context_frames)
    ]
    np.testing.assert_allclose(torch.cat(chunks), whole, rtol=0, atol=1e-9 * whole.abs().max())
    assert real.facts.context_frames == codec_context([2, 8, 10, 12])


def test_the_halo_is_no_larger_than_it_need_be(real):
    """A click moves features this far around it, and not one frame further."""
    silent = np.zeros((60, HOP), np.float32)
    click = silent.copy()
    click[30, 0] = 0.5
    moved = np.flatnonzero((real.encode_codec(click) != real.encode_codec(silent)).any(-1))
    assert 30 - real.facts.context_frames <= moved.min() <= 30 - real.facts.context_frames + 1
    assert moved.max() <= 30 + real.facts.context_frames
