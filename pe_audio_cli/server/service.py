"""The loaded model and index of a server, and the answers to questions, in the thread of a request."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast

from pe_audio_cli.audio.inputs import DataInput, OwnFile
from pe_audio_cli.detection.label_settings import SettingsFile, carried_settings
from pe_audio_cli.errors import UsageError
from pe_audio_cli.formats.base import WriteOptions, Writer, most_shown
from pe_audio_cli.formats.name_escaping import check_labels_differ
from pe_audio_cli.inference import runner as inference
from pe_audio_cli.inference.labels import check_labels
from pe_audio_cli.inference.tasks.base import EncodeOptions
from pe_audio_cli.inference.tasks.query import Query
from pe_audio_cli.models.caching import CachingEncoder
from pe_audio_cli.models.encoder import DeviceOptions, Encoder
from pe_audio_cli.results import FileError, LocalizeResult, TagResult
from pe_audio_cli.server.body import text_stream
from pe_audio_cli.server.gate import Gate, GatedEncoder
from pe_audio_cli.server.limits import ServerLimits
from pe_audio_cli.server.metrics import Metrics
from pe_audio_cli.server.questions import (
    EmbedQuestion,
    EventQuestion,
    LabelQuestion,
    Question,
    SearchQuestion,
    Source,
    TagQuestion,
)
from pe_audio_cli.server.refusals import Refusal
from pe_audio_cli.server.roots import Roots
from pe_audio_cli.server.tickets import GivenUp, Ticket
from pe_audio_cli.server.transport import encode, encode_embeddings
from pe_audio_cli.server.uploads import Asked

if TYPE_CHECKING:
    from pe_audio_cli.index.search import Index
    from pe_audio_cli.models.checkpoint import Checkpoint
    from pe_audio_cli.models.registry import ModelOptions, TaskName
    from pe_audio_cli.models.unfamiliar import UnfamiliarLabels

__all__ = ["Emit", "Loaded", "Service"]

# Takes the next bytes of an answer, and waits while the client is slow; may raise GivenUp.
Emit: TypeAlias = Callable[[bytes], None]
SHORT_BLOCK = 1 << 16


@dataclass(frozen=True)
class Loaded:
    """A checkpoint, ready to encode, and the settings that it carries for a task."""

    checkpoint: Checkpoint
    encoder: CachingEncoder
    settings: SettingsFile
    unfamiliar: UnfamiliarLabels | None


class Service:
    """The model, the index and the roots of a server; any thread may ask it."""

    def __init__(
        self,
        model: ModelOptions,
        device: DeviceOptions,
        limits: ServerLimits,
        roots: Sequence[str] = (),
        index: str | None = None,
        allow_urls: bool = False,
    ) -> None:
        """Load the model, and open the index.

        Raises:
            UsageError: a root is not a folder, or a device is not there.
            CheckpointError: the model cannot be loaded.
            StoreError: the index cannot be opened.
        """
        self.model, self.limits, self.metrics = model, limits, Metrics()
        self.allow_urls = allow_urls
        self.roots = Roots(roots)
        self._loaded = _load(model, device)
        facts = self._loaded["tag"].encoder.facts
        self.gate = Gate(facts.n_parallel, facts.batch_size)
        self.index: Index | None = None
        if index is not None:
            from pe_audio_cli.index.search import Index

            self.index = Index(index)
        self._device, self._lock = device, threading.Lock()
        self._index_encoder: CachingEncoder | None = None

    def loaded(self, task: TaskName) -> Loaded:
        """Return what is loaded for a task."""
        return self._loaded[task]

    @property
    def n_parallel(self) -> int:
        """The number of calls that the encoder works on at once."""
        return self._loaded["tag"].encoder.facts.n_parallel

    def close(self) -> None:
        """Close the index."""
        if self.index is not None:
            self.index.close()

    def answer(self, question: Question, asked: Asked, ticket: Ticket, emit: Emit) -> None:
        """Write the answer to a question, in the thread of its request.

        Raises what makes the answer an error, if nothing has been written; :class:`GivenUp` if nobody wants it.
        """
        if isinstance(question, SearchQuestion):
            self._search(question, asked, ticket, emit)
        elif isinstance(question, EmbedQuestion):
            self._embed(question, asked, ticket, emit)
        else:
            self._label(question, asked, ticket, emit)

    def _label(self, question: LabelQuestion, asked: Asked, ticket: Ticket, emit: Emit) -> None:
        loaded = self._for(question.command, question.reading.model)
        settings = SettingsFile() if question.without_settings else loaded.settings
        labels = question.labels or list(loaded.checkpoint.default_labels)
        check_labels(labels)
        if question.writer is not None:
            check_labels_differ(question.writer, labels)
        encoder = self._gated(loaded.encoder, ticket)
        query = Query.ask(encoder, labels, question.template, settings)
        with self._recording(question.source, asked) as file:
            result = _one(self._results(question, settings, file, encoder, query, ticket), ticket)
        if question.writer is None:
            unfamiliar = [] if loaded.unfamiliar is None else loaded.unfamiliar.detect(query.labels, query.embeddings)
            for piece in encode(result, unfamiliar):
                emit(piece.encode())
            return
        options = WriteOptions(question.command)
        if isinstance(question, TagQuestion):
            shown = most_shown(question.options, own_labels=not question.labels)
            options = replace(options, per_window=question.options.per_window, most_shown=shown)
        _write(question.writer, options, [result], emit)

    def _results(
        self,
        question: LabelQuestion,
        settings: SettingsFile,
        file: str,
        encoder: Encoder,
        query: Query,
        ticket: Ticket,
    ) -> Iterator[TagResult | LocalizeResult | FileError]:
        encoding = self._encoding(question.reading.windows, question.reading.audio_track, ticket)
        if isinstance(question, TagQuestion):
            rules = settings.tag_options(question.options, question.given)
            return inference.tag([file], encoder, query, rules, encoding)
        assert isinstance(question, EventQuestion)
        events = settings.event_options(question.options, question.given, tidy=question.tidy)
        return inference.localize([file], encoder, query, events, encoding, question.frames)

    def _embed(self, question: EmbedQuestion, asked: Asked, ticket: Ticket, emit: Emit) -> None:
        task: TaskName = "localize" if question.per == "frame" else "tag"
        encoder = self._gated(self._for(task, question.reading.model).encoder, ticket)
        encoding = self._encoding(question.reading.windows, question.reading.audio_track, ticket)
        with self._recording(question.source, asked) as file:
            result = _one(inference.embed([file], encoder, question.per, encoding), ticket)
        if question.writer is None:
            for piece in encode_embeddings(result):
                emit(piece)
            return
        with cast("BinaryIO", tempfile.TemporaryFile()) as stream:  # an archive's bytes depend on whether it can seek
            writer = question.writer(stream, question.precision)
            writer.write(result)
            writer.close()
            stream.seek(0)
            while piece := stream.read(SHORT_BLOCK):
                emit(piece)

    def _search(self, question: SearchQuestion, asked: Asked, ticket: Ticket, emit: Emit) -> None:
        if self.index is None:
            raise Refusal("not-found", "this server has no index: start it with --index FILE")
        from pe_audio_cli.index.search import SearchOptions

        options = SearchOptions(question.k, question.where)
        writing = WriteOptions("search", measure="probability" if question.source is None else "similarity")
        if question.source is None:
            results = self.index.search(question.texts, options, without=question.without)
        else:
            encoder = self._gated(self._encoder_of_index(self.index), ticket)
            with self._recording(question.source, asked) as file:
                results = [self.index.like(file, options, encoder=encoder)]
        ticket.check()
        _write(question.writer, writing, results, emit)

    def _encoder_of_index(self, index: Index) -> CachingEncoder:
        """Return the encoder of the index's checkpoint, which may be another than the server's."""
        ours = self._loaded["tag"]
        if index.about.fingerprint == ours.checkpoint.fingerprint:
            return ours.encoder
        with self._lock:
            if self._index_encoder is None:
                self._index_encoder = CachingEncoder(index.load_encoder(self._device))
            return self._index_encoder

    def _for(self, task: TaskName, expected: str | None) -> Loaded:
        loaded = self._loaded[task]
        if expected not in (None, self.model.name, loaded.checkpoint.fingerprint):
            raise UsageError(f"this server runs {self.model.name}, not {expected}: ask for that, or start another")
        return loaded

    def _gated(self, encoder: CachingEncoder, ticket: Ticket) -> CachingEncoder:
        return encoder.through(lambda inner: GatedEncoder(inner, self.gate, ticket))

    def _encoding(self, windows: Any, audio_track: int | None, ticket: Ticket) -> EncodeOptions:
        return EncodeOptions(windows, on_chunk=_Meter(self.limits, self.metrics, ticket), audio_track=audio_track)

    @contextlib.contextmanager
    def _recording(self, source: Source, asked: Asked) -> Iterator[str]:
        """Provide the recording of a request, under the name that results call it by."""
        if source.url is not None:
            yield self._address(source.url)
        elif source.path is not None:
            with self.roots.open(source.path) as file:
                yield DataInput(source.path, OwnFile(file))
        else:
            assert asked.upload is not None
            yield DataInput(asked.name, OwnFile(asked.upload))

    def _address(self, url: str) -> str:
        from pe_audio_cli.audio.addresses import addressed, is_address

        if not self.allow_urls:
            message = "this server fetches nothing: upload the recording, or start it with --allow-urls"
            raise Refusal("forbidden", message, addressed(url))
        if not is_address(url):
            raise UsageError("url is an address, such as https://example.org/a.wav: name a file with path")
        return addressed(url)


class _Meter:
    """Is told of each chunk that was encoded: counts it, and ends the work on a recording that is too long."""

    def __init__(self, limits: ServerLimits, metrics: Metrics, ticket: Ticket) -> None:
        self._limits, self._metrics, self._ticket = limits, metrics, ticket
        self._seconds = 0.0

    def __call__(self, file: str, seconds: float, fraction: float) -> None:
        self._metrics.audio(seconds)
        self._seconds += seconds
        most = self._limits.max_length
        if self._seconds > most:
            message = f"it is longer than {most:g} s: send a part of it, or raise --max-length"
            self._ticket.give_up(Refusal("too-long", message, file))
            self._ticket.check()


def _load(model: ModelOptions, device: DeviceOptions) -> dict[TaskName, Loaded]:
    from pe_audio_cli.models.backends.loading import load_encoder
    from pe_audio_cli.models.registry import TASKS, find_checkpoint
    from pe_audio_cli.models.unfamiliar import UnfamiliarLabels

    encoders: dict[str, CachingEncoder] = {}
    loaded: dict[TaskName, Loaded] = {}
    for task in TASKS:
        checkpoint = find_checkpoint(model, task)
        place = os.fspath(checkpoint.folder)
        if place not in encoders:
            encoders[place] = CachingEncoder(load_encoder(checkpoint, device))
        carried = carried_settings(checkpoint.folder, task)
        loaded[task] = Loaded(checkpoint, encoders[place], carried, UnfamiliarLabels.open(checkpoint.folder))
    return loaded


def _one(results: Iterator[Any], ticket: Ticket) -> Any:
    """Return the only result. Raises :class:`Refusal` for a recording's error, and what ended the work."""
    try:
        (result,) = results
    except GivenUp:
        if ticket.reason is not None:
            raise ticket.reason from None
        raise
    ticket.check()
    if isinstance(result, FileError):
        raise Refusal(result.kind, result.message, result.file)
    return result


def _write(writer: type[Writer], options: WriteOptions, results: Sequence[Any], emit: Emit) -> None:
    """Write results with the writer that the command uses."""
    with text_stream(emit) as stream:
        writing = writer(stream, options)
        writing.open()
        for result in results:
            writing.put(result)
        writing.close()
