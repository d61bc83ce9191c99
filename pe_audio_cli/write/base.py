"""What every output format is: a class that writes results to a stream as they come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, TextIO, TypeAlias

from pe_audio_cli.results import Result

__all__ = ["PROBABILITY_DECIMALS", "TIME_DECIMALS", "Command", "WriteOptions", "Writer"]

PROBABILITY_DECIMALS = 6
TIME_DECIMALS = 3  # milliseconds

Command: TypeAlias = Literal["tag", "localize"]


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What a stream is going to hold: the results of one command, with the tags of each window where asked for."""

    command: Command
    per_window: bool = False


class Writer(ABC):
    """Writes the results of a run to one text stream, each as soon as it is there.

    Call ``open`` once, ``write`` for each result, ``close`` once. What has been written is flushed, and is a prefix
    of the finished output. The stream stays its owner's: it must not translate newlines, it should encode to UTF-8,
    and it is not closed here.
    """

    name: ClassVar[str]
    """What ``--format`` calls it."""
    extensions: ClassVar[tuple[str, ...]]
    """How names of such files end; files in an output folder get the first."""
    commands: ClassVar[frozenset[Command]] = frozenset({"tag", "localize"})
    """The commands whose results it can hold."""
    frames: ClassVar[bool] = False
    """Whether it holds frame probabilities."""

    def __init__(self, stream: TextIO, options: WriteOptions) -> None:
        self.stream = stream
        self.options = options

    def open(self, written: int = 0) -> None:  # noqa: B027 - most formats have nothing to begin with
        """Begin the output, after ``written`` results that an earlier run has left at the end of the stream.

        Its last byte must be the last byte of the last of them: what ``close`` added is to be cut off before.
        """

    @abstractmethod
    def write(self, result: Result) -> None:
        """Write one result and flush it; an error is left out where the format has no place for it."""

    def close(self) -> None:  # noqa: B027 - most formats have nothing to end with
        """End the output; the stream stays open."""
