"""The embedding task: one embedding of a recording, of each window, or of each frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from pe_audio_cli.audio.framing import FRAMES_PER_SECOND
from pe_audio_cli.audio.overlap_add import OverlapAdd
from pe_audio_cli.errors import UsageError
from pe_audio_cli.formats.memmap import MemmapRows
from pe_audio_cli.results import EmbedResult, Recording

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pe_audio_cli.inference.pipeline import EncodedWindow, Reducer
    from pe_audio_cli.models.encoder import Encoder
    from pe_audio_cli.models.registry import TaskName

__all__ = ["TASK_OF_UNIT", "Embedding", "Unit", "check_unit"]

Unit: TypeAlias = Literal["recording", "window", "frame"]

# Whose checkpoint and windows: a frame's embedding is the one that localize would judge.
TASK_OF_UNIT: dict[Unit, TaskName] = {"recording": "tag", "window": "tag", "frame": "localize"}


def check_unit(per: str) -> None:
    """Raise :class:`UsageError` if there is no such unit."""
    if per not in get_args(Unit):
        raise UsageError(f"there is an embedding per {', '.join(get_args(Unit))}: got {per!r}")


class _Embedder:
    """The base class of all embedders."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def _result(self, recording: Recording, spans: Any, embeddings: NDArray[np.floating[Any]]) -> EmbedResult:
        """``spans``, of shape ``(n, 2)``, are in frames; the last may reach beyond the end of the recording."""
        seconds = np.minimum(np.asarray(spans, np.float64) / FRAMES_PER_SECOND, recording.duration)
        facts = self._encoder.facts
        return EmbedResult(recording, facts.name, facts.fingerprint, seconds[:, 0], seconds[:, 1], embeddings)


class _ClipEmbedder(_Embedder):
    """The base class of embedders that use clip embeddings."""

    def score(self, window: EncodedWindow) -> tuple[int, int, NDArray[np.float32]]:
        # A copy: a slice would keep its whole batch alive.
        return window.start_frame, window.start_frame + len(window.frames), window.clip.copy()


class _RecordingEmbedder(_ClipEmbedder):
    """A :class:`~pe_audio_cli.inference.pipeline.Reducer`: the mean of the windows' clip embeddings.

    A logit is linear in the audio embedding, so that of the mean is the mean of the windows' logits.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self._sum: NDArray[np.float64] | float = 0.0
        self._n_windows = self._n_frames = 0

    def add(self, scored: tuple[int, int, NDArray[np.float32]]) -> None:
        _, self._n_frames, clip = scored
        self._sum = self._sum + clip.astype(np.float64)
        self._n_windows += 1

    def finish(self, recording: Recording) -> EmbedResult:
        mean = np.asarray(self._sum / self._n_windows, np.float32)
        return self._result(recording, [(0, self._n_frames)], mean[None])


class _WindowEmbedder(_ClipEmbedder):
    """A :class:`~pe_audio_cli.inference.pipeline.Reducer`: the clip embedding of each window."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self._clips: list[NDArray[np.float32]] = []
        self._spans: list[tuple[int, int]] = []

    def add(self, scored: tuple[int, int, NDArray[np.float32]]) -> None:
        first, stop, clip = scored
        self._clips.append(clip)
        self._spans.append((first, stop))

    def finish(self, recording: Recording) -> EmbedResult:
        return self._result(recording, self._spans, np.stack(self._clips))


class _FrameEmbedder(_Embedder):
    """A :class:`~pe_audio_cli.inference.pipeline.Reducer`: frame embeddings, faded where windows overlap.

    Fading embeddings is the same as fading logits, as localize does it: these are linear in those.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self._overlap_add = OverlapAdd()
        self._frames = MemmapRows()

    def score(self, window: EncodedWindow) -> tuple[int, NDArray[np.float32]]:
        return window.start_frame, window.frames.T

    def add(self, scored: tuple[int, NDArray[np.float32]]) -> None:
        self._append(self._overlap_add.add(*scored))

    def finish(self, recording: Recording) -> EmbedResult:
        self._append(self._overlap_add.finish())
        frames = self._frames.array()
        first = np.arange(len(frames))
        return self._result(recording, np.stack([first, first + 1], axis=1), frames)

    def _append(self, frames: NDArray[Any] | None) -> None:
        if frames is not None:
            self._frames.append(frames.T)


EMBEDDERS: dict[Unit, Callable[[Encoder], Reducer[EmbedResult]]] = {
    "recording": _RecordingEmbedder,
    "window": _WindowEmbedder,
    "frame": _FrameEmbedder,
}


@dataclass(frozen=True)
class Embedding:
    """The audio embeddings themselves: a :class:`~pe_audio_cli.inference.tasks.base.Task`."""

    per: Unit

    def reducer(self, encoder: Encoder) -> Reducer[EmbedResult]:
        """Return a new reducer to the embeddings of one recording."""
        return EMBEDDERS[self.per](encoder)
