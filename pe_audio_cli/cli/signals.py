"""Ctrl-C and SIGTERM: the first stops after the current recording, the second at once.

After a SIGTERM the recording in hand has :data:`GRACE_SECONDS`: what ends services and batch jobs soon kills. Python
handles signals in the main thread, between two of its own instructions, which may never come: a decoder or a network
may not return. So a thread of its own watches for signals too, and ends the process if nothing else does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from pe_audio_cli.cli.guard import INTERRUPTED

__all__ = ["GRACE_SECONDS", "StopSwitch", "end_soon", "stop_switch"]

GRACE_SECONDS = 7.0  # for the recording in hand, after a SIGTERM
LAST_SECONDS = 2.0  # for all that is to be tidied up, once the recording in hand has been given up

# Sent by programs; the last one on Windows, where it is also what closing the console sends.
POLITE = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
SIGNALS = (signal.SIGINT, *POLITE)


class StopSwitch:
    """A switch that is pressed by a request to stop."""

    def __init__(self, on_first: Callable[[bool], None]) -> None:
        self.pressed = False
        self._on_first = on_first

    def press(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: remember the first, and turn the second into a KeyboardInterrupt."""
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
        self._on_first(number in POLITE)


@contextlib.contextmanager
def stop_switch(on_first: Callable[[bool], None], on_stuck: Callable[[], None]) -> Iterator[StopSwitch]:
    """Catch the signals for a while.

    A signal that is ignored, as under nohup, stays ignored. Outside the main thread, which alone can catch signals,
    nothing is ever pressed.

    Args:
        on_first: called at the first signal, with whether the recording in hand has no longer than
            :data:`GRACE_SECONDS`.
        on_stuck: called, from another thread, before the process ends because the main thread does not; it may say what
            is kept. All that it does must be done within :data:`LAST_SECONDS`.
    """
    switch = StopSwitch(on_first)
    if threading.current_thread() is not threading.main_thread():
        yield switch
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    caught = [number for number in SIGNALS if before[number] is not signal.SIG_IGN]
    for number in caught:
        signal.signal(number, switch.press)
    try:
        with _Watch(caught, on_stuck):
            yield switch
    finally:
        for number in caught:
            signal.signal(number, before[number])


class _Watch:
    """A thread that receives signals as they arrive, even if the main thread is blocked."""

    def __init__(self, signals: list[signal.Signals], on_stuck: Callable[[], None]) -> None:
        import socket  # only when it is needed

        self._signals, self._on_stuck = signals, on_stuck
        self._near, self._far = socket.socketpair()
        self._far.setblocking(False)
        self._thread = threading.Thread(target=self._watch, name="peaudio-signals", daemon=True)

    def __enter__(self) -> None:
        self._before = signal.set_wakeup_fd(self._far.fileno(), warn_on_full_buffer=False)
        self._thread.start()

    def __exit__(self, *raised: object) -> None:
        signal.set_wakeup_fd(self._before)
        self._far.close()
        self._thread.join()
        self._near.close()

    def _watch(self) -> None:
        deadline, given_up, n_caught = float("inf"), False, 0
        while (numbers := self._until(deadline)) != b"":
            now = time.monotonic()
            if numbers is None and given_up:
                _end_now(self._on_stuck)
            caught = [number for number in numbers or b"" if number in self._signals]
            n_caught += len(caught)
            if numbers is None or n_caught > 1:  # the second one ends it, if the main thread can be interrupted at all
                given_up, deadline = True, min(deadline, now + LAST_SECONDS) if numbers else now + LAST_SECONDS
            elif any(number in POLITE for number in caught):
                deadline = now + GRACE_SECONDS
            if numbers is None:
                _interrupt_main_thread()

    def _until(self, deadline: float) -> bytes | None:
        """The numbers of the signals that arrive next, none at the end, None if none has by then."""
        self._near.settimeout(None if deadline == float("inf") else max(deadline - time.monotonic(), 0.001))
        try:
            return self._near.recv(64)
        except TimeoutError:
            return None


def _interrupt_main_thread() -> None:
    """Press once more: a real signal, since nothing else wakes a thread that waits for the system."""
    identity = threading.main_thread().ident
    if sys.platform != "win32" and identity is not None:
        signal.pthread_kill(identity, signal.SIGTERM)
    else:
        signal.raise_signal(signal.SIGINT)  # the only one that wakes a main thread which sleeps on Windows


def _end_now(on_stuck: Callable[[], None]) -> None:
    """End the process, whatever its threads do; outputs and journals are whole after every recording."""
    end_soon()
    with contextlib.suppress(Exception):
        on_stuck()
    os._exit(INTERRUPTED)


def end_soon() -> None:
    """End the process, should it not have ended by itself by then: threads that never return may keep it."""
    timer = threading.Timer(LAST_SECONDS, os._exit, [INTERRUPTED])
    timer.daemon = True
    timer.start()
