"""The base classes of output formats, which write results to a stream as they come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TextIO, TypeAlias

from pe_audio_cli.formats.draft import put
from pe_audio_cli.formats.escaping import one_line
from pe_audio_cli.options import TagOptions
from pe_audio_cli.results import LocalizeResult, Measure, Written

__all__ = [
    "PROBABILITY_DECIMALS",
    "TIME_DECIMALS",
    "Command",
    "EventWriter",
    "WriteOptions",
    "Writer",
    "fine_time",
    "most_shown",
]

PROBABILITY_DECIMALS = 6
TIME_DECIMALS = 3  # milliseconds
FINE_TIME_DECIMALS = 6  # microseconds: an event of one sample still has a length

TOP_OF_DEFAULT_LABELS = 5  # that a table shows where the labels are the checkpoint's own

Command: TypeAlias = Literal["tag", "localize", "search"]


def most_shown(options: TagOptions, own_labels: bool) -> int | None:
    """Return the number of tags that a table shows; None for all.

    Nobody asked for the checkpoint's ``own_labels`` one by one, so a table of all of them would be noise.
    """
    limited = options.top_k is not None or options.threshold is not None
    return TOP_OF_DEFAULT_LABELS if own_labels and not limited else None


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Options of a writer: the command whose results it writes, and how much of them.

    ``per_window`` are tags of each window; ``measure`` is the measure of hits of a search. ``most_shown`` is the number
    of tags that a table for people shows of a recording or window, unless the user asked for all.
    """

    command: Command
    per_window: bool = False
    measure: Measure = "probability"
    most_shown: int | None = None


class Writer(ABC):
    """Writes the results of a run to one text stream, each as soon as it is complete.

    Call ``open`` once, ``put`` or ``write`` for each result, ``close`` once. Everything written is flushed, and is a
    prefix of the finished output. The stream must not translate newlines and should encode to UTF-8; the caller closes
    it.
    """

    name: ClassVar[str]
    """The name of the format, for ``--format``."""
    extensions: ClassVar[tuple[str, ...]]
    """The file extensions of the format; files in an output folder get the first."""
    commands: ClassVar[frozenset[Command]] = frozenset({"tag", "localize", "search"})
    """The commands whose results it can hold."""
    frames: ClassVar[bool] = False
    """True if it holds frame probabilities."""
    several: ClassVar[bool] = True
    """True if one output can hold several recordings."""
    resumable: ClassVar[bool] = True
    """True if an interrupted output can be continued."""
    movable: ClassVar[bool] = True
    """True if the bytes of a result do not depend on those before it, so that :meth:`move` can copy them."""
    extra: ClassVar[str | None] = None
    """The optional dependencies that it needs, or None."""

    def __init__(self, stream: TextIO, options: WriteOptions) -> None:
        self.stream = stream
        self.options = options
        self.state: Any = None
        """The state that the format needs to continue an output: a JSON value, for most formats None."""

    def restore(self, state: Any) -> None:
        """Continue the output of an earlier run: set its ``state``, before ``open``.

        Raises :class:`ValueError` for an invalid state.
        """
        if state is not None:
            raise ValueError(state)

    def open(self, written: int = 0) -> None:  # noqa: B027 - most formats have nothing to begin with
        """Begin the output, after ``written`` results of an earlier run, which the stream holds already.

        The stream must end with the last of them: cut off what ``close`` added.
        """

    @abstractmethod
    def write(self, result: Written) -> None:
        """Write one result and flush it; an error is left out where the format has no place for it."""

    def put(self, result: Written) -> None:
        """Write a result as :meth:`write` does; if that fails, write nothing, so that the next result can follow.

        Raises :class:`InputError` if this result cannot be written; errors of the stream are passed on.
        """
        put(self, result)

    def move(self, chunks: Iterable[bytes]) -> None:
        """Write the bytes of a result, in pieces, from another output of this format; only if ``movable``."""
        self.stream.flush()
        self.stream.buffer.writelines(chunks)

    def close(self) -> None:  # noqa: B027 - most formats have nothing to end with
        """End the output; the stream stays open."""

    @classmethod
    def escape(cls, text: str) -> str:
        """Return a label or a name as this format writes it: unchanged, unless it cannot hold every character."""
        return text

    @classmethod
    def name_of(cls, file: str) -> str:
        """Return the name of a recording, before escaping: its path as given, unless the format has another rule."""
        return file


class EventWriter(Writer):
    """A format for events only: it leaves out recordings that failed."""

    commands = frozenset({"localize"})

    def write(self, result: Written) -> None:
        """Write the events of one recording."""
        if isinstance(result, LocalizeResult):
            self.stream.writelines(self.lines(result))
            self.stream.flush()

    @classmethod
    def escape(cls, text: str) -> str:
        """Return the text on one line without tabs, as all of these formats require."""
        return one_line(text)

    @abstractmethod
    def lines(self, result: LocalizeResult) -> Iterator[str]:
        """Yield the text of one recording in pieces, since there may be millions of events."""


def fine_time(seconds: float) -> str:
    """Return a time with microseconds, for formats that only programs read."""
    return f"{seconds:.{FINE_TIME_DECIMALS}f}"
