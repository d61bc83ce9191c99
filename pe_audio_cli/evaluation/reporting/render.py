"""The result of an evaluation as text: JSON and CSV for scripts; ``rich_table`` has the table for people."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from io import StringIO
from typing import Any

from pe_audio_cli.evaluation.metrics.bootstrap import Estimate
from pe_audio_cli.evaluation.reporting.evaluation_result import EvaluationResult
from pe_audio_cli.formats.escaping import cell_text, json_text

__all__ = ["FORMATS", "render"]

SCHEMA = "peaudio.eval/1"
DECIMALS = 6
CSV_HEADER = ("scope", "label", "figure", "value", "low", "high")
FORMATS = ("table", "json", "csv")


def render(result: EvaluationResult, format: str, width: int | None = None) -> str:
    """Return a result in one of the ``FORMATS``; a table is ``width`` columns wide, or as wide as the terminal."""
    if format == "json":
        return _json(result)
    if format == "csv":
        return _csv(result)
    from pe_audio_cli.evaluation.reporting.rich_table import table

    return table(result, width)


def _json(result: EvaluationResult) -> str:
    values = asdict(result)
    if result.tuning is not None:
        for told, tuned in zip(values["tuning"]["labels"], result.tuning.labels, strict=True):
            told["settings"] = tuned.settings.flat()
    if not result.warnings:
        del values["warnings"]
    shape = {"schema": SCHEMA, **values.pop("subject"), **values}
    return json_text(json.dumps(_plain(shape), ensure_ascii=False, allow_nan=False, indent=1)) + "\n"


def _plain(value: Any) -> Any:
    """Return ``value`` without None, the value of missing metrics and parts, and with rounded numbers."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items() if each is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return round(value, DECIMALS) if isinstance(value, float) else value


def _csv(result: EvaluationResult) -> str:
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    writer.writerows(_rows(result))
    return text.getvalue()


def _rows(result: EvaluationResult) -> Iterator[tuple[str, ...]]:
    yield from _figures("overall", "", result.overall)
    for row in result.labels:
        yield ("label", cell_text(row.label), "count", str(row.count), "", "")
        yield ("label", cell_text(row.label), "threshold", f"{row.threshold:g}", "", "")
        yield from _figures("label", row.label, row.figures)
    for each in result.compared:
        scope = "template" if each.label is None else "prompt"
        name = each.text if each.label is None else f"{each.label}: {each.text}"
        yield from _figures(scope, name, each.figures)
    if result.tuning is not None:
        yield from _figures("before tuning", "", result.tuning.before)
        yield from _figures("after tuning", "", result.tuning.after)
        for tuned in result.tuning.labels:
            yield from _figures("before tuning", tuned.label, tuned.before)
            yield from _figures("after tuning", tuned.label, tuned.after)


def _figures(scope: str, label: str, figures: Mapping[str, Estimate]) -> Iterator[tuple[str, ...]]:
    for name, estimate in figures.items():
        numbers = (estimate.value, estimate.low, estimate.high)
        cells = ("" if number is None else f"{number:.{DECIMALS}f}" for number in numbers)
        yield (scope, cell_text(label), name, *cells)
