"""Tables for people to read; ``rich_table``, which prints them, is imported with the first result."""

from __future__ import annotations

from typing import TextIO

from pe_audio_cli.formats.base import WriteOptions, Writer
from pe_audio_cli.results import FileError, Written

__all__ = ["TableWriter"]


class TableWriter(Writer):
    """A heading and a table for each recording or query; a recording that failed has none."""

    name = "table"
    extensions = (".txt",)

    def __init__(self, stream: TextIO, options: WriteOptions) -> None:
        super().__init__(stream, options)
        self._on_terminal = stream.isatty()

    def write(self, result: Written) -> None:
        """Print the table of one recording or query."""
        from pe_audio_cli.formats.rich_table import show

        if not isinstance(result, FileError):
            show(result, self.stream, on_terminal=self._on_terminal, most_tags=self.options.most_shown)
