"""A checkpoint of the published checkpoints' width, with random weights.

The audio tower is that of transformers' default ``PeAudioConfig``. The text tower is a small one: labels are encoded
once and then cached, and no claim is made about them at full width.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pe_audio_cli.models.quiet import quiet_libraries

__all__ = ["full_width", "write_checkpoint"]

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "tests" / "reference"
PROCESSORS = ("preprocessor_config.json", "tokenizer.json", "tokenizer_config.json")
TEXT_TOWER = {
    "hidden_size": 256,
    "intermediate_size": 384,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 61,  # of the reference checkpoints' tokenizer, as are these
    "pad_token_id": 0,
    "cls_token_id": 1,
    "bos_token_id": 1,
    "sep_token_id": 2,
    "eos_token_id": 2,
    "tie_last_hidden_states": False,  # the state before the final norm, as Meta's implementation takes it
}


def full_width() -> Path:
    """The folder, about 1 GB; written when it is first needed, and kept."""
    folder = ROOT / "build" / "benchmarks" / "full-width"
    if not folder.is_dir():
        write_checkpoint(folder)
    return folder


def write_checkpoint(folder: Path, audio: Mapping[str, Any] | None = None) -> None:
    """Write a checkpoint with random weights; ``audio`` is what differs from the default audio configuration."""
    quiet_libraries()
    import torch
    from transformers import PeAudioConfig, PeAudioModel

    torch.manual_seed(0)
    config: Any = PeAudioConfig(text_config=TEXT_TOWER, audio_config=dict(audio) if audio is not None else None)
    model: Any = PeAudioModel(config)
    with torch.no_grad():
        _liven_up(model)
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part)
    for name in PROCESSORS:
        shutil.copyfile(REFERENCE / "pe-a-frame-tiny" / name, part / name)
    part.rename(folder)


def _liven_up(model: Any) -> None:
    """Weights of about a trained codec's size: with transformers' own, a Snake is as good as a straight line."""
    import torch
    from torch import nn

    for name, module in model.audio_encoder.named_modules():
        if isinstance(module, nn.Conv1d):
            module.reset_parameters()
        elif hasattr(module, "alpha"):
            assert "snake" in name
            nn.init.uniform_(module.alpha, 0.2, 2)
    model.text_audio_logit_scale.copy_(torch.ones(1))
