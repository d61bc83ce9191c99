"""What can be asked of a recording, and where the answers are worked out.

A question makes a :class:`~pe_audio_cli.inference.pipeline.Reducer` for each recording; it can be pickled, and so be asked on
another machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from pe_audio_cli.audio.framing import FRAME_SECONDS, FRAMES_PER_SECOND, OverlapAdd, WindowOptions
from pe_audio_cli.detection.events import EventOptions, find_events
from pe_audio_cli.detection.label_settings import SettingsFile
from pe_audio_cli.detection.options import PerLabel
from pe_audio_cli.detection.scoring import TagOptions, aggregate, logits, probabilities, rank
from pe_audio_cli.errors import UsageError
from pe_audio_cli.inference.frame_store import FrameStore
from pe_audio_cli.inference.labels import check_labels, fill_template
from pe_audio_cli.inference.pipeline import CodecStore, EncodedWindow, Encoder, OnPiece, Reducer, encode
from pe_audio_cli.results import FileError, LocalizeResult, Recording, Tag, TagResult, WindowTags

if TYPE_CHECKING:
    from numpy.typing import NDArray


__all__ = ["EncodeOptions", "Engine", "LocalEngine", "Localizing", "Query", "Question", "Tagging"]

AnswerT = TypeVar("AnswerT", covariant=True)
ResultT = TypeVar("ResultT")

NO_SETTINGS = SettingsFile()


class Question(Protocol[AnswerT]):
    """What is asked of every recording of a run."""

    def reducer(self, encoder: Encoder) -> Reducer[AnswerT]:
        """What makes one recording's answer."""


class Engine(Protocol):
    """What runs recordings through the encoder."""

    def run(
        self, files: Iterable[str | FileError], encoder: Encoder, question: Question[ResultT], encoding: EncodeOptions
    ) -> Iterator[ResultT | FileError]:
        """One answer or error for each of ``files``, in their order."""


class LocalEngine:
    """This process."""

    def run(
        self, files: Iterable[str | FileError], encoder: Encoder, question: Question[ResultT], encoding: EncodeOptions
    ) -> Iterator[ResultT | FileError]:
        """One answer or error for each of ``files``, in their order, as soon as it is there."""
        return encode(
            files,
            encoder,
            encoding.windows,
            lambda: question.reducer(encoder),
            encoding.batch_size,
            encoding.on_piece,
            encoding.spectrograms,
            encoding.sounds,
            encoding.audio_track,
            encoding.store,
        )


@dataclass(frozen=True)
class EncodeOptions:
    """How recordings are run through the encoder; only ``windows`` and ``audio_track`` change results.

    ``spectrograms`` asks for one of each recording, ``sounds`` for the sound of those of up to so many seconds.
    ``audio_track`` is the sound that is heard of a file with several, counted from 1; None is the one that players
    choose. ``engine`` is what runs them, and where; ``store`` keeps codec features of recordings in hand, if that is
    here.

    Raises:
        UsageError: there is no such track.
    """

    windows: WindowOptions
    batch_size: int | None = None
    on_piece: OnPiece | None = None
    spectrograms: bool = False
    sounds: float | None = None
    audio_track: int | None = None
    store: CodecStore | None = None
    engine: Engine = field(default_factory=LocalEngine)

    def __post_init__(self) -> None:
        if self.audio_track is not None and self.audio_track < 1:
            raise UsageError(f"sound tracks are counted from 1: got {self.audio_track}")


@dataclass(frozen=True)
class Query:
    """The labels that are looked for, and for each the embedding of what the model is asked.

    ``calibration``, of shape ``(n_labels, 2)``, is each label's scale and bias on top of the model's own, from settings
    of the name ``calibrated_by``, which is None if the checkpoint carries them; both are None for the model's own
    probabilities.
    """

    labels: tuple[str, ...]
    embeddings: NDArray[np.float32]
    calibration: NDArray[np.float64] | None = None
    calibrated_by: str | None = None

    @classmethod
    def ask(
        cls, encoder: Encoder, labels: Sequence[str], template: str = "{}", settings: SettingsFile = NO_SETTINGS
    ) -> Query:
        """Encode labels: in the words that ``settings`` have for them, else as the template has it.

        Raises :class:`UsageError` if there are none, or the model cannot take one.
        """
        check_labels(labels)
        own = settings.labels
        plain = dict(zip(labels, fill_template(template, labels), strict=True))
        wordings = [
            own[label].wordings if label in own and own[label].wordings else (plain[label],) for label in labels
        ]
        query = cls(tuple(labels), embed_wordings(encoder, wordings))
        if not any(own[label].calibrates for label in labels if label in own):
            return query
        calibration = np.array([(own[label].scale, own[label].bias) if label in own else (1, 0) for label in labels])
        return replace(query, calibration=calibration, calibrated_by=None if settings.carried else settings.name)

    def logits(self, audio: NDArray[np.float32], encoder: Encoder) -> NDArray[np.float64]:
        """How strongly each label is heard, ``(..., n_labels)``, in embeddings of clips or frames, ``(..., dim)``."""
        scores = logits(audio, self.embeddings, encoder.logit_scale, encoder.logit_bias)
        return scores if self.calibration is None else scores * self.calibration[:, 0] + self.calibration[:, 1]

    def model_name(self, encoder: Encoder) -> str:
        """What gives the probabilities: the model, perhaps calibrated."""
        return encoder.name if self.calibrated_by is None else f"{encoder.name}, calibrated by {self.calibrated_by}"


def embed_wordings(encoder: Encoder, wordings: Sequence[Sequence[str]]) -> NDArray[np.float32]:
    """Text embeddings of shape ``(len(wordings), dim)``, each the mean of those of one or several wordings.

    A logit is linear in the text's embedding, so that the mean embedding gives the mean logit.
    """
    distinct = list(dict.fromkeys(text for texts in wordings for text in texts))
    embeddings = encoder.encode_text(distinct)
    rows = {text: row for row, text in enumerate(distinct)}
    return np.stack([embeddings[[rows[text] for text in texts]].mean(axis=0) for texts in wordings])


@dataclass(frozen=True)
class Tagging:
    """How probable each label is: a :class:`Question`."""

    query: Query
    options: TagOptions | PerLabel[TagOptions]

    def reducer(self, encoder: Encoder) -> Reducer[TagResult]:
        """What makes one recording's tags."""
        return _Tagger(encoder, self.query, PerLabel.lift(self.options))


@dataclass(frozen=True)
class Localizing:
    """When each label is heard: a :class:`Question`; with ``frames``, the frame probabilities too."""

    query: Query
    options: EventOptions | PerLabel[EventOptions]
    frames: bool = False

    def reducer(self, encoder: Encoder) -> Reducer[LocalizeResult]:
        """What makes one recording's events."""
        return _Localizer(encoder, self.query, PerLabel.lift(self.options), self.frames)


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
        return TagResult(recording, self._query.model_name(self._encoder), len(rows), overall, per_window)

    def _rank(self, row: NDArray[np.float32]) -> tuple[Tag, ...]:
        return rank(self._query.labels, row, self._options.top_k, self._thresholds)


class _Localizer:
    """A :class:`~pe_audio_cli.inference.pipeline.Reducer`: one timeline, stitched as the windows come."""

    def __init__(self, encoder: Encoder, query: Query, options: PerLabel[EventOptions], frames: bool) -> None:
        self._encoder, self._query, self._options = encoder, query, options
        self._frames = frames
        self._stitcher = OverlapAdd()
        self._timeline = FrameStore(query.labels)

    def score(self, window: EncodedWindow) -> tuple[int, NDArray[np.float64]]:
        scores = self._query.logits(window.frames, self._encoder)
        return window.start_frame, scores.T

    def add(self, scored: tuple[int, NDArray[np.float64]]) -> None:
        self._keep(self._stitcher.add(*scored))

    def finish(self, recording: Recording) -> LocalizeResult:
        self._keep(self._stitcher.finish())
        return LocalizeResult(
            recording,
            self._query.model_name(self._encoder),
            FRAME_SECONDS,
            self._options.default.threshold,
            self._query.labels,
            find_events(self._timeline, recording.duration, self._options),
            self._timeline if self._frames else None,
            {label: self._options.of(label).threshold for label in self._query.labels if label in self._options.own},
        )

    def _keep(self, scores: NDArray[Any] | None) -> None:
        if scores is not None:
            self._timeline.append(probabilities(scores))
