"""Writing of a result as a whole or not at all: first to a draft, then to the stream."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol, TextIO, TypeVar, cast

from pe_audio_cli.errors import InputError
from pe_audio_cli.results import EmbedResult, FileError, SearchResult, Written

if TYPE_CHECKING:
    from tempfile import SpooledTemporaryFile

__all__ = ["put", "unwritten"]

MAX_MEMORY = 4 << 20  # bytes of a draft that are held in memory; a longer one goes to a temporary file
CHUNK = 1 << 16  # characters that are copied at once

WrittenT = TypeVar("WrittenT", bound=Written, contravariant=True)


class Writes(Protocol[WrittenT]):
    """A writer of text to a stream, which may keep its state in attributes."""

    stream: TextIO

    def write(self, result: WrittenT) -> Any:
        """Write one result."""


def put(writer: Writes[WrittenT], result: WrittenT) -> None:
    """Write a result with ``writer`` and flush it; if that fails, nothing is written and the next can follow.

    Raises :class:`InputError` if this result cannot be written; errors of the stream are passed on.
    """
    stream, before = writer.stream, dict(vars(writer))
    draft = _draft()
    try:
        writer.stream = cast(TextIO, draft)
        writer.write(result)
        draft.seek(0)
    except Exception as error:
        vars(writer).update(before)
        with contextlib.suppress(OSError):  # flushing its buffer may fail as well
            draft.close()
        raise unwritten(result, error) from error
    finally:
        writer.stream = stream
    with draft:
        while text := draft.read(CHUNK):
            stream.write(text)
    stream.flush()


def unwritten(result: Written | EmbedResult, error: Exception) -> InputError:
    """Return an exception raised while a result was written or drawn as the error of its recording or query."""
    if isinstance(result, SearchResult):
        file = result.query
    else:
        file = result.file if isinstance(result, FileError) else result.recording.file
    failed = FileError.caused_by(error, file)
    return InputError(failed.file, failed.kind, failed.message)


def _draft() -> SpooledTemporaryFile[str]:
    from tempfile import SpooledTemporaryFile  # takes a moment, for which --help need not wait

    return SpooledTemporaryFile(MAX_MEMORY, "w+", encoding="utf-8", errors="surrogatepass", newline="")
