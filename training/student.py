"""The audio tower while it learns: stock modules of PeAudioEncoder, fed with cached log energies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from transformers import PeAudioEncoderConfig
from transformers.models.pe_audio import modeling_pe_audio
from transformers.models.pe_audio.modeling_pe_audio import PeAudioContrastiveHead, PeAudioEncoder

from training import bands
from training.codec import STRIDES
from training.logarithm import snake

LAST_WIDTH = 2 * 192  # channels behind the codec's last stride
TOGETHER = 16  # recordings
DROPOUT = 0.1  # of these channels, while training


class Front(nn.Module):
    """The codec's remaining work at 25 Hz, and the projection behind it: all of it learned.

    Stands in the place of the tower's embedder.
    """

    def __init__(self, config: PeAudioEncoderConfig, silence: float, mean: torch.Tensor, whiten: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("whiten", whiten)
        width = config.dac_config.hidden_size
        stride = STRIDES[-1]
        self.down = nn.Conv1d(bands.N_BANDS, LAST_WIDTH, 2 * stride, stride=stride)
        self.alpha = nn.Parameter(torch.ones(LAST_WIDTH))
        self.mix = nn.Conv1d(LAST_WIDTH, width, 3, padding=1)
        self.data_proj = nn.Linear(width, config.hidden_size)
        # What a band's log energy comes to where the codec pads its own channels with zeros.
        self.silence = silence
        self.padding = stride // 2

    def forward(self, energies: torch.Tensor, padding_mask: None = None) -> tuple[torch.Tensor, None]:
        """Log energies ``(n, bands, 4 * frames)`` to the transformer's inputs ``(n, frames, hidden)``."""
        padded = nn.functional.pad(energies, (self.padding, self.padding), value=self.silence)
        with torch.autocast(energies.device.type, enabled=False):  # fine differences, under the loudness
            white = self.whiten @ (padded - self.mean[:, None])
        hidden = nn.functional.dropout(snake(self.down(white), self.alpha), DROPOUT, self.training)
        hidden = self.mix(hidden)
        return self.data_proj(hidden.transpose(1, 2)), padding_mask


class Student(nn.Module):
    """Log energies to clip and frame embeddings."""

    def __init__(
        self, config: PeAudioEncoderConfig, width: int, silence: float, mean: torch.Tensor, whiten: torch.Tensor
    ) -> None:
        super().__init__()
        self.tower = PeAudioEncoder(config)
        self.tower.embedder = Front(config, silence, mean, whiten)
        self.head = PeAudioContrastiveHead(config.hidden_size, width)
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.bias = nn.Parameter(torch.tensor(-3.0))

    def forward(self, energies: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings ``(n, width)`` of the clips and ``(n, frames, width)`` of their frames."""
        clip, frames = self.hidden(energies)
        return self.head(clip), self.head(frames)

    def hidden(self, energies: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The inputs of the heads, ``(n, hidden)`` of the clips and ``(n, frames, hidden)`` of the frames."""
        out = self.tower(energies)
        return out.pooler_output, out.last_hidden_state


@torch.no_grad()
def clip_products(student: Student, recordings: Sequence[torch.Tensor]) -> torch.Tensor:
    """Products without scale and bias ``(n, kinds)``, of log energies ``(bands, time)`` of each recording."""
    products = torch.empty(len(recordings), student.head.proj.out_features)
    by_length: dict[int, list[int]] = {}
    for index, energies in enumerate(recordings):
        by_length.setdefault(energies.shape[1], []).append(index)
    for indices in by_length.values():
        for start in range(0, len(indices), TOGETHER):
            chosen = indices[start : start + TOGETHER]
            products[chosen] = student(torch.stack([recordings[index].float() for index in chosen]))[0]
    return products


def rotate(
    q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, unsqueeze_dim: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """The rotation of queries and keys by their place, by products of complex numbers."""
    half = cos.shape[-1] // 2  # the second half says the same
    turned = torch.complex(cos[..., :half].float(), sin[..., :half].float()).unsqueeze(unsqueeze_dim)
    pairs = (torch.view_as_complex(it.float().reshape(*it.shape[:-1], -1, 2)) for it in (q, k))
    query, key = (torch.view_as_real(it * turned).flatten(3).to(q.dtype) for it in pairs)
    return query, key


def hasten(student: Student) -> None:
    """Make what is slow on a processor in training quick: a quarter of a step went into rotations, and the fused
    attention's backward pass in bfloat16 is slower than plain products.
    """
    modeling_pe_audio.apply_rotary_pos_emb = rotate
    student.tower.config._attn_implementation = "eager"
