"""The output formats: their names, their file extensions, and the command line's choices."""

from __future__ import annotations

import os

from pe_audio_cli._extras import require_extra
from pe_audio_cli.errors import UsageError
from pe_audio_cli.formats.annotation import AudacityWriter, RavenWriter, TextGridWriter
from pe_audio_cli.formats.base import Command, Writer
from pe_audio_cli.formats.csv import CsvWriter, TsvWriter
from pe_audio_cli.formats.evaluation import DcaseWriter, RttmWriter
from pe_audio_cli.formats.json import JsonLinesWriter, JsonWriter
from pe_audio_cli.formats.parquet import ParquetWriter
from pe_audio_cli.formats.subtitles import SrtWriter, VttWriter
from pe_audio_cli.formats.table import TableWriter

__all__ = ["WRITERS", "choices", "guess", "writer_for"]

WRITERS: tuple[type[Writer], ...] = (
    TableWriter,
    JsonWriter,
    JsonLinesWriter,
    CsvWriter,
    TsvWriter,
    ParquetWriter,
    AudacityWriter,
    RavenWriter,
    TextGridWriter,
    VttWriter,
    SrtWriter,
    RttmWriter,
    DcaseWriter,
)

AMBIGUOUS = frozenset({".txt"})  # either a table or a label track


def choices(command: Command) -> tuple[str, ...]:
    """Return the names of the formats that can hold results of ``command``."""
    return tuple(writer.name for writer in WRITERS if command in writer.commands)


def writer_for(name: str, command: Command) -> type[Writer]:
    """Return the writer of a format.

    Raises:
        UsageError: there is no such format, it cannot hold results of ``command``, or a package for it is missing.
    """
    for writer in WRITERS:
        if writer.name == name and command in writer.commands:
            if writer.extra is not None:
                require_extra(writer.extra, name)
            return writer
    raise UsageError(f"{command} has no format {name!r}: choose one of {', '.join(choices(command))}")


def guess(path: str | os.PathLike[str], command: Command) -> str | None:
    """Return the name of the format for the extension of ``path``, or None if it is unknown or ambiguous."""
    name = os.path.basename(path).lower()
    formats = {
        extension.lower(): writer.name
        for writer in WRITERS
        if command in writer.commands
        for extension in writer.extensions
    }
    extension = max(filter(name.endswith, formats), key=len, default=None)  # a .dcase.tsv is not just any .tsv
    return None if extension is None or extension in AMBIGUOUS else formats[extension]
