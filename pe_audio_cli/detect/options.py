"""Options that may differ from label to label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["PerLabel"]

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
