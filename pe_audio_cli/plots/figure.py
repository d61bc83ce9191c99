"""A figure with a layout in pixels from its top left corner, reproducible on every machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pe_audio_cli.plots.text import DPI, NORMAL, SMALL, families, points

__all__ = ["INK", "PALE", "PixelFigure", "pixel_figure"]

INK, PALE = "#1c1c1c", "#6b6b6b"

# Dates and random names are left out, so that the same result makes the same file.
METADATA: dict[str, dict[str, str | None]] = {
    "png": {"Software": "peaudio"},
    "svg": {"Creator": "peaudio", "Date": None},
    "pdf": {"Creator": "peaudio", "CreationDate": None},
}


class PixelFigure:
    """A figure of ``width`` and ``height`` pixels; make one with :func:`pixel_figure`."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self._figure = Figure((width / DPI, height / DPI), dpi=DPI)

    def axes(self, name: str, left: float, top: float, width: float, height: float) -> Axes:
        """Axes in a rectangle; in an SVG file their background is called ``name``."""
        bottom = self.height - top - height
        place = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        axes = self._figure.add_axes(place)
        axes.patch.set_gid(name)
        axes.tick_params(labelsize=points(SMALL), color=PALE, labelcolor=INK, length=4)
        axes.spines[:].set(color=PALE, linewidth=points(1))
        # Lines snap to the pixel right of and below their place, where these two would hide what begins there.
        axes.spines[["left", "top"]].set_position(("outward", points(1)))
        return axes

    def text(self, x: float, y: float, text: str, size: int = NORMAL, **more: Any) -> None:
        """Text, made safe by :func:`~pe_audio_cli.plots.text.fit`, its middle ``y`` pixels from the top."""
        more = {"color": INK, "va": "center", **more}
        self._figure.text(x / self.width, 1 - y / self.height, text, fontsize=points(size), **more)

    def save(self, stream: BinaryIO, kind: str) -> None:
        """Write the picture: ``kind`` is one of ``png``, ``svg``, ``pdf``."""
        self._figure.savefig(stream, format=kind, metadata=METADATA[kind])


@contextlib.contextmanager
def pixel_figure(width: float, height: float) -> Iterator[PixelFigure]:
    """Make a figure to draw on and to save, in matplotlib's default style, whatever the user's settings are."""
    own = {
        "font.family": list(families()),
        "text.hinting": "none",  # letters as wide in pixels as they were measured
        "text.parse_math": False,
        "svg.hashsalt": "peaudio",
    }
    with style.context(["default", own]):
        yield PixelFigure(width, height)
