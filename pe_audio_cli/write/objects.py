"""JSON and JSON lines: one object for each recording, in the shapes that scripts rely on."""

from __future__ import annotations

import json
from typing import Any

from pe_audio_cli.results import FileError, LocalizeResult, Recording, Result, Tag, TagResult
from pe_audio_cli.write.base import PROBABILITY_DECIMALS, TIME_DECIMALS, Writer
from pe_audio_cli.write.escape import json_text

__all__ = ["JsonLinesWriter", "JsonWriter"]


class JsonLinesWriter(Writer):
    """One object a line (https://jsonlines.org)."""

    name = "jsonl"
    extensions = (".jsonl", ".ndjson")
    frames = True

    def write(self, result: Result) -> None:
        """Write one line."""
        self.stream.write(_encode(result) + "\n")
        self.stream.flush()


class JsonWriter(Writer):
    """One array (RFC 8259) with one object a line, so that it is written, and can be read, as a stream."""

    name = "json"
    extensions = (".json",)
    frames = True

    def open(self, written: int = 0) -> None:
        """Open the array, unless it holds results already."""
        if written == 0:
            self.stream.write("[")
        self._separator = "\n" if written == 0 else ",\n"

    def write(self, result: Result) -> None:
        """Write one element."""
        self.stream.write(self._separator + _encode(result))
        self.stream.flush()
        self._separator = ",\n"

    def close(self) -> None:
        """Close the array."""
        self.stream.write("\n]\n")
        self.stream.flush()


def _encode(result: Result) -> str:
    return json_text(json.dumps(_object(result), ensure_ascii=False, allow_nan=False))


def _object(result: Result) -> dict[str, Any]:
    if isinstance(result, TagResult):
        return _tag_object(result)
    if isinstance(result, LocalizeResult):
        return _localize_object(result)
    return _error_object(result)


def _tag_object(result: TagResult) -> dict[str, Any]:
    shape = {
        "schema": "peaudio.tag/1",
        **_recording(result.recording),
        "model": result.model,
        "windows": result.windows,
        "tags": _tags(result.tags),
    }
    if result.per_window is not None:
        shape["per_window"] = [
            {"start": _time(window.start), "end": _time(window.end), "tags": _tags(window.tags)}
            for window in result.per_window
        ]
    return shape


def _localize_object(result: LocalizeResult) -> dict[str, Any]:
    shape = {
        "schema": "peaudio.localize/1",
        **_recording(result.recording),
        "model": result.model,
        "frame_seconds": result.frame_seconds,
        "threshold": result.threshold,
        "events": [
            {
                "label": event.label,
                "start": _time(event.start),
                "end": _time(event.end),
                "probability": _probability(event.probability),
            }
            for event in result.events
        ],
    }
    if result.frames is not None:
        shape["frames"] = {
            label: [_probability(value) for value in values.tolist()] for label, values in result.frames.items()
        }
    return shape


def _error_object(error: FileError) -> dict[str, Any]:
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
    }


def _tags(tags: tuple[Tag, ...]) -> list[dict[str, Any]]:
    return [{"label": tag.label, "probability": _probability(tag.probability)} for tag in tags]


def _probability(value: float) -> float:
    return round(value, PROBABILITY_DECIMALS)


def _time(seconds: float) -> float:
    return round(seconds, TIME_DECIMALS)
