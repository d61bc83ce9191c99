"""Samples to codec features, and windows of those to clip and frame embeddings, both from one pass."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from pe_audio_cli.audio.framing import HOP
from pe_audio_cli.errors import RunError, UsageError
from pe_audio_cli.models.backends.labels import encode_labels
from pe_audio_cli.models.backends.transformers_modules import transformers_audio
from pe_audio_cli.models.checkpoint import AUDIO_HEAD, AUDIO_TOWER, Checkpoint, library_faults
from pe_audio_cli.models.config import AudioConfig, Unsupported
from pe_audio_cli.models.encoder import DeviceOptions
from pe_audio_cli.models.kernels.cuda import cudnn_flags, to_device, windows_at_once
from pe_audio_cli.models.kernels.cuda_codec import CudaCodec
from pe_audio_cli.models.kernels.malloc import configure_malloc, is_out_of_memory
from pe_audio_cli.models.kernels.onednn import pack_linear_layers
from pe_audio_cli.models.kernels.processor import dtype_warning
from pe_audio_cli.models.kernels.tiles import TiledCodec, is_wide
from pe_audio_cli.models.modules.audio_tower import AudioTower, ContrastiveHead
from pe_audio_cli.models.modules.codec import compile_snakes, leave_out_idle_parts
from pe_audio_cli.models.threads import torch_alone
from pe_audio_cli.results import Embeddings

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PeEncoder"]

# The batch size by device. A CPU is fully used by one window, and slower with more; a GPU splits a batch that does not
# fit into its memory.
BATCH_SIZE = defaultdict(lambda: 1, cuda=32)


class PeEncoder:
    """A PE Audio checkpoint on torch, ready to encode. Any number of threads may call it; they take turns."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        options: DeviceOptions | None = None,
        engine: Literal["torch", "transformers"] = "torch",
    ) -> None:
        """Load the audio tower; the text tower waits for the first label.

        Raises :class:`CheckpointError` for a checkpoint with a tensor missing, unexpected or of another shape, and
        :class:`UsageError` for a device or dtype that this machine doesn't have.
        """
        _survive_forks()
        with torch_alone():
            self._load(checkpoint, DeviceOptions() if options is None else options, engine)

    def _load(self, checkpoint: Checkpoint, options: DeviceOptions, engine: str) -> None:
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        self.device = _pick_device(options.device)
        if self.device.type == "cpu":
            configure_malloc()
        self.dtype = _pick_dtype(options.dtype, self.device)
        self._checkpoint = checkpoint
        modules, tower, head, foreign = _load_audio(checkpoint, engine)
        # A narrow codec takes little time, and loses too much precision in half precision.
        self._codec_dtype = self.dtype if is_wide(modules) else torch.float32
        tower, head = tower.to(self.device, self.dtype), head.to(self.device, self.dtype)
        codec, layout = _arrange(modules, foreign, self.device, self._codec_dtype, options.compile)
        if isinstance(codec, TiledCodec):  # a checkpoint with a wide codec has a wide tower
            pack_linear_layers(tower)
        backend = _description(self.dtype, self.device, self._codec_dtype, layout)
        warning = dtype_warning(self.dtype, self.device)
        facts = checkpoint.facts(backend, BATCH_SIZE[self.device.type])
        self.facts = facts if warning is None else replace(facts, warnings=(warning,))
        self._codec, self._tower, self._head = codec, tower, head
        self._cudnn = foreign is None and self.dtype != torch.float32
        if self.device.type == "cuda":
            self._free, _ = torch.cuda.mem_get_info(self.device)
        if options.compile:
            self._try_compiled()

    def _try_compiled(self) -> None:
        """Compile by a first run, so that a failure is reported at once."""
        try:
            self.encode_codec(np.zeros((25, HOP), np.float32))
        except RuntimeError as error:  # the base class of what torch.compile raises, also for a missing C++ compiler
            reason = str(error).strip().splitlines()[0]
            raise UsageError(f"--compile does not work on this machine ({reason}): leave it out") from error

    def encode_text(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """Text embeddings of shape ``(n_labels, dim)``; they are cached on disk.

        Raises :class:`UsageError` for a label that is too long, :class:`CheckpointError` for a damaged text tower.
        """
        return encode_labels(self._checkpoint, labels)

    @torch.inference_mode()
    def encode_codec(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Codec features of consecutive frames of samples: ``(n_frames, 1920)`` at 48 kHz to ``(n_frames, width)``.

        The input counts as silent beyond both ends, so drop ``facts.context_frames`` frames of the result on each side
        where a longer recording was cut. Raises :class:`RunError` where the device runs out of memory.
        """
        with torch_alone(), self._memory_errors_explained(), cudnn_flags(self._cudnn):
            samples = to_device(torch.from_numpy(frames).reshape(1, 1, -1), self.device, self._codec_dtype)
            return _numpy(self._codec(samples)[0].T)

    @torch.inference_mode()
    def encode_windows(self, features: NDArray[np.float32]) -> Embeddings:
        """Clip and frame embeddings of equal windows of codec features, ``(batch, n_frames, width)``.

        Raises :class:`RunError` where the device runs out of memory or the numbers are not finite.
        """
        with torch_alone(), self._memory_errors_explained(), cudnn_flags(self._cudnn):
            embeddings = [self._encode(batch) for batch in self._batches(features)]
        clips, frames = (np.concatenate(parts) for parts in zip(*embeddings, strict=True))
        if not (np.isfinite(clips).all() and np.isfinite(frames).all()):
            raise RunError(f"the model's output is not finite in {self.dtype}: try --dtype float32")
        return Embeddings(clips, frames)

    def _batches(self, features: NDArray[np.float32]) -> Iterator[torch.Tensor]:
        """Yield single windows on a CPU, where a batch is slower and rounds differently; on a GPU, as many as fit."""
        windows = torch.from_numpy(features)
        if self.device.type == "cpu":
            at_once = 1
        elif self.device.type == "cuda":
            at_once = windows_at_once(self._free, windows.shape[1], _widest(self._tower), self.dtype)
        else:
            at_once = len(windows)
        yield from torch.split(windows, at_once)

    def _encode(self, features: torch.Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        clips, frames = self._tower(to_device(features, self.device, self.dtype))
        return _numpy(self._head(clips)), _numpy(self._head(frames))

    @contextmanager
    def _memory_errors_explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if self.device.type == "cpu":
                remedy = "use a shorter --window, such as --window 30, or a machine with more"
            else:
                remedy = "use a smaller --batch-size, a shorter --window, such as --window 30, or --device cpu"
            raise RunError(f"{self.device} is out of memory: {remedy}") from error


@cache
def _survive_forks() -> None:
    """Let torch work in forked processes, with one thread each.

    OpenMP's other threads do not exist there, and it would wait for them forever. Registered once per process.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def _load_audio(checkpoint: Checkpoint, engine: str) -> tuple[nn.Sequential, nn.Module, nn.Module, str | None]:
    """Return codec, tower and contrastive head; and a description of the backend if it is not our own."""
    if engine == "transformers":
        return *transformers_audio(checkpoint), "by transformers"
    try:
        config = AudioConfig.read(checkpoint.audio_section)
    except Unsupported as reason:
        return *transformers_audio(checkpoint), f"by transformers ({reason})"
    except ValueError as error:
        raise checkpoint.bad_config(error) from error
    with torch.device("meta"), library_faults(checkpoint.bad_config):
        tower, head = AudioTower(config), ContrastiveHead(config.hidden_size, checkpoint.embedding_width)
    checkpoint.fill(tower, AUDIO_TOWER)
    checkpoint.fill(head, AUDIO_HEAD)
    codec = tower.take_codec()
    leave_out_idle_parts(codec)
    return codec, tower, head, None


def _arrange(
    codec: nn.Sequential, foreign: str | None, device: torch.device, dtype: torch.dtype, compiled: bool
) -> tuple[nn.Module, str | None]:
    """Return the fastest form of the codec for the device, and its description; ``foreign`` modules are unchanged.

    Raises :class:`UsageError` if it is to be compiled and nothing in it can be compiled.
    """
    if compiled and (foreign is not None or device.type == "cuda"):
        where = "with CUDA" if foreign is None else foreign
        raise UsageError(f"--compile has nothing to compile if the model runs {where}: leave it out")
    if foreign is not None:
        return codec.to(device, dtype), foreign
    if device.type == "cuda":
        return CudaCodec(codec.to(device, dtype)), "in rows"
    if device.type == "cpu" and is_wide(codec):
        tiled = TiledCodec(codec, dtype, compiled)
        return tiled, tiled.layout
    if compiled:
        compile_snakes(codec)
    return codec.to(device, dtype), "compiled" if compiled else None


def _description(dtype: torch.dtype, device: torch.device, in_codec: torch.dtype, layout: str | None) -> str:
    """Return a description of dtype, device and backend, for people."""
    parts = [f"{dtype} on {device}", "" if in_codec == dtype else f"codec in {in_codec}", layout or ""]
    return ", ".join(part for part in parts if part).replace("torch.", "")


def _widest(tower: nn.Module) -> int:
    """Return the largest output width of the tower's layers."""
    return max(weight.shape[0] for weight in tower.parameters() if weight.dim() > 1)


def _numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.float().cpu().numpy()
    return array


def _pick_device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"--device {name} is not available on this machine: use auto or cpu") from error
    return device


def _pick_dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else torch.float32
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in dtypes:
        raise UsageError(f"--dtype {name} is unknown: use auto, {', '.join(dtypes)}")
    return dtypes[name]
