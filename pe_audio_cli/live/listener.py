"""Sound to events: what is heard, since when, and what became of the source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pe_audio_cli.audio.framing import FRAMES_PER_SECOND, SAMPLE_RATE
from pe_audio_cli.detection.scoring import probabilities
from pe_audio_cli.live.clock import Clock, Drift
from pe_audio_cli.live.event import LiveEvent
from pe_audio_cli.live.events import SETTLED, Change, Tracker
from pe_audio_cli.live.inbox import Lost, Sound
from pe_audio_cli.live.status import LiveStatus, StatusKind
from pe_audio_cli.live.streaming import FrameCutter, WindowStream
from pe_audio_cli.options import EventOptions, LiveOptions, PerLabel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pe_audio_cli.inference.tasks.query import Query
    from pe_audio_cli.models.encoder import Encoder

__all__ = ["Listener", "OnAudio", "Record", "Scene"]

SILENT_LEVEL = -70.0  # dB of full scale: the noise of a microphone that works is above that
LEAST_LEVEL = -120.0  # dB, for digital silence
BEHIND_SECONDS, CAUGHT_UP_SECONDS = 2.0, 1.0  # how late the listening is when it says so

Record: TypeAlias = LiveEvent | LiveStatus

# Told of all sound: mono samples at 48 kHz, and the seconds since the start at which they begin.
OnAudio: TypeAlias = "Callable[[NDArray[np.float32], float], None]"


@dataclass(frozen=True)
class Scene:
    """A model, its labels, and the rules by which their events are found."""

    encoder: Encoder
    query: Query
    rules: PerLabel[EventOptions]
    options: LiveOptions

    @property
    def window(self) -> int:
        """Frames in a window."""
        return int(self.options.window * FRAMES_PER_SECOND)

    @property
    def hop(self) -> int:
        """Frames from one window to the next."""
        return max(1, int(round(self.options.hop * FRAMES_PER_SECOND, 6)))

    def tracker(self) -> Tracker:
        """Return what finds the events, from the beginning."""
        confirm, cooldown = (
            int(np.ceil(round(seconds * FRAMES_PER_SECOND, 6)))
            for seconds in (self.options.confirm, self.options.cooldown)
        )
        return Tracker(self.query.labels, self.rules, confirm, cooldown)


@dataclass
class _Stretch:
    """Sound without a gap, which begins at ``begin`` seconds; later corrections of the clock move that."""

    begin: float
    cutter: FrameCutter
    stream: WindowStream
    tracker: Tracker
    drift: Drift = field(default_factory=Drift)
    n_samples: int = 0
    failed: bool = False  # the model does not work

    @property
    def end(self) -> float:
        """Seconds since the start of the listening."""
        return self.begin + self.n_samples / SAMPLE_RATE


@dataclass
class Meter:
    """Values for a display: ``level`` in dB of full scale, ``lag`` in seconds, and each label's latest probability."""

    level: float = LEAST_LEVEL
    lag: float = 0.0
    probabilities: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))


class Listener:
    """Takes sound and what becomes of its source, and tells what happened, in order.

    A gap in the sound ends all events, and what follows it begins anew. The times of a live source go on meanwhile.
    """

    def __init__(self, scene: Scene, clock: Clock, is_live: bool, on_audio: OnAudio | None = None) -> None:
        self._scene, self._clock, self._is_live, self._on_audio = scene, clock, is_live, on_audio
        self._stretch: _Stretch | None = None
        self.position = 0.0  # seconds since the start, where the sound has ended so far
        self._arrived = clock.now()  # when the latest sound did
        self._gone: StatusKind | None = None  # why there is no sound now
        self._silent = 0.0  # seconds of silence up to now
        self._is_silent = self._is_behind = False
        self.meter = Meter(probabilities=np.zeros(len(scene.query.labels), np.float32))

    @property
    def longest(self) -> float:
        """Seconds of sound that :meth:`hear` takes at once."""
        return self._scene.options.window - (SETTLED + self._scene.hop) / FRAMES_PER_SECOND

    def hear(self, sound: Sound) -> list[Record]:
        """Take sound. Raises :class:`RunError` if the model fails."""
        if not np.isfinite(sound.samples).all():
            return self.lose(Lost("a sample is NaN or infinite: check what writes them"))
        records: list[Record] = self._back(sound)
        stretch = self._stretch
        if stretch is None:
            stretch = self._stretch = self._begin(sound)
        self._arrived, self._gone = sound.arrived, None
        if self._on_audio is not None:
            self._on_audio(sound.samples, stretch.end)
        stretch.n_samples += len(sound.samples)
        if self._is_live:
            # A server may send the last seconds at once, which were recorded before they came.
            stretch.begin -= max(stretch.end - sound.arrived, 0.0)
            stretch.begin += stretch.drift.correction(stretch.end, sound.arrived)
        records += self._watch_level(sound)
        cut = list(stretch.cutter.push(sound.samples))
        for frames in [np.concatenate(cut)] if self._is_behind and cut else cut:
            records += self._judge(stretch, frames)
        self.position = stretch.end
        return records + (self._watch_lag(sound) if self._is_live else [])

    def lose(self, lost: Lost) -> list[Record]:
        """The source is lost, or some of its sound."""
        records = self._end_stretch()
        if lost.seconds is None:
            self._gone = "dropped"
            return [*records, self._status("dropped", self._clock.now(), lost.message)]
        return [*records, self._status("skipped", self.position, lost.message, lost.seconds)]

    def wait(self) -> list[Record]:
        """No sound has come: after a while, that is a stall."""
        seconds = self._clock.now() - self._arrived
        if self._gone is not None or seconds < self._scene.options.stall:
            return []
        message = f"nothing has come for {self._scene.options.stall:g} s"
        records = self._end_stretch()
        self._gone = "stalled"
        return [*records, self._status("stalled", self._clock.now(), message, seconds)]

    def finish(self) -> list[Record]:
        """The listening ends: so do all events."""
        return self._end_stretch()

    def _begin(self, sound: Sound) -> _Stretch:
        begin = sound.arrived - sound.seconds
        if not self._is_live:  # faster than time, or held up: after a stall, time has passed
            begin = max(self.position, begin) if self._gone == "stalled" else self.position
        scene = self._scene
        parts = FrameCutter(scene.hop), WindowStream(scene.encoder, scene.window), scene.tracker()
        return _Stretch(begin, *parts)

    def _back(self, sound: Sound) -> list[Record]:
        """Say so if there is sound again."""
        if self._gone is None:
            return []
        status: StatusKind = "resumed" if self._gone == "stalled" else "reconnected"
        seconds = max(sound.arrived - sound.seconds - self._arrived, 0.0)
        return [self._status(status, sound.arrived, f"there is sound again, after {seconds:.1f} s", seconds)]

    def _end_stretch(self) -> list[Record]:
        stretch, self._stretch = self._stretch, None
        if stretch is None:
            return []
        records: list[Record] = []
        last = stretch.cutter.finish()
        if last is not None and not stretch.failed:
            records += self._judge(stretch, last)
        records += [self._event(stretch, change) for change in stretch.tracker.finish()]
        self.position = stretch.end
        self.meter.probabilities = np.zeros_like(self.meter.probabilities)
        return records

    def _judge(self, stretch: _Stretch, frames: NDArray[np.float32]) -> list[Record]:
        stretch.failed = True  # until it is done
        window = stretch.stream.push(frames)
        found = probabilities(self._scene.query.logits(window.frames, self._scene.encoder)).T
        self.meter.probabilities = found[:, -len(frames) :].max(axis=1)
        stretch.failed = False
        return [self._event(stretch, change) for change in stretch.tracker.add(window.start_frame, found)]

    def _event(self, stretch: _Stretch, change: Change) -> LiveEvent:
        label = self._scene.query.labels[change.label]
        onset = stretch.begin + change.onset / FRAMES_PER_SECOND
        offset = None if change.offset is None else min(stretch.begin + change.offset / FRAMES_PER_SECOND, stretch.end)
        iso = self._clock.iso
        ended_at = None if offset is None else iso(offset)
        is_taught = label in self._scene.query.taught
        return LiveEvent(label, onset, iso(onset), change.probability, offset, ended_at, is_taught)

    def _watch_level(self, sound: Sound) -> list[Record]:
        power = float(np.mean(np.square(sound.samples, dtype=np.float64))) if len(sound.samples) else 0.0
        self.meter.level = max(10 * np.log10(power), LEAST_LEVEL) if power > 0 else LEAST_LEVEL
        if self.meter.level < SILENT_LEVEL:
            self._silent += sound.seconds
            if self._is_silent or self._silent < self._scene.options.silence:
                return []
            self._is_silent = True
            message = f"there has been silence for {self._scene.options.silence:g} s"
            return [self._status("silence", self.position + sound.seconds, message, self._silent)]
        seconds, self._silent = self._silent, 0.0
        if not self._is_silent:
            return []
        self._is_silent = False
        return [self._status("sound", self.position, f"the silence is over, after {seconds:.1f} s", seconds)]

    def _watch_lag(self, sound: Sound) -> list[Record]:
        lag = self.meter.lag = max(self._clock.now() - sound.arrived, 0.0)
        if lag > BEHIND_SECONDS and not self._is_behind:
            self._is_behind = True
            message = f"the listening is {lag:.1f} s late: until it has caught up, windows are further apart"
            return [self._status("behind", self.position, message, lag)]
        if lag < CAUGHT_UP_SECONDS and self._is_behind:
            self._is_behind = False
            return [self._status("caught-up", self.position, "the listening has caught up", lag)]
        return []

    def _status(self, status: StatusKind, at: float, message: str, seconds: float | None = None) -> LiveStatus:
        return LiveStatus(status, at, self._clock.iso(at), message, seconds)
