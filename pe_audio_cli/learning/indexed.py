"""Embeddings of recordings from an index, so that nothing is decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pe_audio_cli.index.builder import recording_key
from pe_audio_cli.index.database import Database
from pe_audio_cli.results import EmbedResult, FileError, Recording

if TYPE_CHECKING:
    from pe_audio_cli.models.encoder import EncoderFacts

__all__ = ["indexed_embeddings"]


def indexed_embeddings(
    index: Path, files: Sequence[str | FileError], facts: EncoderFacts
) -> Iterator[EmbedResult | FileError]:
    """Yield the window embeddings of each recording as the index has them, or the error that it has none.

    Raises :class:`StoreError` if there is no index, or it was made with another checkpoint.
    """
    with Database.open(index) as database:
        database.about.check(index, facts.fingerprint, facts.name)
        for file in files:
            if isinstance(file, FileError):
                yield file
                continue
            found = database.windows_of(recording_key(file))
            if found is None:
                what = f"it is not in {index}: add it with peaudio index {file} --index {index}"
                yield FileError(file, "missing", what)
                continue
            entry, starts, ends, embeddings = found
            recording = Recording(file, entry.duration, entry.sample_rate, entry.channels)
            yield EmbedResult(recording, facts.name, facts.fingerprint, starts, ends, embeddings)
