"""Settings and transfers for CUDA that are fast, and exact in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

__all__ = ["cudnn_flags", "to_device", "windows_at_once"]

SHARE = 0.5  # of the memory that is free once the model is loaded; the codec and cuDNN's own buffers take from the rest
STATES = (
    8  # as wide as a layer's widest that exist at once: four in the gated half, the others, float32 copies in norms
)


def cudnn_flags(enabled: bool) -> AbstractContextManager[None]:
    """Let cuDNN run where it is quick, without TF32, and with algorithms that give the same on every run.

    transformers turns cuDNN off around the codec, as Meta's SAM Audio does (facebookresearch/sam-audio, pull request
    19, which says no more than that). It matters in float32: on an H100 (cuDNN 9.19) its convolutions are three times
    as far from float64 as torch's own, and for some lengths it picks an algorithm that takes ten times as long as the
    whole codec. torch moreover lets it round float32 to TF32's ten bits unless told otherwise. In half precision it is
    needed: only it has convolutions for tensor cores.
    """
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=enabled, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


def to_device(tensor: torch.Tensor, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Copy a tensor to a device; to CUDA through pinned memory, so that the CPU need not wait."""
    if device.type != "cuda":
        return tensor.to(device, dtype)
    return tensor.pin_memory().to(device, non_blocking=True).to(dtype)  # converted there: it is faster, and pinned here


def windows_at_once(free: int, n_frames: int, widest: int, dtype: torch.dtype) -> int:
    """Return the number of windows that the transformer may encode at once in ``free`` bytes; at least one."""
    return max(1, int(SHARE * free) // (n_frames * widest * STATES * dtype.itemsize))
