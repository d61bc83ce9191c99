"""Detection of outputs that are finished but have no journal, as runs without --resume leave them.

Such an output does not tell what it was made with. It passes for what a run would make anew if it begins as an output
of that format does, if it is no older than the recordings, and if what it names are those recordings.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pe_audio_cli._files import open_helper
from pe_audio_cli.errors import OutputError
from pe_audio_cli.formats.base import WriteOptions, Writer
from pe_audio_cli.formats.escaping import cell_text
from pe_audio_cli.outputs.journal import COARSE, stamp

__all__ = ["is_finished"]

BEGIN_BYTES = 4096
NAME = re.compile(r'(?:\[)?\{"schema": "peaudio\.(?P<kind>[a-z]+)/\d+", "file": (?P<name>"(?:[^"\\]|\\.)*")')
BEGINS = {  # of formats that write nothing before their first result
    "audacity": r"\d+\.\d+\t\d+\.\d+\t|\Z",
    "json": r"\[\n",
    "jsonl": r'\{"schema": "peaudio\.',
    "rttm": r"SPEAKER |\Z",
    "srt": r"1\n\d+:\d\d:\d\d,\d{3} --> |\Z",
    "table": r"[^\n]* \d+ .?Hz · |[^\n]* · ",
    "textgrid": r'File type = "ooTextFile"\n',
}


def is_finished(path: Path, writer: type[Writer], options: WriteOptions, files: Sequence[str]) -> bool:
    """Return True if the file at ``path`` can be a finished output for ``files``."""
    try:
        with open_helper(path) as opened:
            text = io.TextIOWrapper(io.BufferedReader(opened), "utf-8", "surrogateescape", newline="")
            if not _begins_so(text.read(BEGIN_BYTES), writer, options) or not _is_newest(path, files):
                return False
            text.seek(0)
            return _names_them(text, writer, options, files)
    except (OSError, OutputError):
        return False


def _begins_so(begin: str, writer: type[Writer], options: WriteOptions) -> bool:
    opening = io.StringIO(newline="")
    writer(opening, options).open()
    if writer.name in BEGINS:
        return re.match(BEGINS[writer.name], begin) is not None
    return opening.getvalue() != "" and begin.startswith(opening.getvalue())


def _is_newest(path: Path, files: Sequence[str]) -> bool:
    made = stamp(os.fspath(path))[1]
    times = (stamp(file)[1] for file in files)
    return made is not None and all(time is None or time <= made + COARSE for time in times)


def _names_them(text: io.TextIOWrapper, writer: type[Writer], options: WriteOptions, files: Sequence[str]) -> bool:
    """Return True if the output names the recordings, as far as its format does."""
    if writer.name in ("json", "jsonl"):
        return list(_named_in_objects(text, options.command)) == list(files)
    if writer.name in ("csv", "tsv"):
        rows = csv.reader(text, delimiter="\t" if writer.name == "tsv" else ",")
        next(rows, None)
        found = {row[0] for row in rows if row}
        given = {file if file == "-" else cell_text(file) for file in files}
        return found == given or (options.command != "tag" and found < given)
    return True


def _named_in_objects(text: io.TextIOWrapper, command: str) -> Iterator[str]:
    """Yield the recordings of results, but not of errors: an output with an error is not a finished one."""
    for line in text:
        found = NAME.match(line)
        if found is not None and found["kind"] == command:
            yield json.loads(found["name"])
