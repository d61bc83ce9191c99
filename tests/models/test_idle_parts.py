"""Parts of a codec that do nothing are left out, and nothing changes by it."""

import copy

import torch
from support import REFERENCE
from torch import nn

from pe_audio_cli.models.checkpoint import AUDIO_TOWER, Checkpoint
from pe_audio_cli.models.config import AudioConfig
from pe_audio_cli.models.modules.audio_tower import AudioTower
from pe_audio_cli.models.modules.codec import leave_out_idle_parts


def codec_of(name: str) -> nn.Sequential:
    checkpoint = Checkpoint.open(REFERENCE / name, "tiny")
    return checkpoint.fill(AudioTower(AudioConfig.read(checkpoint.audio_section)), AUDIO_TOWER).take_codec()


@torch.inference_mode()
def test_leaving_out_idle_parts_changes_no_digit():
    codec = codec_of("pe-av-tiny")
    stage = codec[0].block[1]
    for parameter in stage.res_unit2.conv2.parameters():
        parameter.zero_()
    stage.snake1.alpha.zero_()
    bare = copy.deepcopy(codec)
    leave_out_idle_parts(bare)
    samples = torch.randn(1, 1, 20 * 1920, generator=torch.Generator().manual_seed(0)) * 0.1
    assert sum(isinstance(part, nn.Identity) for part in bare.modules()) == 2
    torch.testing.assert_close(bare(samples), codec(samples), rtol=0, atol=0)


def test_no_part_of_the_reference_checkpoints_is_idle():
    codec = codec_of("pe-a-frame-tiny")
    leave_out_idle_parts(codec)
    assert not any(isinstance(part, nn.Identity) for part in codec.modules())
