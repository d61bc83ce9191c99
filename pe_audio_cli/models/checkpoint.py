"""A checkpoint folder: configuration, tokenizer and weights, all of them checked before anything runs.

Two layouts exist among the published checkpoints:

``pe_audio``
    The audio model alone: ``audio_encoder.*``, the heads, ``text_model.*``.
``pe_audio_video``
    The same tensors with the audio model's under ``audio_model.``, the text tower at the top level, and a video
    model beside them, which is not read.

``from_pretrained`` is not used: it fills what is missing with random numbers, and takes the text configuration of the
second layout from its class's defaults. Only safetensors files are read, and no code from a folder ever runs.

A folder may be untrusted. Whatever is wrong with it, from a pipe in place of a file to a number that is not finite, is
a :class:`CheckpointError` of one line that names the file or tensor.
"""

from __future__ import annotations

import hashlib
import math
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pe_audio_cli import _paths
from pe_audio_cli._small_files import parse_json, read_regular
from pe_audio_cli.audio.framing import HOP, SAMPLE_RATE
from pe_audio_cli.errors import CheckpointError, PeAudioError
from pe_audio_cli.models.config import check_section, codec_context, plain_section, read_strides
from pe_audio_cli.models.encoder import EncoderFacts
from pe_audio_cli.models.tensors import Tensor, read_scalar, read_table

if TYPE_CHECKING:
    import torch

__all__ = ["Checkpoint", "library_faults", "weight_files"]

# The prefix of the tensors of the audio model, by layout.
AUDIO_PREFIX = {"pe_audio": "", "pe_audio_video": "audio_model."}
# Names and prefixes of its tensors.
AUDIO_TOWER, AUDIO_HEAD = "audio_encoder.", "audio_head."
TEXT_TOWER, TEXT_HEAD = "text_model.", "text_audio_head."
LOGIT_SCALE, LOGIT_BIAS = "text_audio_logit_scale", "text_audio_logit_bias"
KNOWN_TENSORS = (AUDIO_TOWER, AUDIO_HEAD, TEXT_TOWER, TEXT_HEAD, LOGIT_SCALE, LOGIT_BIAS)

SHIPPED = Path(__file__).absolute().parent.parent / "checkpoints"
MOST_JSON_BYTES = 16 << 20  # of a configuration
PIECE = 1 << 20  # bytes of a weight file that are read at once for its fingerprint
FLOAT32_MAX = (2 - 2**-23) * 2.0**127
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
        """Read and check the configuration; the weights must be present, but are not read yet.

        Raises :class:`CheckpointError` if the folder is not a PE Audio checkpoint.
        """
        checkpoint = cls.open_config(folder, name)
        weight_files(folder)
        return checkpoint

    @classmethod
    def open_config(cls, folder: Path, name: str) -> Checkpoint:
        """Read and check the configuration as :meth:`open` does, of a folder without weights so far."""
        checkpoint = cls(name, folder, _read_json(folder / "config.json", name))
        if checkpoint.layout not in AUDIO_PREFIX:
            raise CheckpointError(f"{name} is not a PE Audio checkpoint but {_what_it_is(checkpoint.config)}")
        checkpoint._check_numbers()
        checkpoint._check_frame_grid()
        return checkpoint

    @property
    def layout(self) -> str:
        """``pe_audio`` or ``pe_audio_video``."""
        return str(self.config.get("model_type"))

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the codec's stages; their product is the 1920 samples of a frame."""
        try:
            return read_strides(self.audio_section)
        except ValueError as error:
            raise self.bad_config(error) from error

    @property
    def audio_section(self) -> dict[str, Any]:
        """The section of ``config.json`` on the audio tower, in either layout."""
        whole = self.config if self.layout == "pe_audio" else self._section(self.config, "audio_video_config")
        return self._section(whole, "audio_config")

    @property
    def text_section(self) -> dict[str, Any]:
        """The section of ``config.json`` on the text tower."""
        return self._section(self.config, "text_config")

    def _section(self, whole: dict[str, Any], name: str) -> dict[str, Any]:
        section = whole.get(name)
        if section is not None and not isinstance(section, dict):
            raise self.bad_config(ValueError(f"{name} is not an object"))
        return {} if section is None else section

    @cached_property
    def pe_audio_config(self) -> Any:  # a PeAudioConfig, whose fields transformers types as maybe a dict, maybe None
        """The configuration as transformers reads it, with the checkpoint's own text tower."""
        from transformers import PeAudioConfig

        text, audio = (plain_section(section) or None for section in (self.text_section, self.audio_section))
        with library_faults(self.bad_config):
            return PeAudioConfig(text_config=text, audio_config=audio)

    @property
    def text_feature_is_normed(self) -> bool:
        """True if the text feature is the state after the text tower's final norm.

        Meta's implementation takes the state before it. Only a checkpoint that says otherwise, by
        ``tie_last_hidden_states`` in its own text configuration, differs; what a release of transformers does by
        default does not matter.
        """
        return bool(self.text_section.get("tie_last_hidden_states", False))

    def facts(self, backend: str, batch_size: int, n_parallel: int = 1) -> EncoderFacts:
        """Return the facts about an encoder of this checkpoint; the arguments are fields of these.

        Raises :class:`CheckpointError` for a file or tensor of the checkpoint that they are read from.
        """
        return EncoderFacts(
            self.name,
            self.fingerprint,
            backend,
            self.default_labels,
            batch_size,
            codec_context(self.strides),
            self.scalar(LOGIT_SCALE),
            self.scalar(LOGIT_BIAS),
            n_parallel=n_parallel,
        )

    @property
    def default_labels(self) -> tuple[str, ...]:
        """The labels that the checkpoint suggests, from its ``labels.txt``; none if it has no such file."""
        content = self._read_optional("labels.txt")
        try:
            text = (content or b"").decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{self.name}: labels.txt is not UTF-8 (byte {error.start})") from error
        lines = (line.strip() for line in text.splitlines())
        return tuple(line for line in lines if line and not line.startswith("#"))

    @cached_property
    def fingerprint(self) -> str:
        """A hexadecimal string that changes with the configuration, the tokenizer or the weights.

        Large weight files are not read whole: the hash covers their size and pieces at equal distances, the first of
        which begins with the table of tensors.
        """
        digest = hashlib.sha256()
        for file in (self.folder / "config.json", self.folder / "tokenizer.json", *weight_files(self.folder)):
            if _paths.is_file(file):
                try:
                    _digest_file(digest, file)
                except OSError as error:
                    raise CheckpointError(f"{self.name}: {file.name} cannot be read ({_reason(error)})") from error
        return digest.hexdigest()[:32]

    @property
    def is_shipped(self) -> bool:
        """True if the checkpoint is shipped with peaudio, and therefore trusted."""
        return self.folder.absolute().parent == SHIPPED

    @property
    def max_label_tokens(self) -> int:
        """The maximum number of tokens by the tokenizer's configuration; ``sys.maxsize`` if it has none."""
        stated = self._read_optional_json("tokenizer_config.json").get("model_max_length")
        if not isinstance(stated, (int, float)) or isinstance(stated, bool):
            return sys.maxsize
        if not stated >= 1:
            raise CheckpointError(f"{self.name}: tokenizer_config.json allows a label no token (model_max_length)")
        return int(min(stated, sys.maxsize))

    @property
    def embedding_width(self) -> int:
        """The number of dimensions of an embedding."""
        name = TEXT_HEAD + "proj.weight"
        shape = self._location(name).tensor.shape
        if len(shape) != 2 or shape[0] == 0:
            raise CheckpointError(f"{self.name}: tensor {name} has shape {shape}, which is not a matrix")
        return shape[0]

    @property
    def revision(self) -> str:
        """The commit of the hub that a folder in the hub's cache stands for; empty for any other folder."""
        return self.folder.name if self.folder.parent.name == "snapshots" else ""

    def fill(self, module: ModuleT, prefix: str) -> ModuleT:
        """Fill a module with the tensors whose names in the audio model begin with ``prefix``.

        The module, which may be on the meta device, comes back in float32, in evaluation mode, on the CPU. Raises
        :class:`CheckpointError` that names the tensor if any is missing, unexpected or of another shape.
        """
        wanted = {name: tuple(target.shape) for name, target in module.state_dict().items()}
        self.check_shapes(wanted, prefix)
        values = {name: self._read(prefix + name) for name in wanted}
        module.load_state_dict(values, assign=True)
        module.requires_grad_(False)
        module.eval()
        return module

    def check_shapes(self, wanted: dict[str, tuple[int, ...]], prefix: str) -> None:
        """Compare the shapes that a module wants with those in the files, before anything is read or made.

        Raises :class:`CheckpointError` that names the first tensor that is missing, unexpected or of another shape.
        """
        tensors = {
            name.removeprefix(prefix): location for name, location in self._index.items() if name.startswith(prefix)
        }
        self._check_names(wanted, tensors, prefix)
        for name, shape in wanted.items():
            tensor = tensors[name].tensor
            if tensor.shape != shape:
                raise CheckpointError(
                    f"{self.name}: tensor {prefix}{name} has shape {tensor.shape}, and its config.json asks for {shape}"
                )
            if not tensor.is_float:
                raise CheckpointError(f"{self.name}: tensor {prefix}{name} has type {tensor.dtype[:20]}, not a float")

    def scalar(self, name: str) -> float:
        """Return a tensor of one number, by its name in the audio model."""
        location = self._location(name)
        if math.prod(location.tensor.shape) != 1 or not location.tensor.is_float:
            raise CheckpointError(f"{self.name}: tensor {name} has shape {location.tensor.shape}, not one number")
        try:
            number = read_scalar(location.file, location.tensor)
        except (OSError, ValueError, struct.error) as error:
            raise self._damaged(location.file, error) from error
        if not abs(number) <= FLOAT32_MAX:  # nor is NaN
            raise self._not_finite(name)
        return number

    @cached_property
    def _index(self) -> dict[str, _TensorLocation]:
        """The location of each tensor, by its name in the audio model."""
        locations: dict[str, _TensorLocation] = {}
        for file in weight_files(self.folder):
            try:
                table = read_table(file)
            except FileNotFoundError as error:
                raise CheckpointError(f"{self.name}: {file.name} is missing; fetch the checkpoint again") from error
            except (ValueError, OSError) as error:
                raise self._damaged(file, error) from error
            for stored, tensor in table.items():
                name = self._name_in_audio_model(stored)
                if name is not None:
                    locations[name] = _TensorLocation(file, stored, tensor)
        strays = sorted(name for name in locations if not name.startswith(KNOWN_TENSORS))
        if strays:
            raise CheckpointError(f"{self.name}: unexpected tensor {_cut(strays[0])}{_and_others(strays)}")
        return locations

    def _name_in_audio_model(self, stored: str) -> str | None:
        prefix = AUDIO_PREFIX[self.layout]
        if not prefix or stored.startswith(TEXT_TOWER):
            return stored
        name = stored.removeprefix(prefix)
        # Some tools that save tied weights write the text tower a second time, inside the audio model.
        return name if stored.startswith(prefix) and not name.startswith(TEXT_TOWER) else None

    def _location(self, name: str) -> _TensorLocation:
        if name not in self._index:
            raise CheckpointError(f"{self.name}: tensor {name} is missing")
        return self._index[name]

    def _read(self, name: str) -> torch.Tensor:
        """Read a tensor as float32, and check that its numbers are finite."""
        from safetensors import safe_open

        location = self._location(name)
        with (
            library_faults(lambda error: self._damaged(location.file, error)),
            safe_open(location.file, framework="pt") as opened,
        ):
            tensor: torch.Tensor = opened.get_tensor(location.stored).float()
        if tensor.numel() and not all(
            math.isfinite(extreme) for extreme in tensor.aminmax()
        ):  # both are NaN if any number is
            raise self._not_finite(name)
        return tensor

    def _not_finite(self, name: str) -> CheckpointError:
        return CheckpointError(
            f"{self.name}: tensor {name} holds numbers that are not finite; fetch the checkpoint again"
        )

    def bad_config(self, error: BaseException) -> CheckpointError:
        """Return the error for a configuration that cannot be used."""
        return CheckpointError(f"{self.name}: config.json does not describe a PE Audio model ({_reason(error)})")

    def bad_tokenizer(self, reason: str) -> CheckpointError:
        """Return the error for a tokenizer that cannot be used."""
        return CheckpointError(f"{self.name}: the tokenizer cannot be read ({_cut(reason)})")

    def _damaged(self, file: Path, error: BaseException) -> CheckpointError:
        return CheckpointError(f"{self.name}: {file.name} is damaged ({_reason(error)}); fetch the checkpoint again")

    def _read_optional(self, name: str) -> bytes | None:
        """Read a small file of the folder; None if it does not exist."""
        try:
            return read_regular(self.folder / name, MOST_JSON_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CheckpointError(f"{self.name}: {name} cannot be read ({_paths.reason(error)})") from error

    def _read_optional_json(self, name: str) -> dict[str, Any]:
        return {} if self._read_optional(name) is None else _read_json(self.folder / name, self.name)

    def _check_names(self, wanted: Iterable[str], present: Iterable[str], prefix: str) -> None:
        missing = sorted(set(wanted) - set(present))
        if missing:
            raise CheckpointError(f"{self.name}: tensor {prefix}{missing[0]} is missing{_and_others(missing)}")
        unexpected = sorted(set(present) - set(wanted))
        if unexpected:
            raise CheckpointError(
                f"{self.name}: unexpected tensor {prefix}{_cut(unexpected[0])}{_and_others(unexpected)}"
            )

    def _check_numbers(self) -> None:
        try:
            for section in (self.audio_section, self.text_section):
                check_section(section)
        except ValueError as error:
            raise self.bad_config(error) from error

    def _check_frame_grid(self) -> None:
        """Check that frames are 1920 samples at 48 kHz, which all times in this tool assume."""
        stated = self._read_optional_json("preprocessor_config.json")
        rate, hop = stated.get("sampling_rate", SAMPLE_RATE), stated.get("hop_length", HOP)
        strides = math.prod(self.strides)
        if (rate, hop, strides) != (SAMPLE_RATE, HOP, HOP):
            raise CheckpointError(
                f"{self.name} has frames of {_cut(strides)} samples at {_cut(rate)} Hz; peaudio supports {HOP} at "
                f"{SAMPLE_RATE} Hz"
            )


@dataclass(frozen=True)
class _TensorLocation:
    """The location of a tensor: its file, its name in that file, and its type and shape."""

    file: Path
    stored: str
    tensor: Tensor


@contextmanager
def library_faults(refusal: Callable[[BaseException], PeAudioError]) -> Iterator[None]:
    """Turn whatever a library raises for an untrusted file into one error.

    transformers raises another type for nearly every fault in a configuration, and what is written in Rust may panic,
    which reaches Python as an exception that is no :class:`Exception`.
    """
    try:
        yield
    except PeAudioError:
        raise
    except Exception as error:
        raise refusal(error) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise refusal(error) from error


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a checkpoint, one or several shards.

    Raises :class:`CheckpointError` if there is none, or if the list of shards cannot be read.
    """
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if _paths.is_file(whole):
        return [whole]
    if _paths.is_file(index):
        return [folder / name for name in _shards(index, str(folder))]
    if _paths.exists(whole):
        raise CheckpointError(f"{whole} is not a regular file: fetch the checkpoint again")
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt*")):
        raise CheckpointError(f"{folder} holds pickled weights, which can run code: convert them to model.safetensors")
    raise CheckpointError(f"{folder} holds no model.safetensors: it is incomplete; fetch the checkpoint again")


def _shards(index: Path, name: str) -> list[str]:
    """Return the names of the weight files in a list of shards."""
    locations = _read_json(index, name).get("weight_map")
    shards = list(locations.values()) if isinstance(locations, dict) else []
    if not shards or not all(isinstance(shard, str) for shard in shards):
        raise CheckpointError(f"{name}: {index.name} names no weight files")
    # A name with a folder in it could point anywhere on the machine.
    names = sorted({Path(shard).name for shard in shards})
    if not all(each.endswith(".safetensors") for each in names):
        raise CheckpointError(f"{name}: {index.name} names weights that are no safetensors files")
    return names


def _read_json(file: Path, name: str) -> dict[str, Any]:
    try:
        content = parse_json(read_regular(file, MOST_JSON_BYTES))
    except FileNotFoundError as error:
        raise CheckpointError(f"{name} is not a checkpoint: it holds no {file.name}") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{name}: {file.name} cannot be read ({_reason(error)})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{name}: {file.name} is not a JSON object")
    return content


def _reason(error: BaseException) -> str:
    """Return an exception's message on one line of bounded length."""
    return _cut(_paths.reason(error))


def _cut(value: object, most: int = 300) -> str:
    """Return an untrusted name or value, shortened for a message."""
    try:
        text = " ".join((value if isinstance(value, str) else repr(value)).split())
    except (ValueError, RecursionError):  # an integer with too many digits, or nesting that is too deep
        return f"too large a {type(value).__name__}"
    return text if len(text) <= most else text[:most] + "..."


def _digest_file(digest: hashlib._Hash, file: Path) -> None:
    size = file.stat().st_size
    digest.update(f"{file.name} {size} ".encode())
    stride = max(PIECE, size // MAX_PIECES)
    with file.open("rb") as opened:
        for start in range(0, size, stride):
            opened.seek(start)
            digest.update(opened.read(PIECE))


def _what_it_is(config: dict[str, Any]) -> str:
    classes = config.get("architectures")
    if config.get("model_type"):
        kind = f" ({_cut(classes[0])})" if classes and isinstance(classes, list) else ""
        return f"a {_cut(config['model_type'])} model{kind}"
    return "of an unknown kind: its config.json has no model_type"


def _and_others(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
