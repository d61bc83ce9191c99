"""The result of an evaluation as a table for people: metrics over all labels, then those of each label."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO

from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pe_audio_cli.detection.label_settings import LabelSettings
from pe_audio_cli.evaluation.metrics.bootstrap import Estimate
from pe_audio_cli.evaluation.reporting.evaluation_result import (
    TITLES,
    Compared,
    Confusion,
    EvaluationResult,
    LabelResult,
    Subject,
    Tuning,
    estimate_text,
)
from pe_audio_cli.formats.escaping import terminal_text
from pe_audio_cli.options import EventOptions, options_of

__all__ = ["table"]

PLAIN_WIDTH = 100  # columns without a terminal and without COLUMNS
MOST_CONFUSED = 20  # labels of which a matrix can still be read
PARTS = ("event_precision", "event_recall", "precision", "recall")  # parts of F1, which is shown instead
NOTHING = "-"


def table(result: EvaluationResult, width: int | None = None) -> str:
    """Return a result as text, ``width`` columns wide; None is the terminal's width, or a fixed one."""
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    text = StringIO()
    console = Console(file=text, width=width if width is not None or known else PLAIN_WIDTH, highlight=False)
    for part in _parts(result):
        console.print(part)
    return text.getvalue()


def _parts(result: EvaluationResult) -> Iterator[RenderableType]:
    yield _heading(result.subject)
    yield _overall(result.overall)
    yield _labels(result.labels)
    yield from _left_out("no positive", result.without_positives)
    yield from _left_out("no negative", result.without_negatives)
    yield _reliability(result)
    if result.confusion is not None and len(result.confusion.labels) <= MOST_CONFUSED:
        yield _confusion(result.confusion)
    if result.compared:
        yield _compared(result.compared)
    if result.tuning is not None:
        yield from _tuning(result.tuning)


def _heading(subject: Subject) -> Text:
    kind = {"strong": "events", "weak": "whole recordings", "marked": "marked excerpts"}[subject.kind]
    facts = (f"{subject.n_recordings} recordings", f"{subject.seconds / 60:.1f} min", kind, f"model {subject.model}")
    name = terminal_text(subject.annotations)
    return Text.assemble((name, "bold"), "  ", (terminal_text(" · ".join(facts)), "dim"), overflow="fold")


def _overall(figures: Mapping[str, Estimate]) -> RenderableType:
    grid = _table("over all labels", "", "95 % interval")
    for name, figure in figures.items():
        title = f"m{TITLES[name]}" if name == "average_precision" else TITLES[name]
        grid.add_row(title, _number(figure), _interval(figure))
    return grid


def _labels(rows: Sequence[LabelResult]) -> RenderableType:
    names = [name for name in TITLES if name not in PARTS and any(name in row.figures for row in rows)]
    grid = _table("label", "n", "at", *(TITLES[name] for name in names))
    for row in rows:
        figures = (_number(row.figures.get(name)) for name in names)
        grid.add_row(Text(terminal_text(row.label)), str(row.count), f"{row.threshold:g}", *figures)
    return grid


def _left_out(lack: str, labels: Sequence[str]) -> Iterator[RenderableType]:
    if labels:
        named = ", ".join(map(terminal_text, labels))
        yield Padding(Text(f"{lack}, so in no mean that needs one: {named}"), (0, 0, 1, 1))


def _reliability(result: EvaluationResult) -> RenderableType:
    items = {"strong": "frames", "weak": "recordings", "marked": "excerpts"}[result.subject.kind]
    grid = _table("probability", f"labels of {items}", "mean", "annotated")
    for each in result.reliability:
        grid.add_row(f"{each.low:.1f} to {each.high:.1f}", str(each.count), f"{each.mean:.3f}", f"{each.share:.3f}")
    return grid


def _confusion(confusion: Confusion) -> RenderableType:
    numbers = [str(number) for number in range(1, len(confusion.labels) + 1)]
    grid = _table("taken for", *numbers)
    for number, label, counts in zip(numbers, confusion.labels, confusion.counts, strict=True):
        cells = (str(count) if count else "·" for count in counts)
        grid.add_row(Text(f"{number} {terminal_text(label)}"), *cells)
    return grid


def _compared(compared: Sequence[Compared]) -> RenderableType:
    grid = _table("prompt", "of", "AP", "95 % interval", "AUROC")
    previous: str | None = ""
    for each in compared:
        if each.label != previous:
            grid.add_section()
        previous = each.label
        of = "all labels" if each.label is None else terminal_text(each.label)
        precision = each.figures.get("average_precision")
        cells = (_number(precision), _interval(precision), _number(each.figures.get("auroc")))
        grid.add_row(Text(terminal_text(each.text)), of, *cells)
    return grid


def _tuning(tuning: Tuning) -> Iterator[RenderableType]:
    titles = [title for name in tuning.before for title in (TITLES[name], "tuned")]
    grid = _table(f"tuned for {tuning.goal}", *titles, "settings")
    for each in tuning.labels:
        pairs = ((each.before.get(name), each.after.get(name)) for name in tuning.before)
        cells = (_number(figure) for pair in pairs for figure in pair)
        grid.add_row(Text(terminal_text(each.label)), *cells, _settings(each.settings))
    yield grid
    for name, before in tuning.before.items():
        summary = (
            f"mean {TITLES[name]} {estimate_text(before)}, tuned {estimate_text(tuning.after[name])}, cross-validated"
        )
        yield Padding(summary, (0, 0, 0, 1))
    missed = [terminal_text(each.label) for each in tuning.labels if each.missed]
    if missed:
        summary = f"no threshold reaches {tuning.goal}, so the nearest was taken: {', '.join(missed)}"
        yield Padding(Text(summary), (0, 0, 0, 1))


def _settings(settings: LabelSettings) -> str:
    known = options_of(EventOptions)
    parts = [f"{known[name].short} {value:g}" for name, value in settings.rules.items() if known[name].short]
    if settings.calibrates:
        parts.append(f"logit x {settings.scale:.2f} {settings.bias:+.2f}")
    return ", ".join(parts)


def _number(estimate: Estimate | None) -> str:
    return NOTHING if estimate is None else f"{estimate.value:.3f}"


def _interval(estimate: Estimate | None) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return NOTHING
    return f"{estimate.low:.3f} to {estimate.high:.3f}"


def _table(first: str, *headers: str) -> Table:
    grid = Table(box=box.SIMPLE_HEAD)
    grid.add_column(first, overflow="fold")
    for header in headers:
        grid.add_column(header, justify="left" if header in ("of", "settings") else "right")
    return grid
