"""The writer of the HTML page.

A page is one file that needs no network. Its style and scripts come from ``static``; the results are in ``<script>``
elements of data, which a browser ignores until the page's own script reads them. A content security policy in the
page's head lets no other script run, whatever a label contains.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from itertools import islice
from string import Template
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.audio.addresses import is_address
from pe_audio_cli.audio.framing import FRAMES_PER_SECOND
from pe_audio_cli.detection.events import FrameRules, n_audio_frames
from pe_audio_cli.formats.annotation import RavenWriter
from pe_audio_cli.options import EventOptions
from pe_audio_cli.report.link import relative_url
from pe_audio_cli.report.quantize import (
    N_SHADES,
    base64_text,
    deflated,
    pooled,
    ranks,
    shades,
    threshold_index,
    thresholds,
)
from pe_audio_cli.results import FileError, LocalizeResult, Recording, Sound, Spectrogram

__all__ = ["EMBED_SECONDS", "PageOptions", "PageWriter"]

logger = logging.getLogger(__name__)

# Parts of one script: they run in this order and share one scope.
SCRIPTS = (
    "dom.js",
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
HERTZ = (125, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000)  # that are marked
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
        head, self._tail = _frame()
        self.stream.write(head)
        self._element('id="settings" type="application/json"', [_json(_settings(self._options.events, self._levels))])

    def write(self, result: LocalizeResult | FileError) -> None:
        """Add a recording, whose frames and spectrogram must be there, or its error."""
        if isinstance(result, FileError):
            self._element('class="recording" type="application/json"', [_json(_error(result))])
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
            "spectrogram": _spectrogram_facts(spectrogram),
            "link": self._link(recording) if sound is None else None,
            "soundType": None if sound is None else sound.media_type,
        }
        self._element('class="recording" type="application/json"', [_json(facts)])
        self._bytes("spectrogram", deflated([pooled(shades(spectrogram.levels), _columns(spectrogram)).tobytes()]))
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

    def _bytes(self, name: str, pieces: Iterable[bytes]) -> None:
        self._element(f'id="{name}-{self._n_written}" type="text/plain"', base64_text(pieces))

    def _element(self, attributes: str, texts: Iterable[str]) -> None:
        self.stream.write(f"<script {attributes}>")
        self.stream.writelines(texts)
        self.stream.write("</script>\n")


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


def _columns(spectrogram: Spectrogram) -> int:
    """Return the number of a spectrogram's columns that one column of the page covers."""
    return -(-len(spectrogram.levels) // SPECTROGRAM_COLUMNS)


def _spectrogram_facts(spectrogram: Spectrogram) -> dict[str, Any]:
    """Its shape, the width of a column in seconds, and how high up the picture, from 0 to 1, some frequencies are."""
    width, (n_columns, n_bands) = _columns(spectrogram), spectrogram.levels.shape
    heights = (np.interp(HERTZ, spectrogram.frequencies, np.arange(n_bands)) + 0.5) / n_bands
    return {
        "columns": -(-n_columns // width),
        "bands": n_bands,
        "seconds": width * spectrogram.column_seconds,
        "shades": N_SHADES,
        "heights": dict(zip(HERTZ, heights.round(4).tolist(), strict=True)),
    }


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


def _json(value: Any) -> str:
    r"""JSON that no HTML parser takes for the end of its element, nor for anything else: ``<`` is ``\u003c``."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def _frame() -> tuple[str, str]:
    """Return the HTML before the recordings, and the HTML after them."""
    here = files(__package__).joinpath("static")
    style = here.joinpath("page.css").read_text("utf-8")
    script = '"use strict";\n' + "\n".join(_bare(here.joinpath(name).read_text("utf-8")) for name in SCRIPTS)
    template = Template(here.joinpath("page.html").read_text("utf-8"))
    mark = "\0"
    page = template.substitute(
        style=style, script=script, style_hash=_hash(style), script_hash=_hash(script), recordings=mark
    )
    head, tail = page.split(mark)
    return head, tail


def _bare(script: str) -> str:
    """Return a script without indentation and comment lines, to keep pages small."""
    lines = (line.strip() for line in script.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/*", "* ", "*/")))


def _hash(text: str) -> str:
    """Return the hash source of an inline element (https://www.w3.org/TR/CSP3/#match-element-to-source-list)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
