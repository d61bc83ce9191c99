"""Every option of detection, once.

A field of an options class carries an :class:`Option`: what it does, which values it takes, how it is shown. The flags
of the command line, settings files, the keywords of the Python API, the tuner's grid and the tables of ``eval`` follow
from it. So a new option of events is a field here, what it does in :mod:`pe_audio_cli.detection.events`, and the same
in the report's ``events.js``.

Nothing but the standard library is imported here: ``peaudio --help`` waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from numbers import Integral, Real
from typing import Any, Generic, Literal, TypeAlias, TypeVar, get_args

from pe_audio_cli.errors import UsageError

__all__ = [
    "Aggregate",
    "EventOptions",
    "LiveOptions",
    "Option",
    "PerLabel",
    "TagOptions",
    "check_options",
    "check_range",
    "defaults",
    "option",
    "options_of",
    "shown",
]

LONGEST = 3600.0  # seconds that a median filter, a gap to merge or a minimum duration may be

# What --tidy stands for: at 0.3 without any rule, one sound that lasts comes out in dozens of pieces.
TIDY_OFFSET = 1 / 3  # of the threshold: hysteresis
TIDY_GAP = 1.0  # seconds
TIDY_DURATION = 0.4  # seconds

Aggregate: TypeAlias = Literal["max", "mean"]
OptionsT = TypeVar("OptionsT")


@dataclass(frozen=True)
class Option:
    """The name, help and range of an option.

    Attributes:
        help: what it does, in a sentence.
        metavar: what stands for its value in help; None where the values are listed, or it is a switch.
        name: what messages call it.
        low: the least value.
        high: the greatest value; None where there is none.
        unit: of its values, with a space in front.
        at_most: the option whose value is the greatest that it takes.
        short: what a narrow table calls it; None leaves it out.
        tried: the values that ``eval --tune-postprocessing`` tries, of ``at_most`` if there is one.
    """

    help: str
    metavar: str | None = None
    name: str = ""
    low: float = 0
    high: float | None = None
    unit: str = ""
    at_most: str | None = None
    short: str | None = None
    tried: tuple[float | None, ...] = ()


def option(default: Any, help: str, metavar: str | None = None, **facts: Any) -> Any:
    """A field of an options class; ``facts`` are further ones of :class:`Option`."""
    return field(default=default, metadata={"option": Option(help, metavar, **facts)})


def options_of(options: Any) -> dict[str, Option]:
    """The options of a class or an object by their fields' names, in order."""
    return {each.name: _option_of(each) for each in fields(options) if "option" in each.metadata}


def defaults(options: type) -> dict[str, Any]:
    """The default of each option by its field's name."""
    return {each.name: each.default for each in fields(options) if each.default is not MISSING}


def _option_of(each: Field[Any]) -> Option:
    found: Option = each.metadata["option"]
    return found


@dataclass(frozen=True, slots=True)
class EventOptions:
    """Options of event detection; :mod:`pe_audio_cli.detection.events` describes the effect of each on the timeline.

    Thresholds are probabilities, lengths are seconds; None is off.

    Raises:
        UsageError: a value is out of its range.
    """

    threshold: float = option(
        0.3,
        "A label is present where its probability is above P.",
        "P",
        name="threshold",
        high=1,
        short="threshold",
    )
    offset_threshold: float | None = option(
        None,
        "Events last until the probability is no longer above P (hysteresis).",
        "P",
        name="offset threshold",
        at_most="threshold",
        short="offset",
        tried=(None, 0.75, 0.5, 0.25),
    )
    median: float | None = option(
        None,
        "Length of a median filter, which removes events and gaps shorter than half of it.",
        "SECONDS",
        name="median",
        high=LONGEST,
        unit=" s",
        short="median",
        tried=(None, 0.2, 0.4, 0.8),
    )
    merge_gap: float | None = option(
        None,
        "Merge events of a label that are at most this far apart.",
        "SECONDS",
        name="merge gap",
        high=LONGEST,
        unit=" s",
        short="gap",
        tried=(None, 0.2, 0.5, 1.0),
    )
    min_duration: float | None = option(
        None,
        "Remove events shorter than this.",
        "SECONDS",
        name="minimum duration",
        high=LONGEST,
        unit=" s",
        short="min",
        tried=(None, 0.12, 0.24, 0.48),
    )

    def __post_init__(self) -> None:
        check_options(self)

    def tidied(self) -> EventOptions:
        """One documented set of rules, ``--tidy``, at this threshold: one sound that lasts is one event.

        An event goes on down to a third of the threshold, gaps of up to 1 s are closed, events under 0.4 s vanish.
        """
        offset = float(f"{self.threshold * TIDY_OFFSET:.6g}")  # 0.1, not 0.09999999999999999
        return EventOptions(self.threshold, offset, None, TIDY_GAP, TIDY_DURATION)


@dataclass(frozen=True, slots=True)
class TagOptions:
    """Options of tagging: aggregation, and the choice of the tags that are shown.

    ``top_k`` keeps that many of the most probable labels, ``threshold`` those whose probability is at or above it;
    None keeps all. ``aggregate`` makes one probability of those of a longer recording's windows, each of which
    counts the same. ``per_window`` asks for the tags of each window too.

    Raises:
        UsageError: a value is out of its range.
    """

    top_k: int | None = option(None, "Print only the N most probable labels.", "N", name="top-k", low=1)
    threshold: float | None = option(
        None, "Print only labels whose probability is at least P.", "P", name="threshold", high=1
    )
    aggregate: Aggregate = option("max", "Aggregation of the windows of a long recording.")
    per_window: bool = option(False, "Print the tags of each window, too.")

    def __post_init__(self) -> None:
        if self.top_k is not None and (not isinstance(self.top_k, Integral) or self.top_k < 1):
            raise UsageError(f"top-k must be 1 or more: got {shown(self.top_k)}")
        if self.aggregate not in get_args(Aggregate):
            raise UsageError(f"windows are aggregated by {' or '.join(get_args(Aggregate))}: got {self.aggregate!r}")
        check_options(self)


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """Options of listening; lengths are seconds.

    Raises:
        UsageError: a value is out of its range, or the windows do not overlap by a second.
    """

    window: float = option(
        10.0,
        "Length of the windows that the model takes.",
        "SECONDS",
        name="window",
        low=2,
        high=60,
        unit=" s",
    )
    hop: float = option(
        0.5,
        "Time from one window to the next.",
        "SECONDS",
        name="hop",
        low=0.04,
        high=LONGEST,
        unit=" s",
    )
    confirm: float = option(
        0.0,
        "Report an event once it has gone on for this long without a gap, and not if it never does.",
        "SECONDS",
        name="confirmation time",
        high=LONGEST,
        unit=" s",
    )
    cooldown: float = option(
        0.0,
        "After an event of a label, report no other for this long, unless it still goes on then.",
        "SECONDS",
        name="cooldown",
        high=86_400,
        unit=" s",
    )
    silence: float = option(
        60.0,
        "Report silence that lasts this long, such as that of a microphone that is switched off.",
        "SECONDS",
        name="silence",
        low=1,
        high=86_400,
        unit=" s",
    )
    stall: float = option(
        10.0,
        "Report a source from which nothing has come for this long, and connect to it again.",
        "SECONDS",
        name="stall time",
        low=1,
        high=LONGEST,
        unit=" s",
    )

    def __post_init__(self) -> None:
        check_options(self)
        check_range(
            "the hop", self.hop, 0.04, self.window - 1, f"from 0.04 to {self.window - 1:g} s, the window less 1 s"
        )


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


def check_options(options: Any) -> None:
    """Raise :class:`UsageError` if a value is out of the range that its :class:`Option` tells; None is off."""
    off = {name for name, default in defaults(type(options)).items() if default is None}
    for name, known in options_of(options).items():
        value = getattr(options, name)
        if value is None and name in off:
            continue
        if known.at_most is not None:
            limit = getattr(options, known.at_most)
            high, told = limit, f"the {options_of(options)[known.at_most].name} ({limit:g})"
        elif known.high is not None:
            high, told = known.high, f"{known.high:g}{known.unit}"
        else:
            continue
        check_range(f"the {known.name}", value, known.low, high, f"from {known.low:g} to {told}")


def check_range(what: str, value: Any, low: float, high: float, allowed: str) -> None:
    """Raise :class:`UsageError` if ``value`` is not a number from ``low`` to ``high``; ``allowed`` describes them."""
    if not (_is_number(value) and low <= value <= high):
        raise UsageError(f"{what} must be {allowed}: got {shown(value)}")


def shown(value: Any) -> str:
    """Return a value for a message: numbers, even huge ones, in a few digits; other values shortened."""
    if _is_number(value):
        try:
            return f"{float(value):g}"
        except (OverflowError, ValueError):
            return "a number of hundreds of digits"
    text = repr(value) if isinstance(value, (str, bool, type(None))) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:60] + "..."


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
