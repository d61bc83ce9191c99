"""All actions of a run as one: what one of them does wrong stops neither the listening nor the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from pe_audio_cli._paths import reason
from pe_audio_cli.live.actions.base import Action, Failures, Notice
from pe_audio_cli.live.actions.clips import ClipSaver
from pe_audio_cli.live.actions.mqtt import Mqtt
from pe_audio_cli.live.event import LiveEvent

__all__ = ["Actions"]

# Of the time to close: clips are written first, so that the other actions can tell of them, and these end a little
# before the time is over, to say what they have not done.
CLIPS_SHARE, ACTIONS_SHARE = 0.5, 0.85


class Actions:
    """Tells each action of each event, and the clip saver of the sound. No method raises, or waits for an action."""

    def __init__(self, actions: Sequence[Action] = ()) -> None:
        self._actions = list(actions)
        self._clips: ClipSaver | None = None
        self._mqtt: Mqtt | None = None

    def save_clips(self, folder: str, pre_roll: float, post_roll: float) -> None:
        """Save the sound of each event in a folder: see :class:`ClipSaver`, which also says what this raises."""
        self._clips = ClipSaver(folder, pre_roll, post_roll, self._on_saved)

    def publish(self, address: str) -> None:
        """Publish each label's state by MQTT: see :class:`Mqtt`, which also says what this raises."""
        self._mqtt = Mqtt(address)
        self._actions.append(self._mqtt)

    def begin(self, labels: Sequence[str], version: str) -> None:
        """The listening begins, for these labels; ``version`` is that of peaudio."""
        if self._mqtt is not None:
            mqtt = self._mqtt
            _guarded(lambda: mqtt.begin(labels, version), mqtt.failures)

    def on_start(self, event: LiveEvent) -> None:
        """An event has started."""
        self._notify(Notice("start", event))

    def on_end(self, event: LiveEvent) -> None:
        """An event is over."""
        self._notify(Notice("end", event))

    def on_audio(self, samples: npt.NDArray[np.float32], start: float) -> None:
        """New samples (mono, 48 kHz), which begin ``start`` seconds after the start of the listening."""
        if self._clips is not None:
            clips = self._clips
            _guarded(lambda: clips.on_audio(samples, start), clips.failures)

    def close(self, timeout: float) -> None:
        """End all actions, within ``timeout`` seconds; events that go on must have been ended before.

        Another thread may do so meanwhile with less time.
        """
        deadline = time.monotonic() + timeout
        if self._clips is not None:
            clips = self._clips
            share = CLIPS_SHARE if self._actions else ACTIONS_SHARE
            _guarded(lambda: clips.close(timeout * share), clips.failures)
        end = deadline - timeout * (1 - ACTIONS_SHARE)
        threads = [
            threading.Thread(target=_close, args=(action, end), name="peaudio-close", daemon=True)
            for action in self._actions
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def _on_saved(self, event: LiveEvent, path: str) -> None:
        self._tell_actions(Notice("clip", event, path))

    def _notify(self, notice: Notice) -> None:
        if self._clips is not None:
            clips = self._clips
            _guarded(lambda: clips.notify(notice), clips.failures)
        self._tell_actions(notice)

    def _tell_actions(self, notice: Notice) -> None:
        for action in self._actions:
            _guarded(lambda action=action: action.notify(notice), action.failures)  # type: ignore[misc]


def _close(action: Action, deadline: float) -> None:
    _guarded(lambda: action.close(max(deadline - time.monotonic(), 0)), action.failures)


def _guarded(do: Callable[[], None], failures: Failures) -> None:
    try:
        do()
    except Exception as error:  # whatever it is: listening goes on
        failures.failed(f"{type(error).__name__}: {reason(error)}")
