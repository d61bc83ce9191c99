"""A loaded model, and what can be asked of it: the Python API, on which the commands stand too.

::

    from pe_audio_cli import load

    model = load("base")
    for result in model.tag("recordings/", ["a dog barking", "rain"]):
        print(result)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from pe_audio_cli.audio.find import find_recordings
from pe_audio_cli.audio.windows import FRAME_SECONDS, FRAMES_PER_SECOND, Stitcher, WindowOptions
from pe_audio_cli.detect.events import EventOptions, find_events
from pe_audio_cli.detect.options import PerLabel
from pe_audio_cli.detect.scoring import TagOptions, aggregate, logits, probabilities, rank
from pe_audio_cli.detect.settings import SettingsFile
from pe_audio_cli.results import EmbedResult, FileError, LocalizeResult, Recording, Tag, TagResult, WindowTags
from pe_audio_cli.run.embedding import EMBEDDERS, TASK_OF_UNIT, Unit, check_unit
from pe_audio_cli.run.labels import check_labels, fill_template
from pe_audio_cli.run.memo import MemoEncoder
from pe_audio_cli.run.pipeline import EncodedWindow, Encoder, OnPiece, encode
from pe_audio_cli.run.spool import FrameSpool

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pe_audio_cli.model.encoder import DeviceOptions
    from pe_audio_cli.model.registry import ModelOptions, Task

__all__ = ["EncodeOptions", "Model", "Query", "embed", "load", "localize", "tag", "window_options"]

Paths: TypeAlias = "str | os.PathLike[str] | Iterable[str | os.PathLike[str]]"
Labels: TypeAlias = "str | Sequence[str] | None"

DEFAULT_WINDOW = 30.0  # seconds, the length of the pieces on which the published checkpoints were trained
OVERLAP_OF_WINDOW = {"tag": 0.0, "localize": 1 / 6}  # events near a seam are heard from both of its sides
NO_SETTINGS = SettingsFile()
TOP_OF_DEFAULT_LABELS = 5  # shown where the labels are the checkpoint's own


def window_options(task: Task, window: float | None = DEFAULT_WINDOW, overlap: float | None = None) -> WindowOptions:
    """How recordings are cut for a task; ``overlap`` None is the task's own: none for tag, 5 s of 30 for localize."""
    if overlap is None:
        overlap = 0.0 if window is None else window * OVERLAP_OF_WINDOW[task]
    return WindowOptions(window, overlap)


@dataclass(frozen=True)
class Query:
    """The labels that are looked for, and for each the embedding of what the model is asked.

    ``calibration``, of shape ``(n_labels, 2)``, is each label's scale and bias on top of the model's own, from settings
    of the name ``calibrated_by``; both are None for the model's own probabilities.
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
        return replace(query, calibration=calibration, calibrated_by=settings.name)

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
class EncodeOptions:
    """How recordings are run through the encoder; only ``windows`` changes results.

    ``spectrograms`` asks for one of each recording, ``sounds`` for the sound of those of up to so many seconds.
    """

    windows: WindowOptions
    batch_size: int | None = None
    on_piece: OnPiece | None = None
    on_warning: Callable[[str, str], None] | None = None
    spectrograms: bool = False
    sounds: float | None = None

    def warn(self, recording: Recording, warning: str | None) -> None:
        """Pass on what was amiss with a recording, if anything was and anybody wants to know."""
        if warning is not None and self.on_warning is not None:
            self.on_warning(recording.file, warning)


def tag(
    files: Iterable[str | FileError],
    encoder: Encoder,
    query: Query,
    options: TagOptions | PerLabel[TagOptions],
    encoding: EncodeOptions,
) -> Iterator[TagResult | FileError]:
    """The clip-level probability of each label, recording by recording, in order."""
    return encode(
        files,
        encoder,
        encoding.windows,
        lambda: _Tagger(encoder, query, PerLabel.lift(options), encoding),
        encoding.batch_size,
        encoding.on_piece,
        encoding.spectrograms,
        encoding.sounds,
    )


def localize(
    files: Iterable[str | FileError],
    encoder: Encoder,
    query: Query,
    options: EventOptions | PerLabel[EventOptions],
    encoding: EncodeOptions,
    frames: bool = False,
) -> Iterator[LocalizeResult | FileError]:
    """When each label is heard, recording by recording, in order; with ``frames``, the frame probabilities too."""
    return encode(
        files,
        encoder,
        encoding.windows,
        lambda: _Localizer(encoder, query, PerLabel.lift(options), encoding, frames),
        encoding.batch_size,
        encoding.on_piece,
        encoding.spectrograms,
        encoding.sounds,
    )


def embed(
    files: Iterable[str | FileError], encoder: Encoder, per: Unit, encoding: EncodeOptions
) -> Iterator[EmbedResult | FileError]:
    """The audio embeddings themselves, one for each recording, window or frame; recording by recording, in order."""
    embedder = EMBEDDERS[per]
    return encode(
        files,
        encoder,
        encoding.windows,
        lambda: embedder(encoder, encoding.warn),
        encoding.batch_size,
        encoding.on_piece,
    )


class _Tagger:
    """A :class:`~pe_audio_cli.run.pipeline.Reducer`: the clip logits of each window."""

    def __init__(self, encoder: Encoder, query: Query, options: PerLabel[TagOptions], encoding: EncodeOptions) -> None:
        self._encoder, self._query, self._options, self._encoding = encoder, query, options.default, encoding
        thresholds = [options.of(label).threshold for label in query.labels]
        self._thresholds = [-np.inf if threshold is None else threshold for threshold in thresholds]
        self._windows: list[tuple[int, int]] = []  # first frame, and the frame after the last
        self._rows: list[NDArray[np.float32]] = []  # probabilities of shape (n_labels,)

    def add(self, window: EncodedWindow) -> None:
        scores = self._query.logits(window.clip, self._encoder)
        self._rows.append(probabilities(scores))
        self._windows.append((window.start_frame, window.start_frame + len(window.frames)))

    def finish(self, recording: Recording, warning: str | None) -> TagResult:
        self._encoding.warn(recording, warning)
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
    """A :class:`~pe_audio_cli.run.pipeline.Reducer`: one timeline, stitched as the windows come."""

    def __init__(
        self, encoder: Encoder, query: Query, options: PerLabel[EventOptions], encoding: EncodeOptions, frames: bool
    ) -> None:
        self._encoder, self._query, self._options, self._encoding = encoder, query, options, encoding
        self._frames = frames
        self._stitcher = Stitcher()
        self._timeline = FrameSpool(query.labels)

    def add(self, window: EncodedWindow) -> None:
        scores = self._query.logits(window.frames, self._encoder)
        self._keep(self._stitcher.add(window.start_frame, scores.T))

    def finish(self, recording: Recording, warning: str | None) -> LocalizeResult:
        self._encoding.warn(recording, warning)
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


class Model:
    """A checkpoint to ask questions of, from :func:`load`.

    ``small``, ``base`` and ``large`` stand for two checkpoints each, one trained for clips and one for frames; each is
    loaded when it is first needed. Any other name is one checkpoint for both, and tagging and localizing the same
    recording then costs one pass: what was encoded lately is remembered.
    """

    def __init__(self, options: ModelOptions, device: DeviceOptions | None = None) -> None:
        self._options = options
        self._device = device
        self._encoders: dict[Path, Encoder] = {}

    def encoder(self, task: Task) -> Encoder:
        """The encoder for a task, loaded if need be. Raises :class:`CheckpointError` or :class:`UsageError`."""
        from pe_audio_cli.model.encoder import PeEncoder
        from pe_audio_cli.model.registry import find_checkpoint

        checkpoint = find_checkpoint(self._options, task)
        if checkpoint.folder not in self._encoders:
            self._encoders[checkpoint.folder] = MemoEncoder(PeEncoder(checkpoint, self._device))
        return self._encoders[checkpoint.folder]

    def tag(
        self,
        paths: Paths,
        labels: Labels = None,
        options: TagOptions | None = None,
        *,
        template: str = "{}",
        window: float | None = DEFAULT_WINDOW,
        overlap: float | None = None,
        batch_size: int | None = None,
    ) -> Iterator[TagResult | FileError]:
        """How probable each label is in each recording, in order: what ``peaudio tag`` prints.

        Args:
            paths: files, folders and patterns, one or several.
            labels: plain words, one or several; None asks for the checkpoint's own, the five most probable.
            options: top-k, threshold, aggregation and rows for windows.
            template: wraps every label; ``{}`` stands for it.
            window: seconds of a window; None runs each recording in one pass.
            overlap: seconds that windows share; None is the default of the task.
            batch_size: windows that are encoded at once; None leaves it to the device.

        Yields:
            A result for each recording, or a :class:`FileError` for one that cannot be read.

        Raises:
            UsageError: there are no labels, or an option is out of its range.
            CheckpointError: the model cannot be loaded.
        """
        if options is None:
            options = TagOptions(top_k=TOP_OF_DEFAULT_LABELS) if labels is None else TagOptions()
        encoding = EncodeOptions(window_options("tag", window, overlap), batch_size)
        encoder = self.encoder("tag")
        query = Query.ask(encoder, _several(labels, encoder.default_labels), template)
        return tag(find_recordings(_paths(paths)), encoder, query, options, encoding)

    def localize(
        self,
        paths: Paths,
        labels: Labels = None,
        options: EventOptions | None = None,
        *,
        template: str = "{}",
        frames: bool = False,
        window: float | None = DEFAULT_WINDOW,
        overlap: float | None = None,
        batch_size: int | None = None,
    ) -> Iterator[LocalizeResult | FileError]:
        """When each label is heard in each recording, in order: what ``peaudio localize`` prints.

        Args:
            paths: files, folders and patterns, one or several.
            labels: plain words, one or several; None asks for the checkpoint's own.
            options: threshold, hysteresis, median filter, merging and minimum duration.
            template: wraps every label; ``{}`` stands for it.
            frames: keep the frame probabilities, one every 40 ms.
            window: seconds of a window; None runs each recording in one pass.
            overlap: seconds that windows share; None is the default of the task.
            batch_size: windows that are encoded at once; None leaves it to the device.

        Yields:
            A result for each recording, or a :class:`FileError` for one that cannot be read.

        Raises:
            UsageError: there are no labels, or an option is out of its range.
            CheckpointError: the model cannot be loaded.
        """
        encoding = EncodeOptions(window_options("localize", window, overlap), batch_size)
        encoder = self.encoder("localize")
        query = Query.ask(encoder, _several(labels, encoder.default_labels), template)
        events = EventOptions() if options is None else options
        return localize(find_recordings(_paths(paths)), encoder, query, events, encoding, frames)

    def embed(
        self,
        paths: Paths,
        per: Unit = "recording",
        *,
        window: float | None = DEFAULT_WINDOW,
        overlap: float | None = None,
        batch_size: int | None = None,
    ) -> Iterator[EmbedResult | FileError]:
        """The audio embeddings of each recording, in order: what ``peaudio embed`` writes.

        A label's logit is ``scale * (audio . text) + bias``, with the encoder's ``logit_scale`` and ``logit_bias``, of
        the embeddings as they are, without normalizing. Frames are those that :meth:`localize` judges.

        Args:
            paths: files, folders and patterns, one or several.
            per: ``recording`` (the mean of its windows), ``window`` or ``frame``.
            window: seconds of a window; None runs each recording in one pass.
            overlap: seconds that windows share; None is the default of ``tag``, for frames that of ``localize``.
            batch_size: windows that are encoded at once; None leaves it to the device.

        Yields:
            A result for each recording, or a :class:`FileError` for one that cannot be read.

        Raises:
            UsageError: an option is out of its range.
            CheckpointError: the model cannot be loaded.
        """
        check_unit(per)
        task = TASK_OF_UNIT[per]
        encoding = EncodeOptions(window_options(task, window, overlap), batch_size)
        return embed(find_recordings(_paths(paths)), self.encoder(task), per, encoding)


def load(
    model: str | os.PathLike[str] = "mini",
    *,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    compile: bool = False,
    revision: str | None = None,
    offline: bool = False,
) -> Model:
    """Find a checkpoint and make it ready to :meth:`~Model.tag`, :meth:`~Model.localize` and
    :meth:`~Model.embed`.

    Args:
        model: ``mini``, ``small``, ``base``, ``large``, a local folder, or a hub id.
        device: ``auto`` (CUDA, then MPS, then CPU), or a torch device.
        dtype: ``auto`` (bfloat16 on a CUDA card that has it, else float32), ``float32``, ``bfloat16`` or ``float16``.
        threads: CPU threads; None leaves it to torch.
        compile: compile the audio tower, which pays on long runs.
        revision: a commit, tag or branch of a hub checkpoint.
        offline: never touch the network.
    """
    from pe_audio_cli.model.encoder import DeviceOptions
    from pe_audio_cli.model.registry import ModelOptions

    return Model(ModelOptions(os.fspath(model), revision, offline), DeviceOptions(device, dtype, threads, compile))


def _paths(paths: Paths) -> list[str]:
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    return [os.fspath(path) for path in paths]


def _several(labels: Labels, default: Sequence[str]) -> Sequence[str]:
    if labels is None:
        return default
    return [labels] if isinstance(labels, str) else list(dict.fromkeys(labels))
