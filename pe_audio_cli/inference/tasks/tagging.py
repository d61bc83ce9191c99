"""The tagging task: the probability of each label in a recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pe_audio_cli.audio.framing import FRAMES_PER_SECOND
from pe_audio_cli.detection.scoring import aggregate, probabilities, rank
from pe_audio_cli.inference.pipeline import EncodedWindow, Reducer
from pe_audio_cli.models.encoder import Encoder
from pe_audio_cli.options import PerLabel, TagOptions
from pe_audio_cli.results import Recording, Tag, TagResult, WindowTags

if TYPE_CHECKING:
    from numpy.typing import NDArray
from pe_audio_cli.inference.tasks.query import Query

__all__ = ["Tagging"]


@dataclass(frozen=True)
class Tagging:
    """The :class:`Task` of tagging."""

    query: Query
    options: TagOptions | PerLabel[TagOptions]

    def reducer(self, encoder: Encoder) -> Reducer[TagResult]:
        """Return a new reducer to the tags of one recording."""
        return _Tagger(encoder, self.query, PerLabel.lift(self.options))


class _Tagger:
    """A :class:`~pe_audio_cli.inference.pipeline.Reducer`: the clip logits of each window."""

    def __init__(self, encoder: Encoder, query: Query, options: PerLabel[TagOptions]) -> None:
        self._encoder, self._query, self._options = encoder, query, options.default
        thresholds = [options.of(label).threshold for label in query.labels]
        self._thresholds = [-np.inf if threshold is None else threshold for threshold in thresholds]
        self._windows: list[tuple[int, int]] = []  # first frame, and the frame after the last
        self._rows: list[NDArray[np.float32]] = []  # probabilities of shape (n_labels,)

    def score(self, window: EncodedWindow) -> tuple[int, int, NDArray[np.float32]]:
        scores = self._query.logits(window.clip, self._encoder)
        return window.start_frame, window.start_frame + len(window.frames), probabilities(scores)

    def add(self, scored: tuple[int, int, NDArray[np.float32]]) -> None:
        first, stop, row = scored
        self._windows.append((first, stop))
        self._rows.append(row)

    def finish(self, recording: Recording) -> TagResult:
        options, rows = self._options, np.stack(self._rows)
        overall = self._rank(aggregate(rows, options.aggregate))
        per_window = None
        if options.per_window:
            per_window = tuple(
                WindowTags(
                    first / FRAMES_PER_SECOND, min(stop / FRAMES_PER_SECOND, recording.duration), self._rank(row)
                )
                for (first, stop), row in zip(self._windows, rows, strict=True)
            )
        query = self._query
        return TagResult(recording, query.model_name(self._encoder), len(rows), overall, per_window, query.taught)

    def _rank(self, row: NDArray[np.float32]) -> tuple[Tag, ...]:
        return rank(self._query.labels, row, self._options.top_k, self._thresholds)
