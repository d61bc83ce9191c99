"""Settings files: the best options for each label, tuned on annotated recordings, in TOML for people to edit.

::

    [localize]
    model = "base"
    fingerprint = "a60fc77c4a39d1b2"
    offset_threshold = 0.1

    [localize.labels."dog"]
    prompts = ["a dog barking", "a dog growling"]
    threshold = 0.42
    merge_gap = 0.5
    scale = 1.3
    bias = -0.8

The tables ``tag`` and ``localize`` are those of the two commands. ``prompts`` are the texts for the model, whose logits
are averaged; by default the label itself. ``scale`` and ``bias`` calibrate: the probability becomes
``sigmoid(scale * logit + bias)``. All other keys have the names and the meaning of the command's flags; above the
labels, they apply to all of them. Keys that are left out have the command's default.

A checkpoint may carry such a file, ``settings.toml``, which applies unless another file is named. A threshold on the
command line then scales the offset threshold of that file in proportion.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from pe_audio_cli import _paths
from pe_audio_cli._small_files import read_small
from pe_audio_cli.errors import UsageError
from pe_audio_cli.options import EventOptions, PerLabel, TagOptions, check_range, options_of, shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["FILE", "NO_SETTINGS", "Command", "LabelSettings", "SettingsFile", "carried_settings", "read_settings"]
__all__ += ["settings_in"]

OptionsT = TypeVar("OptionsT", EventOptions, TagOptions)

Command: TypeAlias = Literal["tag", "localize"]

FILE = "settings.toml"  # in a checkpoint's folder
NO_SETTINGS = "none"  # in place of a file's name: not even the checkpoint's own

EVENT_FIELDS = tuple(options_of(EventOptions))
TAG_FIELDS = ("threshold",)
CALIBRATION_FIELDS = ("scale", "bias")
FORMERLY = "wordings"  # the name of ``prompts`` in files of earlier versions
MOST_CHARACTERS = 60  # of a label, in a message
LEAST, MOST = sys.float_info.min, 1e30  # of a scale; what a calibrated logit comes to is finite


@dataclass(frozen=True)
class LabelSettings:
    """The settings of one label.

    ``prompts`` are the texts for the model; none is the label itself. ``rules`` are options of the command by their
    fields' names; others have the command's values.

    Raises:
        UsageError: the calibration is invalid.
    """

    prompts: tuple[str, ...] = ()
    rules: Mapping[str, float] = field(default_factory=dict)
    scale: float = 1.0
    bias: float = 0.0

    def __post_init__(self) -> None:
        check_range("the scale", self.scale, LEAST, MOST, "above 0, so that it keeps the order")
        check_range("the bias", self.bias, -MOST, MOST, "a number")

    @property
    def calibrates(self) -> bool:
        """True if the settings change probabilities."""
        return (self.scale, self.bias) != (1.0, 0.0)

    def flat(self) -> dict[str, Any]:
        """Return all settings by their names in a settings file."""
        return {"prompts": self.prompts, **self.rules, "scale": self.scale, "bias": self.bias}


@dataclass(frozen=True)
class SettingsFile:
    """The settings of one command: the model that they were tuned for, and the settings of each label, in order.

    ``default`` applies to all labels, and each label's own settings override it. Settings that are ``carried`` are the
    checkpoint's.
    """

    name: str = ""
    model: str = ""
    fingerprint: str = ""
    labels: Mapping[str, LabelSettings] = field(default_factory=dict)
    default: LabelSettings = field(default_factory=LabelSettings)
    carried: bool = False

    def event_options(
        self, flags: EventOptions, given: Collection[str] = (), *, tidy: bool = False
    ) -> PerLabel[EventOptions]:
        """``flags`` with what is set here, but for what was ``given`` on the command line, by its field's name.

        With ``tidy``, the rules of :meth:`EventOptions.tidied` win over what is set here, and what was given over them.
        """

        def combined(values: dict[str, float]) -> EventOptions:
            chosen = {name: value for name, value in values.items() if name not in given}
            if self.carried and "threshold" in given and chosen.get("offset_threshold"):
                chosen["offset_threshold"] *= flags.threshold / values.get("threshold", EventOptions().threshold)
            if not tidy:
                return replace(flags, **chosen)
            threshold = flags.threshold if "threshold" in given else values.get("threshold", flags.threshold)
            rules = asdict(EventOptions(threshold).tidied())
            return replace(flags, **chosen | {name: value for name, value in rules.items() if name not in given})

        return self._per_label(EVENT_FIELDS, combined)

    def tag_options(self, flags: TagOptions, given: Collection[str] = ()) -> PerLabel[TagOptions]:
        """``flags`` with what is set here, but for what was ``given`` on the command line, by its field's name."""
        names = [name for name in TAG_FIELDS if name not in given]
        return self._per_label(names, lambda values: replace(flags, threshold=values.get("threshold", flags.threshold)))

    def _per_label(
        self, names: Collection[str], combined: Callable[[dict[str, float]], OptionsT]
    ) -> PerLabel[OptionsT]:
        default = self._set(names, self.default)
        own = {label: default | self._set(names, settings) for label, settings in self.labels.items()}
        return PerLabel(
            self._checked(default, combined),
            {label: self._checked(values, combined, f", {label!r}") for label, values in own.items()},
        )

    def _set(self, names: Collection[str], settings: LabelSettings) -> dict[str, float]:
        return {name: settings.rules[name] for name in names if name in settings.rules}

    def _checked(
        self, values: dict[str, float], combined: Callable[[dict[str, float]], OptionsT], of: str = ""
    ) -> OptionsT:
        try:
            return combined(values)
        except UsageError as error:
            raise UsageError(f"{self.name}{of}: {error}" if values else str(error)) from error


def settings_in(path: Path | None, command: Command) -> SettingsFile | None:
    """Return the settings for a command in a file; empty ones for ``none``, None without a file.

    Raises what :func:`read_settings` raises.
    """
    if path is None:
        return None
    return SettingsFile() if str(path) == NO_SETTINGS else read_settings(path, command)


def carried_settings(folder: Path, command: Command) -> SettingsFile:
    """The settings for a command that a checkpoint carries; empty ones if it carries none for it.

    Raises :class:`UsageError` if its ``settings.toml`` is there and makes no sense.
    """
    file = folder / FILE
    if not file.is_file() or not isinstance(_content(file).get(command), dict):
        return SettingsFile()
    return replace(read_settings(file, command), carried=True)


def read_settings(path: Path, command: Command) -> SettingsFile:
    """The settings for one command in a file.

    Raises :class:`UsageError` if it cannot be read, is no TOML, has no settings for this command, or has any value
    that is unknown, of the wrong type, or out of its range.
    """
    table = _content(path).get(command)
    if not isinstance(table, dict):
        raise UsageError(f"{path} has no settings for {command}: tune some with peaudio eval --tune")
    model, fingerprint = (_text(path, table, name) for name in ("model", "fingerprint"))
    rules = {name: value for name, value in table.items() if name not in ("model", "fingerprint", "labels")}
    labels = table.get("labels", {})
    if not isinstance(labels, dict) or not (labels or rules):
        raise UsageError(f"{path} has no settings for {command}: tune some with peaudio eval --tune")
    default = _label(path, command, "", rules)
    own = {label: _label(path, command, label, values) for label, values in labels.items()}
    settings = SettingsFile(path.name, model, fingerprint, own, default)
    settings.event_options(EventOptions())  # refuses what is out of range, with the label's name
    return settings


def _content(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = tomllib.loads(read_small(path).decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read the settings {path}: {_paths.reason(error)}") from error
    except RecursionError as error:
        raise UsageError(f"the settings {path} are nested too deeply: only COMMAND.labels is read") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise UsageError(f"the settings {path} are not TOML: {error}") from error
    return content


def _text(path: Path, table: Mapping[str, Any], name: str) -> str:
    value = table.get(name, "")
    if not isinstance(value, str):
        raise UsageError(f"{path}: {name} must be text")
    return value


def _label(path: Path, command: Command, label: str, values: object) -> LabelSettings:
    """Read the table of a label; "" stands for all labels, which share no prompts and no calibration."""
    known = {*(EVENT_FIELDS if command == "localize" else TAG_FIELDS)}
    known |= {"prompts", *CALIBRATION_FIELDS} if label else set()
    where = f"{path}, {label[:MOST_CHARACTERS]!r}" + ("..." if len(label) > MOST_CHARACTERS else "")
    where = where if label else str(path)
    if not isinstance(values, dict):
        table = f"[{command}.labels.{json.dumps(label, ensure_ascii=False)}]"
        raise UsageError(f"{where}: unknown setting {shown(values)}: write a table {table}")
    if label and FORMERLY in values and "prompts" not in values:
        values = {"prompts" if name == FORMERLY else name: value for name, value in values.items()}
    extra = sorted(values.keys() - known)
    if extra:
        raise UsageError(f"{where}: unknown setting {shown(extra[0])}: {command} has {', '.join(sorted(known))}")
    prompts = values.get("prompts", [])
    if not isinstance(prompts, list) or not all(isinstance(each, str) and each.strip() for each in prompts):
        raise UsageError(f"{where}: prompts must be a list of texts")
    numbers = {name: value for name, value in values.items() if name != "prompts"}
    for name, value in numbers.items():
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise UsageError(f"{where}: {name} must be a number")
    try:
        calibration = {name: numbers[name] for name in CALIBRATION_FIELDS if name in numbers}
        rules = {name: numbers[name] for name in EVENT_FIELDS if name in numbers}
        return LabelSettings(tuple(prompts), rules, **calibration)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
