"""The labels of a run: typed, read from files, or from the sets that ship with the tool.

A set is that of a data set, in ``label_sets/``: a line for each of its classes, with the class's name as the data set
spells it, a tab, and the label to ask for. Or it is that of a shipped checkpoint: the labels that this suggests itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pe_audio_cli import _paths
from pe_audio_cli._small_files import read_small
from pe_audio_cli.errors import UsageError
from pe_audio_cli.models import registry
from pe_audio_cli.models.label_text import check_label_text

__all__ = [
    "LabelOptions",
    "check_labels",
    "class_labels",
    "fill_template",
    "gather_labels",
    "label_set",
    "label_set_names",
]

SETS = Path(__file__).parent.parent / "label_sets"
PLACE = "{}"  # what stands for the label in a template


@dataclass(frozen=True)
class LabelOptions:
    """The sources of labels, in order.

    ``lists`` are comma-separated; ``verbatim`` are taken whole, commas and all; ``files`` hold one a line; ``sets``
    are names of shipped sets.
    """

    lists: Sequence[str] = ()
    verbatim: Sequence[str] = ()
    files: Sequence[Path] = ()
    sets: Sequence[str] = ()


def gather_labels(options: LabelOptions) -> list[str]:
    """Return all labels, in order, each once; empty if none is given.

    Raises :class:`UsageError` for a label that is blank, too long or not UTF-8, an unreadable or empty file, an unknown
    set, or a list without labels.
    """
    labels: list[str] = []
    for text in options.lists:
        items = [item.strip() for item in text.split(",")]
        labels += _some([item for item in items if item], "--labels names no label")
    for label in options.verbatim:
        labels += _some([label.strip()] if label.strip() else [], "--label is blank")
    for file in options.files:
        labels += _some(_read_lines(file), f"{file} holds no label: write one a line")
    for name in options.sets:
        labels += label_set(name)
    check_label_text(labels)
    return list(dict.fromkeys(labels))


def check_labels(labels: Sequence[str]) -> None:
    """Raise :class:`UsageError` if there is no label, or one that no model accepts."""
    if not labels:
        raise UsageError(
            "no labels given, and this checkpoint has no default labels: name some with --labels 'a dog barking,rain' "
            "or --labels-file FILE"
        )
    check_label_text(labels)


def fill_template(template: str, labels: Iterable[str]) -> list[str]:
    """Return the prompt of each label: the template with the label in place of ``{}``.

    Raises :class:`UsageError` for a template without ``{}``.
    """
    if PLACE not in template:
        raise UsageError(f"--template {template!r} has no {PLACE} in it to stand for the label")
    return [template.replace(PLACE, label) for label in labels]


def label_set_names() -> list[str]:
    """The names of the shipped label sets."""
    return sorted(_label_sets())


def label_set(name: str) -> list[str]:
    """The labels of a shipped set, in the order of its source.

    Raises :class:`UsageError` if there is none of that name.
    """
    sets = _label_sets()
    if name not in sets:
        raise UsageError(f"there is no label set {name!r}: choose from {', '.join(sorted(sets))}")
    return [line.rpartition("\t")[2] for line in _labels_in(sets[name].read_text(encoding="utf-8"))]


def class_labels(name: str) -> dict[str, str]:
    """Return the prompt of each class of a data set, by the class's name; empty if there is no such set."""
    file = _data_sets().get(name)
    lines = [] if file is None else _labels_in(file.read_text(encoding="utf-8"))
    return dict(line.split("\t") for line in lines)


def _data_sets() -> dict[str, Path]:
    return {file.stem: file for file in SETS.glob("*.tsv")}


def _label_sets() -> dict[str, Path]:
    return _data_sets() | {file.parent.name: file for file in registry.SHIPPED.glob("*/labels.txt")}


def _read_lines(file: Path) -> list[str]:
    try:
        text = read_small(file).decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read the label file {file}: {_paths.reason(error)}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the label file {file} is not UTF-8 (byte {error.start}): save it as UTF-8") from error
    return _labels_in(text)


def _labels_in(text: str) -> list[str]:
    # Not splitlines(), which also cuts at characters that may stand inside a label.
    lines = (line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return [line for line in lines if line and not line.startswith("#")]


def _some(labels: list[str], complaint: str) -> list[str]:
    if not labels:
        raise UsageError(complaint)
    return labels
