"""The configuration of a checkpoint's towers, read from config.json without transformers.

The fields and what stands in for a missing one are those of transformers' ``PeAudioEncoderConfig``, ``DacConfig`` and
``BertConfig``. A configuration that our own modules do not support raises :class:`Unsupported`; transformers runs it
then.

A configuration is untrusted: numbers are checked before anything is built from them, and only fields that describe a
model are passed on to transformers, whose configurations can also name code to download and run.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pe_audio_cli.audio.framing import HOP

__all__ = [
    "AudioConfig",
    "BertConfig",
    "CodecConfig",
    "Unsupported",
    "check_section",
    "codec_context",
    "plain_section",
    "read_strides",
]

# Kernel sizes of the codec.
FIRST_KERNEL, LAST_KERNEL, UNIT_KERNEL = 7, 3, 7
DILATIONS = (1, 3, 9)  # of a stage's three residual units

# Samples on either side, at its own rate, on which the output of each part of the codec depends.
FIRST, LAST = FIRST_KERNEL // 2, LAST_KERNEL // 2
RESIDUAL_UNITS = UNIT_KERNEL // 2 * sum(DILATIONS)

ROPE_THETA = 20_000.0  # if a configuration has none

# Far beyond any model there is, and small enough that nothing breaks before shapes are compared with the weights.
MOST_LAYERS = 512
MOST_STAGES = 16  # of the codec
MOST_INTEGER = 1 << 31
MOST_NUMBER = 1e30
MOST_DEPTH = 16  # of objects and lists in each other
MOST_ENTRIES = 100_000

# Parts of field names by which transformers would download or choose code, or build tables that are not needed.
NOT_PASSED_ON = ("auto_map", "implementation", "kernel", "quantization", "name_or_path", "label", "dtype", "tp_plan")

ConfigT = TypeVar("ConfigT")


class Unsupported(Exception):
    """A configuration, maybe valid, that our own modules do not support; the message names the feature."""


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """The DAC encoder: channels after its first convolution, strides, channels of its end, width of the features."""

    encoder_hidden_size: int = 64
    downsampling_ratios: tuple[int, ...] = (2, 8, 10, 12)
    hidden_size: int | None = None
    codebook_dim: int = 128

    @property
    def last_stage_width(self) -> int:
        """Channels after the last stride: each stage doubles them."""
        return self.encoder_hidden_size << len(self.downsampling_ratios)

    @property
    def width(self) -> int:
        """Channels after the last convolution."""
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
        """Read the ``audio_config`` of a checkpoint.

        Raises :class:`Unsupported`, and :class:`ValueError` if a field has an invalid type or value.
        """
        rope = _object(section, "rope_parameters")
        _require(section.get("hidden_act", "silu") == "silu", "another activation than SiLU")
        _require(rope.get("rope_type", "default") == "default", "scaled rotary positions")
        codec = _read(CodecConfig, _object(section, "dac_config"))
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
        """Read the ``text_config`` of a checkpoint. Raises as :meth:`AudioConfig.read` does."""
        _require(section.get("model_type") == "bert", "another text tower than BERT")
        _require(section.get("hidden_act", "gelu") == "gelu", "another activation than GELU")
        _require(section.get("position_embedding_type", "absolute") == "absolute", "relative positions")
        _require(not section.get("is_decoder"), "a text tower that is a decoder")
        config = _read(cls, section)
        _require(config.hidden_size % config.num_attention_heads == 0, "a width that heads do not share evenly")
        return config


def read_strides(section: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the strides of the codec's stages, from a checkpoint's ``audio_config``. Raises :class:`ValueError`."""
    stated = _object(section, "dac_config").get("downsampling_ratios")
    return CodecConfig().downsampling_ratios if stated is None else _strides(stated)


def codec_context(strides: Sequence[int]) -> int:
    """Return the number of frames on either side that a frame's codec features depend on, by the stages' strides."""
    samples, rate = FIRST, 1
    for stride in strides:
        # A stage's residual units, then its strided convolution with a kernel of twice the stride.
        samples += rate * (RESIDUAL_UNITS + math.ceil(3 * stride / 2))
        rate *= stride
    return math.ceil((samples + rate * LAST) / HOP)


def check_section(section: Mapping[str, Any]) -> None:
    """Raise :class:`ValueError` for numbers outside the range of any model, and for nesting that is too deep."""
    for name, value in _entries(section):
        most = MOST_LAYERS if "layers" in name else MOST_INTEGER if isinstance(value, int) else MOST_NUMBER
        if isinstance(value, (int, float)) and not -most <= value <= most:
            raise ValueError(f"{_cut(name)} is {_cut(value)}")


def plain_section(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy without fields that do not describe the model, in nested objects too."""
    return {
        name: plain_section(value) if isinstance(value, Mapping) else value
        for name, value in section.items()
        if not any(word in name for word in NOT_PASSED_ON)
    }


def _entries(section: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield all values, however deep, with the name of their field."""
    waiting: list[tuple[str, Any, int]] = [("config.json", section, 0)]
    n_seen = 0
    while waiting:
        name, value, depth = waiting.pop()
        n_seen += 1
        if depth > MOST_DEPTH or n_seen > MOST_ENTRIES:
            raise ValueError(f"{_cut(name)} is nested too deeply, or holds too much")
        if isinstance(value, Mapping):
            waiting += [(str(inner), value[inner], depth + 1) for inner in value]
        elif isinstance(value, list):
            waiting += [(name, inner, depth + 1) for inner in value]
        else:
            yield name, value


def _object(section: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the object of that name; empty if it is missing."""
    value = section.get(name)
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"{name} is {_cut(value)}")
    return {} if value is None else value


def _read(kind: type[ConfigT], section: Mapping[str, Any], **given: Any) -> ConfigT:
    """Build ``kind`` from the fields of a section, each of the type of its default, and numbers above zero."""
    fields: tuple[Any, ...] = dataclasses.fields(kind)  # type: ignore[arg-type]
    values = {each.name: section[each.name] for each in fields if section.get(each.name) is not None} | given
    for each in fields:
        if each.name in values:
            values[each.name] = _value(each.name, str(each.type), values[each.name])
    return kind(**values)


def _value(name: str, kind: str, value: Any) -> Any:
    """Return a value for a field of that type. Raises :class:`ValueError` if it is not valid there."""
    if kind.startswith("tuple"):
        return _strides(value)
    if kind == "float":
        fits = type(value) in (int, float) and 0 < value <= (1 if name.endswith("eps") else MOST_NUMBER)
    elif kind.startswith("int"):
        fits = type(value) is int and 0 < value <= (MOST_LAYERS if "layers" in name else MOST_INTEGER)
    else:
        fits = kind != "bool" or isinstance(value, bool)
    if not fits:
        raise ValueError(f"{name} is {_cut(value)}")
    return value


def _strides(value: Any) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple)) or not all(type(each) is int and 0 < each < 1 << 16 for each in value):
        raise ValueError(f"downsampling_ratios is {_cut(value)}")
    if not 0 < len(value) <= MOST_STAGES:
        raise ValueError(f"downsampling_ratios has {len(value)} entries")
    return tuple(value)


def _cut(value: Any) -> str:
    """Return a value, shortened for a message."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer with too many digits, or nesting that is too deep
        return f"too large a {type(value).__name__}"
    return text if len(text) <= 60 else text[:60] + "..."


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise Unsupported(what)
