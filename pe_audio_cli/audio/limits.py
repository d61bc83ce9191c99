"""Limits of what a recording may claim: a few kilobytes can claim days of silence, or gigabytes of memory.

Each limit is far beyond what recorders write, and an environment variable of its own raises it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pe_audio_cli.errors import UsageError

__all__ = ["Limits", "remedy", "variable"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits beyond which a recording is refused; all values are positive.

    Attributes:
        gap_seconds: silence that stands in for sound that is missing by the time stamps, all of it together.
        seconds_per_byte: sound and silence, for each byte of the file. Digital silence takes the least room: a FLAC
            holds up to half a second of it in a byte.
        packet_bytes: a packet of compressed sound, as the container holds it.
        frame_bytes: a frame of decoded sound, all channels together.
        packets_without_sound: packets of which the decoder makes nothing, or less than 1 ms, in a row; each with sound
            takes ten off, for what calls and meetings leave out.
        tags: texts about a recording, such as its title, whose number costs FFmpeg its square in time.
        index_bytes: what the headers of an MP4, those of its fragments too, make the decoder hold beyond their size.
        stall_seconds: how long an address may take until the next bytes arrive; in all it may take as long as it takes.
    """

    gap_seconds: float = 3_600.0
    seconds_per_byte: float = 1.0
    packet_bytes: int = 16 << 20
    frame_bytes: int = 32 << 20
    packets_without_sound: int = 100_000
    tags: int = 5_000
    index_bytes: int = 256 << 20
    stall_seconds: float = 30.0

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Limits:
        """The limits, raised or lowered by the variables that are set, see :func:`variable`.

        Raises :class:`UsageError` if one is no positive number.
        """
        given = {each.name: environment.get(variable(each.name), "") for each in fields(cls)}
        kinds: dict[str, Any] = {each.name: type(each.default) for each in fields(cls)}
        values: dict[str, Any] = {name: _positive(name, text, kinds[name]) for name, text in given.items() if text}
        return cls(**values)


def remedy(limit: str) -> str:
    """Return the advice for a recording beyond a limit."""
    return f"export it again, or raise {variable(limit)} if you trust it"


def variable(limit: str) -> str:
    """The environment variable that raises a limit, say ``PEAUDIO_MAX_GAP_SECONDS``."""
    return f"PEAUDIO_MAX_{limit.upper()}"


def _positive(limit: str, text: str, kind: type[int | float]) -> int | float:
    try:
        value = kind(text)
    except ValueError:
        value = 0
    if not (value > 0 and math.isfinite(value)):
        what = "a whole number" if kind is int else "a number"
        raise UsageError(f"{variable(limit)} must be {what} above 0: got {text!r}")
    return value
