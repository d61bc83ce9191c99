"""Names to checkpoint folders, with and without a hub."""

from __future__ import annotations

import time

import pytest
from support import REFERENCE

from pe_audio_cli.errors import CheckpointError, UsageError
from pe_audio_cli.models import registry
from pe_audio_cli.models.registry import ModelOptions, hub_id, resolve


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    """A machine that has fetched nothing, and whose hub is a port on which nobody listens."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_a_size_means_the_checkpoint_trained_for_the_task():
    assert hub_id("base", "tag") == "facebook/pe-av-base"
    assert hub_id("small", "localize") == "facebook/pe-a-frame-small"


def test_a_folder_is_taken_as_it_is():
    assert resolve(ModelOptions(str(REFERENCE / "pe-av-tiny")), "tag") == REFERENCE / "pe-av-tiny"


def test_a_folder_named_like_a_hub_id_is_the_folder(tmp_path, monkeypatch):
    (tmp_path / "facebook" / "pe-av-base").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert resolve(ModelOptions("facebook/pe-av-base"), "tag").is_dir()


@pytest.mark.parametrize("name", ["large", "facebook/pe-av-large"])
@pytest.mark.parametrize("offline", [True, False])
def test_a_hub_checkpoint_out_of_reach_says_at_once_how_to_carry_it_here(name, offline):
    begin = time.monotonic()
    with pytest.raises(
        CheckpointError, match=r"hf download facebook/pe-av-large --local-dir pe-av-large.*-m ./pe-av-large"
    ):
        resolve(ModelOptions(name, offline=offline), "tag")
    assert time.monotonic() - begin < 3


def test_an_interrupted_download_is_not_a_checkpoint(tmp_path):
    snapshot = tmp_path / "hub" / "models--facebook--pe-av-small" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    refs = tmp_path / "hub" / "models--facebook--pe-av-small" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    files = {file.name: file.read_bytes() for file in (REFERENCE / "pe-av-tiny").iterdir()}
    weights = files.pop("model.safetensors")
    for name, content in files.items():
        (snapshot / name).write_bytes(content)
    options = ModelOptions("small", offline=True)
    with pytest.raises(CheckpointError, match="not on this machine"):
        resolve(options, "tag")
    (snapshot / "model.safetensors").write_bytes(weights)
    assert resolve(options, "tag").samefile(snapshot)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("bse", "did you mean base"),
        ("", "unknown model"),
        ("./nowhere", "no model folder at ./nowhere"),
        ("/nowhere/at/all", "no model folder"),
        ("a/b/c", "no model folder"),
        (__file__, "is a file"),
    ],
)
def test_an_unknown_name_says_what_there_is(name, says):
    with pytest.raises(CheckpointError, match=says):
        resolve(ModelOptions(name), "tag")


def test_a_model_that_does_not_ship_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "SHIPPED", tmp_path)
    with pytest.raises(CheckpointError, match="not part of this version"):
        resolve(ModelOptions("mini"), "tag")


def test_a_revision_of_a_local_folder_is_refused():
    with pytest.raises(UsageError, match="drop --revision"):
        resolve(ModelOptions(str(REFERENCE / "pe-av-tiny"), revision="main"), "tag")
