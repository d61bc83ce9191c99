"""Ctrl-C and SIGTERM: the first asks to stop after the recording in hand, the second stops at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["StopSwitch", "stop_switch"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSwitch:
    """Tells whether somebody asked to stop."""

    def __init__(self, on_first: Callable[[], None]) -> None:
        self.pressed = False
        self._on_first = on_first

    def press(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: remember the first, and turn the second into a KeyboardInterrupt."""
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
        self._on_first()


@contextlib.contextmanager
def stop_switch(on_first: Callable[[], None]) -> Iterator[StopSwitch]:
    """Listen to the signals for a while; ``on_first`` is called at the first.

    A signal that is ignored, as under nohup, stays ignored. Outside the main thread, which alone may listen, nothing
    is ever pressed.
    """
    switch = StopSwitch(on_first)
    if threading.current_thread() is not threading.main_thread():
        yield switch
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    heard = [number for number in SIGNALS if before[number] is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, switch.press)
    try:
        yield switch
    finally:
        for number in heard:
            signal.signal(number, before[number])
