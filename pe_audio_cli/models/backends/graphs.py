"""The ONNX graphs of a checkpoint, run by onnxruntime on the CPU.

A checkpoint may hold three graphs, which ``python -m training.graph`` makes: ``codec.onnx``, ``audio.onnx`` and
``text.onnx``. They read their weights out of its ``model.safetensors``, and hold the fingerprint of the checkpoint that
they were made for.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from pe_audio_cli import _paths
from pe_audio_cli.errors import RunError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pe_audio_cli.models.checkpoint import Checkpoint

__all__ = ["Graph", "GraphError", "has_graphs"]

GRAPHS = ("codec.onnx", "audio.onnx", "text.onnx")
ERRORS_ONLY = 3  # of onnxruntime's levels of messages
OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "failed to allocate memory")


class GraphError(Exception):
    """The graphs of a checkpoint cannot be run; the message says why in a few words."""


def has_graphs(checkpoint: Checkpoint) -> bool:
    """True if a checkpoint holds graphs."""
    return all(_paths.is_file(checkpoint.folder / name) for name in GRAPHS)


class Graph:
    """A graph, ready to run. Any number of threads may run it at once; each run uses one."""

    def __init__(self, checkpoint: Checkpoint, name: str) -> None:
        """Raises :class:`GraphError` if onnxruntime is missing or broken, or the graph is of other weights."""
        self._file = checkpoint.folder / name
        self._session = _open(os.fspath(self._file))
        made_for = self._session.get_modelmeta().custom_metadata_map.get("fingerprint")
        if made_for != checkpoint.fingerprint:
            raise GraphError(f"{name} of {checkpoint.name} was made for other weights")

    def run(self, **inputs: NDArray[Any]) -> list[NDArray[np.float32]]:
        """Return the outputs, in order. Raises :class:`RunError` if it fails."""
        try:
            outputs: list[NDArray[np.float32]] = self._session.run(None, inputs)
        except Exception as error:  # of onnxruntime's own types, or of the C++ library's
            if any(sign in str(error).lower() for sign in OUT_OF_MEMORY):
                raise RunError(
                    "cpu is out of memory: use a shorter --window, such as --window 30, or a machine with more"
                ) from error
            reason = " ".join(str(error).split())[:300]
            raise RunError(f"onnxruntime failed ({reason}): try PEAUDIO_ENGINE=torch") from error
        return outputs


def _open(file: str) -> Any:
    """Open a graph, to be run by the calling thread alone."""
    try:
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else it counts sessions and devices for its makers
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a missing or broken library, or any fault of the graph
        reason = " ".join(str(error).split())[:200]
        raise GraphError(f"{type(error).__name__}: {reason}") from error
