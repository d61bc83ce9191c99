"""The thread that reads a source, and what it leaves for the listening: sound, and what became of the source."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from pe_audio_cli.audio.framing import SAMPLE_RATE
from pe_audio_cli.errors import PeAudioError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pe_audio_cli.live.sources.base import Source

__all__ = ["Ended", "Inbox", "Item", "Lost", "Sound", "reading"]

HELD_SECONDS = 30.0  # of sound that may wait; of what is lost otherwise, the oldest goes
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds until a source is connected to again


@dataclass(frozen=True, slots=True)
class Sound:
    """A block of samples, of shape ``(samples,)``, the last of which arrived at ``arrived`` seconds."""

    samples: NDArray[np.float32]
    arrived: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Lost:
    """The source is lost, or with ``seconds`` that much of its sound, because nobody took it in time."""

    message: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more comes, or will come after an ``error``."""

    error: Exception | None = None


Item: TypeAlias = Sound | Lost | Ended


class Inbox:
    """Items in order, from one thread to another; at most :data:`HELD_SECONDS` of sound."""

    def __init__(self, loses: bool) -> None:
        """``loses`` tells if a full inbox loses the oldest sound, or makes the source wait."""
        self._loses = loses
        self._items: deque[Item] = deque()
        self._seconds = 0.0
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: Item) -> bool:
        """Add an item, which may have to wait; return False once nobody takes it."""
        with self._changed:
            if isinstance(item, Sound):
                while self._seconds > HELD_SECONDS and not self._closed:
                    if self._loses:
                        self._lose()
                    else:
                        self._changed.wait()
                self._seconds += item.seconds
            self._items.append(item)
            self._changed.notify_all()
            return not self._closed

    def take(self, timeout: float) -> Item | None:
        """The next item; None if none comes for ``timeout`` seconds."""
        with self._changed:
            if not self._items:
                self._changed.wait(timeout)
            return self._popped()

    def take_sound(self) -> Sound | None:
        """The next item, if it is sound and there already."""
        with self._changed:
            return self._popped() if self._items and isinstance(self._items[0], Sound) else None  # type: ignore[return-value]

    def close(self) -> None:
        """Nobody takes anything any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_closed(self, seconds: float) -> bool:
        """Wait for so long, or until it is closed; return whether it is."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)
            return self._closed

    def _popped(self) -> Item | None:
        if not self._items:
            return None
        item = self._items.popleft()
        if isinstance(item, Sound):
            self._seconds -= item.seconds
        self._changed.notify_all()
        return item

    def _lose(self) -> None:
        """Lose the older half of the sound, and leave a note of how much in its place."""
        place = next(place for place, item in enumerate(self._items) if isinstance(item, Sound))
        lost = 0.0
        while self._seconds > HELD_SECONDS / 2 and place < len(self._items):
            item = self._items[place]
            if not isinstance(item, Sound):
                break
            del self._items[place]
            lost, self._seconds = lost + item.seconds, self._seconds - item.seconds
        self._items.insert(place, _skipped(lost))


def _skipped(seconds: float) -> Lost:
    return Lost(f"{seconds:.1f} s of sound were skipped, because the model is too slow for them", seconds)


def reading(source: Source, inbox: Inbox, now: Callable[[], float]) -> threading.Thread:
    """Start a thread that reads a source into an inbox until it ends, or for ever if it is live.

    A live source that is lost is connected to again, after pauses that grow; if the first attempt fails, that is the
    end. ``now`` tells the time in seconds.
    """

    def read() -> None:
        pause, has_begun = FIRST_PAUSE, False
        while True:
            error: Exception | None = None
            try:
                for samples in source.blocks():
                    has_begun, pause = True, FIRST_PAUSE
                    if not inbox.put(Sound(samples, now())):
                        return
            except Exception as raised:
                error = raised
            if not source.is_live or not has_begun:
                inbox.put(Ended(error))
                return
            inbox.put(Lost("the stream has ended" if error is None else _reason(error)))
            if inbox.wait_closed(pause):
                return
            pause = min(2 * pause, LONGEST_PAUSE)

    thread = threading.Thread(target=read, name="peaudio-source", daemon=True)
    thread.start()
    return thread


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, PeAudioError) else f"{type(error).__name__}: {error}"
