"""The description of the server's paths at ``/openapi.json`` (OpenAPI 3.1), made of the options that it takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args, get_type_hints

from pe_audio_cli import __version__
from pe_audio_cli.formats.registry import choices
from pe_audio_cli.options import EventOptions, TagOptions, options_of
from pe_audio_cli.server.media_types import MEDIA_TYPES
from pe_audio_cli.server.refusals import STATUS

__all__ = ["description"]

TEXT, NUMBER, WHOLE, SWITCH = ({"type": kind} for kind in ("string", "number", "integer", "boolean"))
TEXTS = {"type": "array", "items": TEXT}

# Kinds of errors that any path may answer with, and those of paths that take a recording.
ANYWHERE = ("unauthorized", "forbidden", "wrong-host", "internal")
OF_RECORDINGS = tuple(kind for kind in STATUS if kind not in (*ANYWHERE, "not-found", "method"))

# What a parameter is, by its name: its schema, and its help.
SHARED: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "path": (TEXT, "A recording on the server, below one of its --root folders, in place of an upload."),
    "url": (TEXT, "The address of a recording, if the server runs with --allow-urls, in place of an upload."),
    "name": (TEXT, "What results call an uploaded recording; by default a form's file name, else -."),
    "format": (TEXT, "The format of the answer; it wins over Accept."),
    "window": ({"oneOf": [NUMBER, {"const": "full"}]}, "Seconds of the windows of longer recordings, or full."),
    "overlap": (NUMBER, "Seconds by which windows overlap."),
    "audio_track": (WHOLE, "One of several audio tracks, counted from 1."),
    "model": (TEXT, "The model that is expected; a server that runs another refuses."),
}
LABELS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "labels": (TEXTS, "Labels, with commas between them; in JSON, a list of labels. By default the model's own."),
    "label": (TEXTS, "One label, commas and all; may come several times."),
    "label_set": (TEXTS, "The name of a set of labels that ships with peaudio."),
    "template": (TEXT, "The prompt for each label; {} stands for the label."),
    "settings": ({"const": "none"}, "none ignores the settings that the model carries."),
}
FRAMES = {"frames": (SWITCH, "The probability of each 40 ms frame, too (json and jsonl).")}
TIDY = {"tidy": (SWITCH, "Find sustained sounds as one event.")}
OF_EMBED: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "per_window": (SWITCH, "An embedding of each window."),
    "frames": (SWITCH, "An embedding of each frame of 40 ms."),
    "precision": ({"enum": ["float32", "float16"]}, "The type of the numbers."),
}
OF_SEARCH: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "q": (TEXTS, "A sound in plain words; may come several times."),
    "not": (TEXTS, "A sound that must not be present."),
    "k": ({"oneOf": [WHOLE, {"const": "all"}]}, "The number of hits, or all."),
    "where": (TEXT, "A condition in SQL on file, start, end, duration, sample_rate and channels."),
    "format": SHARED["format"],
}


def description(needs_token: bool) -> dict[str, Any]:
    """Return the description of a server, which may need a token."""
    tag = {**SHARED, **LABELS, **_options(TagOptions)}
    localize = {**SHARED, **LABELS, **TIDY, **FRAMES, **_options(EventOptions)}
    like = {name: SHARED[name] for name in ("path", "url", "name")}
    paths = {
        "/v1/tag": {"post": _asks("The probability of each label", tag, choices("tag"))},
        "/v1/localize": {"post": _asks("The events of each label", localize, choices("localize"))},
        "/v1/embed": {"post": _asks("Audio embeddings", {**SHARED, **OF_EMBED}, ("npz", "parquet"))},
        "/v1/search": {
            "get": _asks("Search the index in words", OF_SEARCH, choices("search"), uploads=False),
            "post": _asks("Search the index by a recording or in words", {**OF_SEARCH, **like}, choices("search")),
        },
        "/v1/models": {"get": _tells("Known checkpoints", {"application/json": {"schema": {"type": "array"}}})},
        "/healthz": {"get": _tells("What is loaded", {"application/json": {"schema": {"type": "object"}}})},
        "/metrics": {"get": _tells("Counters for Prometheus", {"text/plain": {"schema": TEXT}})},
        "/openapi.json": {"get": _tells("This description", {"application/json": {"schema": {"type": "object"}}})},
        "/": {"get": _tells("The page", {"text/html": {"schema": TEXT}})},
    }
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "peaudio", "version": __version__},
        "paths": paths,
        "components": {"schemas": {"Error": _error()}},
    }
    if needs_token:
        whole["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        whole["security"] = [{"token": []}]
    return whole


def _options(options: type) -> dict[str, tuple[Mapping[str, Any], str]]:
    hints = get_type_hints(options)
    return {name: (_schema(hints[name]), known.help) for name, known in options_of(options).items()}


def _schema(hint: Any) -> Mapping[str, Any]:
    kinds = (hint, *get_args(hint))
    if bool in kinds:
        return SWITCH
    if int in kinds or float in kinds:
        return WHOLE if int in kinds else NUMBER
    return {"enum": list(get_args(hint))}


def _asks(
    summary: str, parameters: Mapping[str, tuple[Mapping[str, Any], str]], formats: Iterable[str], uploads: bool = True
) -> dict[str, Any]:
    named = {**parameters, "format": ({"enum": list(formats)}, SHARED["format"][1])}
    operation: dict[str, Any] = {
        "summary": summary,
        "parameters": [
            {"name": name, "in": "query", "required": False, "description": help, "schema": schema}
            for name, (schema, help) in named.items()
        ],
        "responses": {
            "200": {
                "description": "The answer, as the command prints it",
                "content": {kind: {} for kind in sorted({MEDIA_TYPES[name] for name in formats})},
            },
            **dict(_errors((*ANYWHERE, *OF_RECORDINGS, "not-found"))),
        },
    }
    if uploads:
        fields = {name: {**schema, "description": help} for name, (schema, help) in named.items()}
        form = {**fields, "file": {"type": "string", "contentMediaType": "application/octet-stream"}}
        operation["requestBody"] = {
            "description": "The recording, a form with it and parameters, or parameters alone",
            "required": False,
            "content": {
                "application/octet-stream": {},
                "multipart/form-data": {"schema": {"type": "object", "properties": form}},
                "application/json": {"schema": {"type": "object", "properties": fields}},
            },
        }
    return operation


def _tells(summary: str, content: Mapping[str, Any]) -> dict[str, Any]:
    answer = {"description": summary, "content": dict(content)}
    return {"summary": summary, "responses": {"200": answer, **dict(_errors(ANYWHERE))}}


def _errors(kinds: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield the answer of each status, in order, with the kinds of errors that have it."""
    of_status: dict[int, list[str]] = {}
    for kind in kinds:
        of_status.setdefault(STATUS[kind], []).append(kind)
    for status, several in sorted(of_status.items()):
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        yield str(status), {"description": f"An error of the kind {' or '.join(several)}", "content": content}


def _error() -> dict[str, Any]:
    error = {
        "type": "object",
        "properties": {"kind": {"enum": list(STATUS)}, "message": TEXT},
        "required": ["kind", "message"],
    }
    return {
        "type": "object",
        "properties": {"schema": {"const": "peaudio.error/1"}, "file": TEXT, "error": error},
        "required": ["schema", "file", "error"],
    }
