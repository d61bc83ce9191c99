"""Invalid checkpoints, each refused by name."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import REFERENCE

from pe_audio_cli.errors import CheckpointError, UsageError
from pe_audio_cli.models.backends.torch_encoder import PeEncoder
from pe_audio_cli.models.backends.torch_text import transformers_text_encoder
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.encoder import DeviceOptions


def load(folder: Path) -> PeEncoder:
    encoder = PeEncoder(Checkpoint.open(folder, "mine"), DeviceOptions(device="cpu"))
    encoder.encode_text(["rain"])
    return encoder


def rewrite(folder: Path, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def reconfigure(folder: Path, change) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "name",
    [
        "audio_encoder.layers.0.mlp.down_proj.weight",
        "audio_encoder.embedder.dac_encoder.block.2.res_unit1.snake1.alpha",
        "audio_head.proj.weight",
        "text_audio_head.layer_norm.bias",
        "text_model.layers.1.attn.Wqkv.weight",
        "text_audio_logit_scale",
        "text_audio_logit_bias",
    ],
)
def test_a_missing_tensor_is_named(checkpoint_copy, name):
    rewrite(checkpoint_copy, lambda tensors: tensors.pop(name))
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        load(checkpoint_copy)


@pytest.mark.parametrize("name", ["audio_encoder.layers.9.mlp.weight", "text_model.extra", "something_else"])
def test_an_unexpected_tensor_is_named(checkpoint_copy, name):
    rewrite(checkpoint_copy, lambda tensors: tensors.update({name: torch.zeros(3)}))
    with pytest.raises(CheckpointError, match=f"unexpected tensor {name}"):
        load(checkpoint_copy)


@pytest.mark.parametrize(
    "name", ["audio_encoder.norm.weight", "text_model.final_norm.weight", "text_audio_logit_scale"]
)
def test_a_tensor_of_another_shape_is_named(checkpoint_copy, name):
    rewrite(checkpoint_copy, lambda tensors: tensors.update({name: torch.zeros(5, 5)}))
    with pytest.raises(CheckpointError, match=rf"{name}.*\(5, 5\)"):
        load(checkpoint_copy)


def test_video_tensors_beside_the_audio_model_are_ignored():
    assert load(REFERENCE / "pe-av-tiny").facts.logit_scale == pytest.approx(0.2466, abs=1e-4)


def test_an_unexpected_tensor_inside_the_audio_model_of_a_video_checkpoint_is_named(tmp_path):
    folder = tmp_path / "av"
    folder.mkdir()
    for file in (REFERENCE / "pe-av-tiny").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    rewrite(folder, lambda tensors: tensors.update({"audio_model.audio_encoder.stray": torch.zeros(1)}))
    with pytest.raises(CheckpointError, match=r"unexpected tensor audio_encoder\.stray"):
        load(folder)


def test_weights_in_shards_are_the_same_weights(checkpoint_copy):
    whole = load(checkpoint_copy).encode_text(["rain"])
    tensors = load_file(checkpoint_copy / "model.safetensors")
    shards = {"model-1.safetensors": {}, "model-2.safetensors": {}}
    for index, (name, tensor) in enumerate(tensors.items()):
        list(shards.values())[index % 2][name] = tensor
    for file, content in shards.items():
        save_file(content, checkpoint_copy / file)
    index_ = {"weight_map": {name: file for file, content in shards.items() for name in content}}
    (checkpoint_copy / "model.safetensors.index.json").write_text(json.dumps(index_))
    (checkpoint_copy / "model.safetensors").unlink()
    assert (load(checkpoint_copy).encode_text(["rain"]) == whole).all()
    (checkpoint_copy / "model-2.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model-2\.safetensors is missing"):
        load(checkpoint_copy)


def test_half_precision_weights_load(checkpoint_copy):
    rewrite(checkpoint_copy, lambda tensors: tensors.update({k: v.half() for k, v in tensors.items()}))
    assert load(checkpoint_copy).facts.logit_scale == pytest.approx(0.338, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.update(model_type="bert", architectures=["BertModel"]), r"a bert model \(BertModel\)"),
        (lambda c: c.pop("model_type"), "unknown kind"),
        (lambda c: c["audio_config"].update(hidden_size="wide"), r"config\.json does not describe"),
        (lambda c: c["audio_config"]["dac_config"].update(downsampling_ratios=[2, 4, 5, 8]), "frames of 320 samples"),
    ],
    ids=["bert", "no type", "bad value", "other strides"],
)
def test_another_configuration_is_refused(checkpoint_copy, change, says):
    reconfigure(checkpoint_copy, change)
    with pytest.raises(CheckpointError, match=says):
        load(checkpoint_copy)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 100])
def test_a_damaged_file_is_an_error_that_names_it(checkpoint_copy, file, content):
    (checkpoint_copy / file).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.json|tokenizer|model\.safetensors"):
        load(checkpoint_copy)


def test_a_truncated_weight_file_is_damaged(checkpoint_copy):
    weights = checkpoint_copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        load(checkpoint_copy)


def test_pickled_weights_are_not_read(checkpoint_copy):
    (checkpoint_copy / "model.safetensors").rename(checkpoint_copy / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"convert them to model\.safetensors"):
        load(checkpoint_copy)


def test_no_code_from_a_checkpoint_runs(checkpoint_copy):
    (checkpoint_copy / "evil.py").write_text(f"open({str(checkpoint_copy / 'ran')!r}, 'w')\nclass Evil: pass\n")
    evil = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil", "AutoTokenizer": ["evil.Evil", None]}
    reconfigure(checkpoint_copy, lambda c: c.update(auto_map=evil))
    reconfigure(checkpoint_copy, lambda c: c["text_config"].update(auto_map=evil))
    tokenizer = json.loads((checkpoint_copy / "tokenizer_config.json").read_text())
    (checkpoint_copy / "tokenizer_config.json").write_text(json.dumps({**tokenizer, "auto_map": evil}))
    with contextlib.suppress(CheckpointError):  # refusing is as good as ignoring
        load(checkpoint_copy)
    assert not (checkpoint_copy / "ran").exists()


def test_only_the_checkpoint_decides_whether_the_text_feature_is_normed(checkpoint_copy):
    before = transformers_text_encoder(Checkpoint.open(checkpoint_copy, "mine")).encode("rain")
    reconfigure(checkpoint_copy, lambda c: c["text_config"].update(tie_last_hidden_states=False))
    assert (transformers_text_encoder(Checkpoint.open(checkpoint_copy, "mine")).encode("rain") == before).all()
    reconfigure(checkpoint_copy, lambda c: c["text_config"].update(tie_last_hidden_states=True))
    assert abs(transformers_text_encoder(Checkpoint.open(checkpoint_copy, "mine")).encode("rain") - before).max() > 0.01


def test_a_label_longer_than_the_text_tower_takes_is_refused():
    encoder = transformers_text_encoder(Checkpoint.open(REFERENCE / "pe-a-frame-tiny", "mine"))
    with pytest.raises(UsageError, match=r"602 tokens.*at most 512"):
        encoder.encode("dog " * 600)


def test_the_fingerprint_tells_checkpoints_apart(checkpoint_copy):
    def fingerprint() -> str:
        return Checkpoint.open(checkpoint_copy, "mine").fingerprint

    before = fingerprint()
    assert fingerprint() == before
    assert Checkpoint.open(REFERENCE / "pe-a-frame-tiny", "other name").fingerprint == before
    rewrite(checkpoint_copy, lambda tensors: tensors["text_audio_logit_bias"].add_(1e-3))
    assert fingerprint() != before


def test_a_checkpoint_may_bring_its_own_labels(checkpoint_copy):
    assert Checkpoint.open(checkpoint_copy, "mine").default_labels == ()
    (checkpoint_copy / "labels.txt").write_text("# known\nrain\n\na dog barking\n", encoding="utf-8")
    assert Checkpoint.open(checkpoint_copy, "mine").default_labels == ("rain", "a dog barking")
