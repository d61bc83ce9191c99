"""Formats of evaluation toolkits: RTTM, and the event lists of DCASE."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

from pe_audio_cli.formats.base import PROBABILITY_DECIMALS, EventWriter, fine_time
from pe_audio_cli.formats.escaping import one_line, tsv_cell
from pe_audio_cli.results import LocalizeResult

__all__ = ["DcaseWriter", "RttmWriter"]

RTTM_CHANNEL = 1
NOT_KNOWN = "<NA>"  # how RTTM leaves a field empty
DCASE_COLUMNS = ("filename", "onset", "offset", "event_label")


class RttmWriter(EventWriter):
    """Rich Transcription Time Marked: ten fields between blanks, one line an event.

    They are type, file, channel, onset, duration, orthography, subtype, name, confidence and signal look-ahead time:
    appendix A of NIST's RT-09 evaluation plan, 2009. Events are ``SPEAKER`` lines, the one type that toolkits for
    diarization read; a recording goes by its base name without the extension, as that plan has it. A recording without
    events has no line.
    """

    name = "rttm"
    extensions = (".rttm",)

    def lines(self, result: LocalizeResult) -> Iterator[str]:
        """Yield one line per event."""
        file = self.escape(self.name_of(result.recording.file))
        for event in result.events:
            times = f"{fine_time(event.start)} {fine_time(event.end - event.start)}"
            confidence = f"{event.probability:.{PROBABILITY_DECIMALS}f}"
            name = self.escape(event.label)
            yield f"SPEAKER {file} {RTTM_CHANNEL} {times} {NOT_KNOWN} {NOT_KNOWN} {name} {confidence} {NOT_KNOWN}\n"

    @classmethod
    def escape(cls, text: str) -> str:
        """Return the text as one word; quotation marks, which some readers treat as quoting, become apostrophes."""
        return re.sub(r"\s", "_", one_line(text)).replace('"', "'")

    @classmethod
    def name_of(cls, file: str) -> str:
        """Return the base name without its extension."""
        return PurePath(file).stem


class DcaseWriter(EventWriter):
    """The event list of the DCASE challenges since 2018, as DESED has it and sed_eval reads it.

    A header and a row for each event, between tabs. A recording without events has a row with nothing but its name,
    since an evaluation has to know that it was processed. See https://github.com/turpaultn/DESED and
    https://tut-arg.github.io/sed_eval/.
    """

    name = "dcase"
    extensions = (".dcase.tsv",)

    def open(self, written: int = 0) -> None:
        """Write the header, unless the output has one already."""
        if written == 0:
            self.stream.write("\t".join(DCASE_COLUMNS) + "\n")
            self.stream.flush()

    def lines(self, result: LocalizeResult) -> Iterator[str]:
        """Yield one row per event, or the row of a recording without events."""
        file = tsv_cell(self.escape(self.name_of(result.recording.file)))
        for event in result.events:
            label = tsv_cell(self.escape(event.label))
            yield f"{file}\t{fine_time(event.start)}\t{fine_time(event.end)}\t{label}\n"
        if not result.events:
            yield f"{file}\t\t\t\n"
