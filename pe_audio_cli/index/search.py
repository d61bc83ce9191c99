"""Search an index by text or by a recording: the Python API, which the command uses, too.

::

    from pe_audio_cli import Index

    with Index("sounds.index") as index:
        for result in index.search(["glass breaking", "a dog barking"]):
            print(result.query, result.hits[0])

Neither torch nor transformers is loaded for words whose embeddings are in the label cache.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from pe_audio_cli import _paths
from pe_audio_cli.detection.scoring import logit_without, probabilities
from pe_audio_cli.errors import CheckpointError, InputError, StoreError, UsageError
from pe_audio_cli.index.database import Clip, Database
from pe_audio_cli.index.exact_search import Key, QueryVectors, best
from pe_audio_cli.index.schema import damaged
from pe_audio_cli.index.vectors import blocks_of, distrust, is_foreign, is_fresh, refresh
from pe_audio_cli.models.text_cache import LabelCache
from pe_audio_cli.results import FileError, Hit, Measure, SearchResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pe_audio_cli.inference.tasks.query import TaughtLabel
    from pe_audio_cli.models.checkpoint import Checkpoint
    from pe_audio_cli.models.encoder import DeviceOptions, Encoder
    from pe_audio_cli.models.text_cache import Encode

__all__ = ["Index", "SearchOptions"]

FAR = ("\\\\", "//")  # begin paths of Windows that another machine would be asked for
TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Number of hits, and a filter of windows.

    ``k`` is the number of hits, None for all windows in order. ``where`` is a condition in SQL on file, start, "end",
    duration, sample_rate and channels.

    Raises:
        UsageError: a value is out of its range.
    """

    k: int | None = 10
    where: str | None = None

    def __post_init__(self) -> None:
        if self.k is not None and self.k < 1:
            raise UsageError(f"k must be 1 or more, or all: got {self.k}")


class Index:
    """An index that ``peaudio index`` has made, open to be searched; a context manager.

    While it is open, nothing can be added to it. Any number of threads may search it at once.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        model: str | None = None,
        *,
        offline: bool = False,
    ) -> None:
        """Open an index.

        Args:
            path: the file.
            model: where its checkpoint is now, a name or hub id that may be fetched; None is where it was when the
                index was made, and fetches nothing.
            offline: never touch the network.

        Raises:
            StoreError: there is no index, or it is damaged, in use, of another version or of another model.
            CheckpointError: there is no such model.
        """
        self._model, self._offline = model, offline
        self._lock = threading.Lock()  # of what is better done once than by every thread
        self._database = Database.open(Path(path))
        self.about = self._database.about
        try:
            if model is not None:
                self._checkpoint()
            self.n_recordings, self.n_windows = self._database.counts()
            if self.n_windows == 0:
                raise StoreError(f"{path} holds no recording: add some with peaudio index PATH... --index {path}")
        except BaseException:
            self.close()
            raise

    def search(
        self,
        queries: str | Sequence[str],
        options: SearchOptions | None = None,
        *,
        without: str | Sequence[str] = (),
        taught: Mapping[str, TaughtLabel] | None = None,
    ) -> list[SearchResult]:
        """Return the windows with the highest probability of each query, and of nothing in ``without``.

        The order of hits is that of the model's logits, from embeddings as they are: without ``without`` it is the very
        order of ``tag``.

        Args:
            queries: plain words, one or several; each is searched for by itself.
            options: how many hits, and among which windows.
            without: descriptions of sounds that must not be present.
            taught: labels that were learned from examples; a query of the name of one is that label.

        Raises:
            UsageError: there is no query, one is too long for the model, or a condition does not work.
            CheckpointError: the model is needed for new words, and cannot be loaded.
            StoreError: the index is damaged, or its model has changed.
        """
        texts = _several(queries)
        if not texts:
            raise UsageError("name what to search for, in plain words or with --like FILE")
        learned = {text: taught[text] for text in texts if taught and text in taught}
        for text, label in learned.items():
            self._check_width(text, label)
        prompted = iter(self._embed([text for text in texts if text not in learned]))
        wanted = np.stack([learned[text].embedding if text in learned else next(prompted) for text in texts])
        own_keys = {at: self._key(learned[text].bias) for at, text in enumerate(texts) if text in learned}
        vectors = QueryVectors(wanted, self._embed(_several(without)), self._key(), own_keys)
        results = self._best(texts, vectors, "probability", options)
        return [replace(result, taught=result.query in learned) for result in results]

    def like(
        self,
        file: str | os.PathLike[str],
        options: SearchOptions | None = None,
        device: DeviceOptions | None = None,
        encoder: Encoder | None = None,
    ) -> SearchResult:
        """Return the windows most similar to a recording, by the cosine of their embeddings.

        A recording of several windows stands for the mean of them.

        Args:
            file: the recording.
            options: how many hits, and among which windows.
            device: where and how the audio tower runs.
            encoder: that of the index's checkpoint, if it is loaded already.

        Raises:
            InputError: the recording cannot be read.
            UsageError: a condition does not work.
            CheckpointError: the model cannot be loaded.
            StoreError: the index is damaged, or its model has changed.
        """
        from pe_audio_cli.audio.addresses import addressed
        from pe_audio_cli.audio.framing import WindowOptions
        from pe_audio_cli.inference.runner import embed
        from pe_audio_cli.inference.tasks.base import EncodeOptions

        recording = addressed(os.fspath(file))
        cutting = WindowOptions(self.about.window_seconds, self.about.overlap_seconds)
        encoder = self.load_encoder(device) if encoder is None else encoder
        (embedded,) = embed([recording], encoder, "recording", EncodeOptions(cutting))
        if isinstance(embedded, FileError):
            raise InputError(embedded.file, embedded.kind, embedded.message)
        nothing = np.empty((0, self.about.width), np.float32)
        norm = float(np.linalg.norm(embedded.embeddings.astype(np.float64)))
        vectors = QueryVectors(embedded.embeddings, nothing, partial(_alike, norm))
        (result,) = self._best([recording], vectors, "similarity", options)
        return replace(result, warnings=embedded.recording.warnings)

    def load_encoder(self, device: DeviceOptions | None = None) -> Encoder:
        """Load the index's checkpoint. Raises :class:`CheckpointError`, or :class:`StoreError` if it has changed."""
        from pe_audio_cli.models.backends.loading import load_encoder

        with self._lock:
            return load_encoder(self._checkpoint(), device)

    @property
    def is_fresh(self) -> bool:
        """True if the copy that searches read is up to date; otherwise the first search updates it first."""
        return is_fresh(self._database)

    @property
    def copy_is_foreign(self) -> bool:
        """True if another file is in the place of the copy, so that searches read the index itself."""
        return is_foreign(self._database.path)

    def unfamiliar(self, texts: Sequence[str]) -> list[str]:
        """Return the texts for which the index's checkpoint was not trained, as far as it can tell."""
        from pe_audio_cli.models.unfamiliar import UnfamiliarLabels

        unfamiliar = UnfamiliarLabels.open(Path(self.about.folder))
        return [] if unfamiliar is None else unfamiliar.detect(texts, self._embed(texts))

    def close(self) -> None:
        """Close the index."""
        self._database.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _key(self, bias: float = 0.0) -> Key:
        """Return the key of queries whose logits have a bias besides the checkpoint's."""
        return partial(_present_without, self.about.logit_scale, self.about.logit_bias, bias)

    def _check_width(self, name: str, label: TaughtLabel) -> None:
        if label.embedding.shape != (self.about.width,):
            raise UsageError(f"the taught label {name!r} is not for {self.about.model}, which the index was made with")

    def _best(
        self, queries: Sequence[str], vectors: QueryVectors, measure: Measure, options: SearchOptions | None
    ) -> list[SearchResult]:
        options = SearchOptions() if options is None else options
        only = None if options.where is None else self._database.ids(options.where)
        found, clips = self._found(vectors, options.k, only)
        results = []
        for query, (ids, keys) in zip(queries, found, strict=True):
            scores = probabilities(keys) if measure == "probability" else keys
            hits = (
                Hit(clip.file, clip.start, clip.end, clip.duration, float(score))
                for clip, score in zip((clips[int(number)] for number in ids), scores, strict=True)
            )
            results.append(SearchResult(query, measure, tuple(hits)))
        return results

    def _found(
        self, vectors: QueryVectors, k: int | None, only: NDArray[np.int64] | None
    ) -> tuple[Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]], dict[int, Clip]]:
        """Return ids and keys of the best windows for each query, and the clips of all of them."""
        with self._lock, contextlib.suppress(OSError):
            refresh(self._database)
        for _ in range(2):
            found = best(blocks_of(self._database), vectors, k, only)
            numbers = sorted({int(number) for ids, _ in found for number in ids})
            clips = self._database.clips(numbers)
            if len(clips) == len(numbers):
                return found, clips
            distrust(self._database)  # it may have rotted since its sums were compared
        raise damaged(self._database.path, "windows of no recording")

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Text embeddings of shape ``(n_texts, width)``; the text tower is loaded for those that are new."""
        if not texts:
            return np.empty((0, self.about.width), np.float32)
        cache = LabelCache.of_user(self.about.fingerprint, self.about.revision, self.about.width)
        with self._lock:
            return cache.embed(texts, self._load_text)

    def _load_text(self) -> Encode:
        from pe_audio_cli.models.backends.labels import load_text

        return load_text(self._checkpoint()).encode

    def _checkpoint(self) -> Checkpoint:
        """The checkpoint that the index was made with. Raises :class:`StoreError` if it has become another."""
        from pe_audio_cli.models.checkpoint import Checkpoint
        from pe_audio_cli.models.registry import ModelOptions, find_checkpoint

        if self._model is None:
            checkpoint = Checkpoint.open(self._folder(), self.about.model)
        else:
            checkpoint = find_checkpoint(ModelOptions(self._model, offline=self._offline), "tag")
        self.about.check(self._database.path, checkpoint.fingerprint, checkpoint.name)
        return checkpoint

    def _folder(self) -> Path:
        """Return the folder of the index's checkpoint on this machine: an index from others may not cause a download.

        Raises :class:`CheckpointError` if it is not here.
        """
        from pe_audio_cli.models import hub
        from pe_audio_cli.models.registry import ModelOptions, hub_name, local_folder

        about = self.about
        if not about.folder.startswith(FAR) and _paths.is_dir(about.folder):
            return Path(about.folder)
        here = local_folder(ModelOptions(about.model))
        if here is None:
            here = hub.cached(hub_name(about.model, "tag"), about.revision or None)
        if here is None:
            raise CheckpointError(
                f"{self._database.path} was made with {about.model}, which is not on this machine: fetch it with -m "
                f"{about.model}, or name the folder where it is"
            )
        return here


def _present_without(
    scale: float,
    bias: float,
    own_bias: float,
    wanted: NDArray[np.float64],
    unwanted: NDArray[np.float64],
    norms: NDArray[np.float64],
) -> NDArray[np.float64]:
    """A :class:`Key`: the logit that one sound is present and others are absent."""
    return logit_without(scale * wanted + bias + own_bias, scale * unwanted + bias)


def _alike(
    norm: float, wanted: NDArray[np.float64], unwanted: NDArray[np.float64], norms: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A :class:`Key`: the cosine of two embeddings, of which one has the norm ``norm``."""
    return np.asarray(wanted / np.maximum(norm * norms, TINY))


def _several(texts: str | Sequence[str]) -> list[str]:
    """Each once, in order. Raises :class:`UsageError` for a blank one."""
    several = [texts] if isinstance(texts, str) else list(dict.fromkeys(texts))
    if not all(text.strip() for text in several):
        raise UsageError("a query is blank: say in plain words what to search for")
    return several
