"""Results on a stream, as they come."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TextIO

from pe_audio_cli._paths import Unusable, reason
from pe_audio_cli.errors import RunError
from pe_audio_cli.formats.base import WriteOptions, Writer
from pe_audio_cli.outputs.base import Output
from pe_audio_cli.outputs.journal import (
    JournalEntry,
    RunSettings,
)
from pe_audio_cli.results import Written

__all__ = ["StreamOutput"]


class StreamOutput(Output):
    """Results on a stream as they come, as on standard output."""

    def __init__(self, writer: type[Writer], options: WriteOptions, stream: TextIO) -> None:
        self._stream = stream
        self._writer = writer(stream, options)

    def open(self, settings: RunSettings) -> Mapping[int, JournalEntry]:
        """Begin; a stream holds nothing of an earlier run."""
        with _stream_errors_explained():
            self._writer.open()
        return {}

    def write(self, result: Written) -> None:
        """Write and flush a result, so that the reader gets it at once."""
        with _stream_errors_explained():
            self._writer.put(result)
            self._stream.flush()

    def finish(self) -> None:
        """End what the format has begun."""
        with _stream_errors_explained():
            self._writer.close()
            self._stream.flush()

    def abandon(self) -> None:
        """End the format's structure, so that the output so far can be read."""
        with contextlib.suppress(OSError, RunError):  # it may be the very reason to stop
            self.finish()


@contextlib.contextmanager
def _stream_errors_explained() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # not an error: whoever reads has enough
    except Unusable as error:  # a ValueError is a stream that was closed
        raise RunError(f"cannot write the output: {reason(error)}") from error
