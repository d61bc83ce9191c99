"""What tests of the command line share."""

from __future__ import annotations

import sys
import types

import pytest
from support import REFERENCE, LevelEncoder


@pytest.fixture
def encoder_without_a_model(monkeypatch: pytest.MonkeyPatch, encoder: LevelEncoder) -> LevelEncoder:
    """What commands of this process encode with, whatever the model."""
    stand_in = types.ModuleType("pe_audio_cli.model.encoder")
    stand_in.DeviceOptions = lambda *options: options
    stand_in.PeEncoder = lambda *options: encoder
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    monkeypatch.setenv("PEAUDIO_MODEL", str(REFERENCE / "pe-a-frame-tiny"))  # it must be there, though it isn't used
    return encoder
