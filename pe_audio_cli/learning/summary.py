"""The content of a file of taught labels, for people and for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pe_audio_cli.evaluation.metrics.bootstrap import Estimate
from pe_audio_cli.formats.escaping import terminal_text
from pe_audio_cli.learning.label_file import LabelFile, TaughtFor
from pe_audio_cli.learning.teach import LabelOutcome, Ranking

__all__ = ["csv_text", "json_text", "table"]

PLAIN_WIDTH = 120  # columns without a terminal
DECIMALS = 4
FIGURES = ("average_precision", "auroc")


def json_text(file: LabelFile) -> str:
    """One JSON object, as ``docs/schemas/labels-1.json`` describes it."""
    labels = [
        {"command": command, "model": taught.model, **_object(taught, row)}
        for command, taught in file.commands.items()
        for row in range(len(taught.outcomes))
    ]
    head = {"schema": "peaudio.labels/1", "file": file.name, "created": file.created, "version": file.version}
    return json.dumps({**head, "labels": labels}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _object(taught: TaughtFor, row: int) -> dict[str, Any]:
    outcome = taught.outcomes[row]
    described: dict[str, Any] = {
        "label": outcome.label,
        "prompts": list(taught.prompts[row]),
        "learned": outcome.learned,
        "examples": outcome.n_examples,
        "counter_examples": outcome.n_counter_examples,
        "threshold": outcome.threshold,
    }
    for name, ranking in (("words", outcome.words), ("taught", outcome.examples)):
        if ranking is not None:
            described[name] = {figure: _estimate(getattr(ranking, figure)) for figure in FIGURES}
    if outcome.curve:
        described["curve"] = [
            {"examples": number, "average_precision": round(value, DECIMALS)} for number, value in outcome.curve.items()
        ]
    return described


def _estimate(figure: Estimate) -> dict[str, float | None]:
    parts = {"value": figure.value, "low": figure.low, "high": figure.high}
    return {name: None if value is None else round(value, DECIMALS) for name, value in parts.items()}


def csv_text(file: LabelFile) -> str:
    """A row for each label and command."""
    names = ["label", "command", "model", "learned", "examples", "counter_examples", "threshold"]
    names += [f"{side}_{figure}" for side in ("words", "taught") for figure in FIGURES]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    for command, taught in file.commands.items():
        for outcome in taught.outcomes:
            row = [outcome.label, command, taught.model, str(outcome.learned).lower()]
            row += [str(outcome.n_examples), str(outcome.n_counter_examples), str(outcome.threshold)]
            for ranking in (outcome.words, outcome.examples):
                row += [
                    "" if ranking is None else str(round(getattr(ranking, each).value, DECIMALS)) for each in FIGURES
                ]
            writer.writerow(row)
    return text.getvalue()


def table(file: LabelFile, width: int | None = None) -> str:
    """A table for each command, for people; ``width`` in columns, None is a fixed one."""
    text = io.StringIO()
    console = Console(file=text, width=width or PLAIN_WIDTH, highlight=False)
    for command, taught in file.commands.items():
        console.print(Text(terminal_text(f"{command}, model {taught.model}"), style="bold"))
        console.print(_table(taught))
        for line in _curves(taught):
            console.print(Text(terminal_text(line)))
    return text.getvalue()


def _table(taught: TaughtFor) -> Table:
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    grid.add_column("label", overflow="fold")
    for title in ("examples", "against", "AP, words alone", "AP, taught", "AUROC, taught", "threshold"):
        grid.add_column(title, justify="right", no_wrap="A" in title)
    grid.add_column("")
    for outcome in taught.outcomes:
        grid.add_row(
            terminal_text(outcome.label),
            str(outcome.n_examples),
            str(outcome.n_counter_examples),
            _figure(outcome.words, "average_precision"),
            _figure(outcome.examples, "average_precision"),
            _figure(outcome.examples, "auroc"),
            f"{outcome.threshold:g}",
            _verdict(outcome),
        )
    return grid


def _figure(ranking: Ranking | None, name: str) -> str:
    if ranking is None:
        return "-"
    figure: Estimate = getattr(ranking, name)
    interval = "" if figure.low is None or figure.high is None else f" ({figure.low:.2f} to {figure.high:.2f})"
    return f"{figure.value:.2f}{interval}"


def _verdict(outcome: LabelOutcome) -> str:
    if not outcome.learned:
        return "the words were better, and are kept"
    return "learned" if outcome.examples is not None else "learned, too few examples to measure"


def _curves(taught: TaughtFor) -> Iterator[str]:
    for outcome in taught.outcomes:
        if outcome.curve:
            figures = ", ".join(f"{number}: {value:.2f}" for number, value in outcome.curve.items())
            yield f"{outcome.label}: average precision by number of examples: {figures}"
