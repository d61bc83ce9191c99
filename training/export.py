"""Trained parts to a checkpoint folder in the format of the published ones, in float16."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PeAudioConfig, PeAudioEncoder, PeAudioFeatureExtractor, PeAudioModel

from training import codec
from training.concepts import KNOWN
from training.logarithm import LogNetwork
from training.student import Front, Student
from training.text_tower import TextTower


@torch.no_grad()
def assemble(network: LogNetwork, student: Student, text: TextTower) -> PeAudioModel:
    """The finished model, in float32 with the values of float16.

    The student has learned one direction a kind of sound. Through the transpose of the map that reads kinds from text
    embeddings, its product with a text embedding is the sum of the kinds' logits, each as far as the text names it.
    """
    # The folder that the text tower was read from is nobody else's business.
    text_config = text.tower.config.to_dict() | {"_name_or_path": ""}
    config = PeAudioConfig(text_config=text_config, audio_config=student.tower.config.to_dict(), dtype="float16")
    model = PeAudioModel(config).eval()
    state = {f"audio_encoder.{name}": value for name, value in assemble_audio(network, student).state_dict().items()}
    state |= {f"audio_head.{name}": value for name, value in student.head.state_dict().items()}
    state["audio_head.proj.weight"] = text.kinds.weight.T @ student.head.proj.weight
    state |= {f"text_model.{name}": value for name, value in text.tower.state_dict().items()}
    state |= {f"text_audio_head.{name}": value for name, value in text.head.state_dict().items()}
    state |= {"text_audio_logit_scale": student.scale.reshape(1), "text_audio_logit_bias": student.bias.reshape(1)}
    model.load_state_dict(state)
    return model.half().float()


@torch.no_grad()
def assemble_audio(network: LogNetwork, student: Student) -> PeAudioEncoder:
    """The audio tower, which takes samples in place of log energies."""
    tower = PeAudioEncoder(student.tower.config).eval().requires_grad_(False)
    learned = student.tower.state_dict()
    learned = {name: value for name, value in learned.items() if not name.startswith("embedder.")}
    tower.load_state_dict(learned, strict=False)  # all but the embedder
    _write_embedder(tower.embedder, network, student.tower.embedder)
    return tower.half().float()


def _write_embedder(embedder: Any, network: LogNetwork, front: Front) -> None:
    """The codec: what was set, and what was learned with the whitening and the last linear step folded in."""
    dac = embedder.dac_encoder
    codec.write_filter_bank(dac)
    codec.write_logarithm(dac, network)
    # (out, bands, taps), on log energies
    weight = torch.einsum("oct,cb->obt", front.down.weight, front.whiten)
    offset = network.last.bias - front.mean
    last = dac.block[codec.LOG_STAGE].conv1
    last.weight.copy_(torch.einsum("obt,k->obkt", weight, network.last.weight[0, :, 0]).flatten(1, 2))
    last.bias.copy_(front.down.bias + torch.einsum("obt,b->o", weight, offset))
    dac.snake1.alpha[0, :, 0] = front.alpha
    dac.conv2.load_state_dict(front.mix.state_dict())
    torch.nn.init.dirac_(embedder.bottleneck.weight)
    torch.nn.init.zeros_(embedder.bottleneck.bias)
    embedder.data_proj.load_state_dict(front.data_proj.state_dict())


def write(model: PeAudioModel, text: TextTower, folder: Path, ids: Sequence[str]) -> None:
    """Everything that ``from_pretrained`` reads, and the default labels: those of the concepts ``ids``."""
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    model.float()
    text.tokenizer.save_pretrained(folder)
    PeAudioFeatureExtractor().save_pretrained(folder)
    by_id = {concept.id: concept.label for concept in KNOWN}
    labels = [by_id[id] for id in ids]
    (folder / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
