"""``peaudio eval``: how good the model is on annotated recordings, and which words and thresholds suit it best."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from pe_audio_cli._extras import require_extra
from pe_audio_cli._files import writable_place
from pe_audio_cli._paths import exists, is_dir
from pe_audio_cli.cli.console import Console
from pe_audio_cli.cli.eval_options import EvalFlags
from pe_audio_cli.cli.flags import with_flags
from pe_audio_cli.cli.prologue import begin
from pe_audio_cli.cli.runner import Runner, seconds
from pe_audio_cli.errors import OutputError, UsageError, first_problems
from pe_audio_cli.evaluation.annotations.formats import FORMATS, Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pe_audio_cli.audio.framing import WindowOptions
    from pe_audio_cli.cli.eval_options import EvalOutputFlags, FindFlags, TuneFlags, WordFlags
    from pe_audio_cli.detection.label_settings import SettingsFile
    from pe_audio_cli.evaluation.annotations.folder import Annotations
    from pe_audio_cli.evaluation.evaluate import Evaluation, EvaluationOptions
    from pe_audio_cli.evaluation.prompts import LabelPrompt
    from pe_audio_cli.evaluation.reporting.evaluation_result import EvaluationResult
    from pe_audio_cli.evaluation.runner import DecodedSet
    from pe_audio_cli.evaluation.tuning.tuning import TuningOptions
    from pe_audio_cli.inference.taught import TaughtLabels
    from pe_audio_cli.models.checkpoint import Checkpoint
    from pe_audio_cli.models.encoder import Encoder
    from pe_audio_cli.models.registry import TaskName
    from pe_audio_cli.results import FileError

__all__ = ["HELP", "evaluate"]


def _listed(kind: Kind) -> str:
    """The forms of one kind, a line each, which the mark at the beginning keeps apart."""
    return "\b\n" + "\n".join(f"  {form.name}: {form.example}" for form in FORMATS if form.kind == kind)


HELP = f"""Evaluate the model on annotated recordings, and find the best prompts and thresholds.

ANNOTATIONS is a file or a folder. The format is detected from the content (⇥ is a tab). Strong labels, with times:

{_listed("strong")}

Weak labels, without times:

{_listed("weak")}

Judgements of excerpts, each of which is then evaluated by itself:

{_listed("marked")}

Example: peaudio eval labels.tsv --audio recordings/ --map words.csv --tune out.toml
"""

SOME_FAILED = 1  # of the recordings, and the rest are evaluated
AUDIOSET_IDS = ("/m/", "/t/")  # begin the labels of AudioSet-strong, which are numbers in a knowledge base


@with_flags
def evaluate(
    annotations: Annotated[str, typer.Argument(metavar="ANNOTATIONS", help="Annotations: a file or a folder.")],
    flags: EvalFlags,
    audio: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Folder of the recordings; by default that of the annotations."),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Fail if any row or recording is invalid; by default those are left out."),
    ] = False,
) -> None:
    """Run the command; its help is ``HELP``, which lists the formats of annotations."""
    with begin(flags.console) as console:
        from pe_audio_cli.cli.labels import taught_for
        from pe_audio_cli.detection.label_settings import SettingsFile, carried_settings
        from pe_audio_cli.evaluation.annotations.folder import read_annotations
        from pe_audio_cli.evaluation.evaluate import Evaluation
        from pe_audio_cli.evaluation.runner import decode_recordings
        from pe_audio_cli.learning.use import read_all

        require_extra("eval", "peaudio eval")
        tune = _tune_options(flags.tuning)
        format = _format(flags.output)
        _check_outputs(flags)
        read = read_annotations(annotations, audio, strict)
        _refuse_to_overwrite(flags, annotations, read)
        named = _settings(flags.found, read)
        label_files = read_all(flags.found.taught or ())

        def options_and_prompts(settings: SettingsFile) -> tuple[EvaluationOptions, list[LabelPrompt]]:
            options = _evaluation_options(flags.found, read, settings, tune)
            return options, _prompts(flags.words, read, settings)

        options, prompts = options_and_prompts(named or SettingsFile())
        checkpoint, windows = _find_model(flags, read, console)
        taught = taught_for(checkpoint, label_files, _task(read))
        if named is None or taught.labels:
            used = carried_settings(checkpoint.folder, _task(read)) if named is None else named
            options, prompts = options_and_prompts(taught.settings(used))
        with console.progress([recording.file for recording in read.recordings]) as progress:
            decoded = decode_recordings(read, strict, progress.done, flags.found.audio_track)
        warnings = _report_left_out(console, decoded)
        _report_odd_prompts(console, decoded.annotations, prompts, flags.words.map)
        evaluation = Evaluation(annotations, decoded.annotations, decoded.durations, prompts)
        failed: list[FileError] = []
        result, encoder = _evaluate(
            evaluation, options, checkpoint, windows, flags, console, None if strict else failed.append, taught
        )
        warnings += [f"{error.file}: {error.message}" for error in failed]
        for error in failed:
            console.error(f"{error.file}: {error.message}")
        _save_settings(result, encoder, flags.tuning.tune, prompts, flags.output.overwrite)
        _show(replace(result, warnings=tuple(warnings)), format, flags.output.path, flags.output.overwrite)
        if decoded.unread or failed:
            raise typer.Exit(SOME_FAILED)


def _tune_options(flags: TuneFlags) -> TuningOptions | None:
    from pe_audio_cli.evaluation.tuning.threshold_search import Goal
    from pe_audio_cli.evaluation.tuning.tuning import TuningOptions

    goal = Goal.parse(flags.goal)
    if str(flags.tune) == "-":
        raise UsageError("--tune needs a file, since standard output has the metrics: name it with --tune out.toml")
    if flags.tune is not None:
        return TuningOptions(goal, flags.tune_postprocessing, flags.tune_calibration)
    if flags.tune_postprocessing or flags.tune_calibration or goal != Goal():
        raise UsageError("tuning needs an output file: name it with --tune out.toml")
    return None


def _format(flags: EvalOutputFlags) -> str:
    if flags.format is not None:
        return flags.format
    if flags.path is None:
        return "table" if sys.stdout.isatty() else "json"
    format = {".json": "json", ".csv": "csv", ".txt": "table"}.get(flags.path.suffix.lower())
    if format is None:
        raise UsageError(f"cannot infer the format from {flags.path}: choose one with --format")
    return format


def _check_outputs(flags: EvalFlags) -> None:
    """Raise :class:`OutputError` if an output exists, or would be written twice."""
    places = [path for path in (flags.output.path, flags.tuning.tune) if path is not None]
    if len(places) == 2 and places[0].absolute() == places[1].absolute():
        raise OutputError(f"--output and --tune are both {places[0]}: give them different names")
    for path in places:
        writable_place(path, overwrite=flags.output.overwrite)
        if not is_dir(path.absolute().parent):
            raise OutputError(f"cannot write {path}: there is no folder {path.parent}")


def _refuse_to_overwrite(flags: EvalFlags, annotations: str, read: Annotations) -> None:
    """Raise :class:`OutputError` if something would be written over what is read."""
    from pe_audio_cli.outputs.files import refuse_to_overwrite

    outputs = {"--output": flags.output.path, "--tune": flags.tuning.tune}
    inputs: dict[str, Iterable[str | Path]] = {
        "the annotations": [annotations],
        "one of the recordings": [recording.file for recording in read.recordings],
        "the map of words": filter(None, [flags.words.map]),
        "the settings file": filter(None, [flags.found.settings]),
        "the file of taught labels": flags.found.taught or (),
    }
    refuse_to_overwrite({flag: path for flag, path in outputs.items() if path is not None}, inputs)


def _task(read: Annotations) -> TaskName:
    return "localize" if read.kind == "strong" else "tag"


def _settings(flags: FindFlags, read: Annotations) -> SettingsFile | None:
    from pe_audio_cli.detection.label_settings import settings_in

    return settings_in(flags.settings, _task(read))


def _evaluation_options(
    flags: FindFlags, read: Annotations, settings: SettingsFile, tune: TuningOptions | None
) -> EvaluationOptions:
    from pe_audio_cli.evaluation.evaluate import CLIP_THRESHOLD, EvaluationOptions
    from pe_audio_cli.options import EventOptions, TagOptions

    given = flags.events
    if read.kind == "strong":
        events = settings.event_options(replace(EventOptions(), **given), given, tidy=flags.tidy)
        return EvaluationOptions(events=events, settings=settings, tune=tune)
    if read.kind == "marked" and tune is not None:
        raise UsageError("marks are of hits that were chosen for their scores: tune with annotations of recordings")
    if flags.tidy or given.keys() - {"threshold"} or (tune is not None and tune.postprocessing):
        raise UsageError("these annotations have no times, so there are no events: leave out the event options")
    default = TagOptions(threshold=given.get("threshold", CLIP_THRESHOLD), aggregate=flags.aggregate)
    return EvaluationOptions(tags=settings.tag_options(default, given), settings=settings, tune=tune)


def _prompts(flags: WordFlags, read: Annotations, settings: SettingsFile) -> list[LabelPrompt]:
    from pe_audio_cli.evaluation.prompts import TEMPLATES, label_prompts
    from pe_audio_cli.evaluation.runner import prompts_for
    from pe_audio_cli.inference.labels import fill_template

    mapped = {} if flags.map is None else prompts_for(read.labels, flags.map)
    labels = sorted({*read.labels, *mapped})
    if not labels:
        raise UsageError("the annotations have no labels: check that no column is missing")
    tuned = {label: own.prompts for label, own in settings.labels.items() if own.prompts}
    templates = flags.template if flags.template else ["{}"]
    for template in templates:
        fill_template(template, labels)
    compared = None
    if flags.compare_templates:
        compared = templates if len(templates) > 1 else list(dict.fromkeys([*templates, *TEMPLATES]))
    return label_prompts(labels, {**tuned, **mapped}, templates, compared)


def _report_odd_prompts(console: Console, read: Annotations, prompts: list[LabelPrompt], map: str | None) -> None:
    from pe_audio_cli.inference.labels import class_labels

    if map is not None and exists(map) and class_labels(map):
        console.tell(f"--map {map} is the built-in label set; for the file of that name, write ./{map}")
    if read.n_joined:
        console.tell(f"events that overlap or touch others of their label were merged: {read.n_joined}")
    technical = [
        prompt.label
        for prompt in prompts
        if prompt.texts == (prompt.label,) and ("_" in prompt.label or prompt.label.startswith(AUDIOSET_IDS))
    ]
    if technical:
        console.tell(f"the model is asked for {technical[0]!r} as it is written; --map maps names to prompts")


def _report_left_out(console: Console, decoded: DecodedSet) -> list[str]:
    """Print the first problems, and return all of them."""
    read = decoded.annotations
    for line in first_problems(read.problems):
        console.warn(line)
    if read.problems:
        n_bad = len(read.problems)
        console.warn(f"{n_bad} of {read.n_rows} rows are invalid and left out; --strict makes this an error")
    for line in first_problems(read.clipped):
        console.warn(f"{line}, so the event ends there")
    for line in decoded.unread:
        console.error(line)
    clipped = (f"{line}, so the event ends there" for line in read.clipped)
    return [*read.problems, *clipped, *decoded.warnings, *decoded.unread]


def _find_model(flags: EvalFlags, read: Annotations, console: Console) -> tuple[Checkpoint, WindowOptions]:
    """Find the checkpoint for annotations of this kind, download it if necessary, and build its window options."""
    from pe_audio_cli.inference.runner import window_options

    task = _task(read)
    windows = window_options(task, seconds(flags.windows.window), flags.windows.overlap)
    return Runner(console, fail_fast=True).find_checkpoint(flags.model, task), windows


def _evaluate(
    evaluation: Evaluation,
    options: EvaluationOptions,
    checkpoint: Checkpoint,
    windows: WindowOptions,
    flags: EvalFlags,
    console: Console,
    on_error: Callable[[FileError], None] | None,
    taught: TaughtLabels,
) -> tuple[EvaluationResult, Encoder]:
    """Run the model on the recordings, and compare its results with the annotations."""
    from pe_audio_cli.evaluation.runner import evaluate
    from pe_audio_cli.inference.tasks.base import EncodeOptions

    with console.progress([recording.file for recording in evaluation.annotations.recordings]) as progress:
        encoder = Runner(console, fail_fast=True).encoder(checkpoint, flags.device)
        encoding = EncodeOptions(windows, flags.device.batch_size, progress.chunk, audio_track=flags.found.audio_track)
        learned = taught.labels
        return evaluate(evaluation, encoder, options, encoding, progress.done, on_error, learned), encoder


def _save_settings(
    result: EvaluationResult, encoder: Encoder, path: Path | None, prompts: list[LabelPrompt], overwrite: bool
) -> None:
    if path is None or result.tuning is None:
        return
    from pe_audio_cli.detection.label_settings import SettingsFile
    from pe_audio_cli.evaluation.runner import save
    from pe_audio_cli.evaluation.tuning.settings_writer import tuned_text

    labels = dict.fromkeys(prompt.label for prompt in prompts)
    texts = {label: next(each.texts for each in prompts if each.label == label) for label in labels}
    blank = SettingsFile("", encoder.facts.name, encoder.facts.fingerprint)
    save(path, tuned_text(result, result.tuning, blank, texts), overwrite=overwrite)


def _show(result: EvaluationResult, format: str, path: Path | None, overwrite: bool) -> None:
    from pe_audio_cli.evaluation.reporting.render import render
    from pe_audio_cli.evaluation.runner import save

    text = render(result, format)
    if path is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        save(path, text, overwrite=overwrite)
