"""The prompts of each name in an annotation: one text or several that describe the sound to the model."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pe_audio_cli.errors import AnnotationError
from pe_audio_cli.evaluation.annotations.formats import read_text
from pe_audio_cli.evaluation.annotations.rows import Problem
from pe_audio_cli.evaluation.annotations.tables import Line

__all__ = ["TEMPLATES", "LabelPrompt", "label_prompts", "read_map"]

# The templates that are compared if none are given.
TEMPLATES = ("{}", "the sound of {}", "a recording of {}", "{} can be heard", "{} in the background")


@dataclass(frozen=True, slots=True)
class LabelPrompt:
    """The prompts of a label, which is scored by the mean logit of all ``texts``.

    ``template`` or ``text`` is set if the prompts are those of one template or one text only, for comparisons.
    """

    label: str
    texts: tuple[str, ...]
    template: str | None = None
    text: str | None = None


def read_map(path: str) -> dict[str, tuple[str, ...]]:
    """Read the prompts of each name: a name in the first cell of a row, its prompts in the others.

    Blank lines and those that begin with # are skipped. Raises :class:`AnnotationError` with all problems in it.
    """
    prompts: dict[str, tuple[str, ...]] = {}
    problems = []
    for line in _lines(path, read_text(path)):
        if isinstance(line, Problem):
            problems.append(line)
            continue
        name, *texts = (cell.strip() for cell in line.cells)
        if name in prompts:
            problems.append(Problem(line.where, f"{name!r} has prompts already: put all of them in one row"))
        elif not name or not any(texts):
            problems.append(Problem(line.where, "not a name and its prompts, separated by commas or tabs"))
        else:
            prompts[name] = tuple(dict.fromkeys(text for text in texts if text))
    if problems:
        raise AnnotationError([str(problem) for problem in problems])
    return prompts


def _lines(path: str, text: str) -> Iterator[Line | Problem]:
    separator = "\t" if "\t" in text else ","
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        where = f"{path}, row {number}"
        if line.strip() and not line.startswith("#"):
            try:
                yield Line(where, next(csv.reader([line], delimiter=separator, strict=True)))
            except csv.Error:
                yield Problem(where, "a cell begins with a quotation mark, but does not end with one")


def label_prompts(
    labels: Sequence[str],
    prompts: Mapping[str, Sequence[str]],
    templates: Sequence[str],
    compared: Sequence[str] | None = None,
) -> list[LabelPrompt]:
    """Return the label prompts of an evaluation.

    First, for each label, all its prompts in all ``templates`` together; then, if templates are ``compared``, all
    labels in each of those alone, and each label with several prompts in each of them alone.
    """
    words = {label: tuple(prompts.get(label, (label,))) for label in labels}
    together = [LabelPrompt(label, _filled(templates, words[label])) for label in labels]
    if compared is None:
        return together
    of_templates = [
        LabelPrompt(label, _filled([template], words[label]), template=template)
        for template in compared
        for label in labels
    ]
    of_prompts = [
        LabelPrompt(label, _filled(templates, [text]), text=text)
        for label in labels
        if len(words[label]) > 1
        for text in words[label]
    ]
    return together + of_templates + of_prompts


def _filled(templates: Sequence[str], texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(template.replace("{}", text) for template in templates for text in texts))
