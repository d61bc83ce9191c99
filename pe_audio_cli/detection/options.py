"""Options of detection: numbers within their range, and values that may differ from label to label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Generic, TypeVar

from pe_audio_cli.errors import UsageError

__all__ = ["PerLabel", "check_range", "shown"]

OptionsT = TypeVar("OptionsT")


@dataclass(frozen=True)
class PerLabel(Generic[OptionsT]):
    """``default`` for all labels but those that have their ``own``."""

    default: OptionsT
    own: Mapping[str, OptionsT] = field(default_factory=dict)

    def of(self, label: str) -> OptionsT:
        """The options of one label."""
        return self.own.get(label, self.default)

    @classmethod
    def lift(cls, options: OptionsT | PerLabel[OptionsT]) -> PerLabel[OptionsT]:
        """Options that are the same for all labels, as options that may differ."""
        return options if isinstance(options, PerLabel) else cls(options)


def check_range(what: str, value: Any, low: float, high: float, allowed: str) -> None:
    """Raise :class:`UsageError` if ``value`` is no number from ``low`` to ``high``, which ``allowed`` tells people."""
    if not (_is_number(value) and low <= value <= high):
        raise UsageError(f"{what} must be {allowed}: got {shown(value)}")


def shown(value: Any) -> str:
    """A value as a message has it: a number in a few digits, be it one that no float holds; all else cut short."""
    if _is_number(value):
        try:
            return f"{float(value):g}"
        except (OverflowError, ValueError):
            return "a number of hundreds of digits"
    text = repr(value) if isinstance(value, (str, bool, type(None))) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:60] + "..."


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
