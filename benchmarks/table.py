"""Markdown tables and the numbers in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.contender import Measurement

__all__ = ["HOW_TO_READ", "NOT_MEASURED", "error", "gigabytes", "seconds", "section", "table", "times"]

NOT_MEASURED = "not measured"
HOW_TO_READ = (
    "Seconds are the median of the rounds, with the quickest and the slowest. *mallopt* means that glibc keeps big "
    "freed blocks, which two lines of ctypes do for transformers too. The error is the largest difference from "
    "transformers in float32, relative to the largest number in the output. Products of large square matrices show "
    "what the machine can do: by `torch.matmul`, which on a CPU leaves them to MKL, and by oneDNN on weights that it "
    "has rearranged, which on other processors than Intel's is far quicker."
)


def section(title: str, text: str, *parts: str) -> str:
    """A heading, what is compared, and the tables."""
    return "\n\n".join([f"## {title}", text, *parts])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right of what they are of; what a row lacks at its end was not measured."""
    full = ([*row, *[NOT_MEASURED] * (len(header) - len(row))] for row in rows)
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *full]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def seconds(measured: Measurement) -> str:
    """The median, and the range if there is one."""
    if len(measured.seconds) == 1:
        return f"{measured.median:.3g}"
    return f"{measured.median:.3g} ({min(measured.seconds):.3g} to {max(measured.seconds):.3g})"


def times(slower: float, faster: float) -> str:
    """Return the ratio of two times."""
    return f"{slower / faster:.2f}"


def error(arrays: Sequence[NDArray[np.float32]], exact: Sequence[NDArray[np.float32]]) -> str:
    """The largest difference relative to the largest number, of the array where that is worst."""
    worst = max(
        float(np.abs(array - wanted).max() / np.abs(wanted).max()) for array, wanted in zip(arrays, exact, strict=True)
    )
    return f"{worst:.0e}" if worst else "0"


def gigabytes(n_bytes: int | None) -> str:
    """In units of 10^9 bytes."""
    return NOT_MEASURED if n_bytes is None else f"{n_bytes / 1e9:.2f}"
