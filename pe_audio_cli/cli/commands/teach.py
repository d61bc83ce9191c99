"""``peaudio teach``: labels learned from annotated recordings."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pe_audio_cli._extras import require_extra
from pe_audio_cli._files import writable_place
from pe_audio_cli.cli.flags import AudioTrack, DeviceFlags, ModelFlags, VerbosityFlags, WindowFlags, with_flags
from pe_audio_cli.cli.prologue import begin
from pe_audio_cli.cli.runner import Runner, seconds
from pe_audio_cli.errors import OutputError, UsageError, first_problems

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pe_audio_cli.cli.console import Console, Progress
    from pe_audio_cli.detection.label_settings import Command
    from pe_audio_cli.evaluation.annotations.folder import Annotations
    from pe_audio_cli.inference.tasks.embedding import Unit
    from pe_audio_cli.learning.label_file import LabelFile, TaughtFor
    from pe_audio_cli.learning.teacher import TeachingData
    from pe_audio_cli.models.checkpoint import Checkpoint
    from pe_audio_cli.models.encoder import Encoder
    from pe_audio_cli.results import EmbedResult, FileError

__all__ = ["show_labels", "teach"]

LEARNING, OUTPUT = "Learning", "Output"
SOME_FAILED = 1  # of the recordings, and labels were learned from the rest


@dataclass(frozen=True)
class LearningFlags:
    """Flags of the examples and of learning."""

    audio: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of the recordings; by default that of the annotations.",
            rich_help_panel=LEARNING,
        ),
    ] = None
    background: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Recordings in which none of the labels is present; repeatable.",
            rich_help_panel=LEARNING,
        ),
    ] = None
    map: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Maps annotation names to the words that learning starts from: name,prompt,prompt ... in a row; by "
            "default the name itself.",
            rich_help_panel=LEARNING,
        ),
    ] = None
    command: Annotated[
        Literal["tag", "localize", "both"] | None,
        typer.Option(
            "--for",
            help="Command that uses the labels; by default both if the annotations have times, else tag.",
            rich_help_panel=LEARNING,
            show_default=False,
        ),
    ] = None
    add: Annotated[
        str | None,
        typer.Option(
            metavar="ANNOTATIONS",
            help="Learn from more annotations, in addition to the examples of the .labels file that is the argument.",
            rich_help_panel=LEARNING,
        ),
    ] = None
    index: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Take the recordings' embeddings from an index instead of decoding them (tag only).",
            rich_help_panel=LEARNING,
        ),
    ] = None
    learning_curve: Annotated[
        bool,
        typer.Option(
            "--learning-curve",
            help="Measure what 1, 2, 5, 10, 20 and 50 examples would give.",
            rich_help_panel=LEARNING,
        ),
    ] = False
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Fail if any row or recording is invalid; by default those are left out.",
            rich_help_panel=LEARNING,
        ),
    ] = False
    audio_track: AudioTrack = None


Format = Annotated[
    Literal["table", "json", "csv"] | None,
    typer.Option("-f", "--format", help="By default table on a terminal, json in a pipe.", rich_help_panel=OUTPUT),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.", rich_help_panel=OUTPUT)]


@with_flags
def teach(
    annotations: Annotated[
        str, typer.Argument(metavar="ANNOTATIONS", help="Annotations, in any format that eval reads; or see --add.")
    ],
    learning: LearningFlags,
    model: ModelFlags,
    device: DeviceFlags,
    windows: WindowFlags,
    verbosity: VerbosityFlags,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.labels", help="File to write.", rich_help_panel=OUTPUT),
    ] = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Learn labels from annotated recordings, for tag, localize and search.

    Example: peaudio teach labels.tsv --audio recordings/ -o my.labels
    """
    with begin(verbosity) as console:
        from pe_audio_cli.evaluation.annotations.folder import read_annotations
        from pe_audio_cli.learning.label_file import LabelFile, read_labels, write_labels

        require_extra("eval", "peaudio teach")
        target = _target(output, annotations, learning.add, overwrite)
        earlier = None if learning.add is None else read_labels(Path(annotations))
        read = read_annotations(annotations if learning.add is None else learning.add, learning.audio, learning.strict)
        for line in first_problems(read.problems):
            console.warn(line)
        commands = _commands(learning, read, earlier)
        teaching = _Teaching(console, learning, model, device, windows, read)
        taught = dict(earlier.commands) if earlier is not None else {}
        for command in commands:
            taught[command] = teaching.teach(command, None if earlier is None else earlier.commands.get(command))
        file = LabelFile.new(taught, str(target))
        write_labels(target, file, overwrite=overwrite or learning.add is not None)
        _show(file, format)
        if teaching.failed:
            raise typer.Exit(SOME_FAILED)


def _target(output: Path | None, annotations: str, add: str | None, overwrite: bool) -> Path:
    """Return where the labels are written.

    Raises :class:`UsageError` if none is named, and :class:`OutputError` if nothing can be written there.
    """
    if output is None and add is None:
        raise UsageError("the labels need a file: name it with -o my.labels")
    target = Path(annotations) if output is None else output
    in_place = add is not None and target == Path(annotations)
    writable_place(target, overwrite=overwrite or in_place)
    if not target.absolute().parent.is_dir():
        raise OutputError(f"cannot write {target}: there is no folder {target.parent}")
    return target


def _commands(learning: LearningFlags, read: Annotations, earlier: LabelFile | None) -> list[Command]:
    from pe_audio_cli.learning.teacher import default_commands

    if learning.index is not None and learning.command in ("localize", "both"):
        raise UsageError("an index has no embeddings of frames: teach labels for tag with it")
    if learning.command == "both":
        return ["tag", "localize"]
    if learning.command is not None:
        return [learning.command]
    if earlier is not None:
        return list(earlier.commands)
    return ["tag"] if learning.index is not None else default_commands(read)


class _Teaching:
    """One command line that teaches; ``failed`` becomes True if a recording could not be used."""

    def __init__(
        self,
        console: Console,
        learning: LearningFlags,
        model: ModelFlags,
        device: DeviceFlags,
        windows: WindowFlags,
        read: Annotations,
    ) -> None:
        from pe_audio_cli.audio.find import find_recordings
        from pe_audio_cli.evaluation.runner import prompts_for

        self._console, self._learning, self._read = console, learning, read
        self._model, self._device, self._windows = model, device, windows
        self._runner = Runner(console, fail_fast=False)
        self._background = find_recordings(learning.background) if learning.background else []
        self._prompts = {} if learning.map is None else prompts_for(read.labels, learning.map)
        self._encoders: dict[Path, Encoder] = {}
        self.failed = False

    def teach(self, command: Command, earlier: TaughtFor | None) -> TaughtFor:
        """Teach all labels for a command."""
        from pe_audio_cli.learning.teacher import TeachingData, teach_for

        curve, strict = self._learning.learning_curve, self._learning.strict
        data = TeachingData(self._read, self._background, self._prompts, earlier, curve, strict)
        checkpoint = self._runner.find_checkpoint(self._model, command)
        names = [file if isinstance(file, str) else file.file for file in data.files]
        with self._console.progress(names) as progress:
            encoder = self._encoder(checkpoint)

            def embed(data: TeachingData, unit: Unit) -> Iterable[EmbedResult | FileError]:
                return self._embeddings(data, unit, command, encoder, progress)

            return teach_for(command, data, encoder, embed, lambda result: self._done(result, progress))

    def _encoder(self, checkpoint: Checkpoint) -> Encoder:
        from pe_audio_cli.models.caching import CachingEncoder

        if checkpoint.folder not in self._encoders:
            self._encoders[checkpoint.folder] = CachingEncoder(self._runner.encoder(checkpoint, self._device))
        return self._encoders[checkpoint.folder]

    def _embeddings(
        self, data: TeachingData, unit: Unit, command: Command, encoder: Encoder, progress: Progress
    ) -> Iterable[EmbedResult | FileError]:
        from pe_audio_cli.inference.runner import embed, window_options
        from pe_audio_cli.inference.tasks.base import EncodeOptions
        from pe_audio_cli.learning.teacher import embeddings_of

        if self._learning.index is not None:
            from pe_audio_cli.learning.indexed import indexed_embeddings

            return indexed_embeddings(self._learning.index, data.files, encoder.facts)
        windows = window_options(command, seconds(self._windows.window), self._windows.overlap)
        track = self._learning.audio_track
        encoding = EncodeOptions(windows, self._device.batch_size, progress.chunk, audio_track=track)
        return embeddings_of(data, unit, lambda files, unit: embed(files, encoder, unit, encoding), track)

    def _done(self, result: EmbedResult | FileError, progress: Progress) -> None:
        from pe_audio_cli.outputs.base import file_of
        from pe_audio_cli.results import FileError

        progress.done(file_of(result))
        if isinstance(result, FileError):
            self.failed = True
            self._console.failed(result.file, result.message, result.traceback)
            return
        for warning in result.recording.warnings:
            self._console.warn(f"{result.recording.file}: {warning}")


@with_flags
def show_labels(
    file: Annotated[Path, typer.Argument(metavar="FILE.labels", help="Labels that peaudio teach made.")],
    verbosity: VerbosityFlags,
    remove: Annotated[
        list[str] | None, typer.Option(metavar="LABEL", help="Take a label out; repeatable.", rich_help_panel="Changes")
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(metavar="OLD=NEW", help="Give a label another name; repeatable.", rich_help_panel="Changes"),
    ] = None,
    join: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Add the labels of another file; repeatable.", rich_help_panel="Changes"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write the changed labels there.", rich_help_panel=OUTPUT),
    ] = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Show the labels in a file that peaudio teach made; remove, rename and join them.

    Example: peaudio labels my.labels --rename dog="our dog" -o ours.labels
    """
    with begin(verbosity, encodes_audio=False):
        from dataclasses import replace

        from pe_audio_cli.learning.label_file import read_labels, write_labels

        changes = bool(remove or rename or join)
        if changes != (output is not None):
            raise UsageError(
                "changed labels need a file: name it with -o"
                if changes
                else "nothing changes: -o goes with --remove, --rename or --join"
            )
        labels = read_labels(file)
        if remove:
            labels = labels.without(remove)
        if rename:
            labels = labels.renamed(dict(_names(each) for each in rename))
        for other in join or ():
            labels = labels.joined(read_labels(other))
        if output is not None:
            labels = replace(labels, name=str(output))
            write_labels(output, labels, overwrite=overwrite)
        _show(labels, format)


def _names(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not equals or not old or not new.strip():
        raise UsageError(f"--rename is OLD=NEW: got {text!r}")
    return old, new.strip()


def _show(file: LabelFile, format: str | None) -> None:
    from pe_audio_cli.cli.console import terminal_width
    from pe_audio_cli.learning import summary

    shown = format if format is not None else "table" if sys.stdout.isatty() else "json"
    if shown == "table":
        text = summary.table(file, terminal_width(sys.stdout) if sys.stdout.isatty() else None)
    else:
        text = summary.json_text(file) if shown == "json" else summary.csv_text(file)
    sys.stdout.write(text)
    sys.stdout.flush()
