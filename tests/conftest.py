"""Fixtures for all tests."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import types
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from shared_tokenizers import shared
from stub_hub import StubHub, serving
from support import LAYOUTS, REFERENCE, LevelEncoder, Reference

# Files of tests run side by side: a thread that spins while it waits keeps another's from working. Read by OpenMP when
# torch is loaded, here and in child processes.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

# What takes longest begins first, and is marked as slow. A file goes to one process (--dist loadfile), and the others
# would wait for one that began last.
LONGEST = (
    "audio/test_mutations.py",
    "cluster/test_ray_engine.py",
    "live/test_long_run.py",
    "cli/test_endurance.py",
    "cli/test_commands.py",
    "report/test_browser.py",
    "cli/test_index_killed.py",
    "test_mini.py",
)


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what -m does not want
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))
    for item in items:
        if item.path in rank:
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """One more than there are cores, since some tests wait for a time or for another process."""
    n_workers = yield
    return n_workers + ("PYTEST_XDIST_AUTO_NUM_WORKERS" not in os.environ)


@pytest.fixture(scope="session", autouse=True)
def cache_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Label embeddings are kept where no user's are; child processes inherit the place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def shared_tokenizers(cache_of_our_own: None) -> Iterator[None]:
    """Tests of a tokenizer's process itself ask for one of their own: see ``models/test_untrusted_checkpoints.py``."""
    with shared():
        yield


@pytest.fixture(scope="session", params=LAYOUTS)
def reference(request: pytest.FixtureRequest) -> Reference:
    expected = json.loads((REFERENCE / f"{request.param}_expected.json").read_text())
    return Reference(REFERENCE / request.param, expected["labels"], expected["clips"])


@pytest.fixture(scope="session")
def tolerance(reference: Reference) -> float:
    """In probability: how near to the reference this processor can come in float32."""
    import rounding  # torch, which few tests need

    return rounding.tolerance(reference)


@pytest.fixture
def checkpoint_copy(tmp_path: Path) -> Path:
    """A checkpoint that a test may damage."""
    return Path(shutil.copytree(REFERENCE / "pe-a-frame-tiny", tmp_path / "checkpoint"))


@pytest.fixture
def encoder() -> LevelEncoder:
    return LevelEncoder()


@pytest.fixture
def encoder_without_a_model(monkeypatch: pytest.MonkeyPatch, encoder: LevelEncoder) -> LevelEncoder:
    """Make commands of this process use this encoder, whatever the model."""
    stand_in = types.ModuleType("pe_audio_cli.models.backends.torch_encoder")
    stand_in.PeEncoder = lambda *options: encoder
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    monkeypatch.setenv("PEAUDIO_MODEL", str(REFERENCE / "pe-a-frame-tiny"))  # it must be there, though it isn't used
    return encoder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StubHub]:
    """A hub on localhost that has the two base checkpoints, and a machine that has fetched nothing from it."""
    from huggingface_hub import constants

    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serving(StubHub()) as served:
        served.add("facebook/pe-av-base", REFERENCE / "pe-av-tiny")
        served.add("facebook/pe-a-frame-base", REFERENCE / "pe-a-frame-tiny")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", served.endpoint)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", served.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)  # else the tiny ones come in one piece
        yield served


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
