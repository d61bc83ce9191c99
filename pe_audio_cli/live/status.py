"""The fate of a source: silence, what was lost, how late the listening is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["LiveStatus", "StatusKind"]

StatusKind: TypeAlias = Literal[
    "listening",
    "silence",
    "sound",
    "stalled",
    "resumed",
    "dropped",
    "reconnected",
    "behind",
    "caught-up",
    "skipped",
    "ended",
]


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """Something that happened to the source at ``at`` seconds since the start, which is ``time`` by the wall clock.

    ``seconds`` is how long it took, or how much it is, and ``message`` says it to people.
    """

    status: StatusKind
    at: float
    time: str
    message: str
    seconds: float | None = None
