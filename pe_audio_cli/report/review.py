"""The writer of a review page: a queue of excerpts to hear, and to mark as right or wrong.

The page is of the same parts as the report. What is marked is saved as a table of annotations, which ``peaudio teach``
and ``peaudio eval`` read.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TextIO

from pe_audio_cli.audio.addresses import is_address
from pe_audio_cli.report.frame import frame, json_text, write_bytes, write_element
from pe_audio_cli.report.link import relative_url
from pe_audio_cli.report.page import CHUNK, EMBED_SECONDS
from pe_audio_cli.report.picture import spectrogram_bytes, spectrogram_facts
from pe_audio_cli.results import Measure, Sound, Spectrogram

__all__ = ["ReviewItem", "ReviewOptions", "ReviewWriter"]

logger = logging.getLogger(__name__)

SCRIPTS = ("dom.js", "data.js", "export.js", "draw.js", "player.js", "review.js")
SPECTROGRAM_COLUMNS = 512  # of an excerpt of seconds; a page may have hundreds of them
ID_DIGITS = 16  # of a hash of the excerpts, under which a browser keeps the marks


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """An excerpt to judge: whether ``label`` is present in a file from ``start`` to ``end`` seconds.

    ``score`` is the model's, in the unit of the options' ``measure``.
    """

    label: str
    file: str
    start: float
    end: float
    score: float


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """``path`` is the location of the page, ``measure`` the unit of scores.

    ``embed_audio`` puts the sound of the excerpts into the page, instead of links to the files.
    """

    path: str
    measure: Measure = "probability"
    embed_audio: bool = False


class ReviewWriter:
    """Writes a page to a text stream; call ``open`` once, ``write`` for each item in any order, ``close`` once."""

    def __init__(self, stream: TextIO, options: ReviewOptions, items: Sequence[ReviewItem]) -> None:
        self._stream, self._options, self._items = stream, options, items
        self._seconds_left = EMBED_SECONDS

    def open(self) -> None:
        """Begin the page with the list of items."""
        head, self._tail = frame("review", "review.html", ["page.css", "review.css"], SCRIPTS)
        self._stream.write(head)
        items = [asdict(item) for item in self._items]
        identity = hashlib.sha256(json.dumps(items).encode()).hexdigest()[:ID_DIGITS]
        described = {"id": identity, "measure": self._options.measure, "items": items}
        write_element(self._stream, 'id="review" type="application/json"', [json_text(described)])

    def write(self, number: int, spectrogram: Spectrogram, sound: Sound | None) -> None:
        """Add the picture of an item, and its sound if it is to be embedded and there is room for it."""
        item = self._items[number]
        if sound is not None and item.end - item.start > self._seconds_left:
            if self._seconds_left > 0:
                logger.warning("the page embeds at most %g h of sound, and links to the rest", EMBED_SECONDS / 3600)
            self._seconds_left, sound = 0.0, None
        facts = {
            "spectrogram": spectrogram_facts(spectrogram, SPECTROGRAM_COLUMNS),
            "link": self._link(item) if sound is None else None,
            "soundType": None if sound is None else sound.media_type,
        }
        self._describe(number, facts)
        write_bytes(self._stream, f"spectrogram-{number}", spectrogram_bytes(spectrogram, SPECTROGRAM_COLUMNS))
        if sound is not None:
            self._seconds_left -= item.end - item.start
            sound.file.seek(0)
            write_bytes(self._stream, f"sound-{number}", iter(lambda: sound.file.read(CHUNK), b""))

    def write_problem(self, number: int, message: str) -> None:
        """Say why an item can be neither seen nor heard."""
        self._describe(number, {"problem": message})

    def close(self) -> None:
        """End the page; the stream stays open."""
        self._stream.write(self._tail)

    def _describe(self, number: int, facts: dict[str, Any]) -> None:
        write_element(self._stream, f'id="facts-{number}" type="application/json"', [json_text(facts)])

    def _link(self, item: ReviewItem) -> str | None:
        if is_address(item.file):  # the page uses no network, so it cannot play it
            return None
        return relative_url(item.file, os.path.dirname(self._options.path))
