"""The axes and colour scales of pictures: times, hertz, decibels, probabilities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import XAxis
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap

from pe_audio_cli.formats.text_chart import DAY, HOUR, MINUTE, STEPS
from pe_audio_cli.plots.figure import PALE, PixelFigure
from pe_audio_cli.plots.text import SMALL, measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "LEVEL_COLOURS",
    "LEVEL_RANGE",
    "TAG_COLOURS",
    "band_position",
    "colour_bar",
    "hertz_ticks",
    "probability_colours",
    "swatch",
    "time_axis",
]

MOST_TICKS = 15

OCTAVES = (250, 500, 1_000, 2_000, 4_000, 8_000, 16_000)  # Hz
LEVEL_COLOURS = "magma"
LEVEL_RANGE = 80  # decibels, from black to the brightest
TAG_COLOURS = LinearSegmentedColormap.from_list("tag", ["#e3edf7", "#6aaed6", "#08306b"])
BELOW = ("#ffffff", "#c9c9c9")  # from probability 0 up to the threshold
ABOVE = ("#a6d3ec", "#08306b")  # from the threshold up to 1
N_COLOURS = 1_000  # thresholds of up to three decimals fall between two of them
BAR_WIDTH, BAR_HEIGHT = 220, 12  # pixels, as all below
SWATCH_WIDTH = 32
GAP = 10  # between a name and its colours


def time_axis(axis: XAxis, duration: float) -> str:
    """Set ticks from 0 to ``duration`` seconds; returns their unit, ``s``, ``min:s`` or ``h:min``."""
    days = math.ceil(duration / (MOST_TICKS * DAY))
    step = next((step for step in STEPS if duration / step <= MOST_TICKS), days * DAY)
    ticks = np.arange(math.floor(duration / step) + 1) * step
    unit = "s" if duration < MINUTE else "min:s" if duration < HOUR else "h:min"
    axis.set_ticks(ticks, labels=[_clock(tick, unit) for tick in ticks])
    return unit


def _clock(seconds: float, unit: str) -> str:
    if unit == "s":
        return f"{seconds:g}"
    large, small = divmod(round(seconds if unit == "min:s" else seconds / MINUTE), 60)
    return f"{large}:{small:02}"


def hertz_ticks(frequencies: NDArray[np.float64], highest: float) -> tuple[list[float], list[str]]:
    """Octaves up to ``highest`` Hz: their places among bands whose centres are ``frequencies``, and their names."""
    shown = [hertz for hertz in OCTAVES if frequencies[0] <= hertz <= highest]
    return [band_position(hertz, frequencies) for hertz in shown], [
        f"{hertz} Hz" if hertz < 1_000 else f"{hertz // 1_000} kHz" for hertz in shown
    ]


def band_position(hertz: float, frequencies: NDArray[np.float64]) -> float:
    """Return the position of a frequency among bands, the first of which reaches from 0 to 1."""
    return float(np.interp(hertz, frequencies, np.arange(len(frequencies)) + 0.5, right=len(frequencies)))


def probability_colours(threshold: float) -> Colormap:
    """White to grey up to the threshold, light to dark blue above it: darker is more probable throughout."""
    above = round(N_COLOURS * (1 - threshold))
    ramps = [(BELOW, N_COLOURS - above), (ABOVE, above)]
    colours = [LinearSegmentedColormap.from_list("", ends)(np.linspace(0, 1, n)) for ends, n in ramps if n > 0]
    return ListedColormap(np.concatenate(colours))


def colour_bar(
    figure: PixelFigure,
    name: str,
    left: float,
    top: float,
    colours: Colormap | str,
    ends: tuple[float, float],
    unit: str = "",
) -> Axes:
    """Draw the legend of a colour scale: ``name``, and a bar from ``ends[0]`` to ``ends[1]``."""
    figure.text(left, top + BAR_HEIGHT / 2, name, SMALL)
    axes = figure.axes(f"{name} colours", left + measure(name, SMALL) + GAP, top, BAR_WIDTH, BAR_HEIGHT)
    axes.imshow(np.linspace(0, 1, N_COLOURS)[None], cmap=colours, aspect="auto", extent=(*ends, 0, 1))
    axes.set_yticks([])
    axes.set_xticks(ends, labels=[f"{end:g}{unit}" for end in ends])
    return axes


def swatch(figure: PixelFigure, name: str, left: float, top: float, fill: str, outline: str = PALE) -> None:
    """Draw the legend of one colour: a small box, and ``name``."""
    axes = figure.axes(name, left, top, SWATCH_WIDTH, BAR_HEIGHT)
    axes.set(xticks=[], yticks=[], facecolor=fill)
    axes.spines[:].set(color=outline)
    figure.text(left + SWATCH_WIDTH + GAP, top + BAR_HEIGHT / 2, name, SMALL)
