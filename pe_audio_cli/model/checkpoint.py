"""A checkpoint folder: configuration, tokenizer and weights, all of them checked before anything runs.

Two layouts exist among the published checkpoints:

``pe_audio``
    The audio model alone: ``audio_encoder.*``, the heads, ``text_model.*``.
``pe_audio_video``
    The same tensors with the audio model's under ``audio_model.``, the text tower at the top level, and a video
    model beside them, which is not read.

``from_pretrained`` is not used: it fills what is missing with random numbers, and takes the text configuration of the
second layout from its class's defaults. Only safetensors files are read, and no code from a folder ever runs.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pe_audio_cli.audio.windows import HOP, SAMPLE_RATE
from pe_audio_cli.errors import CheckpointError
from pe_audio_cli.model.config import CodecConfig

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

__all__ = ["Checkpoint", "weight_files"]

# What stands before the name of each tensor of the audio model, by layout.
AUDIO_PREFIX = {"pe_audio": "", "pe_audio_video": "audio_model."}
# What its tensors are called there.
AUDIO_TOWER, AUDIO_HEAD = "audio_encoder.", "audio_head."
TEXT_TOWER, TEXT_HEAD = "text_model.", "text_audio_head."
LOGIT_SCALE, LOGIT_BIAS = "text_audio_logit_scale", "text_audio_logit_bias"
KNOWN_TENSORS = (AUDIO_TOWER, AUDIO_HEAD, TEXT_TOWER, TEXT_HEAD, LOGIT_SCALE, LOGIT_BIAS)

PIECE = 1 << 20  # bytes of a weight file that are read at once for its fingerprint
MAX_PIECES = 32  # a file of up to so many pieces is read whole

ModuleT = TypeVar("ModuleT", bound="torch.nn.Module")


@dataclass(frozen=True)
class Checkpoint:
    """A PE Audio checkpoint folder whose configuration has been read and found usable.

    ``name`` is what the user called it, ``config`` the content of ``config.json``.
    """

    name: str
    folder: Path
    config: dict[str, Any]

    @classmethod
    def open(cls, folder: Path, name: str) -> Checkpoint:
        """Read and check the configuration; no weights yet, but they must be there.

        Raises :class:`CheckpointError` if the folder is not a PE Audio checkpoint, saying what it is.
        """
        checkpoint = cls.described(folder, name)
        weight_files(folder)
        return checkpoint

    @classmethod
    def described(cls, folder: Path, name: str) -> Checkpoint:
        """As :meth:`open`, of a folder whose weights are still to come."""
        checkpoint = cls(name, folder, _read_json(folder / "config.json", name))
        if checkpoint.layout not in AUDIO_PREFIX:
            raise CheckpointError(f"{name} is not a PE Audio checkpoint but {_what_it_is(checkpoint.config)}")
        checkpoint._check_frame_grid()
        return checkpoint

    @property
    def layout(self) -> str:
        """``pe_audio`` or ``pe_audio_video``."""
        return str(self.config.get("model_type"))

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the codec's stages; their product is the 1920 samples of a frame."""
        stated = (self.audio_section.get("dac_config") or {}).get("downsampling_ratios")
        return CodecConfig().downsampling_ratios if stated is None else tuple(stated)

    @property
    def audio_section(self) -> dict[str, Any]:
        """What ``config.json`` says of the audio tower, in either layout."""
        audio = self.config if self.layout == "pe_audio" else self.config.get("audio_video_config") or {}
        section: dict[str, Any] = audio.get("audio_config") or {}
        return section

    @property
    def text_section(self) -> dict[str, Any]:
        """What ``config.json`` says of the text tower."""
        section: dict[str, Any] = self.config.get("text_config") or {}
        return section

    @cached_property
    def pe_audio_config(self) -> Any:  # a PeAudioConfig, whose fields transformers types as maybe a dict, maybe None
        """The configuration as transformers reads it, with the checkpoint's own text tower."""
        from transformers import PeAudioConfig

        try:
            return PeAudioConfig(text_config=self.config.get("text_config"), audio_config=self.audio_section or None)
        except Exception as error:  # transformers raises a different type for nearly every fault in a configuration
            raise self.bad_config(error) from error

    @property
    def text_feature_is_normed(self) -> bool:
        """Whether the text feature is the state after the text tower's final norm.

        Meta's implementation takes the state before it. Only a checkpoint that says otherwise, by
        ``tie_last_hidden_states`` in its own text configuration, differs; what a release of transformers does by
        default does not matter.
        """
        return bool(self.text_section.get("tie_last_hidden_states", False))

    @property
    def default_labels(self) -> tuple[str, ...]:
        """The labels that the checkpoint suggests, from its ``labels.txt``; none if it has no such file."""
        file = self.folder / "labels.txt"
        if not file.is_file():
            return ()
        lines = (line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines())
        return tuple(line for line in lines if line and not line.startswith("#"))

    @cached_property
    def fingerprint(self) -> str:
        """A hexadecimal string that changes with the configuration, the tokenizer or the weights.

        Weights of gigabytes are not read whole: their size, their table of tensors and pieces from all over the file
        stand for them.
        """
        digest = hashlib.sha256()
        for file in (self.folder / "config.json", self.folder / "tokenizer.json", *weight_files(self.folder)):
            if file.is_file():
                _digest_file(digest, file)
        return digest.hexdigest()[:32]

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The checkpoint's tokenizer, by itself: the full processor would want vision packages."""
        from transformers import AutoTokenizer

        try:
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                str(self.folder), local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # tokenizers raises bare Exception for a damaged tokenizer.json
            raise self._bad_tokenizer(error) from error
        return tokenizer

    def bare_tokenizer(self) -> Tokenizer:
        """The checkpoint's tokenizer as the tokenizers package reads it; it cuts nothing short."""
        from tokenizers import Tokenizer

        try:
            tokenizer: Tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises bare Exception for a damaged file
            raise self._bad_tokenizer(error) from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    @property
    def max_label_tokens(self) -> int:
        """How many tokens the tokenizer's own configuration allows; very many where it doesn't say."""
        file = self.folder / "tokenizer_config.json"
        stated = _read_json(file, self.name).get("model_max_length") if file.is_file() else None
        return int(stated) if isinstance(stated, (int, float)) else sys.maxsize

    @property
    def embedding_width(self) -> int:
        """Numbers in an embedding of a label, or of audio."""
        return self._shape(TEXT_HEAD + "proj.weight")[0]

    @property
    def revision(self) -> str:
        """The commit of the hub that a folder in the hub's cache stands for; empty for any other folder."""
        return self.folder.name if self.folder.parent.name == "snapshots" else ""

    def fill(self, module: ModuleT, prefix: str) -> ModuleT:
        """Fill a module with the tensors whose names in the audio model begin with ``prefix``.

        The module, which may be on the meta device, comes back in float32, in evaluation mode, on the CPU. Raises
        :class:`CheckpointError` that names the tensor if any is missing, unexpected or of another shape.
        """
        tensors = {name.removeprefix(prefix): place for name, place in self._index.items() if name.startswith(prefix)}
        wanted = module.state_dict()
        self._check_names(wanted, tensors, prefix)
        values = {}
        for name, target in wanted.items():
            tensor = self._read(*tensors[name])
            if tensor.shape != target.shape:
                raise CheckpointError(
                    f"{self.name}: tensor {prefix}{name} has shape {tuple(tensor.shape)}, and its config.json asks "
                    f"for {tuple(target.shape)}"
                )
            values[name] = tensor.float()
        module.load_state_dict(values, assign=True)
        module.requires_grad_(False)
        module.eval()
        return module

    def scalar(self, name: str) -> float:
        """A tensor of one number, by its name in the audio model."""
        if name not in self._index:
            raise CheckpointError(f"{self.name}: tensor {name} is missing")
        tensor = self._read(*self._index[name])
        if tensor.numel() != 1:
            raise CheckpointError(f"{self.name}: tensor {name} has shape {tuple(tensor.shape)}, not one number")
        return float(tensor.item())

    @cached_property
    def _index(self) -> dict[str, tuple[Path, str]]:
        """Where each tensor lies: its name in the audio model -> (file, name in the file)."""
        from safetensors import SafetensorError, safe_open

        places: dict[str, tuple[Path, str]] = {}
        for file in weight_files(self.folder):
            try:
                with safe_open(file, framework="np") as opened:
                    names = list(opened.keys())
            except FileNotFoundError as error:
                raise CheckpointError(f"{self.name}: {file.name} is missing; fetch the checkpoint again") from error
            except (SafetensorError, OSError) as error:
                raise self._damaged(file, error) from error
            for stored in names:
                name = self._name_in_audio_model(stored)
                if name is not None:
                    places[name] = (file, stored)
        strays = sorted(name for name in places if not name.startswith(KNOWN_TENSORS))
        if strays:
            raise CheckpointError(f"{self.name}: unexpected tensor {strays[0]}{_and_others(strays)}")
        return places

    def _name_in_audio_model(self, stored: str) -> str | None:
        prefix = AUDIO_PREFIX[self.layout]
        if not prefix or stored.startswith(TEXT_TOWER):
            return stored
        name = stored.removeprefix(prefix)
        # Some tools that save tied weights write the text tower a second time, inside the audio model.
        return name if stored.startswith(prefix) and not name.startswith(TEXT_TOWER) else None

    def _shape(self, name: str) -> list[int]:
        from safetensors import SafetensorError, safe_open

        if name not in self._index:
            raise CheckpointError(f"{self.name}: tensor {name} is missing")
        file, stored = self._index[name]
        try:
            with safe_open(file, framework="np") as opened:
                shape: list[int] = opened.get_slice(stored).get_shape()
        except (SafetensorError, OSError) as error:
            raise self._damaged(file, error) from error
        return shape

    def _read(self, file: Path, stored: str) -> torch.Tensor:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(file, framework="pt") as opened:
                tensor: torch.Tensor = opened.get_tensor(stored)
        except (SafetensorError, OSError) as error:
            raise self._damaged(file, error) from error
        return tensor

    def bad_config(self, error: Exception) -> CheckpointError:
        """What to raise where a configuration cannot be made sense of."""
        reason = " ".join(str(error).split())
        return CheckpointError(f"{self.name}: config.json does not describe a PE Audio model ({reason})")

    def _bad_tokenizer(self, error: Exception) -> CheckpointError:
        return CheckpointError(f"{self.name}: the tokenizer cannot be read ({' '.join(str(error).split())})")

    def _damaged(self, file: Path, error: Exception) -> CheckpointError:
        return CheckpointError(f"{self.name}: {file.name} is damaged ({error}); fetch the checkpoint again")

    def _check_names(self, wanted: Iterable[str], present: Iterable[str], prefix: str) -> None:
        missing = sorted(set(wanted) - set(present))
        if missing:
            raise CheckpointError(f"{self.name}: tensor {prefix}{missing[0]} is missing{_and_others(missing)}")
        unexpected = sorted(set(present) - set(wanted))
        if unexpected:
            raise CheckpointError(f"{self.name}: unexpected tensor {prefix}{unexpected[0]}{_and_others(unexpected)}")

    def _check_frame_grid(self) -> None:
        """Everything in this tool stands on frames of 1920 samples at 48 kHz; another grid would shift every time."""
        extractor = self.folder / "preprocessor_config.json"
        stated = _read_json(extractor, self.name) if extractor.is_file() else {}
        rate, hop = stated.get("sampling_rate", SAMPLE_RATE), stated.get("hop_length", HOP)
        strides = math.prod(self.strides)
        if (rate, hop, strides) != (SAMPLE_RATE, HOP, HOP):
            raise CheckpointError(
                f"{self.name} has frames of {strides} samples at {rate} Hz; peaudio supports {HOP} at {SAMPLE_RATE} Hz"
            )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint, whether it is whole or in shards.

    Raises :class:`CheckpointError` if there is none, or if the list of shards cannot be read.
    """
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    if index.is_file():
        names = _read_json(index, str(folder)).get("weight_map", {}).values()
        # A name with a folder in it could point anywhere on the machine.
        return [folder / Path(name).name for name in sorted(set(names))]
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt*")):
        raise CheckpointError(f"{folder} holds pickled weights, which can run code: convert them to model.safetensors")
    raise CheckpointError(f"{folder} holds no model.safetensors: it is incomplete; fetch the checkpoint again")


def _read_json(file: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{name} is not a checkpoint: it holds no {file.name}") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{name}: {file.name} cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{name}: {file.name} holds no JSON object")
    return content


def _digest_file(digest: hashlib._Hash, file: Path) -> None:
    size = file.stat().st_size
    digest.update(f"{file.name} {size} ".encode())
    stride = max(PIECE, size // MAX_PIECES)
    with file.open("rb") as opened:
        for start in range(0, size, stride):
            opened.seek(start)
            digest.update(opened.read(PIECE))


def _what_it_is(config: dict[str, Any]) -> str:
    classes = config.get("architectures") or []
    if config.get("model_type"):
        return f"a {config['model_type']} model" + (f" ({classes[0]})" if classes else "")
    return "of an unknown kind: its config.json has no model_type"


def _and_others(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
