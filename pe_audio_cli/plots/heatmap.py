"""The picture of many recordings: a row for each, a column for each label, as dark as it is probable."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pe_audio_cli.plots.figure import INK, PALE, PixelFigure, pixel_figure
from pe_audio_cli.plots.scales import TAG_COLOURS, colour_bar, swatch
from pe_audio_cli.plots.text import LARGE, SMALL, fit, measure, points, printable
from pe_audio_cli.results import TagResult

__all__ = ["TagMap"]

MOST_ROWS, MOST_COLUMNS = 60, 40

LEAST_WIDTH, MOST_WIDTH = 720, 1_200  # pixels, as all below
MARGIN = 24
GAP = 10
MOST_LEFT = 360  # the margin with the names of the recordings
HEADING, LEGEND = 64, 56
ROW = 22
MOST_COLUMN = 150
LINE, MOST_LINES = 15, 6
MOST_TOP = 280  # the margin with the labels, which are vertical where a word is wider than a column
NUMBERS = 40  # the narrowest column with room for a probability

NOTHING = "#f5f5f5"
DARK = 0.65  # the probability from which white is better to read


class TagMap:
    """Takes the results of a run one by one, and holds no more of them than the picture shows.

    Of more than 60 recordings, neighbours share a row, each cell of which shows the highest of them. Labels that all
    results leave out, as with ``--top-k``, have no column; of more than 40 others, the 40 that are the most probable in
    any recording are shown.
    """

    def __init__(self, files: Sequence[str], labels: Sequence[str]) -> None:
        self._folder = _shared_folder(files)
        self._names = [file.removeprefix(self._folder) for file in files]
        self._labels = labels
        self._model = ""
        self._share = -(-len(files) // MOST_ROWS)  # recordings in a row
        n_rows = -(-len(files) // self._share)
        self._cells = np.full((n_rows, len(labels)), np.nan, np.float32)
        self._column = {label: column for column, label in enumerate(labels)}

    def add(self, place: int, result: TagResult) -> None:
        """Take the result of the recording that is at ``place`` among the files."""
        row = place // self._share
        self._before = row, self._cells[row].copy(), self._model
        self._model = result.model
        for tag in result.tags:
            cell = row, self._column[tag.label]
            self._cells[cell] = np.fmax(self._cells[cell], tag.probability)

    def take_back(self) -> None:
        """Undo the last :meth:`add`."""
        row, cells, self._model = self._before
        self._cells[row] = cells

    def draw(self, stream: BinaryIO, kind: str) -> None:
        """Write the picture, a ``png``, ``svg`` or ``pdf``; SVG files call the cells' background ``cells``."""
        shown = self._shown()
        labels = [self._labels[column] for column in shown]
        _draw(self._cells[:, shown], self._row_names(), labels, self._facts(len(shown)), stream, kind)

    def _shown(self) -> NDArray[np.intp]:
        """Return the columns to draw, in order; as many as fit if no recording could be read."""
        highest = np.nan_to_num(self._cells, nan=-1).max(axis=0)
        n_known = np.count_nonzero(highest >= 0)
        n_shown = min(n_known if n_known > 0 else len(highest), MOST_COLUMNS)
        return np.sort(np.argsort(-highest, kind="stable")[:n_shown])

    def _row_names(self) -> list[str]:
        """Return the name of each row: its recording, or the first and the last of those that share it."""
        if self._share == 1:
            return [fit(name, MOST_LEFT, SMALL, keep="end") for name in self._names]
        rows = [self._names[first : first + self._share] for first in range(0, len(self._names), self._share)]
        width = MOST_LEFT / 2 - GAP
        return [" to ".join(fit(name, width, SMALL, keep="end") for name in (row[0], row[-1])) for row in rows]

    def _facts(self, n_shown: int) -> tuple[str, str]:
        """Return the heading, and the line under it."""
        n_labels = len(self._labels)
        rows = f", up to {self._share} in a row: each cell shows the highest of them" if self._share > 1 else ""
        columns = (
            f"the {n_shown} most probable of {n_labels} labels" if n_shown < n_labels else _count(n_labels, "label")
        )
        return f"{_count(len(self._names), 'recording')}{rows}", " · ".join(
            fact for fact in (columns, self._model, self._folder) if fact
        )


def _shared_folder(files: Sequence[str]) -> str:
    """Return the common folder of all files, as their prefix: empty, or with a slash at its end."""
    shared = os.path.commonprefix([file.split(os.sep)[:-1] for file in files])  # noqa: RUF071 - of lists, not strings
    return "".join(folder + os.sep for folder in shared)


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _draw(
    cells: NDArray[np.float32],
    rows: Sequence[str],
    labels: Sequence[str],
    facts: tuple[str, str],
    stream: BinaryIO,
    kind: str,
) -> None:
    left = MARGIN + max(measure(row, SMALL) for row in rows) + GAP
    column = min((MOST_WIDTH - left - MARGIN) / len(labels), MOST_COLUMN)
    upright = any(measure(word, SMALL) > column - GAP for label in labels for word in printable(label).split(" "))
    names = [
        fit(label, MOST_TOP, SMALL) if upright else fit(label, column - GAP, SMALL, MOST_LINES) for label in labels
    ]
    tallest = max(measure(name, SMALL) if upright else LINE * len(name.split("\n")) for name in names)
    top = HEADING + tallest + GAP
    width = max(left + column * len(labels) + MARGIN, LEAST_WIDTH)
    with pixel_figure(width, top + ROW * len(rows) + LEGEND) as figure:
        figure.text(MARGIN, 20, facts[0], LARGE)
        figure.text(MARGIN, 42, fit(facts[1], width - 2 * MARGIN, SMALL), SMALL, color=PALE)
        axes = figure.axes("cells", left, top, column * len(labels), ROW * len(rows))
        _draw_cells(axes, cells, with_numbers=column >= NUMBERS)
        for index, row in enumerate(rows):
            figure.text(left - GAP, top + (index + 0.5) * ROW, row, SMALL, ha="right")
        for index, name in enumerate(names):
            figure.text(
                left + (index + 0.5) * column,
                top - GAP / 2,
                name,
                SMALL,
                ha="center",
                va="bottom",
                rotation=90 * upright,
            )
        _draw_legend(figure, figure.height - LEGEND + 2 * GAP, bool(np.isnan(cells).any()))
        figure.save(stream, kind)


def _draw_cells(axes: Axes, cells: NDArray[np.float32], with_numbers: bool) -> None:
    axes.set(xticks=[], yticks=[], facecolor=NOTHING)
    axes.pcolormesh(cells, cmap=TAG_COLOURS, vmin=0, vmax=1, edgecolors="white", linewidth=1)
    axes.set_ylim(len(cells), 0)
    axes.spines[:].set_visible(False)
    if not with_numbers:
        return
    for (row, column), value in np.ndenumerate(cells):
        if not np.isnan(value):
            colour = "white" if value > DARK else INK
            place = (column + 0.5, row + 0.5)
            axes.text(*place, f"{value:.2f}", fontsize=points(SMALL), color=colour, ha="center", va="center")


def _draw_legend(figure: PixelFigure, top: float, with_nothing: bool) -> None:
    colour_bar(figure, "probability", MARGIN, top, TAG_COLOURS, (0, 1))
    if with_nothing:
        swatch(figure, "failed, or left out", MARGIN + 340, top, NOTHING)
