"""What a CUDA card needs to be fast, and to stay exact where float32 is asked for."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import nn

__all__ = ["channels_inside", "exact_cudnn", "to_card", "windows_at_once"]

SHARE = 0.5  # of the memory that is free once the model is loaded; the codec and cuDNN's own buffers take from the rest
STATES = (
    8  # as wide as a layer's widest that exist at once: four in the gated half, the others, float32 copies in norms
)


def exact_cudnn() -> AbstractContextManager[None]:
    """Let cuDNN run, without TF32, and with algorithms that give the same on every run.

    torch lets it round the factors of float32 convolutions to TF32's ten bits unless told otherwise. transformers turns
    cuDNN off around the codec, as Meta's SAM Audio does (facebookresearch/sam-audio, pull request 19, which says no
    more than that); torch's own kernels, which run then, never use TF32. Without TF32 the numbers give no reason to
    turn it off, and only cuDNN has kernels for half precision with channels innermost.
    """
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


def channels_inside(codec: nn.Module) -> None:
    """Lay the weights of convolutions out with channels innermost; what they give is then laid out so too.

    Tensor cores read channels innermost, and cuDNN would otherwise turn every input and output around. It takes its
    layout from the weights, and all that lies between convolutions keeps the layout of what it is given.
    """
    for part in codec.modules():
        if isinstance(part, nn.Conv1d):
            weight = part.weight.detach().transpose(1, 2).contiguous().transpose(1, 2)
            part.weight = nn.Parameter(weight, requires_grad=False)


def to_card(tensor: torch.Tensor, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Bring a tensor to a card through pinned memory, behind which the CPU need not wait; elsewhere, plainly."""
    if device.type != "cuda":
        return tensor.to(device, dtype)
    return tensor.pin_memory().to(device, non_blocking=True).to(dtype)  # converted there: it is faster, and pinned here


def windows_at_once(free: int, n_frames: int, widest: int, dtype: torch.dtype) -> int:
    """How many windows of so many frames the transformer may take in ``free`` bytes; at least one."""
    return max(1, int(SHARE * free) // (n_frames * widest * STATES * dtype.itemsize))
