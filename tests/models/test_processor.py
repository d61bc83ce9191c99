"""The warning about a data type that the processor only emulates, and its readers."""

import sys
import warnings

import pytest
import torch
from support import REFERENCE
from typer.testing import CliRunner

import pe_audio_cli
from pe_audio_cli.cli.app import app
from pe_audio_cli.models.kernels import processor
from pe_audio_cli.models.kernels.processor import dtype_warning

CPU = torch.device("cpu")
OLD = {"avx2": True, "avx512bf16": False, "amx-bf16": False, "avx512fp16": False}
NEW = OLD | {"amx-bf16": True}
ARM = {"neon": True, "bf16": True, "fullfp16": False}
TAG = REFERENCE / "pe-a-frame-tiny_clip_c.wav"
ARGUMENTS = ["tag", str(TAG), "-m", str(REFERENCE / "pe-a-frame-tiny"), "-l", "rain", "--device", "cpu"]


@pytest.fixture
def here(monkeypatch):
    """Sets the features of the processor."""
    return lambda features: monkeypatch.setattr(processor, "_features", lambda: features)


@pytest.mark.parametrize(
    ("features", "slow"),
    [
        (OLD, {torch.bfloat16, torch.float16}),
        (NEW, {torch.float16}),
        (ARM, {torch.float16}),
        ({"avx2": True}, set()),  # of another kind, or a release of LLVM that does not know
        ({}, set()),
    ],
    ids=["old", "new", "arm", "unknown", "silent"],
)
def test_emulated_dtypes(here, features, slow):
    here(features)
    told = {dtype for dtype in (torch.float32, torch.bfloat16, torch.float16) if dtype_warning(dtype, CPU)}
    assert told == slow
    assert not any(dtype_warning(dtype, torch.device("cuda")) for dtype in slow)


@pytest.mark.parametrize("fault", [None, RuntimeError("no such processor")])
def test_what_llvm_cannot_tell_is_not_guessed(monkeypatch, fault):
    if fault is None:
        monkeypatch.setitem(sys.modules, "llvmlite", None)
    else:
        binding = pytest.importorskip("llvmlite.binding")
        monkeypatch.setattr(binding, "get_host_cpu_features", lambda: (_ for _ in ()).throw(fault))
    assert processor._features() == {}


def test_features_of_this_processor_have_the_names_of_the_table():
    features = processor._features()
    if not features:
        pytest.skip("NO FEATURES: llvmlite is missing, or LLVM cannot tell them here")
    assert any(name in features for names in processor.FEATURES.values() for name in names)


@pytest.mark.parametrize(("dtype", "told"), [("bfloat16", True), ("float32", False)])
def test_the_command_says_so_once_and_goes_on(here, dtype, told):
    here(OLD)
    done = CliRunner().invoke(app, [*ARGUMENTS, "--dtype", dtype])
    assert done.exit_code == 0
    assert done.stderr.count("warning: this processor has no instructions for bfloat16") == told


def test_the_python_api_warns(here):
    here(OLD)
    model = pe_audio_cli.load(REFERENCE / "pe-a-frame-tiny", device="cpu", dtype="bfloat16")
    with pytest.warns(UserWarning, match="no instructions for bfloat16"):
        model.encoder("tag")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.encoder("tag")
