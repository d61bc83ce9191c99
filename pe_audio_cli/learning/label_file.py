"""Files of taught labels, ``.labels``: a vector, a bias and a threshold for each, and the examples they came from.

The file is a safetensors file (https://huggingface.co/docs/safetensors), so that reading one runs no code. For each
command, ``tag`` and ``localize``, that labels were taught for, it has these tensors, here for ``tag``:

=========================  ========  ====================  =====================================================
``tag.embeddings``         float32   (n_labels, dim)       in place of a text embedding
``tag.biases``             float64   (n_labels,)           added to the checkpoint's own bias
``tag.thresholds``         float64   (n_labels,)           that suit the labels
``tag.examples``           float16   (n, dim)              audio embeddings, of windows (``localize``: of frames)
``tag.owners``             int32     (n,)                  the number of the recording that each is of
``tag.truth``              int8      (n, n_labels)         1 for an example, 0 for a counter-example, -1 for neither
=========================  ========  ====================  =====================================================

Its metadata has one entry, ``peaudio.labels``: a JSON object with all that is not a number, see :class:`LabelFile`.
"""

from __future__ import annotations

import datetime
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli import __version__
from pe_audio_cli._files import NewFile
from pe_audio_cli._paths import reason
from pe_audio_cli._small_files import parse_json
from pe_audio_cli.detection.label_settings import Command
from pe_audio_cli.errors import OutputError, UsageError
from pe_audio_cli.evaluation.metrics.bootstrap import Estimate
from pe_audio_cli.learning.examples import Examples, joined
from pe_audio_cli.learning.fit import Learned
from pe_audio_cli.learning.teach import LabelOutcome, Ranking
from pe_audio_cli.models.tensors import read_tensors, tensor_bytes

__all__ = ["VERSION", "LabelFile", "TaughtFor", "read_labels", "write_labels"]

ENTRY = "peaudio.labels"  # of the metadata
VERSION = 1
DTYPES: dict[str, type[np.generic]] = {
    "embeddings": np.float32,
    "biases": np.float64,
    "thresholds": np.float64,
    "examples": np.float16,
    "owners": np.int32,
    "truth": np.int8,
}


@dataclass(frozen=True)
class TaughtFor:
    """The labels that were taught for one command.

    ``model`` and ``fingerprint`` are the checkpoint's; ``outcomes``, in the order of the labels, are what became of
    each; ``prompts`` are the words that each started from.
    """

    model: str
    fingerprint: str
    learned: Learned
    outcomes: tuple[LabelOutcome, ...]
    prompts: tuple[tuple[str, ...], ...]
    examples: Examples

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels."""
        return self.examples.labels

    def check_width(self, file: str, model: str, width: int) -> None:
        """Raise :class:`UsageError` if the vectors are not as wide as the embeddings of the checkpoint."""
        own = self.learned.embeddings.shape[1]
        if own != width:
            raise UsageError(
                f"{file} is damaged: its labels have {own} numbers each, and embeddings of {model} have {width}; teach "
                "it again"
            )

    def only(self, labels: Sequence[str]) -> TaughtFor:
        """Some of the labels, with the examples of these."""
        columns = [self.labels.index(label) for label in labels]
        truth = self.examples.truth[:, columns]
        told = (truth >= 0).any(axis=1)
        owners, numbers = np.unique(self.examples.owners[told], return_inverse=True)
        recordings = tuple(self.examples.recordings[number] for number in owners)
        kept = Examples(tuple(labels), recordings, self.examples.embeddings[told], numbers.reshape(-1), truth[told])
        learned = Learned(self.learned.embeddings[columns], self.learned.biases[columns])
        outcomes = tuple(self.outcomes[column] for column in columns)
        prompts = tuple(self.prompts[column] for column in columns)
        return TaughtFor(self.model, self.fingerprint, learned, outcomes, prompts, kept)

    def renamed(self, names: Mapping[str, str]) -> TaughtFor:
        """The same labels by other names."""
        labels = tuple(names.get(label, label) for label in self.labels)
        outcomes = tuple(replace(each, label=label) for each, label in zip(self.outcomes, labels, strict=True))
        return replace(self, outcomes=outcomes, examples=replace(self.examples, labels=labels))

    def joined(self, other: TaughtFor) -> TaughtFor:
        """The labels of both."""
        learned = Learned(
            np.concatenate([self.learned.embeddings, other.learned.embeddings]),
            np.concatenate([self.learned.biases, other.learned.biases]),
        )
        outcomes, prompts = self.outcomes + other.outcomes, self.prompts + other.prompts
        examples = joined([self.examples, other.examples])
        return TaughtFor(self.model, self.fingerprint, learned, outcomes, prompts, examples)


@dataclass(frozen=True)
class LabelFile:
    """The content of a file of taught labels: the labels, by the command that they were taught for.

    ``created`` is the date, in ISO 8601, and ``version`` the release of peaudio that wrote it.
    """

    commands: Mapping[Command, TaughtFor]
    created: str = ""
    version: str = ""
    name: str = field(default="", compare=False)  # of the file, for messages

    @classmethod
    def new(cls, commands: Mapping[Command, TaughtFor], name: str = "") -> LabelFile:
        """Labels that were taught today, by this release."""
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        return cls(commands, today, __version__, name)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write a file; see :func:`write_labels`."""
        write_labels(Path(path), self, overwrite=overwrite)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of all labels, each once."""
        return tuple(dict.fromkeys(label for each in self.commands.values() for label in each.labels))

    def without(self, labels: Sequence[str]) -> LabelFile:
        """The labels but for some. Raises :class:`UsageError` if there is no such label, or none is left."""
        self._check_known(labels)
        kept = {
            command: each.only(left)
            for command, each in self.commands.items()
            if (left := [label for label in each.labels if label not in labels])
        }
        if not kept:
            raise UsageError("no label would be left: remove the file instead")
        return replace(self, commands=kept)

    def renamed(self, names: Mapping[str, str]) -> LabelFile:
        """The labels by other names. Raises :class:`UsageError` if there is no such label, or two get one name."""
        self._check_known(list(names))
        for old, new in names.items():
            if not new.strip():
                raise UsageError(f"the new name of {old!r} is blank")
            if new in self.labels and names.get(new, new) == new and new != old:
                raise UsageError(f"there is a label {new!r} already: choose another name for {old!r}")
        if len(set(names.values())) < len(names):
            raise UsageError("two labels would get the same name: choose different names")
        return replace(self, commands={command: each.renamed(names) for command, each in self.commands.items()})

    def joined(self, other: LabelFile) -> LabelFile:
        """The labels of both. Raises :class:`UsageError` for labels in both, or taught for different checkpoints."""
        if twice := sorted(set(self.labels) & set(other.labels)):
            raise UsageError(f"{other.name} has a label {twice[0]!r} too: rename or remove one of the two")
        commands = dict(self.commands)
        for command, theirs in other.commands.items():
            ours = commands.get(command)
            if ours is not None and ours.fingerprint != theirs.fingerprint:
                raise UsageError(
                    f"{other.name} was taught for {theirs.model}, {self.name} for {ours.model}: teach both for one of "
                    "them"
                )
            commands[command] = theirs if ours is None else ours.joined(theirs)
        return replace(self, commands=commands)

    def for_checkpoint(self, command: Command, fingerprint: str, model: str, width: int) -> TaughtFor:
        """The labels for a command and a checkpoint, whose embeddings have a width.

        Raises :class:`UsageError` if there are none.
        """
        taught = self.commands.get(command)
        if taught is None:
            others = " and ".join(self.commands)
            raise UsageError(
                f"{self.name} was taught for {others}, not for {command}: teach it again with --for {command}"
            )
        if taught.fingerprint != fingerprint:
            raise UsageError(
                f"{self.name} was taught for another checkpoint ({taught.model}) than this {model}: use it with "
                f"-m {taught.model}, or teach it anew with peaudio teach ... -m {model}"
            )
        taught.check_width(self.name, model, width)
        return taught

    def _check_known(self, labels: Sequence[str]) -> None:
        for label in labels:
            if label not in self.labels:
                raise UsageError(f"{self.name} has no label {label!r}: it has {', '.join(self.labels)}")


def write_labels(path: Path, file: LabelFile, *, overwrite: bool = False) -> None:
    """Write a file whole or not at all.

    Raises :class:`OutputError` if it exists, another run writes it, or it cannot be written.
    """
    tensors: dict[str, NDArray[Any]] = {}
    described: dict[str, Any] = {}
    for command, taught in file.commands.items():
        numbers: dict[str, NDArray[Any]] = {
            "embeddings": taught.learned.embeddings.astype(np.float32),
            "biases": taught.learned.biases.astype(np.float64),
            "thresholds": np.array([outcome.threshold for outcome in taught.outcomes], np.float64),
            "examples": taught.examples.embeddings.astype(np.float16),
            "owners": taught.examples.owners.astype(np.int32),
            "truth": taught.examples.truth.astype(np.int8),
        }
        tensors |= {f"{command}.{name}": each for name, each in numbers.items()}
        described[command] = {
            "model": taught.model,
            "fingerprint": taught.fingerprint,
            "prompts": taught.prompts,
            "outcomes": [asdict(outcome) for outcome in taught.outcomes],
            "recordings": taught.examples.recordings,
        }
    entry = {"format": VERSION, "created": file.created, "version": file.version, "commands": described}
    content = tensor_bytes(tensors, {ENTRY: json.dumps(entry, ensure_ascii=True, allow_nan=False)})
    new = NewFile(path, overwrite=overwrite)
    try:
        new.open().write(content)
        new.publish()
    except OSError as error:
        raise OutputError(f"cannot write {path}: {reason(error)}") from error
    finally:
        new.discard()


def read_labels(path: Path) -> LabelFile:
    """Read a file of taught labels.

    Raises :class:`UsageError` if it cannot be read, is none or is damaged.
    """
    try:
        tensors, metadata = read_tensors(path)
        if ENTRY not in metadata:
            raise UsageError(f"{path} is no file of taught labels: peaudio teach makes one")
        described = parse_json(metadata[ENTRY])
        version = described["format"]
        if version != VERSION:
            raise UsageError(f"{path} was written by a newer peaudio (format {version}): update peaudio to read it")
        commands: dict[Command, TaughtFor] = {}
        for command in get_args(Command):
            if command in described["commands"]:
                commands[command] = _taught(described["commands"][command], _numbers(tensors, command))
        if not commands:
            raise ValueError("it has no labels")
        return LabelFile(commands, _text(described["created"]), _text(described["version"]), str(path))
    except OSError as error:
        raise UsageError(f"cannot read the taught labels {path}: {reason(error)}") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        why = " ".join(str(error).split())[:200]
        raise UsageError(f"{path} is damaged, or no file of taught labels ({why}): teach it again") from error


def _numbers(tensors: Mapping[str, NDArray[Any]], command: str) -> dict[str, NDArray[Any]]:
    """The tensors of a command by their short names. Raises :class:`ValueError` for one of another type."""
    numbers = {name: tensors[f"{command}.{name}"] for name in DTYPES}
    for name, dtype in DTYPES.items():
        if numbers[name].dtype != dtype:
            raise ValueError(f"{command}.{name} is {numbers[name].dtype} instead of {np.dtype(dtype)}")
    return numbers


def _taught(described: Any, numbers: Mapping[str, NDArray[Any]]) -> TaughtFor:
    """The labels of one command. Raises :class:`ValueError` and its like if the parts do not fit together."""
    outcomes = tuple(_outcome(each) for each in described["outcomes"])
    labels, recordings = tuple(outcome.label for outcome in outcomes), described["recordings"]
    prompts = tuple(tuple(map(_text, each)) for each in described["prompts"])
    n_labels, n_rows, width = len(labels), len(numbers["owners"]), numbers["embeddings"].shape[-1]
    shapes = {
        "embeddings": (n_labels, width),
        "biases": (n_labels,),
        "thresholds": (n_labels,),
        "examples": (n_rows, width),
        "owners": (n_rows,),
        "truth": (n_rows, n_labels),
    }
    for name, shape in shapes.items():
        if numbers[name].shape != shape:
            raise ValueError(f"{name} has the shape {numbers[name].shape} instead of {shape}")
        if not np.isfinite(numbers[name]).all():
            raise ValueError(f"{name} has numbers that are not finite")
    owners = numbers["owners"].astype(np.intp)
    if len(set(labels)) < n_labels or not n_labels or len(prompts) != n_labels:
        raise ValueError("its labels and their prompts do not fit together")
    if n_rows and not 0 <= owners.min() <= owners.max() < len(recordings):
        raise ValueError("an example of no recording")
    if not np.isin(numbers["truth"], (-1, 0, 1)).all():
        raise ValueError("a truth that is neither 1, 0 nor -1")
    if not ((numbers["thresholds"] >= 0) & (numbers["thresholds"] <= 1)).all():
        raise ValueError("a threshold that is no probability")
    examples = Examples(labels, tuple(map(_text, recordings)), numbers["examples"], owners, numbers["truth"])
    outcomes = tuple(
        replace(each, threshold=float(value)) for each, value in zip(outcomes, numbers["thresholds"], strict=True)
    )
    learned = Learned(numbers["embeddings"], numbers["biases"])
    return TaughtFor(_text(described["model"]), _text(described["fingerprint"]), learned, outcomes, prompts, examples)


def _outcome(described: Any) -> LabelOutcome:
    words, examples = (None if described[name] is None else _ranking(described[name]) for name in ("words", "examples"))
    return LabelOutcome(
        _text(described["label"]),
        int(described["n_examples"]),
        int(described["n_counter_examples"]),
        bool(described["learned"]),
        _number(described["strength"]),
        _number(described["threshold"]),
        words,
        examples,
        {int(number): _number(value) for number, value in described["curve"].items()},
    )


def _ranking(described: Any) -> Ranking:
    return Ranking(*(_estimate(described[name]) for name in ("average_precision", "auroc")))


def _estimate(described: Any) -> Estimate:
    low, high = (None if described[name] is None else _number(described[name]) for name in ("low", "high"))
    return Estimate(_number(described["value"]), low, high)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r} where there should be a number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} where there should be a text")
    return value
