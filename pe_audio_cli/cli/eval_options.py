"""The flags of ``peaudio eval``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import typer

from pe_audio_cli.cli.flags import AudioTrack, DeviceFlags, FlagsOf, ModelFlags, VerbosityFlags, WindowFlags
from pe_audio_cli.options import EventOptions

__all__ = ["EvalFlags", "EvalOutputFlags", "FindFlags", "TuneFlags", "WordFlags"]

WORDS, FOUND, TUNE, OUTPUT = "Prompts", "Detection", "Tuning", "Output"
EVENT_HELP = {"threshold": "By default 0.3 for strong labels, 0.5 for weak ones.", "": "As in localize."}


@dataclass(frozen=True)
class WordFlags:
    """Flags of the prompts."""

    map: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Prompts for the names in the annotations: a file with rows of name,prompt,prompt ..., several of "
            "which are averaged; or the name of a built-in label set, such as desed or esc50.",
            rich_help_panel=WORDS,
        ),
    ] = None
    template: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="Template for the prompts; {} stands for the prompt. Repeatable; several are averaged.",
            rich_help_panel=WORDS,
        ),
    ] = None
    compare_templates: Annotated[
        bool,
        typer.Option(
            "--compare-templates",
            help="Compare the templates and the prompts; without --template, some common templates.",
            rich_help_panel=WORDS,
        ),
    ] = False


@dataclass(frozen=True)
class FindFlags:
    """Flags of detection."""

    settings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Settings from an earlier --tune. Flags override them. By default those of the checkpoint; 'none' "
            "ignores them.",
            rich_help_panel=FOUND,
        ),
    ] = None
    taught: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Labels that peaudio teach learned from examples, used for the labels of their names; repeatable.",
            rich_help_panel=FOUND,
        ),
    ] = None
    events: Annotated[dict[str, float], FlagsOf(EventOptions, FOUND, given_only=True, help=EVENT_HELP)] = field(
        default_factory=dict
    )
    audio_track: AudioTrack = None
    tidy: Annotated[bool, typer.Option("--tidy", help="As in localize.", rich_help_panel=FOUND)] = False
    aggregate: Annotated[
        Literal["max", "mean"], typer.Option(help="As in tag, for weak labels.", rich_help_panel=FOUND)
    ] = "max"


@dataclass(frozen=True)
class TuneFlags:
    """Flags of tuning."""

    tune: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Find the best threshold of each label, cross-validated by recording, and write it for --settings.",
            rich_help_panel=TUNE,
        ),
    ] = None
    goal: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="GOAL",
            help="Goal of tuning: f1, precision=P (the highest recall at that precision) or recall=P.",
            rich_help_panel=TUNE,
        ),
    ] = "f1"
    tune_postprocessing: Annotated[
        bool,
        typer.Option(
            "--tune-postprocessing",
            help="Tune hysteresis, median filter, merge gap and minimum duration, too.",
            rich_help_panel=TUNE,
        ),
    ] = False
    tune_calibration: Annotated[
        bool,
        typer.Option(
            "--tune-calibration",
            help="Calibrate the probabilities, too, by a scale and a bias of each label's logit.",
            rich_help_panel=TUNE,
        ),
    ] = False


@dataclass(frozen=True)
class EvalOutputFlags:
    """Flags of the output."""

    format: Annotated[
        Literal["table", "json", "csv"] | None,
        typer.Option(
            "-f",
            "--format",
            help="Output format; by default that of the output's extension, table on a terminal, json in a pipe.",
            rich_help_panel=OUTPUT,
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Output file; - is standard output.", rich_help_panel=OUTPUT
        ),
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing output or settings file.", rich_help_panel=OUTPUT)
    ] = False

    @property
    def path(self) -> Path | None:
        """The output file; None for standard output, also as ``-``."""
        return None if self.output == Path("-") else self.output


@dataclass(frozen=True)
class EvalFlags:
    """All flags of ``eval``."""

    words: WordFlags
    found: FindFlags
    tuning: TuneFlags
    model: ModelFlags
    device: DeviceFlags
    windows: WindowFlags
    output: EvalOutputFlags
    console: VerbosityFlags
