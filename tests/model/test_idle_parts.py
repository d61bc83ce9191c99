"""Parts of a codec that do nothing are left out, and nothing changes by it."""

import torch
from support import REFERENCE
from torch import nn
from transformers import PeAudioEncoder

from pe_audio_cli.model.checkpoint import AUDIO_TOWER, Checkpoint
from pe_audio_cli.model.codec import split_codec


def tower_with_idle_parts() -> nn.Module:
    checkpoint = Checkpoint.open(REFERENCE / "pe-av-tiny", "tiny")
    tower = checkpoint.fill(lambda: PeAudioEncoder(checkpoint.pe_audio_config.audio_config), AUDIO_TOWER)
    stage = tower.embedder.dac_encoder.block[1]
    for parameter in stage.res_unit2.conv2.parameters():
        parameter.zero_()
    stage.snake1.alpha.zero_()
    return tower


@torch.inference_mode()
def test_leaving_out_idle_parts_changes_no_digit():
    samples = torch.randn(1, 1, 20 * 1920, generator=torch.Generator().manual_seed(0)) * 0.1
    stock = tower_with_idle_parts().embedder
    wanted = stock.bottleneck(stock.dac_encoder(samples))
    codec = split_codec(tower_with_idle_parts())
    assert sum(isinstance(part, nn.Identity) for part in codec.modules()) == 2
    torch.testing.assert_close(codec(samples), wanted, rtol=0, atol=1e-5 * wanted.abs().max().item())


def test_no_part_of_the_reference_checkpoints_is_idle():
    checkpoint = Checkpoint.open(REFERENCE / "pe-a-frame-tiny", "tiny")
    tower = checkpoint.fill(lambda: PeAudioEncoder(checkpoint.pe_audio_config.audio_config), AUDIO_TOWER)
    assert not any(isinstance(part, nn.Identity) for part in split_codec(tower).modules())
