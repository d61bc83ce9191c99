"""The scores of YAMNet, the teacher of the audio tower, which knows the 521 classes of AudioSet.

YAMNet (Google, Apache-2.0) takes patches of 0.975 s at 16 kHz; one is taken every 0.48 s. It is asked about recordings
as they are (:mod:`training.hear`) and about scenes made of them (:mod:`training.scenes`), never about what
:mod:`training.mixtures` makes of either: what is heard stays the same when it is filtered or turned down, and that is
to be learned.

It is run by PyPI's ``ai-edge-litert``, which training alone needs.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

__all__ = ["CLASSES", "EMBEDDING", "HOP", "PATCH", "Teacher", "class_names"]

SAMPLE_RATE = 16_000
PATCH = 15_600  # samples that it sees at once
HOP = 7_680  # samples between two patches: 0.48 s
EMBEDDING = 1024  # numbers that its last layer makes scores of
MODEL, NAMES = "yamnet.tflite", "yamnet_class_map.csv"
CLASSES = 521
LOUDEST = 0.5  # to which the peak of a recording is raised: it is no better at quiet ones than anybody

Array = NDArray[np.float32]


class Teacher:
    """YAMNet from a folder with its model and the names of its classes."""

    def __init__(self, folder: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        # The embedding is no output of the model, and would be written over.
        self.network: Any = Interpreter(
            model_path=str(folder / MODEL), num_threads=1, experimental_preserve_all_tensors=True
        )
        self.network.allocate_tensors()
        self.input = self.network.get_input_details()[0]["index"]
        shapes = {tuple(it["shape"]): it["index"] for it in self.network.get_output_details()}
        self.scores = shapes[1, CLASSES]
        inner = [it["index"] for it in self.network.get_tensor_details() if tuple(it["shape"]) == (1, EMBEDDING)]
        if len(inner) != 1:
            raise ValueError(f"{folder / MODEL} has {len(inner)} tensors of the shape of an embedding, not one")
        self.embedding = inner[0]

    def hear(self, samples: Array, rate: int) -> tuple[Array, Array]:
        """Scores ``(patches, 521)`` in [0, 1] and embeddings ``(patches, 1024)`` of mono samples.

        The first patch is centred on the first 0.49 s.
        """
        mono = np.asarray(soxr.resample(samples, rate, SAMPLE_RATE), np.float32)
        peak = float(np.abs(mono).max(initial=0.0))
        if peak > 1e-5:
            mono = mono * (LOUDEST / peak)
        count = 1 + max(0, -(-(len(mono) - PATCH) // HOP))
        padded = np.zeros(PATCH + HOP * (count - 1), np.float32)
        padded[: len(mono)] = mono[: len(padded)]
        heard = [self._hear(padded[HOP * index : HOP * index + PATCH]) for index in range(count)]
        scores, embeddings = zip(*heard, strict=True)
        return np.stack(scores), np.stack(embeddings)

    def _hear(self, patch: Array) -> tuple[Array, Array]:
        self.network.set_tensor(self.input, patch[None])
        self.network.invoke()
        scores, embedding = (self.network.get_tensor(index)[0] for index in (self.scores, self.embedding))
        return np.array(scores, np.float32), np.array(embedding, np.float32)


def class_names(folder: Path) -> list[str]:
    """The names of the classes, in the order of the scores."""
    with (folder / NAMES).open(newline="", encoding="utf-8") as table:
        return [row["display_name"] for row in csv.DictReader(table)]
