"""Our own modules against transformers', number by number, on configurations that differ from the default."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models
from torch.nn import functional
from transformers import BertConfig as TransformersBertConfig
from transformers import BertModel, PeAudioConfig, PeAudioEncoderConfig, PeAudioModel

from pe_audio_cli.errors import CheckpointError
from pe_audio_cli.models.backends.torch_encoder import PeEncoder
from pe_audio_cli.models.backends.torch_text import native_text_encoder, transformers_text_encoder
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.config import AudioConfig, BertConfig, CodecConfig, Unsupported
from pe_audio_cli.models.encoder import DeviceOptions
from pe_audio_cli.models.modules.audio_tower import QUERIES, attend

AUDIO = {
    "dac_config": {"encoder_hidden_size": 4, "codebook_dim": 8, "downsampling_ratios": [2, 8, 10, 12]},
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "head_dim": 8,
}
TEXT = {
    "model_type": "bert",
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 16,
}


def write_checkpoint(folder, audio=AUDIO, text=TEXT) -> Checkpoint:
    """A checkpoint with large random weights, so that nothing drowns in rounding."""
    torch.manual_seed(0)
    model = PeAudioModel(PeAudioConfig(text_config=text, audio_config=audio))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2 + ("norm" in name or "alpha" in name))
    model.save_pretrained(folder)
    words = {word: id for id, word in enumerate(["[UNK]", *"abcdefghij"])}
    Tokenizer(models.WordLevel(words, unk_token="[UNK]")).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return Checkpoint.open(folder, "random")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"num_key_value_heads": 2},
        {"attention_bias": True},
        {"rms_norm_eps": 0.1},
        {"rope_parameters": {"rope_theta": 100, "rope_type": "default"}},
        {"dac_config": AUDIO["dac_config"] | {"downsampling_ratios": [12, 4, 5, 4, 2]}},
        {"dac_config": AUDIO["dac_config"] | {"hidden_size": 12}},
    ],
    ids=str,
)
def test_the_audio_tower_gives_what_transformers_gives(tmp_path, change):
    checkpoint = write_checkpoint(tmp_path, AUDIO | change)
    frames = (0.1 * np.random.default_rng(0).standard_normal((9, 1920))).astype(np.float32)
    embedded = []
    for engine in ("torch", "transformers"):
        encoder = PeEncoder(checkpoint, DeviceOptions(device="cpu"), engine)
        assert ("transformers" in encoder.facts.backend) == (engine == "transformers")
        features = encoder.encode_codec(frames)
        windows = encoder.encode_windows(np.stack([features[:4], features[5:]]))
        embedded.append((features, windows.clips, windows.frames))
    for ours, theirs in zip(*embedded, strict=True):  # weights like these blow up rounding
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("length", [1, QUERIES, 2 * QUERIES + 3])
def test_attention_in_bfloat16_is_near(length):
    generator = torch.Generator().manual_seed(0)
    given = [torch.randn(1, 3, length, 16, generator=generator).bfloat16() for _ in range(3)]
    exact = functional.scaled_dot_product_attention(*(each.float() for each in given))
    torch.testing.assert_close(attend(*given).float(), exact, rtol=0, atol=0.02 * exact.abs().max().item())


def test_the_text_tower_gives_what_transformers_gives(tmp_path):
    checkpoint = write_checkpoint(tmp_path)
    ours, theirs = native_text_encoder(checkpoint), transformers_text_encoder(checkpoint)
    for label in ("a", "b", "zebra"):
        np.testing.assert_allclose(ours.encode(label), theirs.encode(label), rtol=0, atol=1e-5)
    assert not np.allclose(ours.encode("a"), ours.encode("b"), atol=1e-2)


@pytest.mark.parametrize(
    "change",
    [{"hidden_act": "gelu"}, {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 20000.0}}],
    ids=str,
)
def test_what_goes_beyond_our_modules_is_left_to_transformers(tmp_path, change):
    encoder = PeEncoder(write_checkpoint(tmp_path, AUDIO | change), DeviceOptions(device="cpu"))
    assert "by transformers (" in encoder.facts.backend
    assert np.isfinite(encoder.encode_codec(np.zeros((2, 1920), np.float32))).all()


@pytest.mark.parametrize("change", [{"hidden_size": "wide"}, {"head_dim": 0}, {"num_hidden_layers": 1.5}], ids=str)
def test_a_configuration_that_makes_no_sense_is_a_checkpoint_error(tmp_path, change):
    checkpoint = write_checkpoint(tmp_path)
    checkpoint.config["audio_config"] |= change
    with pytest.raises(CheckpointError):
        PeEncoder(checkpoint, DeviceOptions(device="cpu"))


def test_what_is_not_stated_is_what_transformers_takes_for_it():
    ours, theirs = AudioConfig.read({}), PeAudioEncoderConfig()
    assert (ours.hidden_size, ours.intermediate_size, ours.num_hidden_layers, ours.head_dim) == (
        theirs.hidden_size,
        theirs.intermediate_size,
        theirs.num_hidden_layers,
        theirs.head_dim,
    )
    assert (ours.num_attention_heads, ours.n_key_value_heads) == (
        theirs.num_attention_heads,
        theirs.num_key_value_heads,
    )
    assert (ours.rms_norm_eps, ours.rope_theta) == (theirs.rms_norm_eps, theirs.rope_parameters["rope_theta"])
    codec = theirs.dac_config
    strides = tuple(codec.downsampling_ratios)
    assert ours.dac_config == CodecConfig(codec.encoder_hidden_size, strides, codebook_dim=codec.codebook_dim)
    assert ours.dac_config.width == codec.hidden_size
    expected = TransformersBertConfig()
    for name in BertConfig.__slots__:
        assert getattr(BertConfig(), name) == getattr(expected, name), name


def test_a_tower_of_another_kind_is_not_taken_for_a_bert():
    with pytest.raises(Unsupported):
        BertConfig.read({"model_type": "modernbert"})


def test_all_that_a_bert_checkpoint_holds_has_a_place(tmp_path):
    with torch.device("meta"):
        expected = set(BertModel(TransformersBertConfig(**TEXT)).state_dict())
    assert {f"text_model.{name}" for name in expected} <= set(write_checkpoint(tmp_path)._index)
