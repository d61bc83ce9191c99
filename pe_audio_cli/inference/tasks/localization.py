"""The localization task: the events of each label in a recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pe_audio_cli.audio.framing import FRAME_SECONDS
from pe_audio_cli.audio.overlap_add import OverlapAdd
from pe_audio_cli.detection.events import find_events
from pe_audio_cli.detection.scoring import probabilities
from pe_audio_cli.inference.frame_store import FrameStore
from pe_audio_cli.inference.pipeline import EncodedWindow, Reducer
from pe_audio_cli.models.encoder import Encoder
from pe_audio_cli.options import EventOptions, PerLabel
from pe_audio_cli.results import LocalizeResult, Recording

if TYPE_CHECKING:
    from numpy.typing import NDArray
from pe_audio_cli.inference.tasks.query import Query

__all__ = ["Localization"]


@dataclass(frozen=True)
class Localization:
    """The :class:`Task` of finding events; with ``frames``, results hold frame probabilities too."""

    query: Query
    options: EventOptions | PerLabel[EventOptions]
    frames: bool = False

    def reducer(self, encoder: Encoder) -> Reducer[LocalizeResult]:
        """Return a new reducer to the events of one recording."""
        return _Localizer(encoder, self.query, PerLabel.lift(self.options), self.frames)


class _Localizer:
    """A :class:`~pe_audio_cli.inference.pipeline.Reducer`: one timeline, by overlap-add of the windows."""

    def __init__(self, encoder: Encoder, query: Query, options: PerLabel[EventOptions], frames: bool) -> None:
        self._encoder, self._query, self._options = encoder, query, options
        self._frames = frames
        self._overlap_add = OverlapAdd()
        self._timeline = FrameStore(query.labels)

    def score(self, window: EncodedWindow) -> tuple[int, NDArray[np.float64]]:
        scores = self._query.logits(window.frames, self._encoder)
        return window.start_frame, scores.T

    def add(self, scored: tuple[int, NDArray[np.float64]]) -> None:
        self._append(self._overlap_add.add(*scored))

    def finish(self, recording: Recording) -> LocalizeResult:
        self._append(self._overlap_add.finish())
        return LocalizeResult(
            recording,
            self._query.model_name(self._encoder),
            FRAME_SECONDS,
            self._options.default.threshold,
            self._query.labels,
            find_events(self._timeline, recording.duration, self._options),
            self._timeline if self._frames else None,
            {label: self._options.of(label).threshold for label in self._query.labels if label in self._options.own},
            self._query.taught,
        )

    def _append(self, scores: NDArray[Any] | None) -> None:
        if scores is not None:
            self._timeline.append(probabilities(scores))
