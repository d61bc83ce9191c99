"""The writer of the HTML page of a report."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.audio.addresses import is_address
from pe_audio_cli.audio.framing import FRAMES_PER_SECOND
from pe_audio_cli.detection.events import FrameRules, n_audio_frames
from pe_audio_cli.formats.annotation import RavenWriter
from pe_audio_cli.options import EventOptions
from pe_audio_cli.report.frame import frame, json_text, write_bytes, write_element
from pe_audio_cli.report.link import relative_url
from pe_audio_cli.report.picture import spectrogram_bytes, spectrogram_facts
from pe_audio_cli.report.quantize import deflated, pooled, ranks, threshold_index, thresholds
from pe_audio_cli.results import FileError, LocalizeResult, Recording, Sound

__all__ = ["EMBED_SECONDS", "PageOptions", "PageWriter"]

logger = logging.getLogger(__name__)

SCRIPTS = (
    "dom.js",
    "data.js",
    "events.js",
    "export.js",
    "recording.js",
    "draw.js",
    "player.js",
    "state.js",
    "timeline.js",
    "list.js",
    "page.js",
)
SPECTROGRAM_COLUMNS = 1_024  # about as many as a page has pixels for them
EXACT_FRAMES = 10_000_000  # of all labels, 9 h of twelve: in a longer recording the threshold cannot be moved
POOLED_COLUMNS = 4_096  # for each label of such a recording
LISTED_EVENTS = 20_000  # of such a recording
EMBED_SECONDS = 7_200.0  # of sound in a page: 58 MB as Opus, 77 MB as base64
CHUNK = 3 << 18  # bytes of an embedded sound that are read at once
STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class PageOptions:
    """``path`` is the location of the page, ``events`` the options of its events.

    ``embed_audio`` puts the sound of recordings into the page, instead of links to their files.
    """

    path: str
    events: EventOptions
    embed_audio: bool = False


class PageWriter:
    """Writes a page to a text stream; call ``open`` once, ``write`` for each recording, ``close`` once.

    Recordings are written at once and not held in memory; it is logged if one cannot be played on the page.
    """

    def __init__(self, stream: TextIO, options: PageOptions) -> None:
        self.stream, self._options = stream, options
        self._levels = thresholds(options.events)
        self._n_written = 0
        self._seconds_left = EMBED_SECONDS

    def open(self) -> None:
        """Begin the page."""
        head, self._tail = frame("report", "page.html", ["page.css"], SCRIPTS)
        self.stream.write(head)
        settings = json_text(_settings(self._options.events, self._levels))
        write_element(self.stream, 'id="settings" type="application/json"', [settings])

    def write(self, result: LocalizeResult | FileError) -> None:
        """Add a recording, whose frames and spectrogram must be there, or its error."""
        if isinstance(result, FileError):
            self._describe(_error(result))
        else:
            self._write_recording(result)
        self._n_written += 1

    def close(self) -> None:
        """End the page; the stream stays open."""
        self.stream.write(self._tail)

    def _write_recording(self, result: LocalizeResult) -> None:
        assert result.frames is not None and result.recording.spectrogram is not None
        recording, spectrogram = result.recording, result.recording.spectrogram
        n_frames = n_audio_frames(recording.duration)
        pool = 1 if n_frames * len(result.labels) <= EXACT_FRAMES else -(-n_frames // POOLED_COLUMNS)
        sound = self._sound_to_embed(recording)
        facts = {
            **_facts(result),
            "frames": n_frames,
            "pool": pool,
            "spectrogram": spectrogram_facts(spectrogram, SPECTROGRAM_COLUMNS),
            "link": self._link(recording) if sound is None else None,
            "soundType": None if sound is None else sound.media_type,
        }
        self._describe(facts)
        self._bytes("spectrogram", spectrogram_bytes(spectrogram, SPECTROGRAM_COLUMNS))
        rows = (ranks(result.frames[label][:n_frames], self._levels) for label in result.labels)
        self._bytes("ranks", deflated(pooled(row, pool).tobytes() for row in rows))
        if pool > 1:
            self._bytes("events", deflated([_events(result, self._levels).tobytes()]))
        if sound is not None:
            sound.file.seek(0)
            self._bytes("sound", iter(lambda: sound.file.read(CHUNK), b""))

    def _sound_to_embed(self, recording: Recording) -> Sound | None:
        if not self._options.embed_audio:
            return None
        if recording.sound is None or recording.duration > self._seconds_left:
            hours = EMBED_SECONDS / 3600
            logger.warning(
                "%s: its sound is not in the report, which embeds at most %g h of sound", recording.file, hours
            )
            return None
        self._seconds_left -= recording.duration
        return recording.sound

    def _link(self, recording: Recording) -> str | None:
        is_remote = is_address(recording.file)  # the page uses no network, so it cannot play it
        if recording.file != STANDARD_INPUT and not is_remote:
            return relative_url(recording.file, os.path.dirname(self._options.path))
        if not self._options.embed_audio:
            what = "an address" if is_remote else "standard input"
            logger.warning("%s: the report cannot link to %s: embed its sound with --embed-audio", recording.file, what)
        return None

    def _describe(self, facts: dict[str, Any]) -> None:
        write_element(self.stream, 'class="recording" type="application/json"', [json_text(facts)])

    def _bytes(self, name: str, pieces: Iterable[bytes]) -> None:
        write_bytes(self.stream, f"{name}-{self._n_written}", pieces)


def _settings(options: EventOptions, levels: Sequence[float]) -> dict[str, Any]:
    """Return the event options for ``events.js``: thresholds as indices into ``levels``, and lengths in frames."""
    return {
        "framesPerSecond": FRAMES_PER_SECOND,
        "thresholds": levels,
        "onset": threshold_index(options.threshold, levels),
        "rule": {
            "offset": None if options.offset_threshold is None else threshold_index(options.offset_threshold, levels),
            **asdict(FrameRules.of(options)),
        },
    }


def _facts(result: LocalizeResult) -> dict[str, Any]:
    rank_of = {label: rank for rank, label in enumerate(sorted(result.labels))}
    return {
        "file": result.recording.file,
        "path": RavenWriter.name_of(result.recording.file),
        "duration": result.recording.duration,
        "sampleRate": result.recording.sample_rate,
        "channels": result.recording.channels,
        "model": result.model,
        "labels": result.labels,
        "order": [rank_of[label] for label in result.labels],
        "eventsFound": len(result.events),
    }


def _error(error: FileError) -> dict[str, Any]:
    return {"file": error.file, "error": error.message}


def _events(result: LocalizeResult, levels: Sequence[float]) -> NDArray[np.int32]:
    """Return the first events, int32 ``(n, 4)``: onset and offset frame, index of the label, rank of the peak."""
    places = {label: place for place, label in enumerate(result.labels)}
    rows = [
        (
            round(event.start * FRAMES_PER_SECOND),
            n_audio_frames(event.end),
            places[event.label],
            int(ranks(np.float32(event.probability), levels)),
        )
        for event in islice(result.events, LISTED_EVENTS)
    ]
    return np.array(rows, np.int32).reshape(-1, 4)
