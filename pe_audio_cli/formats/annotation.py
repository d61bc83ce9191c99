"""Formats of annotation programs: Audacity, Raven and Praat."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import chain, pairwise
from typing import Any, TextIO

from pe_audio_cli.formats.base import PROBABILITY_DECIMALS, EventWriter, WriteOptions, fine_time
from pe_audio_cli.formats.escaping import tsv_cell
from pe_audio_cli.results import LocalizeResult

__all__ = ["AudacityWriter", "RavenWriter", "TextGridWriter"]

RAVEN_COLUMNS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Begin Path",
    "File Offset (s)",
    "Label",
    "Score",
)
RAVEN_VIEW = "Spectrogram 1"
MOST = 1 << 53  # selections, or seconds, that a table can count
RAVEN_CHANNEL = 1  # the first: events are detected in the mix of all channels


class AudacityWriter(EventWriter):
    """An Audacity label track: onset, offset and label between tabs.

    A line that begins with a backslash would give the label above it a band of frequencies; each of ours begins with a
    number. See https://manual.audacityteam.org/man/importing_and_exporting_labels.html.
    """

    name = "audacity"
    extensions = (".txt",)
    several = False

    def lines(self, result: LocalizeResult) -> Iterator[str]:
        """Yield one line per event."""
        for event in result.events:
            yield f"{fine_time(event.start)}\t{fine_time(event.end)}\t{self.escape(event.label)}\n"


class RavenWriter(EventWriter):
    """A Raven selection table, with the label and the probability of each event as columns of our own.

    Raven lays the files of a table end to end: begin and end times count from the start of the first recording, the
    offset from that of the event's own. A selection is as high as the recording's spectrogram, since a label has no
    band of its own. See the chapters on selections and on large datasets in the Raven Pro User's Manual.
    """

    name = "raven"
    extensions = (".selections.txt",)
    movable = False  # numbers and times continue from recording to recording

    def __init__(self, stream: TextIO, options: WriteOptions) -> None:
        super().__init__(stream, options)
        self.state = [0, 0.0]  # selections so far, and the seconds of the recordings before the next

    def restore(self, state: Any) -> None:
        """Continue the numbering. Raises :class:`ValueError` for an invalid state."""
        match state:
            case [int(count), int() | float() as seconds] if 0 <= count < MOST and 0 <= seconds < MOST:
                self.state = [count, seconds]
            case _:
                raise ValueError(state)

    def open(self, written: int = 0) -> None:
        """Write the header, unless the output has one already."""
        if written == 0:
            self.stream.write("\t".join(RAVEN_COLUMNS) + "\n")
            self.stream.flush()

    def lines(self, result: LocalizeResult) -> Iterator[str]:
        """Yield one row per event."""
        n_before, seconds_before = self.state
        recording = result.recording
        path = tsv_cell(self.escape(self.name_of(recording.file)))
        highest = f"{recording.sample_rate / 2:.1f}"
        for selection, event in enumerate(result.events, start=n_before + 1):
            times = (fine_time(seconds_before + event.start), fine_time(seconds_before + event.end))
            ours = (tsv_cell(self.escape(event.label)), f"{event.probability:.{PROBABILITY_DECIMALS}f}")
            row = (str(selection), RAVEN_VIEW, str(RAVEN_CHANNEL), *times, "0.0", highest)
            yield "\t".join((*row, path, fine_time(event.start), *ours)) + "\n"
        self.state = [n_before + len(result.events), seconds_before + recording.duration]

    @classmethod
    def name_of(cls, file: str) -> str:
        """Return the absolute path, by which Raven finds the recording wherever the table is."""
        return file if file == "-" else os.path.abspath(file)


class TextGridWriter(EventWriter):
    """A Praat TextGrid, in its long form: an interval tier for each label, whether or not it has an event.

    The intervals of a tier cover the whole recording: between events there is an interval without text, and neighbours
    share their boundary exactly. See https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html.
    """

    name = "textgrid"
    extensions = (".TextGrid",)
    several = False

    def lines(self, result: LocalizeResult) -> Iterator[str]:
        """Yield a header, then the tiers."""
        end = result.recording.duration
        yield (
            f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = {_exact(end)}\n'
            f"tiers? <exists>\nsize = {len(result.labels)}\nitem []:\n"
        )
        edges = _edges(result)
        for number, label in enumerate(result.labels, start=1):
            yield f'    item [{number}]:\n        class = "IntervalTier"\n'
            yield from self._tier(self.escape(label).replace('"', '""'), edges[label], end)

    @staticmethod
    def _tier(quoted: str, edges: Sequence[float], end: float) -> Iterator[str]:
        n_intervals = sum(1 for _ in _intervals(edges, end))
        yield f'        name = "{quoted}"\n        xmin = 0\n        xmax = {_exact(end)}\n'
        yield f"        intervals: size = {n_intervals}\n"
        for number, (start, stop, present) in enumerate(_intervals(edges, end), start=1):
            yield f"        intervals [{number}]:\n"
            yield f"            xmin = {_exact(start)}\n            xmax = {_exact(stop)}\n"
            yield f'            text = "{quoted if present else ""}"\n'


def _edges(result: LocalizeResult) -> dict[str, array[float]]:
    """Return for each label the onsets and offsets of its events, in turn, as float64."""
    edges = {label: array("d") for label in result.labels}
    for event in result.events:
        edges[event.label].extend((event.start, event.end))
    return edges


def _intervals(edges: Sequence[float], end: float) -> Iterator[tuple[float, float, bool]]:
    """Yield the intervals from 0 to ``end`` between the ``edges`` of a label's events; True for those of events."""
    for place, (start, stop) in enumerate(pairwise(chain([0.0], edges, [end]))):
        if start < stop:
            yield start, stop, place % 2 == 1


def _exact(seconds: float) -> str:
    """Return a time with all digits and without an exponent, which some readers do not support."""
    return f"{Decimal(repr(seconds)):f}"
