"""Formats of answers and their media types, for the headers Accept and Content-Type."""

from __future__ import annotations

from collections.abc import Mapping

from pe_audio_cli.server.transport import MEDIA_TYPE as EXACT_TYPE

__all__ = ["MEDIA_TYPES", "accepted"]

MEDIA_TYPES: Mapping[str, str] = {
    "jsonl": "application/x-ndjson",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "table": "text/plain; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "audacity": "text/plain; charset=utf-8",
    "raven": "text/plain; charset=utf-8",
    "textgrid": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "rttm": "text/plain; charset=utf-8",
    "dcase": "text/tab-separated-values; charset=utf-8",
    "npz": "application/octet-stream",
    "exact": EXACT_TYPE,
}
# What Accept may say; other formats are named by the parameter "format".
ACCEPTED = {
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "application/json": "json",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "text/vtt": "vtt",
    "application/x-subrip": "srt",
    "text/plain": "table",
    "application/vnd.apache.parquet": "parquet",
    "application/octet-stream": "npz",
}


def accepted(accept: str, default: str) -> str:
    """Return the format that a client likes best (RFC 9110, section 12.5.1); ``default`` if it takes anything."""
    ranked = []
    for place, part in enumerate(accept.split(",")):
        kind, *options = (piece.strip().lower() for piece in part.split(";"))
        quality = next((_quality(each[2:]) for each in options if each.startswith("q=")), 1.0)
        ranked.append((-quality, place, kind))
    for quality, _, kind in sorted(ranked):
        if quality < 0 and kind in ("*/*", "application/*", ""):
            return default
        if quality < 0 and kind in ACCEPTED:
            return ACCEPTED[kind]
    return default


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0
