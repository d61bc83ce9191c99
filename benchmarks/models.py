"""The work of contenders: each function builds, in a child, the work that is timed there.

Work on audio takes samples ``(n,)`` at 48 kHz in float32, whole frames of them, and gives NumPy arrays, so that what a
CUDA GPU computes has arrived when the clock stops. The forward pass of transformers is that of its own classes, as
``from_pretrained`` gives them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from pe_audio_cli.audio.framing import HOP, SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pe_audio_cli.models.backends.torch_encoder import PeEncoder
    from pe_audio_cli.models.checkpoint import Checkpoint

Samples: TypeAlias = "NDArray[np.float32]"
Arrays: TypeAlias = "tuple[NDArray[np.float32], ...]"

CLAP_SECONDS = 10  # of the pieces that CLAP's feature extractor takes


def transformers_codec(folder: Path, dtype: str = "float32", device: str = "cpu") -> Callable[[Samples], Arrays]:
    """Codec features ``(n_frames, width)`` by transformers."""
    import torch

    embedder = _transformers_model(folder, dtype, device).audio_encoder.embedder

    @torch.inference_mode()
    def encode(samples: Samples) -> Arrays:
        with torch.backends.cudnn.flags(enabled=False):  # as the forward pass of transformers does
            features = embedder.bottleneck(embedder.dac_encoder(_tensor(samples, dtype, device)))
        return (_array(features[0].T),)

    return encode


def our_codec(
    folder: Path, dtype: str = "float32", device: str = "cpu", compile: bool = False
) -> Callable[[Samples], Arrays]:
    """Codec features ``(n_frames, width)`` by peaudio."""
    encoder = _ours(folder, dtype, device, compile)
    return lambda samples: (encoder.encode_codec(samples.reshape(-1, HOP)),)


def transformers_encoder(folder: Path, dtype: str = "float32", device: str = "cpu") -> Callable[[Samples], Arrays]:
    """Clip embedding ``(1, dim)`` and frame embeddings ``(1, n_frames, dim)`` by transformers."""
    import torch

    model = _transformers_model(folder, dtype, device)

    @torch.inference_mode()
    def encode(samples: Samples) -> Arrays:
        states = model.audio_encoder(_tensor(samples, dtype, device))
        return _array(model.audio_head(states.pooler_output)), _array(model.audio_head(states.last_hidden_state))

    return encode


def our_encoder(folder: Path, dtype: str = "float32", device: str = "cpu") -> Callable[[Samples], Arrays]:
    """Clip embedding ``(1, dim)`` and frame embeddings ``(1, n_frames, dim)`` by peaudio."""
    encoder = _ours(folder, dtype, device)

    def encode(samples: Samples) -> Arrays:
        embeddings = encoder.encode_windows(encoder.encode_codec(samples.reshape(-1, HOP))[None])
        return embeddings.clips, embeddings.frames

    return encode


def our_start(folder: Path, dtype: str, compile: bool, cache: Path) -> Callable[[Any], None]:
    """Loading, and compiling if asked; ``torch.compile`` keeps what it has made in ``cache``."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache)

    def load(_: Any) -> None:
        _ours(folder, dtype, "cpu", compile)

    return load


def our_tagger(folder: Path, dtype: str = "float32") -> Callable[[Path], None]:
    """Build the work of ``peaudio tag`` on a recording with a loaded model, in windows of 30 s."""
    from pe_audio_cli.inference.runner import tag, window_options
    from pe_audio_cli.inference.tasks.base import EncodeOptions
    from pe_audio_cli.inference.tasks.query import Query
    from pe_audio_cli.options import TagOptions

    encoder = _ours(folder, dtype, "cpu")
    query = Query(("a dog barking",), np.ones((1, _checkpoint(folder).embedding_width), np.float32))

    def run(recording: Path) -> None:
        for _ in tag([str(recording)], encoder, query, TagOptions(), EncodeOptions(window_options("tag"))):
            pass

    return run


def clap() -> Callable[[Samples], Arrays]:
    """An embedding ``(n_pieces, dim)`` of each 10 s by CLAP, in its default configuration, on random weights."""
    import torch
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    model: Any = ClapModel(ClapConfig())
    model.eval()
    extractor: Any = ClapFeatureExtractor(truncation="rand_trunc")  # what goes with a model that fuses nothing

    @torch.inference_mode()
    def encode(samples: Samples) -> Arrays:
        pieces = np.split(samples, range(CLAP_SECONDS * SAMPLE_RATE, len(samples), CLAP_SECONDS * SAMPLE_RATE))
        inputs = extractor(pieces, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        return (_array(model.get_audio_features(**inputs).pooler_output),)

    return encode


def transformers_labels(folder: Path) -> Callable[[Sequence[str]], Arrays]:
    """Text embeddings ``(n_labels, dim)`` by transformers: all labels in one padded batch, the tower already loaded."""
    import torch
    from transformers import AutoTokenizer

    model = _transformers_model(folder, "float32", "cpu")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    @torch.inference_mode()
    def encode(labels: Sequence[str]) -> Arrays:
        inputs = tokenizer(list(labels), padding=True, return_tensors="pt")
        states = model.text_model(**inputs, output_hidden_states=True).hidden_states[-1]
        return (_array(model.text_audio_head(states[:, 0])),)

    return encode


def our_labels(folder: Path, caches: Path, cached: bool) -> Callable[[Sequence[str]], Arrays]:
    """Text embeddings ``(n_labels, dim)`` by peaudio, cached, or with a new and empty cache in ``caches`` each time.

    Where the cache is, the environment says, of which this process's is changed.
    """
    encoder = _ours(folder, "float32", "cpu")
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(dir=caches)

    def encode(labels: Sequence[str]) -> Arrays:
        if not cached:
            os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(dir=caches)
        return (encoder.encode_text(labels),)

    return encode


def matrix_product(dtype: str, size: int) -> Callable[[Any], None]:
    """One product of two square matrices, whatever is asked."""
    import torch

    left, right = (torch.randn(size, size, dtype=getattr(torch, dtype)) for _ in range(2))
    out = torch.empty_like(left)

    def multiply(_: Any) -> None:
        torch.matmul(left, right, out=out)

    return multiply


def packed_product(dtype: str, size: int) -> Callable[[Any], None]:
    """The same by oneDNN, as peaudio has it done."""
    import torch

    from pe_audio_cli.models.kernels.onednn import Product

    left, right = (torch.randn(size, size, dtype=getattr(torch, dtype)) for _ in range(2))
    product = Product(right, None)

    @torch.inference_mode()
    def multiply(_: Any) -> None:
        product(left)

    return multiply


def card_product(dtype: str, size: int, device: str) -> Callable[[Any], float]:
    """One product of two square matrices on a CUDA GPU; what it gives is one of its numbers, for which to wait."""
    import torch

    left, right = (torch.randn(size, size, dtype=getattr(torch, dtype), device=device) for _ in range(2))

    def multiply(_: Any) -> float:
        number: float = torch.matmul(left, right)[0, 0].item()
        return number

    return multiply


def flops(folder: Path, n_frames: int) -> tuple[int, int]:
    """Floating-point operations of codec and of all else for so many frames; an addition counts like a product."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from pe_audio_cli.models.config import AudioConfig
    from pe_audio_cli.models.modules.audio_tower import AudioTower

    with torch.device("meta"), torch.inference_mode():
        tower = AudioTower(AudioConfig.read(_checkpoint(folder).audio_section))
        codec = tower.take_codec()
        counters = FlopCounterMode(display=False), FlopCounterMode(display=False)
        with counters[0]:
            features = codec(torch.empty(1, 1, n_frames * HOP))
        with counters[1]:
            tower(features.transpose(1, 2))
    in_codec, in_tower = (counter.get_total_flops() for counter in counters)
    return in_codec, in_tower


def _transformers_model(folder: Path, dtype: str, device: str) -> Any:
    import torch
    from transformers import PeAudioModel

    model: Any = PeAudioModel.from_pretrained(folder, dtype=getattr(torch, dtype))
    return model.to(device)


def _ours(folder: Path, dtype: str, device: str, compile: bool = False) -> PeEncoder:
    from pe_audio_cli.models.backends.torch_encoder import PeEncoder
    from pe_audio_cli.models.encoder import DeviceOptions

    return PeEncoder(_checkpoint(folder), DeviceOptions(device, dtype, compile=compile))


def _checkpoint(folder: Path) -> Checkpoint:
    from pe_audio_cli.models.checkpoint import Checkpoint

    return Checkpoint.open(folder, folder.name)


def _tensor(samples: Samples, dtype: str, device: str) -> Any:
    import torch

    return torch.from_numpy(samples)[None, None].to(device, getattr(torch, dtype))


def _array(tensor: Any) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.float().cpu().numpy()
    return array
