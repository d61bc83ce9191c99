"""Results on their way to ``--server``'s client, with nothing rounded, so that it writes what the command would write.

The answer to a request with ``format=exact`` is a line of JSON, ``{"schema": "peaudio.exact/1", ...}``, and for
embeddings the raw numbers behind it. It is no format for others: it changes as the program does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from pe_audio_cli.results import EmbedResult, Event, LocalizeResult, Recording, Tag, TagResult, WindowTags

__all__ = ["MEDIA_TYPE", "decode", "decode_embeddings", "encode", "encode_embeddings"]

MEDIA_TYPE = "application/vnd.peaudio.exact"
SCHEMA = "peaudio.exact/1"
ROWS_AT_ONCE = 4_096
NUMBER, TIME = np.dtype("<f4"), np.dtype("<f8")


def encode(result: TagResult | LocalizeResult, unfamiliar: Sequence[str] = ()) -> Iterator[str]:
    """Yield a result in pieces; ``unfamiliar`` are the labels that the model was not trained for."""
    head: dict[str, Any] = {
        "schema": SCHEMA,
        "recording": _recording(result.recording),
        "model": result.model,
        "unfamiliar": list(unfamiliar),
    }
    if isinstance(result, TagResult):
        head |= {"windows": result.windows, "tags": _tags(result.tags)}
        if result.per_window is not None:
            head["per_window"] = [[each.start, each.end, _tags(each.tags)] for each in result.per_window]
        yield json.dumps(head) + "\n"
        return
    head |= {
        "frame_seconds": result.frame_seconds,
        "threshold": result.threshold,
        "thresholds": dict(result.thresholds),
        "labels": list(result.labels),
        "events": [[event.label, event.start, event.end, event.probability] for event in result.events],
    }
    yield json.dumps(head).removesuffix("}")
    if result.frames is not None:
        yield ', "frames": {'
        for place, (label, values) in enumerate(result.frames.items()):
            yield f"{', ' if place else ''}{json.dumps(label)}: {json.dumps([float(value) for value in values])}"
        yield "}"
    yield "}\n"


def decode(content: bytes, file: str) -> tuple[TagResult | LocalizeResult, list[str]]:
    """Return the result of ``file``, and the labels that the model was not trained for.

    Raises :class:`ValueError` for what :func:`encode` has not made.
    """
    try:
        head = json.loads(content)
        if head["schema"] != SCHEMA:
            raise ValueError(head["schema"])
        recording, unfamiliar = _recording_of(head, file), [str(label) for label in head["unfamiliar"]]
        if "tags" in head:
            windows = head.get("per_window")
            per_window = None
            if windows is not None:
                per_window = tuple(WindowTags(float(start), float(end), _tags_of(tags)) for start, end, tags in windows)
            return TagResult(
                recording, str(head["model"]), int(head["windows"]), _tags_of(head["tags"]), per_window
            ), unfamiliar
        events = [
            Event(str(name), float(start), float(end), float(value)) for name, start, end, value in head["events"]
        ]
        frames = head.get("frames")
        return LocalizeResult(
            recording,
            str(head["model"]),
            float(head["frame_seconds"]),
            float(head["threshold"]),
            tuple(map(str, head["labels"])),
            events,
            None if frames is None else {name: np.array(values, np.float32) for name, values in frames.items()},
            {str(label): float(value) for label, value in head["thresholds"].items()},
        ), unfamiliar
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(repr(error)) from error


def encode_embeddings(result: EmbedResult) -> Iterator[bytes]:
    """Yield embeddings in pieces: the line, the beginnings, the ends, and the rows."""
    n, width = result.embeddings.shape
    head = {
        "schema": SCHEMA,
        "recording": _recording(result.recording),
        "model": result.model,
        "fingerprint": result.fingerprint,
        "shape": [n, width],
    }
    yield json.dumps(head).encode() + b"\n"
    yield result.starts.astype(TIME).tobytes()
    yield result.ends.astype(TIME).tobytes()
    for first in range(0, n, ROWS_AT_ONCE):
        yield result.embeddings[first : first + ROWS_AT_ONCE].astype(NUMBER).tobytes()


def decode_embeddings(stream: BinaryIO, n_bytes: int, file: str) -> EmbedResult:
    """Return the embeddings of ``file`` from a file of ``n_bytes`` bytes, mapped into memory.

    Raises :class:`ValueError` for what :func:`encode_embeddings` has not made.
    """
    try:
        head = json.loads(stream.readline())
        if head["schema"] != SCHEMA:
            raise ValueError(head["schema"])
        n, width = map(int, head["shape"])
        at = stream.tell()
        if n < 1 or width < 1 or n_bytes - at != n * (2 * TIME.itemsize + width * NUMBER.itemsize):
            raise ValueError("of another length")
        recording = _recording_of(head, file)
        times = np.frombuffer(stream.read(2 * n * TIME.itemsize), TIME).reshape(2, n)
        rows = np.memmap(stream, NUMBER, "r", at + 2 * n * TIME.itemsize, (n, width))
        return EmbedResult(recording, str(head["model"]), str(head["fingerprint"]), times[0], times[1], rows)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(repr(error)) from error


def _recording(recording: Recording) -> dict[str, Any]:
    return {
        "duration": recording.duration,
        "sample_rate": recording.sample_rate,
        "channels": recording.channels,
        "warnings": list(recording.warnings),
    }


def _recording_of(head: Mapping[str, Any], file: str) -> Recording:
    about = head["recording"]
    warnings = tuple(map(str, about["warnings"]))
    return Recording(
        file, float(about["duration"]), int(about["sample_rate"]), int(about["channels"]), warnings=warnings
    )


def _tags(tags: Sequence[Tag]) -> list[list[Any]]:
    return [[tag.label, tag.probability] for tag in tags]


def _tags_of(tags: Any) -> tuple[Tag, ...]:
    return tuple(Tag(str(label), float(probability)) for label, probability in tags)
