"""Untrusted checkpoints: any fault in the folder is an error of one line, at once, and none of its code runs."""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import REFERENCE

from pe_audio_cli.errors import CheckpointError, PeAudioError
from pe_audio_cli.models import tokenizer
from pe_audio_cli.models.backends.labels import load_text
from pe_audio_cli.models.backends.loading import load_encoder
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.encoder import DeviceOptions
from pe_audio_cli.models.registry import SHIPPED
from pe_audio_cli.models.tokenizer import open_tokenizer
from pe_audio_cli.models.unfamiliar import UnfamiliarLabels

WIDTH = 64
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")


def load(folder: Path) -> None:
    """Everything that a run needs of a checkpoint, but for the tokenizer's process."""
    checkpoint = Checkpoint.open(folder, "mine")
    encoder = load_encoder(checkpoint, DeviceOptions(device="cpu"))
    assert isinstance(encoder.facts.default_labels, tuple) and encoder.facts.logit_scale > float("-inf")
    text = load_text(checkpoint)
    assert text.max_tokens > 0


def refused(folder: Path, says: str = "mine") -> str:
    with pytest.raises(CheckpointError, match=says) as raised:
        load(folder)
    line = str(raised.value)
    assert "\n" not in line and len(line) < 700
    return line


SUBPROCESS = tokenizer._Subprocess  # before any test shares its process


@pytest.fixture(autouse=True)
def without_the_tokenizer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process takes longer to start than all else; tests of it say so, and have one of their own."""
    monkeypatch.setattr(tokenizer, "_Subprocess", SUBPROCESS)
    if "tokenizer" not in request.node.originalname:
        monkeypatch.setattr("pe_audio_cli.models.backends.torch_text.open_tokenizer", lambda *_: lambda text: [1, 3, 2])


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "name",
    [
        "text_model.embeddings.tok_embeddings.weight",
        "text_model.layers.1.mlp.Wo.weight",
        "text_audio_head.proj.weight",
        "text_audio_logit_scale",
        "text_audio_logit_bias",
        "audio_encoder.layers.0.mlp.down_proj.weight",
        "audio_encoder.embedder.dac_encoder.block.2.res_unit1.snake1.alpha",
        "audio_head.layer_norm.bias",
    ],
)
def test_a_number_that_is_not_finite_is_an_error_that_names_the_tensor(checkpoint_copy, name, number):
    tensors = load_file(checkpoint_copy / "model.safetensors")
    tensors[name].view(-1)[-1] = number
    save_file(tensors, checkpoint_copy / "model.safetensors")
    refused(checkpoint_copy, f"tensor {name} holds numbers that are not finite")


def test_numbers_that_float32_does_not_hold_are_refused(checkpoint_copy):
    tensors = load_file(checkpoint_copy / "model.safetensors")
    tensors["text_audio_logit_scale"] = tensors["text_audio_logit_scale"].double() * 1e300
    save_file(tensors, checkpoint_copy / "model.safetensors")
    refused(checkpoint_copy, "text_audio_logit_scale holds numbers that are not finite")


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.complex64])
@pytest.mark.parametrize("name", ["text_audio_logit_scale", "audio_encoder.norm.weight"])
def test_weights_are_floating_point_numbers(checkpoint_copy, name, dtype):
    tensors = load_file(checkpoint_copy / "model.safetensors")
    tensors[name] = tensors[name].to(dtype)
    save_file(tensors, checkpoint_copy / "model.safetensors")
    refused(checkpoint_copy, name)


def test_weights_so_large_that_an_embedding_is_infinite_are_an_error(checkpoint_copy):
    tensors = load_file(checkpoint_copy / "model.safetensors")
    tensors["text_audio_head.proj.weight"].fill_(3e38)
    tensors["text_audio_head.layer_norm.bias"].fill_(3e38)
    save_file(tensors, checkpoint_copy / "model.safetensors")
    with pytest.raises(CheckpointError, match="its output is not finite"):
        load_text(Checkpoint.open(checkpoint_copy, "mine")).encode("rain")


@pytest.mark.parametrize("ids", [[], [4_000_000_000]], ids=["none", "beyond the vocabulary"])
def test_tokens_that_the_text_tower_does_not_know_are_an_error(checkpoint_copy, monkeypatch, ids):
    monkeypatch.setattr("pe_audio_cli.models.backends.torch_text.open_tokenizer", lambda *_: lambda text: ids)
    with pytest.raises(CheckpointError, match="do not belong together"):
        load_text(Checkpoint.open(checkpoint_copy, "mine")).encode("rain")


FILES = ["config.json", "model.safetensors", "labels.txt", "preprocessor_config.json", "tokenizer_config.json"]


@needs_pipes
@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
@pytest.mark.parametrize("file", FILES)
def test_a_special_file_is_refused_and_does_not_block(checkpoint_copy, file, kind):
    place = checkpoint_copy / file
    place.unlink(missing_ok=True)
    {"pipe": os.mkfifo, "folder": os.mkdir, "device": lambda at: os.symlink("/dev/zero", at)}[kind](place)
    refused(checkpoint_copy, file.replace(".", r"\."))


@needs_pipes
def test_a_pipe_for_a_shard_or_a_tokenizer_is_refused_and_does_not_block(checkpoint_copy):
    (checkpoint_copy / "tokenizer.json").unlink()
    os.mkfifo(checkpoint_copy / "tokenizer.json")
    with pytest.raises(CheckpointError, match="tokenizer"):
        open_tokenizer(Checkpoint.open(checkpoint_copy, "mine"), "bare")
    (checkpoint_copy / "model.safetensors").unlink()
    os.mkfifo(checkpoint_copy / "one.safetensors")
    (checkpoint_copy / "model.safetensors.index.json").write_text('{"weight_map": {"a": "one.safetensors"}}')
    refused(checkpoint_copy, r"one\.safetensors")


NO_SHARDS = ["[]", "{}", '{"weight_map": []}', "[" * 100_000]
NO_SHARDS += [
    f'{{"weight_map": {{"a": {name}}}}}'
    for name in ("1", "[[]]", '""', '".."', '"config.json"', '"../../model.safetensors"')
]


@pytest.mark.parametrize("content", NO_SHARDS, ids=range(len(NO_SHARDS)))
def test_a_list_of_shards_that_makes_no_sense_is_refused(checkpoint_copy, content):
    (checkpoint_copy / "model.safetensors").unlink()
    (checkpoint_copy / "model.safetensors.index.json").write_text(content)
    refused(checkpoint_copy, "index.json|missing")


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    "content",
    [b"[" * 200_000, b'{"a":' * 200_000, b"\xff\xfe", b"3", b'{"a": 1' + b"0" * 6_000 + b"}", b" " * (17 << 20)],
    ids=["lists", "objects", "UTF-16", "a number", "digits", "too large"],
)
def test_json_that_cannot_be_read_is_refused(checkpoint_copy, file, content):
    (checkpoint_copy / file).write_bytes(content)
    refused(checkpoint_copy, file)


def test_labels_that_are_not_utf_8_are_refused(checkpoint_copy):
    (checkpoint_copy / "labels.txt").write_bytes("café".encode("latin-1"))
    refused(checkpoint_copy, r"labels\.txt is not UTF-8")


HOSTILE = [None, True, -1, 0, 1.5, 10**9, 10**300, float("inf"), float("nan"), "x", [], [10**9] * 40, {"a": {}}]
HOSTILE += [{"a": [1] * 200_000}, "\u202e\n" * 500, json.loads("[" * 20 + "1" + "]" * 20)]


def places(section: dict[str, Any], *path: str) -> list[tuple[str, ...]]:
    """The path of every value, of the objects too."""
    objects = {name: value for name, value in section.items() if isinstance(value, dict)}
    inner = [deeper for name, value in objects.items() for deeper in places(value, *path, name)]
    return [*((*path, name) for name in section), *inner]


def put(section: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        section = section[name]
    section[path[-1]] = value


@pytest.mark.parametrize("folder", [REFERENCE / "pe-a-frame-tiny", REFERENCE / "pe-av-tiny", SHIPPED / "mini"])
def test_a_configuration_with_any_value_anywhere_loads_or_is_one_line(tmp_path, folder):
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    whole = json.loads((folder / "config.json").read_text())
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    paths = places(whole)
    for path in dice.sample(paths, 15):
        config, value = json.loads(json.dumps(whole)), dice.choice(HOSTILE)
        put(config, path, value)
        (tmp_path / "config.json").unlink()
        (tmp_path / "config.json").write_text(json.dumps(config))
        try:
            load(tmp_path)
        except PeAudioError as error:
            assert "\n" not in str(error) and len(str(error)) < 700, (seed, path)
        except BaseException as error:
            raise AssertionError(f"seed {seed}: {'.'.join(path)} = {str(value)[:60]}") from error


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("audio_config", "num_hidden_layers"), 10**9),
        (("text_config", "num_hidden_layers"), 10**9),
        (("text_config", "num_labels"), 10**9),
        (("text_config", "hidden_size"), 10**7),
        (("text_config", "vocab_size"), 2**31),
        (("audio_config", "dac_config", "encoder_hidden_size"), 2**31),
        (("audio_config", "dac_config", "downsampling_ratios"), [1] * 10_000 + [1920]),
        (("audio_config", "rms_norm_eps"), float("inf")),
        (("text_config",), {"model_type": "timm_backbone", "backbone": "x", "use_pretrained_backbone": True}),
    ],
)
@pytest.mark.parametrize("backend", [None, "transformers"])
def test_sizes_beyond_reason_are_compared_with_the_weights_first(checkpoint_copy, monkeypatch, path, value, backend):
    if backend is not None:
        monkeypatch.setenv("PEAUDIO_ENGINE", backend)
    config = json.loads((checkpoint_copy / "config.json").read_text())
    put(config, path, value)
    (checkpoint_copy / "config.json").write_text(json.dumps(config))
    if path[-1] == "num_labels":  # it is of no use to us, and a table of so many would fill the memory
        load(checkpoint_copy)
    else:
        refused(checkpoint_copy, "config.json")


def table(entries: Any, room: int = 16) -> bytes:
    text = json.dumps(entries).encode() if not isinstance(entries, bytes) else entries
    return struct.pack("<Q", len(text)) + text + bytes(room)


ENTRY = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


TABLES = [
    b"",
    struct.pack("<Q", 2**63) + b"{}",
    struct.pack("<Q", 90_000_000) + b"{}",
    table([]),
    table(b"[" * 100_000),
    table({"text_model.x": 3}),
    table({"text_model.x": {**ENTRY, "shape": [2**40, 2**40]}}),
    table({"text_model.x": {**ENTRY, "shape": [0, 2**63], "data_offsets": [0, 0]}}),
    table({"text_model.x": {**ENTRY, "shape": [-2, -2]}}),
    table({"text_model.x": {**ENTRY, "shape": [2.0, True]}}),
    table({"text_model.x": {**ENTRY, "shape": "22"}}),
    table({"text_model.x": {**ENTRY, "data_offsets": [16, 0]}}),
    table({"text_model.x": {**ENTRY, "data_offsets": [0, 10**30]}}),
    table({"text_model.x": {**ENTRY, "dtype": ["F32"]}}),
    table({"text_model.x": {**ENTRY, "shape": [1] * 5_000 + [4]}}),
    table({"x" * 100_000: ENTRY}),
    table({"evil\x1b[2J\nname": ENTRY}),
]


@pytest.mark.parametrize("content", TABLES, ids=range(len(TABLES)))
def test_a_table_of_tensors_that_is_not_the_file_s_is_refused(checkpoint_copy, content):
    (checkpoint_copy / "model.safetensors").write_bytes(content)
    refused(checkpoint_copy)


def test_a_head_that_is_no_matrix_is_refused(checkpoint_copy):
    tensors = load_file(checkpoint_copy / "model.safetensors")
    tensors["text_audio_head.proj.weight"] = torch.tensor(1.0)
    save_file(tensors, checkpoint_copy / "model.safetensors")
    refused(checkpoint_copy, r"text_audio_head\.proj\.weight")


def changed(**parts: Any) -> str:
    content = json.loads((REFERENCE / "pe-a-frame-tiny" / "tokenizer.json").read_text())
    return json.dumps({**content, **parts})


def doubling(times: int) -> dict[str, Any]:
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    return {"type": "Sequence", "normalizers": [step] * times}


@pytest.mark.parametrize(
    "content",
    [
        changed(normalizer=doubling(40)),
        changed(normalizer={"type": "Precompiled", "precompiled_charsmap": "BAAAAP////8="}),
        changed(post_processor={"type": "TemplateProcessing", "pair": [], "special_tokens": {}}
                | {"single": [{"SpecialToken": {"id": "[X]", "type_id": 0}}]}),
        '{"normalizer":' * 100_000,
    ],
    ids=["without end", "panic at the start", "panic", "nested"],
)  # fmt: skip
def test_a_tokenizer_that_hangs_panics_or_aborts_is_one_line(checkpoint_copy, monkeypatch, capfd, content):
    monkeypatch.setattr(tokenizer, "CPU_SECONDS", 1)
    monkeypatch.setattr(tokenizer, "SPARE_BYTES", 256 << 20)
    (checkpoint_copy / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError, match="mine: the tokenizer cannot be read") as raised:
        open_tokenizer(Checkpoint.open(checkpoint_copy, "mine"), "bare")("a dog")
    assert "\n" not in str(raised.value) and capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["bare", "auto"])
def test_a_tokenizer_in_its_own_process_gives_the_same_tokens(checkpoint_copy, kind):
    checkpoint = Checkpoint.open(checkpoint_copy, "mine")
    separate, local = open_tokenizer(checkpoint, kind), tokenizer._InProcess(checkpoint, kind)
    texts = ["a dog barking", "café ☃ \u2028 'quoted' \\ \n \0", "rain " * 500]
    assert [separate(text) for text in texts] == [local(text) for text in texts]


def test_a_tokenizer_s_process_ends_with_what_asks_it(checkpoint_copy):
    asked = open_tokenizer(Checkpoint.open(checkpoint_copy, "mine"), "bare")
    process = asked._process  # type: ignore[attr-defined]
    assert process.poll() is None
    del asked
    assert process.poll() is not None


def test_the_shipped_checkpoint_needs_no_process_for_its_tokenizer():
    shipped = Checkpoint.open(SHIPPED / "mini", "mini")
    assert isinstance(open_tokenizer(shipped, "bare"), tokenizer._InProcess)


CODE = """
import sys
from pathlib import Path
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.backends.loading import load_encoder
from pe_audio_cli.errors import CheckpointError
try:
    load_encoder(Checkpoint.open(Path("."), "mine")).encode_text(["a phrase that nobody has asked for"])
except CheckpointError as error:
    print(error)
"""


def test_no_code_beside_a_tokenizer_runs_where_the_folder_is_the_current_one(checkpoint_copy, tmp_path):
    """Modules of the folder's, of names that libraries import, and a configuration that names code."""
    for name in ("tokenizers", "json", "transformers", "sitecustomize", "evil", "struct", "numpy"):
        (checkpoint_copy / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    evil = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil", "AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    named = {"auto_map": evil, "attn_implementation": "evil/kernel", "_attn_implementation": "evil/kernel"}
    config = json.loads((checkpoint_copy / "config.json").read_text())
    config["text_config"] |= named
    config["audio_config"] |= named
    (checkpoint_copy / "config.json").write_text(json.dumps(config | named))
    settings = json.loads((checkpoint_copy / "tokenizer_config.json").read_text())
    (checkpoint_copy / "tokenizer_config.json").write_text(json.dumps({**settings, "auto_map": evil}))
    (tmp_path / "run.py").write_text(CODE)
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "run.py")],
        cwd=checkpoint_copy,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert (ran.returncode, ran.stdout, (tmp_path / "ran").exists()) == (0, "", False), ran.stderr


@pytest.mark.parametrize("kind", ["damaged", "narrow", "not finite", "no threshold", "pipe", "no tensor"])
def test_the_file_of_familiar_labels_may_be_untrusted_too(tmp_path, kind):
    weight, bias = torch.zeros(3, WIDTH), torch.zeros(3)
    file = tmp_path / "familiar.safetensors"
    metadata = {} if kind == "no threshold" else {"threshold": "nan" if kind == "not finite" else "0.5"}
    narrow = kind == "narrow"
    tensors = {"weight": weight[:, :5].clone() if narrow else weight, "bias": bias}
    save_file({"bias": bias} if kind == "no tensor" else tensors, file, metadata)
    if kind == "damaged":
        file.write_bytes(file.read_bytes()[:-10])
    if kind == "pipe":
        pytest.importorskip("fcntl")
        file.unlink()
        os.mkfifo(file)
    with pytest.raises(CheckpointError, match=r"familiar\.safetensors"):
        found = UnfamiliarLabels.open(tmp_path)
        assert found is not None
        found.detect(["rain"], torch.ones(1, WIDTH).numpy())


def test_an_embedding_of_zeros_is_unfamiliar_and_no_warning(tmp_path):
    tensors = {"weight": torch.ones(3, WIDTH), "bias": torch.zeros(3)}
    save_file(tensors, tmp_path / "familiar.safetensors", {"threshold": "0.5"})
    found = UnfamiliarLabels.open(tmp_path)
    assert found is not None and found.detect(["rain"], torch.zeros(1, WIDTH).numpy()) == ["rain"]
