"""The timeline of one recording: its spectrogram, and under it a band for each label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from pe_audio_cli.formats.text_chart import clock
from pe_audio_cli.plots.figure import PALE, PixelFigure, pixel_figure
from pe_audio_cli.plots.max_pooling import bars, peaks
from pe_audio_cli.plots.scales import (
    LEVEL_COLOURS,
    LEVEL_RANGE,
    band_position,
    colour_bar,
    hertz_ticks,
    probability_colours,
    swatch,
    time_axis,
)
from pe_audio_cli.plots.text import LARGE, NORMAL, SMALL, fit, measure, points, printable
from pe_audio_cli.results import LocalizeResult, Recording, Spectrogram

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["draw_timeline"]

WIDTH = 1_200  # pixels, as all below
MARGIN = 24
LEAST_LEFT, MOST_LEFT = 90, 300  # the margin with labels and frequencies
GAP = 10
HEADING = 64
SPECTROGRAM = 300
AXIS = 64  # the times under the bands
LEGEND = 48
BANDS_HEIGHT = 360  # that bands share, as long as each is as high as here:
LEAST_BAND, MOST_BAND = 28, 44  # the lowest has room for two small lines
HEAT, BAR = (0.08, 0.62), (0.70, 0.92)  # top and bottom in a band, whose height is 1

MOST_LABELS = 40
LEAST_LABELS = 5  # that are drawn of labels of which only those with events are
LEAST_BAR = 1.5  # a shorter event is drawn as wide as this
QUIETEST_PEAK = -60  # decibels; a recording with a lower peak looks quiet
AS_IT_IS: dict[str, Any] = {"aspect": "auto", "interpolation": "nearest"}  # smoothing would dim a single peak
LINE = "#d9d9d9"
EVENT, EVENT_FILL = "#c2410c", "#fdba74"


def draw_timeline(result: LocalizeResult, stream: BinaryIO, kind: str, detected_only: bool = False) -> None:
    """Write the picture of one recording: a ``png``, ``svg`` or ``pdf`` of 1200 pixels' width.

    Of more than 40 labels, the 40 with the highest frames are drawn. With ``detected_only`` labels without an event
    have no band, or the five with the highest frames have one if there is no event at all. In an SVG file the bands'
    background is called ``bands``, and the bars of the i-th band from above ``events-i``.

    Raises ValueError if the result has no frame probabilities, or its recording no spectrogram.
    """
    spectrogram = result.recording.spectrogram
    if result.frames is None or spectrogram is None:
        raise ValueError("a picture needs frame probabilities and a spectrogram")
    heat = _heat(result, detected_only)
    band = min(max(BANDS_HEIGHT // len(heat), LEAST_BAND), MOST_BAND)
    height = HEADING + SPECTROGRAM + GAP + band * len(heat) + AXIS + LEGEND
    with pixel_figure(WIDTH, height) as figure:
        names = [_name(label) for label in heat]
        widest = max(measure(line, size) for name, size in names for line in name.split("\n"))
        left = max(round(widest) + GAP, LEAST_LEFT) + MARGIN
        width = WIDTH - left - MARGIN

        _write_heading(figure, result, left, _labels_drawn(result, len(heat), detected_only))
        place = (left, HEADING, width, SPECTROGRAM)
        levels = _draw_spectrogram(figure.axes("spectrogram", *place), spectrogram, result.recording, width)
        top = HEADING + SPECTROGRAM + GAP
        axes = figure.axes("bands", left, top, width, band * len(heat))
        _draw_bands(axes, result, heat, width)
        for index, (name, size) in enumerate(names):
            figure.text(left - GAP, top + (index + 0.5) * band, name, size, ha="right", linespacing=1.0)
        _draw_legend(figure, left, height - LEGEND, levels, result)
        figure.save(stream, kind)


def _heat(result: LocalizeResult, detected_only: bool) -> dict[str, NDArray[np.float32]]:
    """Return the row of each label to draw, in no more columns than there are pixels."""
    assert result.frames is not None
    shown = {event.label for event in result.events} if detected_only else set(result.labels)
    labels = [label for label in result.labels if label in shown] or result.labels
    rows = {label: peaks(result.frames[label], WIDTH - MOST_LEFT - 2 * MARGIN) for label in labels}
    most = MOST_LABELS if shown else LEAST_LABELS
    highest = set(sorted(labels, key=lambda label: -float(rows[label].max()))[:most])
    return {label: rows[label] for label in labels if label in highest}


def _name(label: str) -> tuple[str, int]:
    """Return a label for the side of its band, and its text size: two small lines if it is long."""
    width = MOST_LEFT - GAP
    if measure(printable(label)) <= width:
        return printable(label), NORMAL
    return fit(label, width, SMALL, lines=2), SMALL


def _labels_drawn(result: LocalizeResult, n_drawn: int, detected_only: bool) -> str | None:
    """Return a description of the labels that are drawn, or None if all are."""
    n = len(result.labels)
    if n_drawn == n:
        return None
    if detected_only and n_drawn == len({event.label for event in result.events}):
        return f"the {n_drawn} of {n} labels that were detected"
    return f"the {n_drawn} most probable of {n} labels"


def _write_heading(figure: PixelFigure, result: LocalizeResult, left: float, which_labels: str | None) -> None:
    recording = result.recording
    figure.text(left, 20, fit(recording.file, WIDTH - left - MARGIN, LARGE, keep="end"), LARGE)
    channels = {1: "mono", 2: "stereo"}.get(recording.channels, f"{recording.channels} channels")
    facts = [clock(recording.duration, recording.duration), f"{recording.sample_rate / 1000:g} kHz", channels]
    if which_labels is not None:
        facts.append(which_labels)
    figure.text(left, 42, fit(" · ".join([*facts, result.model]), WIDTH - left - MARGIN, SMALL), SMALL, color=PALE)


def _draw_spectrogram(axes: Axes, spectrogram: Spectrogram, recording: Recording, width: float) -> tuple[float, float]:
    """Fill the axes; returns the levels, in decibels, that are black and brightest."""
    levels = peaks(spectrogram.levels, round(width))
    brightest = max(float(levels.max()), QUIETEST_PEAK)
    ends = (brightest - LEVEL_RANGE, brightest)
    n_columns, n_bands = spectrogram.levels.shape
    extent = (0, n_columns * spectrogram.column_seconds, 0, n_bands)
    axes.imshow(levels.T, cmap=LEVEL_COLOURS, clim=ends, origin="lower", extent=extent, **AS_IT_IS)
    axes.set_xlim(0, recording.duration)
    time_axis(axes.xaxis, recording.duration)
    axes.tick_params(axis="x", labelbottom=False)
    highest = recording.sample_rate / 2
    axes.set_ylim(0, band_position(highest, spectrogram.frequencies))
    places, names = hertz_ticks(spectrogram.frequencies, highest)
    axes.set_yticks(places, labels=names)
    return ends


def _draw_bands(axes: Axes, result: LocalizeResult, heat: Mapping[str, NDArray[np.float32]], width: float) -> None:
    duration = result.recording.duration
    unit = time_axis(axes.xaxis, duration)
    axes.set_xlabel(f"time, {unit}", color=PALE, fontsize=points(SMALL))
    axes.set_xlim(0, duration)
    axes.set_ylim(len(heat), 0)
    axes.set_yticks([])
    axes.hlines(range(1, len(heat)), 0, duration, color=LINE, linewidth=0.8)
    pixel = duration / width
    found = bars(result.events, pixel)
    assert result.frames is not None
    end = len(result.frames[result.labels[0]]) * result.frame_seconds  # of the last frame, which may be padded
    for index, (label, row) in enumerate(heat.items()):
        colours = probability_colours(result.thresholds.get(label, result.threshold))
        extent = (0, end, index + HEAT[1], index + HEAT[0])
        axes.imshow(row[None], cmap=colours, clim=(0, 1), extent=extent, **AS_IT_IS)
        outlines = PolyCollection(
            [_corners(start, max(stop, start + LEAST_BAR * pixel), index) for start, stop in found.get(label, [])],
            facecolors=EVENT_FILL,
            edgecolors=EVENT,
            linewidths=1.0,
            joinstyle="miter",
        )
        outlines.set_gid(f"events-{index}")
        axes.add_collection(outlines, autolim=False)


def _corners(start: float, end: float, index: int) -> list[tuple[float, float]]:
    top, bottom = (index + place for place in BAR)
    return [(start, top), (end, top), (end, bottom), (start, bottom)]


def _draw_legend(
    figure: PixelFigure, left: float, top: float, levels: tuple[float, float], result: LocalizeResult
) -> None:
    threshold = result.threshold
    level_ends = (round(levels[0]), round(levels[1]))
    colour_bar(figure, "level", left, top, LEVEL_COLOURS, level_ends, " dB")
    axes = colour_bar(figure, "probability", left + 320, top, probability_colours(threshold), (0, 1))
    axes.axvline(threshold, color=EVENT, linewidth=1.5)
    title = f"threshold {threshold:g}" + (", or the label's own" if result.thresholds else "")
    axes.set_title(title, x=threshold, pad=4, fontsize=points(SMALL), color=EVENT)
    swatch(figure, "event", left + 660, top, EVENT_FILL, EVENT)
