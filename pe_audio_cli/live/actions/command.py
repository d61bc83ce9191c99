"""Running a command at each event."""

from __future__ import annotations

import atexit
import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from pe_audio_cli._paths import Unusable, reason
from pe_audio_cli.errors import UsageError
from pe_audio_cli.live.actions.base import Failures, Notice
from pe_audio_cli.live.actions.lanes import Lanes
from pe_audio_cli.options import check_range

__all__ = ["LONGEST_RUN", "Command"]

LONGEST_RUN = 3600.0  # seconds that a command may be given
MOST_RUNNING = 8  # commands at the same time
GRACE_SECONDS = 0.5  # between the request to end, when the time is over, and the end
START_SECONDS = 0.1  # for a command to start, at the end
MOST_WAITING = 100  # events of one label, while a command runs for an earlier one


class Command:
    """Runs a program at each event, with the event in its environment; for each label one at a time and in order.

    There is no shell. The program has a process group of its own, and nothing of it is left when it ends, has run for
    ``timeout`` seconds, or the listening ends. What it prints goes to standard error.
    """

    def __init__(self, command: str, timeout: float) -> None:
        """``command`` is split into arguments as a POSIX shell splits them.

        Raises :class:`UsageError` if it cannot be, or is empty, or if the timeout is out of its range.
        """
        check_range("the timeout of --exec", timeout, 0.1, LONGEST_RUN, f"from 0.1 to {LONGEST_RUN:g} s")
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"--exec: the command cannot be split ({error}): check its quotes") from None
        if not self._arguments:
            raise UsageError("--exec: the command is empty: name a program and its arguments")
        self.failures = Failures("--exec")
        self._program = self._arguments[0]  # what messages tell: arguments may hold secrets
        self._timeout = timeout
        self._lanes = Lanes("exec", self._run, self.failures, most_waiting=MOST_WAITING, n_threads=MOST_RUNNING)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False
        atexit.register(self._kill_all)  # however the listening ends, and whether or not close() had the time

    def notify(self, notice: Notice) -> None:
        """Run the command as soon as none runs for this label."""
        self._lanes.put(notice, notice.event.label)

    def close(self, timeout: float) -> None:
        """Let commands end for ``timeout`` seconds, then kill them."""
        n_left = self._lanes.close(timeout) + self._kill_all()
        atexit.unregister(self._kill_all)
        if n_left:
            self.failures.failed(f"at the end {self._program} was killed, or not begun, for {n_left} events")

    def _kill_all(self) -> int:
        """Kill all that runs, and keep more from starting; return the number of commands."""
        is_ours = self._lock.acquire(timeout=START_SECONDS)  # else a program that never starts holds it
        self._closed = True
        running = tuple(self._running)
        if is_ours:
            self._lock.release()
        for process in running:
            _kill_group(process)
        return len(running)

    def _run(self, notice: Notice) -> None:
        began = time.monotonic()
        try:
            process = self._start(notice)
        except Unusable as error:
            self.failures.failed(f"{self._program} cannot be run: {reason(error)}")
            return
        try:
            status = process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            status = None
            _ask_to_end(process)
        finally:
            _kill_group(process)
            process.wait()
            with self._lock:
                self._running.discard(process)
        if self._closed:
            return
        if status is None:
            self.failures.failed(f"{self._program} was killed after {time.monotonic() - began:.1f} s")
        elif status:
            how = f"exit status {status}" if status > 0 else f"signal {-status}"
            self.failures.failed(f"{self._program} ended with {how}")
        else:
            self.failures.succeeded()

    def _start(self, notice: Notice) -> subprocess.Popen[bytes]:
        own_group: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            own_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        with self._lock:  # so that close() either sees the process or keeps it from starting
            if self._closed:
                raise ProcessLookupError("the listening has ended")
            process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=_standard_error(),
                env={**os.environ, **environment(notice)},
                **own_group,
            )
            self._running.add(process)
        return process


def environment(notice: Notice) -> dict[str, str]:
    """The event as variables: the fields of its JSON in capitals, such as ``PEAUDIO_STARTED_AT``."""
    values = {name: value for name, value in notice.fields().items() if name not in ("schema", "type")}
    return {f"PEAUDIO_{name.upper()}": _text(value).replace("\0", " ") for name, value in values.items()}


def _text(value: Any) -> str:
    return ("false", "true")[value] if isinstance(value, bool) else str(value)


def _standard_error() -> int:
    """The descriptor that takes the command's output: standard output is for data."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # there is none, or it is no file
        return subprocess.DEVNULL


def _ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """Let a process and all that it has started tidy up; on Windows there is no such signal."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(GRACE_SECONDS)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it has started. The number of a group is not given again while anything is in it."""
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            kill = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
            subprocess.run(kill, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        else:
            os.killpg(process.pid, signal.SIGKILL)
