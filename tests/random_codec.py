"""A small codec with random weights, and something for it to hear."""

from __future__ import annotations

import torch
from torch import nn

from pe_audio_cli.audio.framing import HOP
from pe_audio_cli.models.config import CodecConfig
from pe_audio_cli.models.modules.codec import DacEncoder, PointwiseConv1d, leave_out_idle_parts


def random_codec(channels=4, strides=(2, 8, 10, 12)) -> nn.Sequential:
    """With alphas and weights about as large as in a trained one, and biases that show at the ends."""
    config = CodecConfig(channels, strides, codebook_dim=8)
    torch.manual_seed(0)
    codec = nn.Sequential(DacEncoder(config), PointwiseConv1d(config.width, 8))
    for name, parameter in codec.named_parameters():
        if "alpha" in name:
            nn.init.uniform_(parameter, 0.2, 2)
        elif name.endswith("bias"):
            nn.init.normal_(parameter, std=0.1)
    return codec.requires_grad_(False).eval()


def with_small_alphas(alpha: float) -> nn.Sequential:
    """One channel of some Snakes has an alpha of that size."""
    codec = random_codec()
    stage = codec[0].block[0]
    for snake in (stage.snake1, stage.res_unit1.snake1, stage.res_unit2.snake2):
        snake.alpha[:, 1] = alpha
    return codec


def with_idle_parts() -> nn.Sequential:
    """A residual unit and two Snakes do nothing, and are left out."""
    codec = random_codec()
    stage = codec[0].block[1]
    for parameter in stage.res_unit2.conv2.parameters():
        parameter.zero_()
    stage.snake1.alpha.zero_()
    stage.res_unit1.snake2.alpha.zero_()
    leave_out_idle_parts(codec)
    return codec


def sound(n_frames: int) -> torch.Tensor:
    return 0.1 * torch.randn(1, 1, n_frames * HOP, generator=torch.Generator().manual_seed(1))
