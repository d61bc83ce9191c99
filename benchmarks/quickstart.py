"""A program: a recording through transformers as the published checkpoints' model cards show it, in pieces of 30 s.

``python -m benchmarks.quickstart FOLDER RECORDING LABEL... [--mallopt] [--device cuda] [--dtype bfloat16]`` prints, as
a JSON list, each label's highest probability in any piece.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import soundfile

from pe_audio_cli.models.kernels.malloc import configure_malloc

PIECE = 30  # seconds


def highest_probabilities(
    folder: Path, recording: Path, labels: list[str], device: str = "cpu", dtype: str = "float32"
) -> list[float]:
    """Of each label in any piece; the text goes through the model with every piece, as in ``model(**inputs)``."""
    import torch
    from transformers import AutoTokenizer, PeAudioFeatureExtractor, PeAudioModel

    model: Any = PeAudioModel.from_pretrained(folder, dtype=getattr(torch, dtype))
    model.to(device)
    extractor: Any = PeAudioFeatureExtractor.from_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    rate = extractor.sampling_rate
    highest = torch.zeros(len(labels))
    with torch.inference_mode():
        for piece in soundfile.blocks(recording, PIECE * rate, dtype="float32"):
            text = tokenizer(labels, padding=True, return_tensors="pt")
            audio = extractor(piece, sampling_rate=rate, return_tensors="pt").to(device, getattr(torch, dtype))
            found = model(**text.to(device), **audio).logits_audio_text[0].sigmoid()
            highest = torch.maximum(highest, found.float().cpu())
    return highest.tolist()


def main(arguments: list[str]) -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("recording", type=Path)
    parser.add_argument("labels", nargs="+")
    parser.add_argument("--mallopt", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    given = parser.parse_args(arguments)
    if given.mallopt:
        configure_malloc()
    found = highest_probabilities(given.folder, given.recording, given.labels, given.device, given.dtype)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
