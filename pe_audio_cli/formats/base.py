"""What every output format is: a class that writes results to a stream as they come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TextIO, TypeAlias

from pe_audio_cli.formats.draft import put
from pe_audio_cli.formats.escaping import one_line
from pe_audio_cli.results import LocalizeResult, Measure, Written

__all__ = [
    "PROBABILITY_DECIMALS",
    "TIME_DECIMALS",
    "Command",
    "EventWriter",
    "WriteOptions",
    "Writer",
    "fine_time",
]

PROBABILITY_DECIMALS = 6
TIME_DECIMALS = 3  # milliseconds
FINE_TIME_DECIMALS = 6  # microseconds: an event of one sample still has a length

Command: TypeAlias = Literal["tag", "localize", "search"]


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What a stream is going to hold: the results of one command.

    ``per_window`` are tags of each window; ``measure`` is what hits of a search are measured by. ``most_shown`` is how
    many tags a table for people shows of a recording or window, where nobody asked for all of them one by one.
    """

    command: Command
    per_window: bool = False
    measure: Measure = "probability"
    most_shown: int | None = None


class Writer(ABC):
    """Writes the results of a run to one text stream, each as soon as it is there.

    Call ``open`` once, ``put`` or ``write`` for each result, ``close`` once. What was written is flushed, and a prefix
    of the finished output. The stream stays its owner's: it must not translate newlines, it should encode to UTF-8,
    and it is not closed here.
    """

    name: ClassVar[str]
    """What ``--format`` calls it."""
    extensions: ClassVar[tuple[str, ...]]
    """How names of such files end; files in an output folder get the first."""
    commands: ClassVar[frozenset[Command]] = frozenset({"tag", "localize", "search"})
    """The commands whose results it can hold."""
    frames: ClassVar[bool] = False
    """Whether it holds frame probabilities."""
    several: ClassVar[bool] = True
    """Whether one output can hold several recordings."""
    resumable: ClassVar[bool] = True
    """Whether an output that was interrupted can be gone on with."""
    movable: ClassVar[bool] = True
    """Whether a result can be moved to another place among others (:meth:`move`) as it has been written."""
    extra: ClassVar[str | None] = None
    """The optional dependencies that it needs."""

    def __init__(self, stream: TextIO, options: WriteOptions) -> None:
        self.stream = stream
        self.options = options
        self.state: Any = None
        """What the format must know of the results so far to go on after them: a JSON value, for most formats None."""

    def restore(self, state: Any) -> None:
        """Go on with an earlier run's output: before ``open``, ``state`` becomes what it was.

        Raises :class:`ValueError` for what it cannot have been.
        """
        if state is not None:
            raise ValueError(state)

    def open(self, written: int = 0) -> None:  # noqa: B027 - most formats have nothing to begin with
        """Begin the output, after ``written`` results that an earlier run has left at the end of the stream.

        Its last byte must be the last byte of the last of them: what ``close`` added is to be cut off before.
        """

    @abstractmethod
    def write(self, result: Written) -> None:
        """Write one result and flush it; an error is left out where the format has no place for it."""

    def put(self, result: Written) -> None:
        """Do what :meth:`write` does, but where that fails, write nothing: the next result can follow.

        Raises :class:`InputError` if it is this result that cannot be written. What the stream raises is passed on.
        """
        put(self, result)

    def move(self, chunks: Iterable[bytes]) -> None:
        """Write a result as another writer of this format has written it elsewhere, in pieces; only if ``movable``."""
        self.stream.flush()
        self.stream.buffer.writelines(chunks)

    def close(self) -> None:  # noqa: B027 - most formats have nothing to end with
        """End the output; the stream stays open."""

    @classmethod
    def spell(cls, text: str) -> str:
        """How a label or a name stands in it: as it is, wherever the format can say every character."""
        return text

    @classmethod
    def name_of(cls, file: str) -> str:
        """What stands for a recording, before it is spelled: its path as given, unless the format has other habits."""
        return file


class EventWriter(Writer):
    """A format for events alone: a recording that failed has no place in it."""

    commands = frozenset({"localize"})

    def write(self, result: Written) -> None:
        """Write the events of one recording."""
        if isinstance(result, LocalizeResult):
            self.stream.writelines(self.lines(result))
            self.stream.flush()

    @classmethod
    def spell(cls, text: str) -> str:
        """On one line and without tabs, as all of these formats want it."""
        return one_line(text)

    @abstractmethod
    def lines(self, result: LocalizeResult) -> Iterator[str]:
        """The text of one recording, piece by piece: there may be millions of events."""


def fine_time(seconds: float) -> str:
    """A time for a file in which nobody but a program reads it."""
    return f"{seconds:.{FINE_TIME_DECIMALS}f}"
