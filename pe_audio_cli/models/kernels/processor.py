"""The data types that the processor has instructions for."""

from __future__ import annotations

from collections.abc import Mapping

import torch

__all__ = ["dtype_warning"]

# LLVM's names of what multiplies a dtype, or converts it to float32 and back: three of x86, one of Arm.
FEATURES = {
    torch.bfloat16: ("avx512bf16", "amx-bf16", "avxneconvert", "bf16"),
    torch.float16: ("avx512fp16", "amx-fp16", "avxneconvert", "fullfp16"),
}


def dtype_warning(dtype: torch.dtype, device: torch.device) -> str | None:
    """Return what to tell whoever chose a dtype that this processor only emulates; None where it does not, as known."""
    if device.type != "cpu" or dtype not in FEATURES:
        return None
    here = _features()
    known = [here[name] for name in FEATURES[dtype] if name in here]
    if any(known) or not known:
        return None
    name = str(dtype).removeprefix("torch.")
    return f"this processor has no instructions for {name}, which can take a hundred times as long as float32"


def _features() -> Mapping[str, bool]:
    """The features that LLVM knows of this kind of processor, by name; none where it cannot tell."""
    try:
        from llvmlite import binding

        features: Mapping[str, bool] = binding.get_host_cpu_features()
    except (ImportError, OSError, RuntimeError, AttributeError):
        return {}
    return features
