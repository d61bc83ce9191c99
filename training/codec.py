"""The codec of ``mini``: a log-mel filter bank, written in the weights of a DAC encoder.

A DAC encoder is convolutions and Snake activations, ``x + sin(a x)^2 / a``. That is enough for log band energies:

48 kHz to 500 Hz
    Strides of 12, 2, 2 and 2 whose kernels hold a single 1 only put samples side by side: after them a step's 96
    channels are the 96 samples of its block. Residual units there are switched off.
500 Hz
    The first residual unit's kernel of 7 blocks is the filter bank of :mod:`training.bands`. The two after it turn a
    band's value u into sums of ``sin(a u)^2`` over four scales a. For a random u with standard deviation s the mean
    of that is ``(1 - exp(-2 a^2 s^2)) / 2``: each scale tells about 20 dB of level apart, and saturates above them.
100 Hz
    A stride of 5 smooths them. Three residual units, the same small network for every band, fitted by regression,
    turn them into the logarithm of the band's energy.
25 Hz
    The last stride and everything behind it is learned.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PeAudioEncoderConfig
from transformers.models.pe_audio.modeling_pe_audio import PeAudioDacEncoder

from training import bands
from training.logarithm import PER_BAND, LogNetwork

STRIDES = [12, 2, 2, 2, 5, 4]  # product 1920: one frame every 40 ms
WIDTH = 6  # channels at 48 kHz; they double with each stride
FILTER_STAGE, LOG_STAGE = 4, 5  # the stages at 500 Hz and at 100 Hz

# Scales of the four sin^2, and what each weighs. With these weights, exact in float16, all linear terms cancel.
SCALES = (4.0, 44.0, 425.0, 4675.0)
LOUD, SOFT = 1 / 16, 17 / 16


def encoder_config(hidden: int, layers: int, heads: int, intermediate: int, codec_dim: int) -> PeAudioEncoderConfig:
    """The configuration of the audio tower around this codec."""
    dac = {
        "encoder_hidden_size": WIDTH,
        "downsampling_ratios": STRIDES,
        "hidden_size": codec_dim,
        "codebook_dim": codec_dim,
        "hop_length": 1920,
    }
    return PeAudioEncoderConfig(
        dac_config=dac,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        head_dim=hidden // heads,
        intermediate_size=intermediate,
    )


def filter_bank() -> PeAudioDacEncoder:
    """A codec with its filters set, rounded as the finished checkpoint is, and nothing else."""
    dac = PeAudioDacEncoder(encoder_config(64, 1, 2, 64, 64).dac_config).requires_grad_(False).eval()
    write_filter_bank(dac)
    return dac.half().float()


def fitted_network(work: Path) -> LogNetwork:
    """The network that takes logarithms, from ``WORK/logarithm.pt``, rounded as the finished checkpoint is."""
    network = LogNetwork().requires_grad_(False).eval()
    network.load_state_dict(torch.load(work / "logarithm.pt"))
    return network.half().float()


@torch.no_grad()
def write_filter_bank(codec: PeAudioDacEncoder) -> None:
    """Set the stages up to 100 Hz, all but the smoothing: samples side by side, filters, saturating levels."""
    for stage in codec.block[:FILTER_STAGE]:
        for unit in _units(stage):
            _switch_off(unit)
    nn.init.zeros_(codec.conv1.weight)
    nn.init.zeros_(codec.conv1.bias)
    codec.conv1.weight[0, 0, 3] = 1
    for stage in codec.block[: FILTER_STAGE + 1]:
        stage.snake1.alpha.zero_()
    for stage, stride in zip(codec.block[:FILTER_STAGE], STRIDES[:FILTER_STAGE], strict=True):
        _put_side_by_side(stage.conv1, stride, samples=1 if stride == STRIDES[0] else stage.conv1.in_channels)
    filters, loud, soft = _units(codec.block[FILTER_STAGE])
    _write_filters(filters)
    _write_levels(loud, soft)


def _units(stage: Any) -> tuple[Any, Any, Any]:
    return stage.res_unit1, stage.res_unit2, stage.res_unit3


def _switch_off(unit: Any) -> None:
    """A residual unit that adds nothing: with alpha 0 a Snake is the identity."""
    for parameter in unit.parameters():
        parameter.zero_()


def _put_side_by_side(conv: nn.Conv1d, stride: int, samples: int) -> None:
    """A strided convolution that keeps ``stride`` steps of the first ``samples`` channels as channels of one step."""
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    padding = int(conv.padding[0])
    for step in range(stride):
        for channel in range(samples):
            conv.weight[step * samples + channel, channel, padding + step] = 1


def _write_filters(unit: Any) -> None:
    """Band values into the first half of the channels, nothing into the second."""
    _switch_off(unit)
    bank = torch.from_numpy(bands.filters()).float().reshape(bands.N_BANDS, 7, bands.BLOCK).transpose(1, 2)
    unit.conv1.weight[: bands.N_BANDS] = bank
    own = torch.arange(bands.BLOCK)
    unit.conv1.weight[own, own, 3] -= 1  # the unit adds its input, which is to go
    unit.conv2.weight[own, own, 0] = 1


def _write_levels(loud: Any, soft: Any) -> None:
    """Sums of two sin^2 each: scales 1 and 3 into the empty half, 2 and 4 in place of the band values.

    A Snake of scale a brings u along with ``sin(a u)^2 / a``. The signs of its inputs and the weights behind it are
    such that u cancels: ``-1/16 + 17/16 = 1`` is left by the first unit and taken back by the second, whose own
    ``1/16 - 17/16 = -1`` takes what was there.
    """
    band, empty = torch.arange(bands.N_BANDS), torch.arange(bands.N_BANDS) + bands.N_BANDS
    for unit, (low, high), sign in ((loud, SCALES[0::2], -1), (soft, SCALES[1::2], 1)):
        _switch_off(unit)
        unit.conv1.weight[band, band, 3] = sign
        unit.conv1.weight[empty, band, 3] = -sign
        unit.snake2.alpha[0, band, 0] = low
        unit.snake2.alpha[0, empty, 0] = high
        into = empty if unit is loud else band
        unit.conv2.weight[into, band, 0] = LOUD
        unit.conv2.weight[into, empty, 0] = SOFT
    soft.conv2.weight[empty, empty, 0] = 1


@torch.no_grad()
def write_logarithm(codec: PeAudioDacEncoder, network: LogNetwork) -> None:
    """Set the smoothing and the stage at 100 Hz: ``network`` for every band.

    Channels ``4 b`` to ``4 b + 3`` serve band b; what its last convolution reads is left to :func:`read_energies`.
    """
    smoothing, stage = codec.block[FILTER_STAGE].conv1, codec.block[LOG_STAGE]
    nn.init.zeros_(smoothing.weight)
    band = torch.arange(bands.N_BANDS)
    window = smoothing_window()
    for channel in range(PER_BAND):
        for level, first in ((0, bands.N_BANDS), (1, 0)):
            weight = network.first.weight[channel, level, 0] * level_gains()[level]
            smoothing.weight[PER_BAND * band + channel, first + band] = weight * window
        smoothing.bias[PER_BAND * band + channel] = network.first.bias[channel]
    for unit, fitted in zip(_units(stage), network.units, strict=True):
        _switch_off(unit)
        unit.snake1.alpha[0, :, 0] = fitted.alpha1.repeat(bands.N_BANDS)
        unit.snake2.alpha[0, :, 0] = fitted.alpha2.repeat(bands.N_BANDS)
        _write_for_each_band(unit.conv1, fitted.conv1)
        _write_for_each_band(unit.conv2, fitted.conv2)
    stage.snake1.alpha[0, :, 0] = network.alpha.repeat(bands.N_BANDS)


def level_gains() -> tuple[float, float]:
    """The factors of the two sums of sin^2, so that each runs from 0 to about 1."""
    return SCALES[0] / LOUD, SCALES[1] / LOUD


def smoothing_window() -> torch.Tensor:
    """Ten weights that sum to 1: 20 ms at 500 Hz."""
    window = torch.hann_window(12, periodic=False)[1:-1]
    return window / window.sum()


def _write_for_each_band(conv: nn.Conv1d, fitted: nn.Conv1d) -> None:
    """A small convolution on the middle taps of a big one's diagonal blocks."""
    nn.init.zeros_(conv.weight)
    start = (conv.weight.shape[2] - fitted.weight.shape[2]) // 2
    taps = slice(start, start + fitted.weight.shape[2])
    for band in range(bands.N_BANDS):
        own = slice(PER_BAND * band, PER_BAND * (band + 1))
        conv.weight[own, own, taps] = fitted.weight
    conv.bias.copy_(fitted.bias.repeat(bands.N_BANDS))  # type: ignore[union-attr, operator]


def levels(codec: PeAudioDacEncoder, samples: torch.Tensor) -> torch.Tensor:
    """The two smoothed levels of each band, ``(bands, 2, time)`` at 100 Hz, for ``(n_samples,)`` at 48 kHz.

    Stages that only move samples are replaced by a reshape, which gives the same.
    """
    blocks = samples[: len(samples) // bands.BLOCK * bands.BLOCK].reshape(1, -1, bands.BLOCK).transpose(1, 2)
    hidden = blocks
    for unit in _units(codec.block[FILTER_STAGE]):
        hidden = unit(hidden)
    loud, soft = hidden[0, bands.N_BANDS :], hidden[0, : bands.N_BANDS]
    pair = torch.stack([loud, soft], 1) * torch.tensor(level_gains())[:, None]
    smooth = nn.functional.conv1d(
        pair.reshape(-1, 1, pair.shape[-1]), smoothing_window()[None, None], stride=5, padding=3
    )
    return smooth.reshape(bands.N_BANDS, 2, -1)
