"""Events as they happen: the rules of :mod:`pe_audio_cli.detection.events`, frame by frame.

A :class:`Detector` takes the probabilities of one label in order and tells an event as soon as it is sure: all that is
still to come can only make it longer. On the same probabilities, its events are those of
:func:`~pe_audio_cli.detection.events.find_events`.

A :class:`Tracker` takes windows that overlap. A later window knows more about a frame than the one in which the frame
was the last, so a probability counts only once :data:`SETTLED` frames follow it; but if an event would be sure by the
probabilities so far, they count at once. Each frame counts once for each label.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pe_audio_cli.audio.framing import FRAMES_PER_SECOND
from pe_audio_cli.detection.events import FrameRules
from pe_audio_cli.options import EventOptions, PerLabel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SETTLED", "Change", "Detector", "Tracker"]

SETTLED = FRAMES_PER_SECOND  # frames that follow one in its window, for its probability to count


@dataclass(frozen=True, slots=True)
class Change:
    """An event of label number ``label`` starts, or ends if it has an ``offset``; both in frames.

    ``probability`` is that of its highest frame so far.
    """

    label: int
    onset: int
    offset: int | None
    probability: float


@dataclass(slots=True)
class _Candidate:
    """A possible event, active from ``onset``, last in the frame before ``offset``."""

    onset: int
    offset: int
    peak: float
    run: int = 0  # active frames without a gap, up to now
    gap_peak: float = 0.0  # the highest probability since ``offset``
    confirmed: bool = False
    told: bool = False


class Detector:
    """The events of one label.

    An event is told once one of its runs of active frames is ``confirm`` frames long; one that ends before that is not
    told. After an event has ended, none is told for ``cooldown`` frames; one that still goes on then is.
    """

    def __init__(self, options: EventOptions, confirm: int = 0, cooldown: int = 0, label: int = 0) -> None:
        rules = FrameRules.of(options)
        low = options.threshold if options.offset_threshold is None else options.offset_threshold
        # As numpy compares float32, so that a probability is above the same thresholds here and there.
        self.threshold, self._low = float(np.float32(options.threshold)), float(np.float32(low))
        self._width = rules.median or 1
        self._gap, self._shortest = rules.gap or 0, rules.shortest or 0
        self._confirm, self._cooldown, self._label = confirm, cooldown, label
        self.position = 0  # the next frame
        self._is_on = False
        self._recent: deque[tuple[float, bool]] = deque()  # frames that the median filter still needs
        self._n_on = 0  # of those
        self._n_judged = 0  # frames that it has passed on
        self._candidate: _Candidate | None = None
        self._quiet_until = 0

    def __copy__(self) -> Detector:
        twin = object.__new__(Detector)
        twin.__dict__.update(self.__dict__)
        twin._recent = self._recent.copy()
        twin._candidate = copy.copy(self._candidate)
        return twin

    @property
    def is_idle(self) -> bool:
        """True if frames that are not above the threshold change nothing."""
        return not self._is_on and self._n_on == 0 and self._candidate is None

    @property
    def is_open(self) -> bool:
        """True while an event that was told goes on."""
        return self._candidate is not None and self._candidate.told

    def skip(self, position: int) -> None:
        """Pass over frames that are not above the threshold, up to ``position``, while it is idle."""
        self._recent.clear()
        self.position = self._n_judged = position

    def feed(self, probability: float) -> list[Change]:
        """Take the next frame; return what has become sure."""
        if probability > self.threshold:
            self._is_on = True
        elif probability <= self._low:
            self._is_on = False
        return self._filter(probability, self._is_on)

    def finish(self) -> list[Change]:
        """End with the frames so far: beyond them there is silence. Returns what has become sure."""
        changes = [change for _ in range(self._width // 2) for change in self._filter(0.0, False)]
        last = self._close()
        return changes if last is None else [*changes, last]

    def _filter(self, probability: float, is_on: bool) -> list[Change]:
        """Take a frame, and judge those that the median filter has decided on; beyond both ends there is silence.

        Half of its length may still be missing after a frame: if most of it is active already, nothing can undo that.
        """
        self.position += 1
        self._recent.append((probability, is_on))
        self._n_on += is_on
        half, changes = self._width // 2, []
        while self._n_judged < self.position and (self._n_on > half or self._n_judged + half < self.position):
            frame, first = self._n_judged, self.position - len(self._recent)
            change = self._judge(frame, self._recent[frame - first][0], self._n_on > half)
            if change is not None:
                changes.append(change)
            self._n_judged += 1
            if first == frame - half:
                self._n_on -= self._recent.popleft()[1]
        return changes

    def _judge(self, frame: int, probability: float, active: bool) -> Change | None:
        found = self._candidate
        if not active:
            if found is None:
                return None
            found.run, found.gap_peak = 0, max(found.gap_peak, probability)
            return self._close() if frame + 1 - found.offset > self._gap else None
        if found is None:
            found = self._candidate = _Candidate(frame, frame, probability)
        found.run, found.offset = found.run + 1, frame + 1
        found.peak = max(found.peak, found.gap_peak, probability)
        found.confirmed = found.confirmed or found.run >= self._confirm
        is_sure = found.confirmed and found.offset - found.onset >= self._shortest
        if found.told or not is_sure or found.offset <= self._quiet_until:
            return None
        found.told = True
        return Change(self._label, found.onset, None, found.peak)

    def _close(self) -> Change | None:
        found, self._candidate = self._candidate, None
        if found is None or not found.told:
            return None
        self._quiet_until = found.offset + self._cooldown
        return Change(self._label, found.onset, found.offset, found.peak)


class Tracker:
    """The events of all labels, in windows that overlap."""

    def __init__(
        self, labels: Sequence[str], options: PerLabel[EventOptions], confirm: int = 0, cooldown: int = 0
    ) -> None:
        self._detectors = [Detector(options.of(label), confirm, cooldown, place) for place, label in enumerate(labels)]
        self._thresholds = np.array([detector.threshold for detector in self._detectors])
        self._start = 0  # the first frame of the latest window
        self._latest: NDArray[np.float32] = np.empty((len(self._detectors), 0), np.float32)

    def add(self, start: int, probabilities: NDArray[np.float32]) -> list[Change]:
        """Take the next window: ``(n_labels, n_frames)``, from frame ``start`` on; return what has become sure.

        It must hold the last :data:`SETTLED` frames of the window before it.
        """
        self._start, self._latest = start, probabilities
        end = start + probabilities.shape[1]
        changes = self._settle(end - SETTLED)
        for place in self._restless(end):
            changes += self._anticipate(place)
        return changes

    def finish(self) -> list[Change]:
        """Let all frames count, and return the last changes; all events end."""
        changes = self._settle(self._start + self._latest.shape[1])
        return changes + [change for detector in self._detectors for change in detector.finish()]

    @property
    def open_labels(self) -> frozenset[int]:
        """The numbers of the labels of which an event goes on."""
        return frozenset(place for place, detector in enumerate(self._detectors) if detector.is_open)

    def _settle(self, end: int) -> list[Change]:
        """Let all frames before ``end`` count."""
        changes: list[Change] = []
        restless = set(self._restless(end))
        for place, detector in enumerate(self._detectors):
            if place in restless:
                changes += [change for value in self._undecided(place, end) for change in detector.feed(value)]
            elif detector.position < end:
                detector.skip(end)
        return changes

    def _anticipate(self, place: int) -> list[Change]:
        """Let the frames count that make an event sure."""
        trial = self._detectors[place]
        if trial.is_open:
            return []
        trial = copy.copy(trial)
        for value in self._undecided(place, self._start + self._latest.shape[1]):
            if changes := trial.feed(value):
                self._detectors[place] = trial
                return changes
        return []

    def _undecided(self, place: int, end: int) -> list[float]:
        first = self._detectors[place].position - self._start
        values: list[float] = self._latest[place, first : max(first, end - self._start)].tolist()
        return values

    def _restless(self, end: int) -> list[int]:
        """The labels that frames before ``end`` which have not counted may change."""
        if end <= self._start:
            return []
        first = max(min(detector.position for detector in self._detectors) - self._start, 0)
        values = self._latest[:, first : end - self._start]
        above = values.max(axis=1, initial=0.0) > self._thresholds
        return [
            place
            for place, detector in enumerate(self._detectors)
            if detector.position < end and (above[place] or not detector.is_idle)
        ]
