"""ONNX graphs of a checkpoint's towers, beside its weights: ``python -m training.graph FOLDER``.

Three graphs are written, for onnxruntime: ``codec.onnx`` (samples to codec features), ``audio.onnx`` (windows of those
to clip and frame embeddings) and ``text.onnx`` (token ids to a text embedding). They compute what
:mod:`pe_audio_cli.models.modules` computes. Each holds the fingerprint of its checkpoint, and serves no other weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from pe_audio_cli.models.checkpoint import AUDIO_HEAD, AUDIO_TOWER, TEXT_HEAD, TEXT_TOWER, Checkpoint
from pe_audio_cli.models.config import AudioConfig, BertConfig
from training.graph_builder import CONTRIB, Graph, Weights, both
from training.graph_codec import CodecGraph

__all__ = ["write_graphs"]

HEAD_EPS = 1e-6  # of the contrastive heads' norms
GROUP_NORM_EPS = 1e-5


class AudioGraph:
    """The audio tower behind the codec, and its contrastive head."""

    def __init__(self, graph: Graph, config: AudioConfig) -> None:
        self._graph = graph
        self._config = config

    def build(self, features: str) -> tuple[str, str]:
        """Features ``(batch, n_frames, width)`` to embeddings of clips ``(batch, dim)`` and frames."""
        graph = self._graph
        states = graph.linear(features, *both(AUDIO_TOWER + "embedder.data_proj"))
        states = self._patches(states)
        rotation = self._rotation(states)
        normed = self._rms_norm(states, AUDIO_TOWER + "layers.0.input_layernorm.weight")
        for layer in range(self._config.num_hidden_layers):
            name = f"{AUDIO_TOWER}layers.{layer}."
            added = self._attention(normed, rotation, name + "self_attn.")
            normed, states = self._add(added, states, name + "post_attention_layernorm.weight")
            gate, up = (graph.linear(normed, f"{name}mlp.{part}_proj.weight") for part in ("gate", "up"))
            added = graph.linear(graph.op("Mul", self._silu(gate), up), name + "mlp.down_proj.weight")
            is_last = layer + 1 == self._config.num_hidden_layers
            following = "norm.weight" if is_last else f"layers.{layer + 1}.input_layernorm.weight"
            normed, states = self._add(added, states, AUDIO_TOWER + following)
        states = graph.linear(normed, AUDIO_TOWER + "output.weight")
        embeddings = _head(graph, states, AUDIO_HEAD)
        first, rest, end = (graph.constant(np.array(index)) for index in (0, [1], [np.iinfo(np.int64).max]))
        clips = graph.op("Gather", embeddings, first, axis=1)
        return clips, graph.op("Slice", embeddings, rest, end, rest)

    def _patches(self, frames: str) -> str:
        """The class token before the frames, and the ResNet block."""
        graph, name = self._graph, AUDIO_TOWER + "patch_embedder."
        batch = graph.op("Slice", graph.op("Shape", frames), *(graph.constant(np.array([i])) for i in (0, 1)))
        one = graph.constant(np.array([1, 1]))
        token = graph.op("Expand", graph.weight(name + "class_embedding"), graph.op("Concat", batch, one, axis=0))
        states = graph.op("Concat", token, frames, axis=1)
        hidden = graph.op("Transpose", states, perm=[0, 2, 1])
        for block in ("block1", "block2"):
            hidden = self._conv_block(hidden, f"{name}resnet_block.{block}.")
        return graph.op("Add", states, graph.op("Transpose", hidden, perm=[0, 2, 1]))

    def _conv_block(self, states: str, name: str) -> str:
        """A group norm over the whole window, SiLU and a convolution: ``(batch, width, time)`` to the same."""
        graph = self._graph
        one, zero = (graph.constant(np.array([number], np.float32)) for number in (1, 0))
        whole = graph.op("Reshape", states, graph.shape(0, 1, -1))
        normed = graph.op("InstanceNormalization", whole, one, zero, epsilon=GROUP_NORM_EPS)
        normed = graph.op("Reshape", normed, graph.op("Shape", states))
        column = graph.constant(np.array([-1, 1]))
        scale, shift = (
            graph.op("Reshape", graph.weight(f"{name}groupnorm.{part}"), column) for part in ("weight", "bias")
        )
        normed = graph.op("Add", graph.op("Mul", normed, scale), shift)
        weight, bias = (graph.weight(part) for part in both(name + "project"))
        return graph.op("Conv", self._silu(normed), weight, bias, pads=[1, 1])

    def _attention(self, states: str, rotation: tuple[str, str], name: str) -> str:
        graph, n_heads, head_dim = self._graph, self._config.num_attention_heads, self._config.head_dim
        if self._config.attention_bias or self._config.n_key_value_heads != n_heads:
            raise ValueError("attention with biases or shared keys has no graph")
        apart, together = (graph.constant(np.array(shape)) for shape in ([0, 0, n_heads, head_dim], [0, 0, -1]))
        turned = []
        for part in "qk":
            heads = graph.op("Reshape", graph.linear(states, f"{name}{part}_proj.weight"), apart)
            heads = graph.op("Reshape", self._rms_norm(heads, f"{name}{part}_norm.weight"), together)
            start = graph.constant(np.array([0]))
            turned.append(
                graph.op("RotaryEmbedding", heads, start, *rotation, domain=CONTRIB, interleaved=1, num_heads=n_heads)
            )
        values = graph.linear(states, name + "v_proj.weight")
        mixed = graph.op("MultiHeadAttention", *turned, values, domain=CONTRIB, num_heads=n_heads)
        return graph.linear(mixed, name + "o_proj.weight")

    def _rotation(self, states: str) -> tuple[str, str]:
        """Cosine and sine of each position's angle for each pair of channels, ``(time, head_dim / 2)`` both."""
        graph, head_dim = self._graph, self._config.head_dim
        length = graph.op("Gather", graph.op("Shape", states), graph.constant(np.array(1)))
        positions = graph.op("Range", *(graph.constant(np.array(0)), length, graph.constant(np.array(1))))
        column = graph.op("Reshape", graph.op("Cast", positions, to=TensorProto.FLOAT), graph.shape(-1, 1))
        steps = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
        angles = graph.op("Mul", column, graph.constant(1 / np.float32(self._config.rope_theta) ** steps))
        return graph.op("Cos", angles), graph.op("Sin", angles)

    def _add(self, added: str, states: str, weight: str) -> tuple[str, str]:
        """The sum, normed and as it is."""
        total = self._graph.op("Add", states, added)
        return self._rms_norm(total, weight), total

    def _rms_norm(self, states: str, weight: str) -> str:
        graph = self._graph
        power = graph.op("ReduceMean", graph.op("Pow", states, graph.constant(np.float32(2))), axes=[-1])
        root = graph.op("Sqrt", graph.op("Add", power, graph.constant(np.float32(self._config.rms_norm_eps))))
        return graph.op("Mul", graph.op("Div", states, root), graph.weight(weight))

    def _silu(self, states: str) -> str:
        """``x sigmoid(x)``."""
        return self._graph.op("QuickGelu", states, domain=CONTRIB, alpha=1.0)


class TextGraph:
    """A BERT text tower up to its first token's state, and its contrastive head."""

    def __init__(self, graph: Graph, config: BertConfig) -> None:
        self._graph = graph
        self._config = config

    def build(self, ids: str) -> str:
        """Ids ``(1, n_tokens)`` to an embedding ``(1, dim)``."""
        graph, name = self._graph, TEXT_TOWER + "embeddings."
        words = self._rows(name + "word_embeddings.weight", ids)
        length = graph.op("Slice", graph.op("Shape", ids), *(graph.constant(np.array([i])) for i in (1, 2)))
        start = graph.constant(np.array([0]))
        places = graph.op("Slice", graph.weight(name + "position_embeddings.weight"), start, length)
        kind = self._rows(name + "token_type_embeddings.weight", graph.constant(np.array(0)))
        states = graph.op("Add", graph.op("Add", words, kind), places)
        states = self._norm(states, name + "LayerNorm")
        for layer in range(self._config.num_hidden_layers):
            states = self._layer(states, f"{TEXT_TOWER}encoder.layer.{layer}.")
        first = graph.op("Gather", states, graph.constant(np.array(0)), axis=1)
        return _head(graph, first, TEXT_HEAD)

    def _rows(self, table: str, rows: str) -> str:
        """Some rows of a table, which is large: only these are made float32."""
        graph = self._graph
        return graph.op("Cast", graph.op("Gather", graph.stored(table), rows), to=TensorProto.FLOAT)

    def _layer(self, states: str, name: str) -> str:
        graph = self._graph
        parts = [graph.linear(states, *both(f"{name}attention.self.{part}")) for part in ("query", "key", "value")]
        mixed = graph.op("MultiHeadAttention", *parts, domain=CONTRIB, num_heads=self._config.num_attention_heads)
        states = self._output(mixed, states, name + "attention.output")
        hidden = graph.linear(states, *both(name + "intermediate.dense"))
        return self._output(self._gelu(hidden), states, name + "output")

    def _output(self, states: str, entering: str, name: str) -> str:
        projected = self._graph.linear(states, *both(name + ".dense"))
        return self._norm(self._graph.op("Add", projected, entering), name + ".LayerNorm")

    def _norm(self, states: str, name: str) -> str:
        weight, bias = (self._graph.weight(part) for part in both(name))
        return self._graph.op("LayerNormalization", states, weight, bias, epsilon=self._config.layer_norm_eps)

    def _gelu(self, states: str) -> str:
        """The exact form: x / 2 (1 + erf(x / sqrt 2))."""
        graph = self._graph
        error = graph.op("Erf", graph.op("Div", states, graph.constant(np.float32(np.sqrt(2)))))
        twice = graph.op("Mul", states, graph.op("Add", error, graph.constant(np.float32(1))))
        return graph.op("Mul", twice, graph.constant(np.float32(0.5)))


def _head(graph: Graph, states: str, prefix: str) -> str:
    weight, bias = (graph.weight(part) for part in both(prefix + "layer_norm"))
    normed = graph.op("LayerNormalization", states, weight, bias, epsilon=HEAD_EPS)
    return graph.linear(normed, prefix + "proj.weight")


def write_graphs(folder: Path) -> None:
    """Write the graphs of a checkpoint of the layout ``pe_audio``, in float16, with a text tower of the BERT kind."""
    checkpoint, weights = Checkpoint.open(folder, str(folder)), Weights(folder)
    audio, text = AudioConfig.read(checkpoint.audio_section), BertConfig.read(checkpoint.text_section)
    dim, width = checkpoint.embedding_width, audio.dac_config.codebook_dim
    features = _floats("features", "batch", "frames", width)

    codec = Graph(weights)
    made = CodecGraph(codec, AUDIO_TOWER + "embedder.", checkpoint.strides).build("samples")
    _write(codec, folder / "codec.onnx", checkpoint, _floats("samples", 1, 1, "time"), {made: features})

    tower = Graph(weights)
    clips, frames = AudioGraph(tower, audio).build("features")
    outputs = {clips: _floats("clips", "batch", dim), frames: _floats("embeddings", "batch", "frames", dim)}
    _write(tower, folder / "audio.onnx", checkpoint, features, outputs)

    words = Graph(weights)
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "tokens"])
    embedding = TextGraph(words, text).build("ids")
    _write(words, folder / "text.onnx", checkpoint, ids, {embedding: _floats("embedding", 1, dim)})


def _write(graph: Graph, file: Path, checkpoint: Checkpoint, input: Any, outputs: dict[str, Any]) -> None:
    model = graph.model([input], outputs, checkpoint.fingerprint)
    file.write_bytes(model.SerializeToString(deterministic=True))
    onnx.checker.check_model(file)


def _floats(name: str, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the graphs of the checkpoint in a folder."""
    parser = argparse.ArgumentParser(prog="python -m training.graph", description=__doc__)
    parser.add_argument("folder", type=Path, help="the checkpoint's")
    write_graphs(parser.parse_args(arguments).folder)


if __name__ == "__main__":
    main()
