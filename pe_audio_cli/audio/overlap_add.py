"""One timeline from the frames of overlapping windows."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["OverlapAdd"]

Values: TypeAlias = NDArray[np.floating[Any]]


class OverlapAdd:
    """One timeline from the frames of consecutive windows, in pieces that follow each other without a gap.

    Where windows overlap, the timeline so far fades linearly into the new window across all that they share: to be
    done on logits, where a fade between two opinions is their weighted mean. Where both agree, their value stays as
    it is; a single window comes out bit by bit as it went in. The concatenation of all pieces along their last axis is
    the whole timeline.
    """

    def __init__(self) -> None:
        self._begin = 0
        self._timeline: Values | None = None

    def add(self, start: int, values: Values) -> Values | None:
        """Take the next window, of shape ``(..., n_frames)``, which starts at frame ``start``.

        Returns the frames, of shape ``(..., k)``, that no later window can touch any more, if there are any: those
        before ``start``. Raises ValueError if the window does not start after the previous one, or leaves a gap behind
        it.
        """
        if self._timeline is None:
            self._begin, self._timeline = start, values
            return None
        end = self._begin + self._timeline.shape[-1]
        if not self._begin < start <= end:
            raise ValueError(f"a window that starts at frame {start} does not continue frames {self._begin} to {end}")
        finished = self._timeline[..., : start - self._begin]
        self._timeline = _fade(self._timeline[..., start - self._begin :], values)
        self._begin = start
        return finished

    def finish(self) -> Values | None:
        """The frames of the last window, or None if there was no window."""
        return self._timeline


def _fade(old: Values, new: Values) -> Values:
    """``new``, of shape ``(..., n)``, with ``old``, of shape ``(..., at most n)``, fading out over its beginning."""
    shared = old.shape[-1]
    weight = (np.arange(1, shared + 1) / (shared + 1)).astype(new.dtype)
    return np.concatenate([old + weight * (new[..., :shared] - old), new[..., shared:]], axis=-1)
