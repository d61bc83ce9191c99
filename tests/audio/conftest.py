"""What the tests of this room share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from audio.corpus import Recordings


@pytest.fixture
def recordings(tmp_path: Path) -> Recordings:
    folder = tmp_path / "recordings"
    folder.mkdir()
    return Recordings(folder)


@pytest.fixture
def powerless() -> Iterator[Path]:
    """A folder for a test that runs as a user who may not read everything, even where root runs the tests."""
    nobody = 65_534
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        user = os.geteuid()
        os.seteuid(nobody if user == 0 else user)
        try:
            yield Path(folder)
        finally:
            os.seteuid(user)
