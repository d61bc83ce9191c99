"""ONNX graphs whose weights stay in a checkpoint's ``model.safetensors``.

An initializer names its bytes in that file, in float16, and a cast behind it makes them float32, once, when onnxruntime
loads the graph. Only small constants are in the graph itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["CONTRIB", "Array", "Graph", "Weights", "both"]

WEIGHTS = "model.safetensors"
OPSET = 17  # the first with LayerNormalization
IR_VERSION = 8
CONTRIB = "com.microsoft"  # onnxruntime's own operators

Array: TypeAlias = NDArray[Any]


class Weights:
    """The tensors of a checkpoint, and where their bytes are in its file."""

    def __init__(self, folder: Path) -> None:
        with (folder / WEIGHTS).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            self._table = json.loads(file.read(length))
        self._start = 8 + length
        self._bytes = np.memmap(folder / WEIGHTS, np.uint8, "r")

    def location(self, name: str) -> tuple[int, int]:
        """Offset and length in bytes."""
        begin, end = self._table[name]["data_offsets"]
        return self._start + begin, end - begin

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, which is in float16."""
        entry = self._table[name]
        if entry["dtype"] != "F16":
            raise ValueError(f"{name} is {entry['dtype']}, and graphs are made of checkpoints in float16")
        return tuple(entry["shape"])

    def read(self, name: str) -> Array:
        """A tensor, in float32."""
        offset, length = self.location(name)
        return self._bytes[offset : offset + length].view("<f2").astype(np.float32).reshape(self.shape(name))


class Graph:
    """A graph in the making. Values are called by short names, which are handed from one operator to the next."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._cache: dict[Any, str] = {}
        self._n_names = 0

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operator with one output, whose name is returned."""
        return self.ops(kind, *inputs, n_outputs=1, domain=domain, **attributes)[0]

    def ops(self, kind: str, *inputs: str, n_outputs: int, domain: str = "", **attributes: Any) -> list[str]:
        """Add an operator with several outputs."""
        outputs = [self._new_name() for _ in range(n_outputs)]
        self._nodes.append(helper.make_node(kind, inputs, outputs, domain=domain, **attributes))
        return outputs

    def stored(self, name: str) -> str:
        """A tensor of the checkpoint, in float16."""
        if name not in self._cache:
            tensor = TensorProto(
                name=self._new_name(),
                data_type=TensorProto.FLOAT16,
                dims=self.weights.shape(name),
                data_location=TensorProto.EXTERNAL,
            )
            offset, length = self.weights.location(name)
            for key, value in ("location", WEIGHTS), ("offset", offset), ("length", length):
                tensor.external_data.add(key=key, value=str(value))
            self._initializers.append(tensor)
            self._cache[name] = tensor.name
        return self._cache[name]

    def weight(self, name: str) -> str:
        """A tensor of the checkpoint, in float32."""
        return self.op("Cast", self.stored(name), to=TensorProto.FLOAT)

    def constant(self, value: Array) -> str:
        """A constant: floats as float32, stored as float16 if that holds them exactly."""
        value = np.asarray(value, order="C")
        key = value.tobytes(), value.dtype.str, value.shape
        if key in self._cache:
            return self._cache[key]
        if value.dtype.kind == "f":
            value = value.astype(np.float32)
            with np.errstate(over="ignore"):
                half = value.astype(np.float16)
            if value.size > 64 and (half.astype(np.float32) == value).all():
                self._cache[key] = self.op("Cast", self._initializer(half), to=TensorProto.FLOAT)
                return self._cache[key]
        self._cache[key] = self._initializer(value)
        return self._cache[key]

    def shape(self, *sizes: int) -> str:
        """A constant list of integers."""
        return self.constant(np.array(sizes))

    def linear(self, input: str, weight: str, bias: str | None = None) -> str:
        """A product with the transpose of a weight ``(out, in)``, and a bias; all tensors of the checkpoint."""
        product = self.op("MatMul", input, self.op("Transpose", self.weight(weight), perm=[1, 0]))
        return product if bias is None else self.op("Add", product, self.weight(bias))

    def model(self, inputs: Sequence[Any], outputs: dict[str, Any], fingerprint: str) -> onnx.ModelProto:
        """The finished model; ``outputs`` are descriptions by the names of the values that are given out."""
        for value, description in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value], [description.name]))
        graph = helper.make_graph(self._nodes, "g", inputs, list(outputs.values()), self._initializers)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="peaudio")
        helper.set_model_props(model, {"fingerprint": fingerprint})
        return model

    def _initializer(self, value: Array) -> str:
        name = self._new_name()
        self._initializers.append(numpy_helper.from_array(value, name))
        return name

    def _new_name(self) -> str:
        self._n_names += 1
        return f"v{self._n_names}"


def both(name: str) -> tuple[str, str]:
    """The names of a module's weight and bias."""
    return f"{name}.weight", f"{name}.bias"
