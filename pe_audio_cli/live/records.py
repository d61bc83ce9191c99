"""The written forms of live events: JSON lines, CSV, or lines for people."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pe_audio_cli.formats.base import PROBABILITY_DECIMALS, TIME_DECIMALS
from pe_audio_cli.formats.csv import csv_line
from pe_audio_cli.formats.escaping import cell_text, json_text, terminal_text
from pe_audio_cli.live.event import LiveEvent
from pe_audio_cli.live.listener import Record

__all__ = ["CSV_HEADER", "FORMATS", "record_object"]

CSV_COLUMNS = ("type", "event", "label", "onset", "offset", "started_at", "ended_at", "probability", "message")


def record_object(record: Record) -> dict[str, Any]:
    """Return the object of the schema ``peaudio.listen/1``, with rounded numbers."""
    shape: dict[str, Any] = {"schema": "peaudio.listen/1"}
    if isinstance(record, LiveEvent):
        shape |= {"type": "event", "event": _event(record), "label": record.label}
        shape |= {"taught": True} if record.taught else {}
        shape |= {"onset": _seconds(record.onset), "started_at": record.started_at}
        if record.offset is not None:
            shape |= {"offset": _seconds(record.offset), "ended_at": record.ended_at}
        return shape | {"probability": round(record.probability, PROBABILITY_DECIMALS)}
    shape |= {"type": "status", "status": record.status, "at": _seconds(record.at), "time": record.time}
    shape |= {} if record.seconds is None else {"seconds": _seconds(record.seconds)}
    return shape | {"message": record.message}


def _json(record: Record) -> str:
    return json_text(json.dumps(record_object(record), ensure_ascii=False, allow_nan=False)) + "\n"


def _csv(record: Record) -> str:
    shape = record_object(record)
    if not isinstance(record, LiveEvent):
        shape |= {"event": record.status, "onset": shape["at"], "started_at": record.time}
    return csv_line([_cell(shape.get(name, "")) for name in CSV_COLUMNS])


def _cell(value: Any) -> str:
    return cell_text(value) if isinstance(value, str) else str(value)


def _table(record: Record) -> str:
    if not isinstance(record, LiveEvent):
        return f"{_clock(record.time)}  {record.status:<11}  {terminal_text(record.message)}\n"
    moment = record.started_at if record.ended_at is None else record.ended_at
    lasted = "" if record.offset is None else f"  {record.offset - record.onset:.1f} s"
    what = f"{record.probability:.2f}  {terminal_text(record.label)}{lasted}"
    return f"{_clock(moment)}  {_event(record):<11}  {what}\n"


def _clock(time: str) -> str:
    """The time of day, to a tenth of a second, of an ISO 8601 time."""
    return time[11:21]


def _event(record: LiveEvent) -> str:
    return "start" if record.offset is None else "end"


def _seconds(value: float) -> float:
    return round(value, TIME_DECIMALS)


CSV_HEADER = csv_line(CSV_COLUMNS)
FORMATS: dict[str, Callable[[Record], str]] = {"jsonl": _json, "table": _table, "csv": _csv}
