"""Frame probabilities to events: threshold with hysteresis, median filter, merging of gaps, minimum duration.

The steps run in this order on whole frames, and each but the threshold is off by default. What each does to the
timeline of a label:

``threshold``
    A frame is active where its probability is above (not at) the threshold. An event is a run of active frames: its
    onset is the first of them, its offset the first frame after them.
``offset_threshold`` (hysteresis)
    An event still starts where the probability rises above the threshold, but goes on until it is no longer above
    this lower one. Events never get an earlier onset; they last longer, and some that dipped in between become one.
``median``
    Each frame takes the state that most of the frames have in an interval of this length around it: a lone event
    shorter than half of it vanishes, a lone gap shorter than half of it is filled. Beyond its ends the recording
    counts as silent.
``merge_gap``
    Events that are no further apart than this become one.
``min_duration``
    Events that are shorter than this vanish.

A length in seconds is compared with whole 40 ms frames: a gap of 3 frames is 0.12 s long. The median filter needs an
odd number of frames and takes the nearest (the higher of two).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli.audio.framing import FRAMES_PER_SECOND
from pe_audio_cli.options import EventOptions, PerLabel
from pe_audio_cli.results import Event

__all__ = ["Events", "FrameRules", "find_events", "n_audio_frames", "spans"]

Activity: TypeAlias = NDArray[np.bool_]
Spans: TypeAlias = NDArray[np.intp]  # (n_spans, 2): onset and offset frames, the offset exclusive
EVENT = np.dtype([("onset", np.int32), ("offset", np.int32), ("label", np.int32), ("peak", np.float32)])


@dataclass(frozen=True, slots=True)
class FrameRules:
    """The lengths of :class:`~pe_audio_cli.options.EventOptions` in whole frames; None is off.

    The report hands them to its ``events.js`` under these names.

    Attributes:
        median: width of the median filter, an odd number.
        gap: the longest gap that is merged.
        shortest: the shortest event that stays.
    """

    median: int | None
    gap: int | None
    shortest: int | None

    @classmethod
    def of(cls, options: EventOptions) -> FrameRules:
        """The lengths of ``options``."""
        return cls(
            None if options.median is None else 2 * math.floor(_frames(options.median) / 2) + 1,
            None if options.merge_gap is None else math.floor(_frames(options.merge_gap)),
            None if options.min_duration is None else math.ceil(_frames(options.min_duration)),
        )


class Events(Sequence[Event]):
    """The events of a recording, sorted by start, then label, in 16 bytes each: a long night may have millions.

    Each :class:`Event` is made when it is asked for.
    """

    def __init__(self, labels: Sequence[str], duration: float, table: NDArray[Any]) -> None:
        self._labels = labels
        self._duration = duration
        self._table = table

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, index: int) -> Event: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Event, ...]: ...

    def __getitem__(self, index: int | slice) -> Event | tuple[Event, ...]:
        if isinstance(index, slice):
            return tuple(self[place] for place in range(*index.indices(len(self))))
        onset, offset, label, peak = self._table[index].item()
        end = min(offset / FRAMES_PER_SECOND, self._duration)
        return Event(self._labels[label], onset / FRAMES_PER_SECOND, end, peak)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __repr__(self) -> str:
        return repr(tuple(self))

    __hash__ = None  # type: ignore[assignment]


def find_events(
    probabilities: Mapping[str, NDArray[np.floating[Any]]],
    duration: float,
    options: EventOptions | PerLabel[EventOptions],
) -> Events:
    """The events of a recording.

    Frames that start at or after the recording's end hold only padding and no event; an event that lasts into
    the padding of the last frame ends with the recording.

    Args:
        probabilities: for each label its frame probabilities, of shape ``(n_frames,)``.
        duration: length of the recording in seconds.
        options: how events are found, perhaps otherwise for some labels than for the rest.
    """
    n_frames = n_audio_frames(duration)
    labels, rules = sorted(probabilities), PerLabel.lift(options)
    tables = [_table(index, probabilities[label][:n_frames], rules.of(label)) for index, label in enumerate(labels)]
    table = np.concatenate(tables) if tables else np.empty(0, EVENT)
    return Events(labels, duration, table[np.lexsort((table["label"], table["onset"]))])


def n_audio_frames(duration: float) -> int:
    """Return the number of frames that hold samples, not only padding, of a recording of so many seconds."""
    return math.ceil(_frames(duration))


def _table(label: int, probability: NDArray[np.floating[Any]], options: EventOptions) -> NDArray[Any]:
    found = _spans(probability, options)
    table = np.empty(len(found), EVENT)
    table["onset"], table["offset"], table["label"] = found[:, 0], found[:, 1], label
    # Maxima between consecutive edges, every other of which is an event; the end needs a frame more.
    table["peak"] = np.maximum.reduceat(np.append(probability, 0), found.ravel())[::2] if len(found) else 0
    return table


def spans(probability: NDArray[np.floating[Any]], options: EventOptions) -> list[tuple[int, int]]:
    """Onset and offset frames (the offset exclusive) of the events in ``probability``, of shape ``(n_frames,)``."""
    return [(int(onset), int(offset)) for onset, offset in _spans(probability, options)]


def _spans(probability: NDArray[np.floating[Any]], options: EventOptions) -> Spans:
    active = _threshold(probability, options.threshold, options.offset_threshold)
    rules = FrameRules.of(options)
    if rules.median is not None:
        active = _median(active, rules.median)
    found = _runs(active)
    if rules.gap is not None:
        found = _merge(found, rules.gap)
    if rules.shortest is not None:
        found = found[found[:, 1] - found[:, 0] >= rules.shortest]
    return found


def _frames(seconds: float) -> float:
    """``seconds`` in frames, of which a product like 0.28 * 25 = 7.000000000000001 misses the whole number."""
    return round(seconds * FRAMES_PER_SECOND, 6)


def _threshold(probability: NDArray[np.floating[Any]], onset: float, offset: float | None) -> Activity:
    """Active from where the probability is above ``onset`` until it is no longer above ``offset``."""
    above: Activity = probability > onset
    if offset is None or not len(above):
        return above
    # In between, a frame is in the state of the latest frame that was decided: a latch.
    decided = above | (probability <= offset)
    latest = np.maximum.accumulate(np.where(decided, np.arange(len(above)), -1))
    latched: Activity = (latest >= 0) & above[latest]
    return latched


def _median(active: Activity, width: int) -> Activity:
    """The state of most of the ``width`` frames (an odd number) around each frame; silence beyond the ends."""
    half = width // 2
    count = np.cumsum(np.pad(active, (half + 1, half)), dtype=np.intp)
    majority: Activity = count[width:] - count[:-width] > half
    return majority


def _runs(active: Activity) -> Spans:
    """The runs of active frames."""
    edges = np.flatnonzero(np.diff(active, prepend=False, append=False))
    return edges.reshape(-1, 2)


def _merge(found: Spans, gap: int) -> Spans:
    """Merge the spans in ``found`` that are at most ``gap`` frames apart."""
    apart = found[1:, 0] - found[:-1, 1] > gap
    first = np.concatenate([[True], apart])[: len(found)]
    last = np.concatenate([apart, [True]])[: len(found)]
    return np.stack([found[first, 0], found[last, 1]], axis=1)
