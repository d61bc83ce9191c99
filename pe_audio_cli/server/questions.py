"""Requests as questions, with every option checked: the parameters are the flags of the command, with underscores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar, get_args, get_type_hints

from pe_audio_cli.audio.framing import WindowOptions
from pe_audio_cli.errors import UsageError
from pe_audio_cli.formats.base import Writer
from pe_audio_cli.formats.embeddings import EmbeddingWriter, Precision, embedding_writer
from pe_audio_cli.formats.registry import writer_for
from pe_audio_cli.inference.labels import LabelOptions, gather_labels
from pe_audio_cli.inference.runner import DEFAULT_WINDOW, window_options
from pe_audio_cli.inference.tasks.embedding import TASK_OF_UNIT, Unit
from pe_audio_cli.options import EventOptions, TagOptions, options_of
from pe_audio_cli.server.uploads import Asked

if TYPE_CHECKING:
    from pe_audio_cli.models.registry import TaskName

__all__ = ["EmbedQuestion", "EventQuestion", "LabelQuestion", "Parameters", "Question", "SearchQuestion", "Source"]
__all__ += ["TagQuestion"]

EXACT = "exact"  # the format of peaudio's own client: see transport.py
OptionsT = TypeVar("OptionsT", TagOptions, EventOptions)
LabelQuestionT = TypeVar("LabelQuestionT", bound="LabelQuestion")


class Parameters:
    """The parameters of a request, taken out one by one; what is left in the end is unknown."""

    def __init__(self, asked: Asked) -> None:
        self._values = {name: list(values) for name, values in asked.values.items()}
        self._known: list[str] = []

    def texts(self, name: str) -> list[str]:
        """Return the values of a parameter that may come several times."""
        self._known.append(name)
        values = self._values.pop(name, [])
        for value in values:
            if not isinstance(value, str):
                raise UsageError(f"{name} is text: got {value!r:.60}")
        return values

    def text(self, name: str) -> str | None:
        """Return the value of a parameter that may come once; None if it is not given."""
        value = self._one(name)
        if value is None or isinstance(value, str):
            return value
        raise UsageError(f"{name} is text: got {value!r:.60}")

    def flag(self, name: str) -> bool:
        """Return a switch: true, false, 1 or 0."""
        value = self._one(name)
        words = {None: False, True: True, False: False, "true": True, "false": False, "1": True, "0": False, "": True}
        if isinstance(value, (str, bool, type(None))) and value in words:
            return words[value]
        raise UsageError(f"{name} is true or false: got {value!r:.60}")

    def number(self, name: str, kind: type[float] | type[int] = float) -> Any:
        """Return a number; None if it is not given."""
        value = self._one(name)
        if value is None:
            return None
        if isinstance(value, str):
            try:
                return kind(value)
            except ValueError:
                pass
        elif isinstance(value, (int, kind)) and not isinstance(value, bool):
            return value
        raise UsageError(f"{name} is a {'whole ' if kind is int else ''}number: got {value!r:.60}")

    def number_or(self, word: str, name: str, kind: type[float] | type[int] = float) -> Any:
        """Return a number, or the word that may stand in its place; None if it is not given."""
        if self._values.get(name) == [word]:
            return self._one(name)
        return self.number(name, kind)

    def options(self, of: type[OptionsT]) -> tuple[OptionsT, frozenset[str]]:
        """Return the options of a class, and the names of those that are given."""
        hints = get_type_hints(of)
        given = {name: self._option(name, hints[name]) for name in options_of(of) if name in self._values}
        self._known += options_of(of)
        given = {name: value for name, value in given.items() if value is not None}
        return of(**given), frozenset(given)

    def _option(self, name: str, hint: Any) -> Any:
        kinds = (hint, *get_args(hint))
        if bool in kinds:
            return self.flag(name)
        if int in kinds or float in kinds:
            return self.number(name, int if int in kinds else float)
        return self.text(name)

    def end(self) -> None:
        """Raise :class:`UsageError` for a parameter that is left."""
        if self._values:
            known = ", ".join(sorted(set(self._known)))
            raise UsageError(f"there is no parameter {min(map(str, self._values))!r:.60} here: there are {known}")

    def _one(self, name: str) -> Any:
        self._known.append(name)
        values = self._values.pop(name, [])
        if len(values) > 1:
            raise UsageError(f"{name} is given {len(values)} times: give it once")
        return values[0] if values else None


@dataclass(frozen=True)
class Source:
    """The place of a recording that is not in the request: a ``path`` on the server, or a ``url``."""

    path: str | None = None
    url: str | None = None

    @classmethod
    def of(cls, given: Parameters, asked: Asked) -> Source:
        """Read it. Raises :class:`UsageError` unless there is exactly one recording."""
        source = cls(given.text("path"), given.text("url"))
        if (asked.upload is not None) + (source.path is not None) + (source.url is not None) != 1:
            raise UsageError('send one recording: as the body, as the field "file" of a form, or as {"path": ...}')
        return source


@dataclass(frozen=True)
class Reading:
    """The reading of a recording: its windows and its audio track; ``model`` is the one that the client expects."""

    windows: WindowOptions
    audio_track: int | None
    model: str | None

    @classmethod
    def of(cls, given: Parameters, task: TaskName) -> Reading:
        """Read it. Raises :class:`UsageError` for what is out of range."""
        window, overlap = given.number_or("full", "window"), given.number("overlap")
        length = None if window == "full" else DEFAULT_WINDOW if window is None else window
        track = given.number("audio_track", int)
        if track is not None and track < 1:
            raise UsageError(f"audio tracks are counted from 1: got {track}")
        return cls(window_options(task, length, overlap), track, given.text("model"))


@dataclass(frozen=True)
class LabelQuestion:
    """The common part of tag and localize.

    ``labels`` are empty if the checkpoint's own are asked for. ``writer`` is that of the format, None for the format of
    peaudio's own client.
    """

    command: ClassVar[TaskName]

    source: Source
    reading: Reading
    labels: list[str]
    template: str
    without_settings: bool
    given: frozenset[str]
    format: str
    writer: type[Writer] | None

    @classmethod
    def _read(
        cls: type[LabelQuestionT], asked: Asked, format: str, options_class: type[OptionsT], *switches: str
    ) -> LabelQuestionT:
        """Read it, with its options and switches. Raises :class:`UsageError` for what is unknown or out of range."""
        given = Parameters(asked)
        options, names = given.options(options_class)
        switched: dict[str, Any] = {name: given.flag(name) for name in switches}
        source, reading = Source.of(given, asked), Reading.of(given, cls.command)
        lists, verbatim, sets = given.texts("labels"), given.texts("label"), given.texts("label_set")
        labels = gather_labels(LabelOptions(lists, verbatim, (), sets))
        template, settings = given.text("template") or "{}", given.text("settings")
        if settings not in (None, "none"):
            raise UsageError("settings is none, for those of the checkpoint to be ignored: leave it out, or give none")
        named = given.text("format") or format
        writer = None if named == EXACT else writer_for(named, cls.command)
        given.end()
        fields: dict[str, Any] = {
            "source": source,
            "reading": reading,
            "labels": labels,
            "template": template,
            "without_settings": settings == "none",
            "given": names,
            "format": named,
            "writer": writer,
            "options": options,
        }
        return cls(**fields, **switched)


@dataclass(frozen=True)
class TagQuestion(LabelQuestion):
    """A request for tags."""

    command = "tag"

    options: TagOptions

    @classmethod
    def of(cls, asked: Asked, format: str) -> TagQuestion:
        """Read it. Raises :class:`UsageError` for a parameter that is unknown or out of its range."""
        return cls._read(asked, format, TagOptions)


@dataclass(frozen=True)
class EventQuestion(LabelQuestion):
    """A request for events; with ``frames``, frame probabilities too."""

    command = "localize"

    options: EventOptions
    tidy: bool
    frames: bool

    @classmethod
    def of(cls, asked: Asked, format: str) -> EventQuestion:
        """Read it. Raises :class:`UsageError` for a parameter that is unknown or out of its range."""
        question = cls._read(asked, format, EventOptions, "tidy", "frames")
        if question.frames and question.writer is not None and not question.writer.frames:
            raise UsageError(f"frames need the format json or jsonl: {question.format} cannot hold them")
        return question


@dataclass(frozen=True)
class EmbedQuestion:
    """A request for embeddings."""

    source: Source
    reading: Reading
    per: Unit
    precision: Precision
    format: str
    writer: type[EmbeddingWriter] | None

    @classmethod
    def of(cls, asked: Asked, format: str) -> EmbedQuestion:
        """Read it. Raises :class:`UsageError` for a parameter that is unknown or out of its range."""
        given = Parameters(asked)
        windows, frames = given.flag("per_window"), given.flag("frames")
        if windows and frames:
            raise UsageError("per_window and frames exclude each other: choose one")
        per: Unit = "frame" if frames else "window" if windows else "recording"
        source, reading = Source.of(given, asked), Reading.of(given, TASK_OF_UNIT[per])
        named, precision = given.text("format") or format, _precision(given)
        given.end()
        if named not in ("npz", "parquet", EXACT):
            raise UsageError(f"embed has no format {named!r}: choose one of npz, parquet")
        writer = None if named == EXACT else embedding_writer(f"embeddings.{named}")
        return cls(source, reading, per, precision, named, writer)


@dataclass(frozen=True)
class SearchQuestion:
    """A request for hits: ``texts``, or a recording that they are to be ``like``."""

    texts: list[str]
    without: list[str]
    k: int | None
    where: str | None
    source: Source | None
    format: str
    writer: type[Writer]

    @classmethod
    def of(cls, asked: Asked, format: str) -> SearchQuestion:
        """Read it. Raises :class:`UsageError` for a parameter that is unknown or out of its range."""
        given = Parameters(asked)
        texts, without = given.texts("q"), given.texts("not")
        source, place = None, Source(given.text("path"), given.text("url"))
        if asked.upload is not None or place.path is not None or place.url is not None:
            source = place
            if texts or without:
                raise UsageError("a recording replaces the texts: leave them out")
        k = given.number_or("all", "k", int)
        where, named = given.text("where"), given.text("format") or format
        given.end()
        n_hits = None if k == "all" else 10 if k is None else k
        return cls(texts, without, n_hits, where, source, named, writer_for(named, "search"))


Question: TypeAlias = "TagQuestion | EventQuestion | EmbedQuestion | SearchQuestion"


def _precision(given: Parameters) -> Precision:
    value = given.text("precision") or "float32"
    for known in get_args(Precision):
        if value == known:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"precision is {' or '.join(get_args(Precision))}: got {value!r:.60}")
