"""The listening of ``peaudio listen``: from flags to a model, a source, an output and what a terminal shows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pe_audio_cli.cli.console import Console
from pe_audio_cli.cli.flags import DeviceFlags, LabelFlags, ModelFlags
from pe_audio_cli.cli.labels import (
    label_files_of,
    label_options_of,
    taught_for,
    warn_of_settings_for_another_model,
    warn_of_unfamiliar_labels,
)
from pe_audio_cli.cli.runner import Runner
from pe_audio_cli.errors import UsageError

if TYPE_CHECKING:
    from pe_audio_cli.detection.label_settings import SettingsFile
    from pe_audio_cli.live.listener import Record, Scene
    from pe_audio_cli.live.sources.base import Source
    from pe_audio_cli.options import EventOptions, LiveOptions, PerLabel

__all__ = ["Output", "OutputFlags", "SourceFlags", "open_output", "open_source", "prepare_scene"]

EXTENSIONS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".txt": "table"}


@dataclass(frozen=True)
class SourceFlags:
    """Flags of the source."""

    source: str | None
    device: str | None
    raw: str | None
    pace: bool


@dataclass(frozen=True)
class OutputFlags:
    """Flags of the output."""

    path: str | None
    format: str | None
    rotate: str | None


class Output(Protocol):
    """The protocol of what takes records."""

    def write(self, record: Record) -> None:
        """Write a record at once."""

    def close(self) -> None:
        """Nothing more comes."""


def open_source(flags: SourceFlags, options: LiveOptions) -> Source:
    """Return the source that the flags name. Raises :class:`UsageError` for flags that do not go together."""
    from pe_audio_cli.live.sources.streams import PipeSource, RawFormat, StreamSource, is_stream

    source = flags.source
    if source is not None and flags.device is not None:
        raise UsageError("a source and --input-device exclude each other: name one of them")
    is_pipe = source is not None and (source == "-" or Path(source).is_fifo())
    if flags.raw is not None and not is_pipe:
        raise UsageError("--raw is for a pipe: name - as the source")
    if flags.pace and (source is None or is_pipe or is_stream(source)):
        raise UsageError("--pace is for a file: others come at a pace of their own")
    if source is None:
        from pe_audio_cli.live.sources.microphone import MicrophoneSource

        return MicrophoneSource(flags.device, options.stall)
    raw = None if flags.raw is None else RawFormat.parse(flags.raw)
    if source == "-":
        return PipeSource.standard_input(raw)
    if is_pipe:
        return PipeSource(source, open(source, "rb"), raw)
    if is_stream(source):
        return StreamSource(source, options.stall)
    from pe_audio_cli.live.sources.files import FileSource

    return FileSource(source, flags.pace)


def prepare_scene(
    console: Console,
    labels: LabelFlags,
    model: ModelFlags,
    device: DeviceFlags,
    options: LiveOptions,
    rules: Callable[[SettingsFile], PerLabel[EventOptions]],
) -> Scene:
    """Load the model and look up its labels, as localize does.

    Args:
        console: takes warnings.
        labels: the flags of the labels.
        model: those of the checkpoint.
        device: those of the device.
        options: the windows.
        rules: what becomes of the event options by the settings.
    """
    from pe_audio_cli.detection.label_settings import carried_settings, settings_in
    from pe_audio_cli.inference.labels import check_labels, gather_labels
    from pe_audio_cli.inference.tasks.query import Query
    from pe_audio_cli.live.listener import Scene

    named = settings_in(labels.settings, "localize")
    files = label_files_of(labels)
    asked = gather_labels(label_options_of(labels)) or ([] if named is None else list(named.labels))
    runner = Runner(console, fail_fast=False)
    checkpoint = runner.find_checkpoint(model, "localize")
    tuned = carried_settings(checkpoint.folder, "localize") if named is None else named
    taught = taught_for(checkpoint, files, "localize")
    found = rules(taught.settings(tuned))
    asked = taught.joined_to(asked) or list(checkpoint.default_labels)
    check_labels(asked)
    runner.say_which_model(checkpoint)
    encoder = runner.encoder(checkpoint, device)
    warn_of_settings_for_another_model(console, tuned, encoder)
    query = Query.ask(encoder, asked, labels.template, tuned, taught.labels)
    warn_of_unfamiliar_labels(console, checkpoint, query)
    return Scene(encoder, query, found, options)


def open_output(flags: OutputFlags) -> Output:
    """Return the output that the flags name. Raises :class:`UsageError` if it cannot be written."""
    from pe_audio_cli.live.log_file import LogFile, Rotation
    from pe_audio_cli.live.records import CSV_HEADER, FORMATS

    name = _format(flags)
    if name not in FORMATS:
        raise UsageError(f"listen has the formats {', '.join(FORMATS)}: got {name!r}")
    header = CSV_HEADER if name == "csv" else ""
    rotation = None if flags.rotate is None else Rotation.parse(flags.rotate)
    if flags.path is None or flags.path == "-":
        if rotation is not None:
            raise UsageError("--rotate needs a file: name it with --output")
        return _Stream(header, FORMATS[name])
    return _File(LogFile(Path(flags.path), header, rotation), FORMATS[name])


def _format(flags: OutputFlags) -> str:
    if flags.format is not None:
        return flags.format
    if flags.path is None or flags.path == "-":
        return "table" if sys.stdout.isatty() else "jsonl"
    return EXTENSIONS.get(Path(flags.path).suffix.lower(), "jsonl")


class _Stream:
    """Standard output."""

    def __init__(self, header: str, text: Callable[[Record], str]) -> None:
        self._header, self._text = header, text

    def write(self, record: Record) -> None:
        sys.stdout.write(self._header + self._text(record))
        sys.stdout.flush()
        self._header = ""

    def close(self) -> None:
        pass


class _File:
    """A file that may rotate."""

    def __init__(self, file: Any, text: Callable[[Record], str]) -> None:
        self._file, self._text = file, text

    def write(self, record: Record) -> None:
        self._file.write(self._text(record))

    def close(self) -> None:
        self._file.close()
