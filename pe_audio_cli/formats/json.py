"""JSON and JSON Lines: one object for each recording or query, with stable schemas."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from pe_audio_cli.formats.base import PROBABILITY_DECIMALS, TIME_DECIMALS, Writer
from pe_audio_cli.formats.escaping import json_text
from pe_audio_cli.results import Event, FileError, Hit, LocalizeResult, Recording, SearchResult, Tag, TagResult, Written

__all__ = ["JsonLinesWriter", "JsonWriter", "error_object", "event_object", "localize_head", "tag_object"]


ITEMS_AT_ONCE = 4096  # events or frames that are encoded at once


class JsonLinesWriter(Writer):
    """One object per line (https://jsonlines.org)."""

    name = "jsonl"
    extensions = (".jsonl", ".ndjson")
    frames = True

    def write(self, result: Written) -> None:
        """Write one line."""
        self.stream.writelines(_encode(result))
        self.stream.write("\n")
        self.stream.flush()


class JsonWriter(Writer):
    """One array (RFC 8259) with one object per line, so that it can be written and read as a stream."""

    name = "json"
    extensions = (".json",)
    frames = True

    def open(self, written: int = 0) -> None:
        """Open the array, unless it holds results already."""
        if written == 0:
            self.stream.write("[")
        self._separator = "\n" if written == 0 else ",\n"

    def write(self, result: Written) -> None:
        """Write one element."""
        self.stream.write(self._separator)
        self.stream.writelines(_encode(result))
        self.stream.flush()
        self._separator = ",\n"

    def move(self, chunks: Iterable[bytes]) -> None:
        """Write an element of another array, with a new separator."""
        self.stream.write(self._separator)
        pieces = iter(chunks)
        super().move(chain([next(pieces, b"").lstrip(b",\n")], pieces))
        self._separator = ",\n"

    def close(self) -> None:
        """Close the array."""
        self.stream.write("\n]\n")
        self.stream.flush()


def _encode(result: Written) -> Iterator[str]:
    """Yield one object on one line, in pieces of bounded size."""
    if isinstance(result, LocalizeResult):
        yield from _localize_pieces(result)
    elif isinstance(result, TagResult):
        yield _text(tag_object(result))
    elif isinstance(result, SearchResult):
        yield from _search_pieces(result)
    else:
        yield _text(error_object(result))


def _localize_pieces(result: LocalizeResult) -> Iterator[str]:
    yield _text(localize_head(result)).removesuffix("}") + ', "events": ['
    yield from _joined(_text(event_object(event, result.taught)) for event in result.events)
    yield "]"
    if result.frames is not None:
        yield ', "frames": {'
        for place, (label, values) in enumerate(result.frames.items()):
            yield f"{', ' if place else ''}{_text(label)}: ["
            yield from _joined(_text(_probability(value)) for value in map(float, values))
            yield "]"
        yield "}"
    yield "}"


def _search_pieces(result: SearchResult) -> Iterator[str]:
    head = {"schema": "peaudio.search/1", "query": result.query, **_mark(result.taught), **_warnings(result.warnings)}
    yield _text(head).removesuffix("}") + ', "hits": ['
    yield from _joined(_text(_hit_object(hit, result.measure)) for hit in result.hits)
    yield "]}"


def _joined(items: Iterable[str]) -> Iterator[str]:
    """Yield the items with commas between them, many at once."""
    remaining = iter(items)
    separator = ""
    while some := list(islice(remaining, ITEMS_AT_ONCE)):
        yield separator + ", ".join(some)
        separator = ", "


def _text(value: Any) -> str:
    return json_text(json.dumps(value, ensure_ascii=False, allow_nan=False))


def tag_object(result: TagResult) -> dict[str, Any]:
    """Return the object of a recording's tags, with rounded numbers."""
    shape = {
        "schema": "peaudio.tag/1",
        **_recording(result.recording),
        "model": result.model,
        "windows": result.windows,
        "tags": _tags(result.tags, result.taught),
    }
    if result.per_window is not None:
        shape["per_window"] = [
            {"start": _time(window.start), "end": _time(window.end), "tags": _tags(window.tags, result.taught)}
            for window in result.per_window
        ]
    return shape


def localize_head(result: LocalizeResult) -> dict[str, Any]:
    """Return the fields of a recording that come before its events."""
    head: dict[str, Any] = {
        "schema": "peaudio.localize/1",
        **_recording(result.recording),
        "model": result.model,
        "frame_seconds": result.frame_seconds,
        "threshold": result.threshold,
    }
    if result.thresholds:
        head["thresholds"] = dict(result.thresholds)
    return head


def event_object(event: Event, taught: Container[str] = ()) -> dict[str, Any]:
    """Return the object of an event, with rounded numbers, and a mark if its label is among those ``taught``."""
    return {
        "label": event.label,
        "start": _time(event.start),
        "end": _time(event.end),
        "probability": _probability(event.probability),
        **_mark(event.label in taught),
    }


def _hit_object(hit: Hit, measure: str) -> dict[str, Any]:
    return {
        "file": hit.file,
        "start": _time(hit.start),
        "end": _time(hit.end),
        "duration": _time(hit.duration),
        measure: _probability(hit.score),
    }


def error_object(error: FileError) -> dict[str, Any]:
    """Return the object of a recording that failed."""
    return {
        "schema": "peaudio.error/1",
        "file": error.file,
        "error": {"kind": error.kind, "message": error.message},
    }


def _recording(recording: Recording) -> dict[str, Any]:
    return {
        "file": recording.file,
        "duration": _time(recording.duration),
        "sample_rate": recording.sample_rate,
        "channels": recording.channels,
        **_warnings(recording.warnings),
    }


def _warnings(warnings: Sequence[str]) -> dict[str, Any]:
    return {"warnings": list(warnings)} if warnings else {}


def _tags(tags: tuple[Tag, ...], taught: Container[str]) -> list[dict[str, Any]]:
    return [
        {"label": tag.label, "probability": _probability(tag.probability), **_mark(tag.label in taught)} for tag in tags
    ]


def _mark(is_taught: bool) -> dict[str, bool]:
    return {"taught": True} if is_taught else {}


def _probability(value: float) -> float:
    return round(value, PROBABILITY_DECIMALS)


def _time(seconds: float) -> float:
    return round(seconds, TIME_DECIMALS)
