"""A finished checkpoint taken apart again, so that training can go on from it: :mod:`training.export` undone."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoTokenizer, PeAudioModel

from training import bands, codec
from training.concepts import KNOWN
from training.kinds import KINDS
from training.logarithm import PER_BAND, LogNetwork, log_energy, true_energies
from training.student import Student

__all__ = ["blend", "logarithm_of", "take_up"]

TAPS = 2 * codec.STRIDES[-1]  # of the codec's last strided convolution


def open_checkpoint(folder: Path) -> PeAudioModel:
    """In float32."""
    return PeAudioModel.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)


@torch.no_grad()
def logarithm_of(model: PeAudioModel, recordings: list[torch.Tensor]) -> LogNetwork:
    """The network that takes logarithms, read off the codec's stage at 100 Hz.

    Its last layer was folded into what follows, which tells it up to a factor and an offset; these are fitted on
    ``recordings``, samples at 48 kHz.
    """
    dac = model.audio_encoder.embedder.dac_encoder
    network = LogNetwork().requires_grad_(False).eval()
    smoothing, stage = dac.block[codec.FILTER_STAGE].conv1, dac.block[codec.LOG_STAGE]
    window = codec.smoothing_window()
    for channel in range(PER_BAND):
        for level, first in ((0, bands.N_BANDS), (1, 0)):
            weight = (smoothing.weight[channel, first] * window).sum() / window.square().sum()
            network.first.weight[channel, level, 0] = weight / codec.level_gains()[level]
        network.first.bias[channel] = smoothing.bias[channel]
    for unit, own in zip((stage.res_unit1, stage.res_unit2, stage.res_unit3), network.units, strict=True):
        own.alpha1.copy_(unit.snake1.alpha[0, :PER_BAND, 0])
        own.alpha2.copy_(unit.snake2.alpha[0, :PER_BAND, 0])
        for written, conv in ((unit.conv1, own.conv1), (unit.conv2, own.conv2)):
            start = (written.weight.shape[2] - conv.weight.shape[2]) // 2
            conv.weight.copy_(written.weight[:PER_BAND, :PER_BAND, start : start + conv.weight.shape[2]])
            conv.bias.copy_(written.bias[:PER_BAND])
    network.alpha.copy_(stage.snake1.alpha[0, :PER_BAND, 0])
    _, _, directions = torch.linalg.svd(_last_weight(model).flatten(0, 2), full_matrices=False)
    network.last.weight.copy_(directions[:1, :, None])
    network.last.bias.zero_()
    factor, offset = _line(*_pairs(network, recordings))
    network.last.weight.mul_(factor)
    network.last.bias.fill_(offset)
    return network


def _last_weight(model: PeAudioModel) -> torch.Tensor:
    """Of the codec's last strided convolution, ``(out, bands, taps, PER_BAND)``."""
    weight = model.audio_encoder.embedder.dac_encoder.block[codec.LOG_STAGE].conv1.weight
    return weight.view(-1, bands.N_BANDS, PER_BAND, TAPS).transpose(2, 3)


def _pairs(network: LogNetwork, recordings: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """The network's answers and the truth, in one row each."""
    dac = codec.filter_bank()
    filters = torch.stack([torch.from_numpy(bands.filters(phase)).float() for phase in (0.0, torch.pi / 2)])
    said, true = [], []
    for samples in recordings:
        energies, truth = network(codec.levels(dac, samples)), log_energy(true_energies(samples, filters))
        steps = min(energies.shape[-1], truth.shape[-1])
        said.append(energies[:, :steps].flatten())
        true.append(truth[:, :steps].flatten())
    return torch.cat(said), torch.cat(true)


def _line(x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    """Factor and offset that bring ``x`` closest to ``y``."""
    factor = float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())
    return factor, float(y.mean() - factor * x.mean())


@torch.no_grad()
def take_up(student: Student, folder: Path, network: LogNetwork) -> None:
    """Give ``student`` the weights of the audio tower in the checkpoint ``folder``, whose logarithm ``network`` takes.

    A kind of sound that the checkpoint was not taught begins as what its text tower makes of the words.
    """
    model = open_checkpoint(folder)
    tower = {
        name: value for name, value in model.audio_encoder.state_dict().items() if not name.startswith("embedder.")
    }
    student.tower.load_state_dict(tower, strict=False)  # all but the embedder
    embedder, front = model.audio_encoder.embedder, student.tower.embedder
    last = embedder.dac_encoder.block[codec.LOG_STAGE].conv1
    own = network.last.weight[0, :, 0]
    on_energies = torch.einsum("obtk,k->obt", _last_weight(model), own) / own.square().sum()
    front.down.weight.copy_(torch.einsum("obt,bc->oct", on_energies, torch.linalg.inv(front.whiten)))
    offset = network.last.bias - front.mean
    front.down.bias.copy_(last.bias - torch.einsum("obt,b->o", on_energies, offset))
    front.alpha.copy_(embedder.dac_encoder.snake1.alpha[0, :, 0])
    front.mix.load_state_dict(embedder.dac_encoder.conv2.state_dict())
    weight, bias = embedder.bottleneck.weight[:, :, 0], embedder.bottleneck.bias
    front.data_proj.weight.copy_(embedder.data_proj.weight @ weight)
    front.data_proj.bias.copy_(embedder.data_proj.bias + embedder.data_proj.weight @ bias)
    student.head.layer_norm.load_state_dict(model.audio_head.layer_norm.state_dict())
    student.head.proj.weight.copy_(_label_embeddings(model, folder) @ model.audio_head.proj.weight)
    student.scale.copy_(model.text_audio_logit_scale.squeeze())
    student.bias.copy_(model.text_audio_logit_bias.squeeze())


@torch.no_grad()
def blend(student: Student, folder: Path, network: LogNetwork, share: float) -> None:
    """Leave ``student`` only ``share`` of the way that it has gone from the checkpoint ``folder``.

    What training has forgotten of the checkpoint's sureness comes back that way, and little of what was learned is
    lost: Wortsman et al., "Robust fine-tuning of zero-shot models", 2022.
    """
    arrived = {name: value.clone() for name, value in student.state_dict().items()}
    take_up(student, folder, network)
    for name, value in student.state_dict().items():
        value.lerp_(arrived[name], share)


def _label_embeddings(model: PeAudioModel, folder: Path) -> torch.Tensor:
    """``(n_kinds, width)``: of a concept's label; of several concepts together, the mean of theirs."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer([concept.label for concept in KNOWN], padding=True, return_tensors="pt")
    features = model.text_model(tokens["input_ids"], tokens["attention_mask"]).last_hidden_state[:, 0]
    embeddings = model.text_audio_head(features)
    place = {concept.id: index for index, concept in enumerate(KNOWN)}
    return torch.stack([embeddings[[place[id] for id in ids]].mean(0) for ids in KINDS])
