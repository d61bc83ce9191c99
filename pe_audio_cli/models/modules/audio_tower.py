"""The audio tower's modules, equivalent to transformers' ``PeAudioEncoder``, without importing it.

Importing transformers' modules takes longer than encoding a short recording. Names of parameters are those of the
published checkpoints, and a test holds every number against transformers' own modules. There is never any padding.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from pe_audio_cli.models.config import AudioConfig
from pe_audio_cli.models.modules.codec import DacEncoder, PointwiseConv1d

__all__ = ["QUERIES", "AudioTower", "ContrastiveHead", "attend"]

HEAD_EPS = 1e-6
KERNEL = 3  # frames, of the ResNet block's convolutions
QUERIES = 128  # whose scores are computed at once in bfloat16: 5 MB for a minute of audio at full width


class ContrastiveHead(nn.Module):
    """From a tower's width to the embedding that audio and text share: ``(..., in_dim)`` to ``(..., out_dim)``."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(in_dim, eps=HEAD_EPS)
        self.proj = nn.Linear(in_dim, out_dim, bias=False)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Normed, then projected."""
        projected: torch.Tensor = self.proj(self.layer_norm(states))
        return projected


class RMSNorm(nn.Module):
    """Scales each vector to a root mean square of one, in float32 whatever the model's dtype is."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.eps = eps

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """``(..., width)`` to the same."""
        exact = states.float()
        exact = exact * torch.rsqrt(exact.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * exact.to(states.dtype)


class ConvBlock(nn.Module):
    """A group norm over the whole window, SiLU and a convolution: ``(batch, width, time)`` to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.groupnorm = nn.GroupNorm(1, width)
        self.project = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """One half of the ResNet block."""
        convolved: torch.Tensor = self.project(functional.silu(self.groupnorm(states)))
        return convolved


class ResnetBlock(nn.Module):
    """Two convolutions with a way around them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block1 = ConvBlock(width)
        self.block2 = ConvBlock(width)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """``(batch, time, width)`` to the same."""
        seen: torch.Tensor = self.block2(self.block1(states.transpose(1, 2)))
        return states + seen.transpose(1, 2)


class PatchEmbedder(nn.Module):
    """Puts the class token before the frames, and lets neighbours see each other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.resnet_block = ResnetBlock(width)
        self.class_embedding = nn.Parameter(torch.empty(1, 1, width))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """``(batch, n_frames, width)`` to ``(batch, 1 + n_frames, width)``."""
        states: torch.Tensor = self.resnet_block(
            torch.cat([self.class_embedding.expand(len(frames), -1, -1), frames], dim=1)
        )
        return states


class Attention(nn.Module):
    """Attention with rotary positions and normed queries and keys."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        width, head, bias = config.hidden_size, config.head_dim, config.attention_bias
        self.head_dim = head
        self.shared = config.num_attention_heads // config.n_key_value_heads
        self.q_proj = nn.Linear(width, config.num_attention_heads * head, bias=bias)
        self.k_proj = nn.Linear(width, config.n_key_value_heads * head, bias=bias)
        self.v_proj = nn.Linear(width, config.n_key_value_heads * head, bias=bias)
        self.o_proj = nn.Linear(config.num_attention_heads * head, width, bias=bias)
        self.q_norm = RMSNorm(head, config.rms_norm_eps)
        self.k_norm = RMSNorm(head, config.rms_norm_eps)

    def forward(self, states: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """``(batch, time, width)`` to the same."""
        queries, keys, values = (
            projection(states).unflatten(-1, (-1, self.head_dim))
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        queries = rotate(self.q_norm(queries).transpose(1, 2), rotation)
        keys = rotate(self.k_norm(keys).transpose(1, 2), rotation)
        values = values.transpose(1, 2)
        if self.shared > 1:
            keys, values = (each.repeat_interleave(self.shared, 1) for each in (keys, values))
        mixed = attend(queries, keys, values)
        out: torch.Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return out


class Mlp(nn.Module):
    """The gated half of a layer."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """``(batch, time, width)`` to the same."""
        out: torch.Tensor = self.down_proj(functional.silu(self.gate_proj(states)) * self.up_proj(states))
        return out


class TransformerLayer(nn.Module):
    """One layer of the transformer, normed before each half."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = Mlp(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, states: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """``(batch, time, width)`` to the same."""
        states = states + self.self_attn(self.input_layernorm(states), rotation)
        out: torch.Tensor = states + self.mlp(self.post_attention_layernorm(states))
        return out


class AudioTower(nn.Module):
    """Codec features to the states of the class token and of the frames; the codec is removed by :meth:`take_codec`."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        codec = config.dac_config
        self.embedder = nn.ModuleDict(
            {
                "dac_encoder": DacEncoder(codec),
                "bottleneck": PointwiseConv1d(codec.width, codec.codebook_dim),
                "data_proj": nn.Linear(codec.codebook_dim, config.hidden_size),
            }
        )
        self.patch_embedder = PatchEmbedder(config.hidden_size)
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.output = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.head_dim, self.rope_theta = config.head_dim, config.rope_theta

    def take_codec(self) -> nn.Sequential:
        """Remove and return the codec.

        It maps samples ``(batch, 1, n_frames * 1920)`` to features ``(batch, codebook_dim, n_frames)``.
        """
        return nn.Sequential(self.embedder.pop("dac_encoder"), self.embedder.pop("bottleneck"))

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``(batch, n_frames, codebook_dim)`` to ``(batch, hidden)`` and ``(batch, n_frames, hidden)``."""
        states = self.patch_embedder(self.embedder["data_proj"](features))
        rotation = rotary(states.shape[1], self.head_dim, self.rope_theta, states)
        for layer in self.layers:
            states = layer(states, rotation)
        states = self.output(self.norm(states))
        return states[:, 0], states[:, 1:]


def attend(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return the attention of queries to values, all ``(batch, heads, length, head_dim)``.

    torch's own function takes twice as long as its three steps in bfloat16 on a CPU. There they are written out, for
    a few queries at a time, so that scores stay in the processor's cache.
    """
    if queries.device.type != "cpu" or queries.dtype != torch.bfloat16:
        return functional.scaled_dot_product_attention(queries, keys, values)
    keys, values = (keys * keys.shape[-1] ** -0.5).transpose(-1, -2), values.contiguous()
    parts = [torch.softmax(part @ keys, dim=-1) @ values for part in torch.split(queries, QUERIES, dim=-2)]
    return torch.cat(parts, dim=-2)


def rotary(length: int, head_dim: int, theta: float, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine of each position's angle for each pair of channels, ``(length, head_dim / 2)`` both.

    Angles as in Su et al., RoFormer (2021), with the base ``theta``; worked out in float32.
    """
    steps = torch.arange(0, head_dim, 2, dtype=torch.float32, device=like.device) / head_dim
    positions = torch.arange(length, dtype=torch.float32, device=like.device)
    angles = positions[:, None] * (1.0 / theta**steps)
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def rotate(states: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Turn each pair of neighbouring channels, ``(..., length, head_dim)``, by its position's angle."""
    cos, sin = rotation
    even, odd = states[..., 0::2], states[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)
