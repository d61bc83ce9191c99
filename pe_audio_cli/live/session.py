"""A source and a listener together, until the source ends or somebody stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from pe_audio_cli.live.clock import Clock
from pe_audio_cli.live.inbox import Ended, Inbox, Lost, Sound, reading
from pe_audio_cli.live.listener import Listener, OnAudio, Record, Scene
from pe_audio_cli.live.status import LiveStatus

if TYPE_CHECKING:
    from pe_audio_cli.live.sources.base import Source

__all__ = ["Session"]

TICK_SECONDS = 0.1  # how often a stop or a stall is looked for


class Session:
    """The listening to a source; ``listener`` tells what there is to see."""

    def __init__(self, source: Source, scene: Scene, on_audio: OnAudio | None = None) -> None:
        self._source, self._scene = source, scene
        self._clock = Clock()
        self._inbox = Inbox(loses=source.is_live)
        self.listener = Listener(scene, self._clock, source.is_live, on_audio)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that are listened for."""
        return self._scene.query.labels

    def records(self, is_stopped: Callable[[], bool]) -> Iterator[Record]:
        """Yield what happens as it happens, until the source ends or ``is_stopped``; all events have an end then.

        Raises :class:`InputError` if the source fails, and :class:`RunError` if the model does, after the last record.
        """
        facts = self._scene.encoder.facts
        n_labels = len(self._scene.query.labels)
        yield self._status("listening", f"to {self._source.name}, with {facts.name} (labels: {n_labels})")
        reading(self._source, self._inbox, self._clock.now)
        error: Exception | None = None
        try:
            while not is_stopped():
                item = self._inbox.take(TICK_SECONDS)
                if isinstance(item, Ended):
                    error = item.error
                    break
                if item is None:
                    yield from self.listener.wait()
                elif isinstance(item, Lost):
                    yield from self.listener.lose(item)
                else:
                    yield from self.listener.hear(self._with_what_waits(item))
        except Exception as raised:
            error = raised
        finally:
            self._inbox.close()
            self._source.close()
        yield from self.listener.finish()
        yield self._status("ended", "the source has failed" if error else "the source ends here")
        if error is not None:
            raise error

    def _with_what_waits(self, sound: Sound) -> Sound:
        """Return a live source's sound with all that has come since, as far as it can be heard at once."""
        sounds, seconds = [sound], sound.seconds
        while self._source.is_live and seconds < self.listener.longest - 1.0:
            following = self._inbox.take_sound()
            if following is None:
                break
            sounds.append(following)
            seconds += following.seconds
        return Sound(np.concatenate([each.samples for each in sounds]), sounds[-1].arrived)

    def _status(self, status: str, message: str) -> LiveStatus:
        now = self._clock.now() if self._source.is_live else self.listener.position
        return LiveStatus(status, now, self._clock.iso(now), message)  # type: ignore[arg-type]
