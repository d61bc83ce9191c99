"""A program: a recording through transformers as the published checkpoints' model cards show it, in pieces of 30 s.

``python -m benchmarks.quickstart [--mallopt] FOLDER RECORDING LABEL...`` prints, as a JSON list, each label's highest
probability in any piece.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import soundfile

from pe_audio_cli.model.memory import keep_big_blocks

PIECE = 30  # seconds


def highest_probabilities(folder: Path, recording: Path, labels: list[str]) -> list[float]:
    """Of each label in any piece; the text goes through the model with every piece, as in ``model(**inputs)``."""
    import torch
    from transformers import AutoTokenizer, PeAudioFeatureExtractor, PeAudioModel

    model = PeAudioModel.from_pretrained(folder)
    extractor: Any = PeAudioFeatureExtractor.from_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    rate = extractor.sampling_rate
    highest = torch.zeros(len(labels))
    with torch.inference_mode():
        for piece in soundfile.blocks(recording, PIECE * rate, dtype="float32"):
            text = tokenizer(labels, padding=True, return_tensors="pt")
            audio = extractor(piece, sampling_rate=rate, return_tensors="pt")
            found = model(**text, **audio).logits_audio_text[0].sigmoid()
            highest = torch.maximum(highest, found)
    return highest.tolist()


def main(arguments: list[str]) -> None:
    """Run as a program."""
    if arguments[0] == "--mallopt":
        keep_big_blocks()
        arguments = arguments[1:]
    folder, recording, *labels = arguments
    print(json.dumps(highest_probabilities(Path(folder), Path(recording), labels)))


if __name__ == "__main__":
    main(sys.argv[1:])
