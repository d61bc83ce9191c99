"""An out-of-memory error names a remedy, whatever message torch gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import REFERENCE

from pe_audio_cli.errors import RunError
from pe_audio_cli.models.backends.torch_encoder import PeEncoder
from pe_audio_cli.models.encoder import DeviceOptions
from pe_audio_cli.models.registry import ModelOptions, find_checkpoint

# As they were seen, on Linux, Windows and macOS.
WORDS = [
    RuntimeError("could not create a primitive"),
    RuntimeError("could not create a primitive descriptor for a matmul primitive"),
    RuntimeError("std::bad_alloc"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried to"),
    RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"),
    torch.OutOfMemoryError("CUDA out of memory."),
    MemoryError(),
]


@pytest.fixture(scope="module")
def loaded() -> PeEncoder:
    return PeEncoder(find_checkpoint(ModelOptions(str(REFERENCE / "pe-av-tiny")), "tag"), DeviceOptions("cpu"))


class Failing(torch.nn.Module):
    def __init__(self, fault: Exception) -> None:
        super().__init__()
        self._fault = fault

    def forward(self, *arguments: object) -> None:
        raise self._fault


@pytest.mark.parametrize("fault", WORDS, ids=str)
@pytest.mark.parametrize("part", ["_codec", "_tower"])
def test_it_is_an_error_with_a_remedy(loaded, part, fault, monkeypatch):
    monkeypatch.setattr(loaded, part, Failing(fault))
    with pytest.raises(RunError, match=r"out of memory: .*--window 30"):
        loaded.encode_codec(np.zeros((9, 1920), np.float32)) if part == "_codec" else windows(loaded)


@pytest.mark.parametrize("fault", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("x")], ids=str)
def test_other_faults_are_not_called_so(loaded, fault, monkeypatch):
    monkeypatch.setattr(loaded, "_codec", Failing(fault))
    with pytest.raises(type(fault)):
        loaded.encode_codec(np.zeros((9, 1920), np.float32))


def windows(encoder: PeEncoder) -> None:
    encoder.encode_windows(encoder.encode_codec(np.zeros((9, 1920), np.float32))[None])
