"""An event of a live sound, as the outputs and the actions take it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LiveEvent"]


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """A label that is present from ``onset``, and until ``offset`` once that is known.

    Times in seconds count from the start of the listening; ``started_at`` and ``ended_at`` are the same instants on
    the wall clock, ISO 8601 with milliseconds and zone. ``probability`` is that of the highest frame so far. ``offset``
    and ``ended_at`` are None in an event that has started and goes on. ``taught`` is True for a label that was learned
    from examples.
    """

    label: str
    onset: float
    started_at: str
    probability: float
    offset: float | None = None
    ended_at: str | None = None
    taught: bool = False
