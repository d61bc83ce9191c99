"""What all tests share."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support import LAYOUTS, REFERENCE, LevelEncoder, Reference


@pytest.fixture(scope="session", params=LAYOUTS)
def reference(request: pytest.FixtureRequest) -> Reference:
    expected = json.loads((REFERENCE / f"{request.param}_expected.json").read_text())
    return Reference(REFERENCE / request.param, expected["labels"], expected["clips"])


@pytest.fixture
def checkpoint_copy(tmp_path: Path) -> Path:
    """A checkpoint that a test may damage."""
    return Path(shutil.copytree(REFERENCE / "pe-a-frame-tiny", tmp_path / "checkpoint"))


@pytest.fixture
def encoder() -> LevelEncoder:
    return LevelEncoder()
