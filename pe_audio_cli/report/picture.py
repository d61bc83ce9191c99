"""The spectrogram of a page: quantized to shades, in at most so many columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pe_audio_cli.report.quantize import N_SHADES, deflated, pooled, shades
from pe_audio_cli.results import Spectrogram

__all__ = ["spectrogram_bytes", "spectrogram_facts"]

HERTZ = (125, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000)  # that are marked


def spectrogram_facts(spectrogram: Spectrogram, most_columns: int) -> dict[str, Any]:
    """Its shape, the width of a column in seconds, and how high up the picture, from 0 to 1, some frequencies are."""
    width, (n_columns, n_bands) = _width(spectrogram, most_columns), spectrogram.levels.shape
    heights = (np.interp(HERTZ, spectrogram.frequencies, np.arange(n_bands)) + 0.5) / n_bands
    return {
        "columns": -(-n_columns // width),
        "bands": n_bands,
        "seconds": width * spectrogram.column_seconds,
        "shades": N_SHADES,
        "heights": dict(zip(HERTZ, heights.round(4).tolist(), strict=True)),
    }


def spectrogram_bytes(spectrogram: Spectrogram, most_columns: int) -> Iterator[bytes]:
    """Yield its shades, column by column, as one zlib stream."""
    return deflated([pooled(shades(spectrogram.levels), _width(spectrogram, most_columns)).tobytes()])


def _width(spectrogram: Spectrogram, most_columns: int) -> int:
    """Return the number of a spectrogram's columns that one column of the page covers."""
    return -(-len(spectrogram.levels) // most_columns)
