"""The common part of tag and localize: labels, model, recordings, output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from os.path import abspath
from typing import TYPE_CHECKING, Any, TypeAlias

from pe_audio_cli.cli.console import Console, Progress
from pe_audio_cli.cli.flags import BatchFlags
from pe_audio_cli.cli.labels import (
    label_files_of,
    label_options_of,
    taught_for,
    warn_of_settings_for_another_model,
    warn_of_unfamiliar_labels,
)
from pe_audio_cli.cli.runner import Runner, seconds
from pe_audio_cli.errors import UsageError
from pe_audio_cli.formats.base import WriteOptions, Writer
from pe_audio_cli.formats.name_escaping import check_files_differ, check_labels_differ, escaped_names
from pe_audio_cli.formats.registry import WRITERS, guess, writer_for
from pe_audio_cli.outputs.files import is_folder, refuse_to_overwrite

if TYPE_CHECKING:
    from pe_audio_cli.audio.framing import WindowOptions
    from pe_audio_cli.detection.label_settings import SettingsFile
    from pe_audio_cli.inference.tasks.base import EncodeOptions
    from pe_audio_cli.inference.tasks.query import Query
    from pe_audio_cli.inference.taught import TaughtLabels
    from pe_audio_cli.models.encoder import Encoder, EncoderFacts
    from pe_audio_cli.models.registry import TaskName
    from pe_audio_cli.options import PerLabel
    from pe_audio_cli.outputs.base import Output
    from pe_audio_cli.outputs.journal import RunSettings
    from pe_audio_cli.outputs.report_page import ReportOutput
    from pe_audio_cli.outputs.side_outputs import OutputList, SideOutput
    from pe_audio_cli.report.page import PageOptions
    from pe_audio_cli.results import FileError, Result
    from pe_audio_cli.server.client import ServedModel

    Rules: TypeAlias = "PerLabel[Any]"  # of TagOptions or of EventOptions, as the command has it
    Ask: TypeAlias = Callable[[Iterable[str | FileError], Encoder, Query, Rules, EncodeOptions], Iterator[Result]]

__all__ = ["Batch"]


SHOWN_LABELS = 10  # in a warning about labels


@dataclass(frozen=True)
class Batch:
    """One command line that goes through recordings.

    ``named`` are the settings that it names, None where those of the checkpoint count; ``rules`` tells what becomes of
    the command's options by them, and refuses what makes no sense.
    """

    command: TaskName
    flags: BatchFlags
    console: Console
    named: SettingsFile | None
    rules: Callable[[SettingsFile], Rules]
    per_window: bool = False
    frames: bool = False
    report: PageOptions | None = None
    plot: str | None = None
    most_shown: int | None = None

    def run(self, ask: Ask, settings: RunSettings) -> None:
        """Process all recordings; everything that can be refused is refused before anything is started.

        Args:
            ask: puts the command's question to the encoder, and yields one result or error for each recording.
            settings: what else changes the results, so that another run's output is not continued by mistake.

        Raises:
            PeAudioError: nothing was started, or the run could not go on.
            typer.Exit: with code 1, if some recordings failed.
        """
        from pe_audio_cli.audio.find import find_recordings
        from pe_audio_cli.detection.label_settings import carried_settings
        from pe_audio_cli.inference.labels import check_labels, gather_labels
        from pe_audio_cli.inference.runner import window_options
        from pe_audio_cli.inference.tasks.base import EncodeOptions
        from pe_audio_cli.inference.tasks.query import Query
        from pe_audio_cli.outputs.side_outputs import OutputList

        runner = Runner(self.console, self.flags.output.fail_fast)
        label_files = label_files_of(self.flags.labels)
        labels = gather_labels(label_options_of(self.flags.labels))
        if self.named is not None:
            self.rules(self.named)
            labels = labels or list(self.named.labels)
        windows = window_options(self.command, seconds(self.flags.windows.window), self.flags.windows.overlap)
        writer = self.writer()
        found = find_recordings(self.flags.inputs.named())
        names = [file if isinstance(file, str) else file.file for file in found]
        self.check_places(names)
        output = self.output(writer, names)
        pictures = self._pictures(names, output.known, with_default_labels=not (labels or label_files))
        page = self._page()
        checkpoint = runner.find_checkpoint(self.flags.model, self.command)
        tuned = carried_settings(checkpoint.folder, self.command) if self.named is None else self.named
        taught = taught_for(checkpoint, label_files, self.command)
        rules = self.rules(taught.settings(tuned) if self.command == "localize" else tuned)
        if page is not None:
            page.find_events_by(rules.default)
        side_outputs = [each for each in (page, pictures) if each is not None]
        outputs = OutputList(output, side_outputs, keep_frames=self.frames)
        labels = taught.joined_to(labels) or list(checkpoint.default_labels)
        check_labels(labels)
        check_labels_differ(writer, labels)
        self.report_escaped_names(writer, labels, names)
        self._warn_of_missing_glyphs(labels, names)
        runner.say_which_model(checkpoint)
        on = runner.machines(checkpoint, self.flags.model, self.command, self.flags.device, self.flags.engine)
        with self.console.progress(names) as progress, on as (encoder, engine):
            warn_of_settings_for_another_model(self.console, tuned, encoder)
            query = Query.ask(encoder, labels, self.flags.labels.template, tuned, taught.labels)
            warn_of_unfamiliar_labels(self.console, checkpoint, query)
            about = self.settings_of_model(encoder.facts, writer, labels, windows)
            about = {**about, **_rule_settings(tuned, rules, taught), **settings}
            todo = self.begin(outputs, about, found, runner, progress)
            size, track = self.flags.device.batch_size, self.flags.inputs.audio_track
            encoding = EncodeOptions(
                windows, size, progress.chunk, audio_track=track, store=outputs.store, engine=engine
            )
            is_here = self.flags.engine.engine == "local"
            progress.pace.keeps = is_here and outputs.store is not None and windows.window is not None
            runner.go(ask(todo, encoder, query, rules, encoding), outputs, progress)
        runner.end(names)

    def begin(
        self,
        outputs: OutputList,
        settings: RunSettings,
        found: Sequence[str | FileError],
        runner: Runner,
        progress: Progress,
    ) -> Iterable[str | FileError]:
        """Open the outputs, and return the recordings that an earlier run has not done."""
        done = outputs.open(settings)
        if outputs.remark is not None:
            self.console.tell(outputs.remark)
        runner.summary.n_skipped = len(done)
        for entry in done.values():
            progress.done(entry.file)
        return outputs.reading(item for at, item in enumerate(found) if at not in done)

    def settings_of_model(
        self, model: EncoderFacts | ServedModel, writer: type[Writer], labels: list[str], windows: WindowOptions
    ) -> RunSettings:
        """Return all flags and facts that change results, but for the rules."""
        return {
            "command": self.command,
            "format": writer.name,
            "labels": labels,
            "template": self.flags.labels.template,
            "model": self.flags.model.model,
            "fingerprint": model.fingerprint,
            "backend": model.backend,
            "window": windows.window,
            "overlap": windows.overlap,
            "audio_track": self.flags.inputs.audio_track,
        }

    def report_escaped_names(self, writer: type[Writer], labels: Sequence[str], files: Sequence[str]) -> None:
        """Tell of labels and names that the format has to spell otherwise."""
        for text, escaped in escaped_names(writer, labels, files).items():
            self.console.tell(f"{writer.name} writes {text!r} as {escaped!r}")

    def writer(self) -> type[Writer]:
        """Return the format. Raises :class:`UsageError` if it cannot be told, or cannot hold what was asked for."""
        writer = writer_for(self._format(), self.command)
        if self.frames and not writer.frames:
            holders = " or ".join(format.name for format in WRITERS if format.frames)
            raise UsageError(f"--frames needs --format {holders}: {writer.name} cannot hold them")
        return writer

    def _format(self) -> str:
        path = self.flags.output.path
        if self.flags.output.format is not None:
            return self.flags.output.format
        if path is None:
            return "table" if sys.stdout.isatty() else "jsonl"
        if self.flags.output.shard_size is not None:
            return "jsonl"
        if is_folder(path):
            return "json"
        name = guess(path, self.command)
        if name is None:
            raise UsageError(f"cannot infer the format from {path}: choose one with --format")
        return name

    def check_places(self, names: Sequence[str]) -> None:
        """Raise :class:`UsageError` for outputs that exclude each other, or would replace what is read."""
        flags = self.flags.output
        places = {
            "--output": flags.path,
            "--plot": self.plot,
            "--report": None if self.report is None else self.report.path,
        }
        named = {flag: path for flag, path in places.items() if path is not None}
        if flags.overwrite and flags.resume:
            raise UsageError("--overwrite and --resume exclude each other: choose one")
        if (flags.resume and flags.path is None) or (flags.overwrite and not named):
            raise UsageError("--overwrite and --resume need a file or folder: name it with --output")
        for (one, path), (other, other_path) in combinations(named.items(), 2):
            if abspath(path) == abspath(other_path) and not is_folder(path):
                raise UsageError(f"{one} and {other} are both {path}: give them different names")
        refuse_to_overwrite(
            named, {"one of the recordings": names, **self.flags.labels.files, **self.flags.inputs.files}
        )

    def output(self, writer: type[Writer], names: Sequence[str]) -> Output:
        """Return the output. Raises :class:`UsageError` if it cannot be made."""
        from pathlib import Path

        from pe_audio_cli.outputs.file import FileOutput
        from pe_audio_cli.outputs.folder import FolderOutput
        from pe_audio_cli.outputs.shards import ShardedOutput
        from pe_audio_cli.outputs.stream import StreamOutput

        options = WriteOptions(self.command, self.per_window, most_shown=self.most_shown)
        path, overwrite, resume = self.flags.output.path, self.flags.output.overwrite, self.flags.output.resume
        size = self.flags.output.shard_size
        in_folder = size is None and path is not None and is_folder(path)
        if not in_folder:
            check_files_differ(writer, names)
        if size is not None:
            if path is None:
                raise UsageError("--shard-size needs a folder: name it with --output")
            return ShardedOutput(Path(path), writer, options, names, size, overwrite=overwrite, resume=resume)
        if path is None:
            return StreamOutput(writer, options, sys.stdout)
        kind = FolderOutput if in_folder else FileOutput
        return kind(Path(path), writer, options, names, overwrite=overwrite, resume=resume)

    def _warn_of_missing_glyphs(self, labels: Sequence[str], names: Sequence[str]) -> None:
        if self.plot is None:
            return
        from pe_audio_cli.outputs.pictures import without_glyphs

        lacking = without_glyphs([*labels, *names])
        if lacking:
            more = f" and {len(lacking) - SHOWN_LABELS} more" if len(lacking) > SHOWN_LABELS else ""
            self.console.warn(
                f"no font here has all characters of {', '.join(map(repr, lacking[:SHOWN_LABELS]))}{more}, so pictures "
                "spell them as escapes: install a font that has them, such as Noto Sans CJK or Noto Emoji"
            )

    def _pictures(self, names: Sequence[str], known: bool, with_default_labels: bool) -> SideOutput | None:
        """The pictures beside the output; ``known`` says that this goes on with an earlier run."""
        if self.plot is None:
            return None
        from pe_audio_cli.outputs.pictures import TagPicture, TimelinePictures

        overwrite, resume = self.flags.output.overwrite, self.flags.output.resume
        if self.command == "localize":
            return TimelinePictures(
                self.plot,
                names,
                detected_only=with_default_labels,  # which nobody has asked for one by one
                overwrite=overwrite,
                known=known,
            )
        if resume:
            raise UsageError("a picture of tag needs a complete run: leave out --plot or --resume")
        return TagPicture(self.plot, names, overwrite=overwrite)

    def _page(self) -> ReportOutput | None:
        """Return the report, where one was asked for."""
        if self.report is None:
            return None
        from pe_audio_cli.outputs.report_page import ReportOutput

        if self.flags.output.resume:
            raise UsageError("a report needs a complete run: leave out --report or --resume")
        return ReportOutput(self.report, overwrite=self.flags.output.overwrite)


def _rule_settings(tuned: SettingsFile, rules: Rules, taught: TaughtLabels) -> RunSettings:
    """Return the rules for all labels, and the settings, which hold those of single labels."""
    said = {**asdict(rules.default), "settings": asdict(tuned)}
    return {**said, "taught": taught.fingerprint} if taught.labels else said
