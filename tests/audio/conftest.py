"""Fixtures for tests of audio."""

from __future__ import annotations

from pathlib import Path

import pytest
from audio.corpus import Recordings


@pytest.fixture
def recordings(tmp_path: Path) -> Recordings:
    folder = tmp_path / "recordings"
    folder.mkdir()
    return Recordings(folder)
