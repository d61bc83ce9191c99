"""What a checkpoint's config.json says of its towers, read without transformers.

The fields and what stands in for a missing one are those of transformers' ``PeAudioEncoderConfig``, ``DacConfig`` and
``BertConfig``. What our own modules cannot do is told as :class:`Unsupported`; transformers' modules take it then.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

__all__ = ["AudioConfig", "BertConfig", "CodecConfig", "Unsupported"]

ROPE_THETA = 20_000.0  # where a configuration does not say

ConfigT = TypeVar("ConfigT")


class Unsupported(Exception):
    """A configuration, maybe a good one, that is not for our own modules; the text says what they cannot do."""


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """The DAC encoder: channels behind its first convolution, strides, channels of its end, width of the features."""

    encoder_hidden_size: int = 64
    downsampling_ratios: tuple[int, ...] = (2, 8, 10, 12)
    hidden_size: int | None = None
    codebook_dim: int = 128

    @property
    def last_stage_width(self) -> int:
        """Channels behind the last stride: each stage doubles them."""
        return self.encoder_hidden_size << len(self.downsampling_ratios)

    @property
    def width(self) -> int:
        """Channels behind the last convolution."""
        return self.last_stage_width if self.hidden_size is None else self.hidden_size


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """The audio tower: codec, ResNet block and transformer."""

    dac_config: CodecConfig = field(default_factory=CodecConfig)
    hidden_size: int = 1792
    intermediate_size: int = 4800
    num_hidden_layers: int = 6
    num_attention_heads: int = 14
    num_key_value_heads: int | None = None
    head_dim: int = 128
    rms_norm_eps: float = 1e-5
    attention_bias: bool = False
    rope_theta: float = ROPE_THETA

    @classmethod
    def read(cls, section: Mapping[str, Any]) -> AudioConfig:
        """From the ``audio_config`` of a checkpoint.

        Raises :class:`Unsupported`, and :class:`ValueError` where a field has a type or value that makes no sense.
        """
        rope = section.get("rope_parameters") or {}
        _require(section.get("hidden_act", "silu") == "silu", "another activation than SiLU")
        _require(rope.get("rope_type", "default") == "default", "scaled rotary positions")
        codec = _read(CodecConfig, section.get("dac_config") or {})
        config = _read(cls, section, dac_config=codec, rope_theta=rope.get("rope_theta", ROPE_THETA))
        _require(config.num_attention_heads % config.n_key_value_heads == 0, "heads that share no number of keys")
        _require(config.head_dim % 2 == 0, "an odd number of channels a head")
        return config

    @property
    def n_key_value_heads(self) -> int:
        """Heads of keys and values, each shared by as many heads of queries."""
        return self.num_attention_heads if self.num_key_value_heads is None else self.num_key_value_heads


@dataclass(frozen=True, slots=True)
class BertConfig:
    """A text tower of the BERT kind."""

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12

    @classmethod
    def read(cls, section: Mapping[str, Any]) -> BertConfig:
        """From the ``text_config`` of a checkpoint. Raises as :meth:`AudioConfig.read` does."""
        _require(section.get("model_type") == "bert", "another text tower than BERT")
        _require(section.get("hidden_act", "gelu") == "gelu", "another activation than GELU")
        _require(section.get("position_embedding_type", "absolute") == "absolute", "relative positions")
        _require(not section.get("is_decoder"), "a text tower that is a decoder")
        config = _read(cls, section)
        _require(config.hidden_size % config.num_attention_heads == 0, "a width that heads do not share evenly")
        return config


def _read(kind: type[ConfigT], section: Mapping[str, Any], **given: Any) -> ConfigT:
    """The fields of ``kind`` that the section names, each of the type of its default, and numbers above zero."""
    fields: tuple[Any, ...] = dataclasses.fields(kind)  # type: ignore[arg-type]
    stated = {each.name: section[each.name] for each in fields if section.get(each.name) is not None} | given
    config = kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in stated.items()})
    for each in fields:
        value, kinds = getattr(config, each.name), (int, float) if each.type == "float" else (int,)
        numbers = value if isinstance(value, tuple) else (value,)
        if "int" not in each.type and each.type != "float":
            continue
        if value is not None and not all(isinstance(number, kinds) and number > 0 for number in numbers):
            raise ValueError(f"{each.name} is {value!r}")
    return config


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise Unsupported(what)
