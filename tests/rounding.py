"""Tolerances for the reference numbers, from the rounding of float32 on this processor.

The reference was computed in float32 as well, on another machine. The codecs of its small checkpoints magnify rounding:
in float64, which stands for the exact result, the same modules are up to 1.4e-5 off the reference. Where a processor
adds in the order of that machine, both round alike, and 1e-5 holds. Where it does not, the two errors add up.
"""

from __future__ import annotations

import numpy as np
import soundfile
import torch
from support import Reference

from pe_audio_cli.audio.framing import whole_frames
from pe_audio_cli.detection.scoring import logits, probabilities
from pe_audio_cli.models.backends.torch_encoder import PeEncoder
from pe_audio_cli.models.backends.transformers_modules import transformers_audio
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.encoder import DeviceOptions

WANTED = 1e-5  # in probability


def tolerance(reference: Reference) -> float:
    """1e-5 if transformers' own modules reach it here, else how far they and the reference are off the exact result."""
    expected = [np.array(clip["frame_probs"]) for clip in reference.clips.values()]
    rounded = _frame_probabilities(reference, torch.float32)
    if _apart(rounded, expected) <= WANTED:
        return WANTED
    exact = _frame_probabilities(reference, torch.float64)
    return _apart(rounded, exact) + _apart(expected, exact)


def _frame_probabilities(reference: Reference, dtype: torch.dtype) -> list[np.ndarray]:
    """Of each clip, ``(n_labels, n_frames)``, by transformers' modules."""
    checkpoint = Checkpoint.open(reference.folder, "reference")
    encoder = PeEncoder(checkpoint, DeviceOptions(device="cpu"))
    text = encoder.encode_text(reference.labels)
    codec, tower, head = (module.to(dtype) for module in transformers_audio(checkpoint))
    found = []
    for clip in reference.clips:
        samples, _ = soundfile.read(reference.audio(clip), dtype="float32")
        frames = torch.from_numpy(np.concatenate(list(whole_frames([samples])))).reshape(1, 1, -1).to(dtype)
        with torch.inference_mode():
            embeddings = head(tower(codec(frames).transpose(1, 2))[1])[0].numpy()
        found.append(probabilities(logits(embeddings, text, encoder.facts.logit_scale, encoder.facts.logit_bias)).T)
    return found


def _apart(some: list[np.ndarray], others: list[np.ndarray]) -> float:
    return max(float(np.abs(one - other).max()) for one, other in zip(some, others, strict=True))
