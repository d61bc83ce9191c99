"""Annotated recordings with the model's scores: the input of every metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.audio.framing import FRAME_SECONDS, FRAMES_PER_SECOND
from pe_audio_cli.detection.events import spans
from pe_audio_cli.evaluation.annotations.folder import Annotated
from pe_audio_cli.evaluation.metrics.spans import Spans, active_segments
from pe_audio_cli.options import EventOptions

__all__ = ["Clips", "StrongRecording", "references_of"]


@dataclass(frozen=True)
class StrongRecording:
    """A recording of ``duration`` seconds.

    ``scores`` are the probabilities of its frames without padding, ``(n_labels, n_frames)``; ``references`` are
    each label's, apart from each other, in order, and within the recording.
    """

    scores: NDArray[np.floating[Any]]
    duration: float
    references: Sequence[Spans]

    @cached_property
    def edges(self) -> NDArray[np.float64]:
        """The boundaries of the frames, in seconds, ``(n_frames + 1,)``; the last frame ends with the recording."""
        frames = np.arange(self.scores.shape[1] + 1)
        return np.minimum(frames / FRAMES_PER_SECOND, self.duration)

    def truth(self, label: int) -> NDArray[np.bool_]:
        """True for each frame in which any of the label's references lies, ``(n_frames,)``."""
        return active_segments(self.references[label], self.duration, FRAME_SECONDS)

    def detected(self, label: int, options: EventOptions) -> Spans:
        """Return the label's events, found as by ``peaudio localize``, ``(n, 2)`` in seconds."""
        frames = np.array(spans(self.scores[label], options), np.intp).reshape(-1, 2)
        found: Spans = self.edges[frames]
        return found


@dataclass(frozen=True)
class Clips:
    """Recordings, or excerpts of them, with weak labels: ``scores`` and ``truth``, of shape ``(n_clips, n_labels)``.

    ``known``, of the same shape, is True where the truth is known; None is everywhere. ``owners``, ``(n_clips,)``,
    number the recordings that excerpts are of; None is a recording for each clip.
    """

    scores: NDArray[np.floating[Any]]
    truth: NDArray[np.bool_]
    known: NDArray[np.bool_] | None = None
    owners: NDArray[np.intp] | None = None

    @property
    def single_label(self) -> bool:
        """True if each recording has exactly one label."""
        return self.known is None and bool((self.truth.sum(axis=1) == 1).all())

    @property
    def recordings(self) -> NDArray[np.intp]:
        """The number of each clip's recording, ``(n_clips,)``."""
        return np.arange(len(self.scores)) if self.owners is None else self.owners

    def rows(self, label: int) -> NDArray[np.intp]:
        """The numbers of the clips in which the truth about a label is known."""
        return np.arange(len(self.scores)) if self.known is None else np.flatnonzero(self.known[:, label])


def references_of(annotated: Annotated, labels: Sequence[str], duration: float) -> list[Spans]:
    """Return each label's references, with offsets clipped to the end of the recording."""
    return [
        np.array(
            [(each.onset, min(each.offset, duration)) for each in annotated.references if each.label == label]
        ).reshape(-1, 2)
        for label in labels
    ]
