"""The writer of tuned settings, as a file for people to read and edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import tomlkit
from tomlkit.items import KeyType, SingleKey, Table

from pe_audio_cli.detection.label_settings import Command, LabelSettings, SettingsFile
from pe_audio_cli.evaluation.metrics.bootstrap import Estimate
from pe_audio_cli.evaluation.reporting.evaluation_result import (
    TITLES,
    EvaluationResult,
    TunedLabel,
    Tuning,
    estimate_text,
)
from pe_audio_cli.formats.escaping import terminal_text

__all__ = ["settings_text", "tuned_text"]

HEAD = """\
The best settings for each label, by peaudio eval {annotations}
({n_recordings} recordings, {minutes:.1f} min), tuned for {goal}.
mean of all labels now: {after}
before: {before}

peaudio {command} RECORDINGS --settings THIS_FILE uses these labels, prompts and options.
Edit or remove lines as needed: without a line, the command's default applies.
Flags on the command line override it. The figures are cross-validated by recording, with 95 % intervals."""


def tuned_text(
    result: EvaluationResult, tuning: Tuning, blank: SettingsFile, prompts: Mapping[str, tuple[str, ...]]
) -> str:
    """Return the text of the settings file.

    Args:
        result: of the evaluation.
        tuning: its results of tuning.
        blank: settings without labels, with the name of the model.
        prompts: the prompts of each label, including those that could not be tuned.
    """
    command: Command = "localize" if result.subject.kind == "strong" else "tag"
    tuned = {each.label: each for each in tuning.labels}
    labels = {
        label: tuned[label].settings if label in tuned else LabelSettings(words) for label, words in prompts.items()
    }
    # Prompts are left out where the only one is the label itself.
    spare = {label: replace(own, prompts=()) if own.prompts == (label,) else own for label, own in labels.items()}
    remarks = {label: _remark(tuned[label]) if label in tuned else "not annotated, so not tuned" for label in labels}
    head = HEAD.format(
        annotations=terminal_text(result.subject.annotations),
        n_recordings=result.subject.n_recordings,
        minutes=result.subject.seconds / 60,
        goal=tuning.goal,
        command=command,
        after=_figures(tuning.after),
        before=_figures(tuning.before),
    )
    return settings_text(replace(blank, labels=spare), command, head, remarks)


def _remark(tuned: TunedLabel) -> str:
    missed = "; no threshold reaches the goal" if tuned.missed else ""
    return f"{_figures(tuned.after)}; before {_figures(tuned.before)}{missed}"


def _figures(figures: Mapping[str, Estimate]) -> str:
    return ", ".join(f"{TITLES[name]} {estimate_text(figure)}" for name, figure in figures.items())


def settings_text(settings: SettingsFile, command: Command, head: str, remarks: Mapping[str, str]) -> str:
    """Return the file, with comments: ``head`` at its beginning, and the ``remarks`` on labels above their settings."""
    file, section = tomlkit.document(), tomlkit.table()
    for line in head.splitlines():
        file.add(tomlkit.comment(line))
    file.add(tomlkit.nl())
    section["model"], section["fingerprint"] = settings.model, settings.fingerprint
    _fill(section, settings.default)
    labels = tomlkit.table(is_super_table=True)
    for label, own in settings.labels.items():
        table = tomlkit.table()
        if label in remarks:
            table.add(tomlkit.comment(remarks[label]))
        _fill(table, own)
        labels.add(SingleKey(label, KeyType.Basic), table)
    if settings.labels:
        section["labels"] = labels
    file[command] = section
    return tomlkit.dumps(file)


def _fill(table: Table, settings: LabelSettings) -> None:
    """Add the settings that differ from the defaults."""
    default = LabelSettings().flat()
    for name, value in settings.flat().items():
        if name == "prompts" and value:
            table[name] = list(value)
        elif value != default.get(name):
            table[name] = value
