"""Limits of what a server takes on, once: each is a flag of ``peaudio serve``."""

from __future__ import annotations

from dataclasses import dataclass

from pe_audio_cli.options import check_options, option

__all__ = ["ServerLimits"]


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Limits beyond which a request is refused.

    Raises:
        UsageError: a value is out of its range.
    """

    max_upload: float = option(
        256.0,
        "Size of an uploaded recording, in MiB, beyond which it is refused (413).",
        "MIB",
        name="greatest upload",
        low=0.001,
        high=1_048_576,
        unit=" MiB",
    )
    max_length: float = option(
        7_200.0,
        "Length of a recording beyond which the work on it ends (413).",
        "SECONDS",
        name="greatest length",
        low=0.1,
        high=1e9,
        unit=" s",
    )
    queue: int = option(
        32,
        "Number of requests at once, those that wait included; more are told to come back later (503).",
        "N",
        name="queue",
        low=1,
        high=4_096,
    )
    upload_timeout: float = option(
        60.0,
        "Time for a request to arrive (408).",
        "SECONDS",
        name="upload timeout",
        low=0.1,
        high=86_400,
        unit=" s",
    )
    timeout: float = option(
        600.0,
        "Time for an answer, from the arrival of the request (504).",
        "SECONDS",
        name="timeout",
        low=0.1,
        high=86_400,
        unit=" s",
    )
    max_connections: int = option(
        256,
        "Number of connections at once; of more, those that have been idle for longest are closed.",
        "N",
        name="number of connections",
        low=2,
        high=65_536,
    )

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def upload_bytes(self) -> int:
        """The greatest size of a body."""
        return int(self.max_upload * (1 << 20))
