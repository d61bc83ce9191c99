"""No home folder, a user that the system doesn't know, no temporary folder, a cache that cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import write_tone

NAMES = ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "USER", "LOGNAME", "LNAME", "USERNAME")
BARE = """
import os, tempfile
try:
    import pwd
    def unknown(user): raise KeyError(f"getpwuid(): uid not found: {user}")
    pwd.getpwuid = unknown
except ImportError:
    pass
def nowhere(): raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/var/tmp']")
if "NO_TEMPORARY_FOLDER" in os.environ:
    tempfile._get_default_tempdir = nowhere
from pe_audio_cli.cli.app import main
main()
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows finds the home folder otherwise")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tone(tmp_path / "a.wav")
    return tmp_path


def run(folder: Path, *arguments: str | Path, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess:
    bare = {name: value for name, value in os.environ.items() if name not in NAMES}
    # Transformers, which other checkpoints may need, does not load without a temporary folder.
    bare |= {"PYTHONPATH": str(Path(__file__).parents[2]), "PEAUDIO_MODEL": "mini"}
    command = [sys.executable, "-c", BARE, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=bare | environment, input=stdin, capture_output=True, timeout=100)


@pytest.mark.parametrize("more", [{}, {"NO_TEMPORARY_FOLDER": "1"}, {"XDG_CACHE_HOME": os.devnull}], ids=str)
def test_recordings_are_tagged_without_a_cache(folder: Path, more: dict[str, str]) -> None:
    done = run(folder, "tag", "a.wav", "-l", "rain", **more)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"peaudio.tag/1" in done.stdout
    assert [path.name for path in folder.iterdir()] == ["a.wav"]


def test_models_are_listed_and_not_pulled_into_a_folder_called_tilde(folder: Path) -> None:
    assert run(folder, "models").returncode == 0
    pulled = run(folder, "models", "pull", "base")
    assert pulled.returncode == 2 and b"HF_HOME" in pulled.stderr and b"Traceback" not in pulled.stderr
    assert [path.name for path in folder.iterdir()] == ["a.wav"]


@pytest.mark.parametrize("asked", [["embed", "a.wav", "-o", "e.npz"], ["tag", "-", "-l", "rain", "-q"]], ids=str)
def test_what_needs_a_temporary_folder_says_so_in_one_line(folder: Path, asked: list[str]) -> None:
    done = run(folder, *asked, stdin=(folder / "a.wav").read_bytes(), NO_TEMPORARY_FOLDER="1")
    assert done.returncode in (1, 2)
    assert len(done.stderr.splitlines()) == 1 and b"temporary" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["a.wav"]
