"""The engines that run a checkpoint, and the choice between them.

``onnx`` runs a checkpoint's graphs with onnxruntime, on the CPU in float32; ``torch`` our own modules, and
``transformers`` its modules, which are the reference for both.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pe_audio_cli.errors import UsageError
from pe_audio_cli.models.backends.graphs import GraphError, has_graphs

if TYPE_CHECKING:
    from pe_audio_cli.models.checkpoint import Checkpoint
    from pe_audio_cli.models.encoder import DeviceOptions

__all__ = ["ENGINES", "VARIABLE", "forced_engine", "or_torch", "wants_graphs"]

ENGINES = ("onnx", "torch", "transformers")
FORMER_NAMES = {"fast": "torch", "reference": "transformers"}
VARIABLE = "PEAUDIO_ENGINE"

logger = logging.getLogger(__name__)

ValueT = TypeVar("ValueT")


def forced_engine() -> str | None:
    """Return the engine that ``PEAUDIO_ENGINE`` names, None if it is not set.

    Raises :class:`UsageError` for an unknown one.
    """
    named = os.environ.get(VARIABLE)
    if named is None:
        return None
    engine = FORMER_NAMES.get(named, named)
    if engine not in ENGINES:
        raise UsageError(f"{VARIABLE}={named} is unknown: use {', '.join(ENGINES[:-1])} or {ENGINES[-1]}")
    return engine


def wants_graphs(checkpoint: Checkpoint, device: DeviceOptions | None = None) -> bool:
    """True if the graphs of a checkpoint are to be run; for its text tower without ``device``.

    Only those of the shipped checkpoint are chosen without being asked for: a graph is a program, and a folder that
    somebody made may hold any. A device ``auto`` is the CPU then, which has answered before a GPU is set up.

    Raises :class:`UsageError` if they are asked for and cannot be run.
    """
    engine = forced_engine()
    if engine in ("torch", "transformers"):
        return False
    obstacle = _obstacle(checkpoint, device)
    if engine == "onnx" and obstacle is not None:
        raise UsageError(f"{VARIABLE}=onnx is not for {obstacle}: unset it, or use torch")
    return obstacle is None and (engine == "onnx" or checkpoint.is_shipped)


def _obstacle(checkpoint: Checkpoint, device: DeviceOptions | None) -> str | None:
    """Return the checkpoint, device or flag for which there are no graphs; None if the graphs can run."""
    if not has_graphs(checkpoint):
        return f"{checkpoint.name}, which has no graphs"
    if device is None:
        return None
    if device.device not in ("auto", "cpu"):
        return f"--device {device.device}"
    if device.dtype not in ("auto", "float32"):
        return f"--dtype {device.dtype}"
    return "--compile" if device.compile else None


def or_torch(open_graphs: Callable[[], ValueT], torch: Callable[[], ValueT]) -> ValueT:
    """Return what ``open_graphs`` does; if that fails, warn in one line and return what ``torch`` does.

    Raises :class:`UsageError` in place of that if ``PEAUDIO_ENGINE`` asks for onnxruntime.
    """
    try:
        return open_graphs()
    except GraphError as error:
        if forced_engine() == "onnx":
            raise UsageError(f"{VARIABLE}=onnx cannot be used: {error}") from error
        logger.warning("onnxruntime is not used: %s; torch does the same work, and takes longer to start", error)
        return torch()
