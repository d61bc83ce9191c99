"""Saving the sound of each event as a FLAC."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pe_audio_cli._files import MARK, fitting, growing, sweep
from pe_audio_cli._paths import Unusable, reason
from pe_audio_cli.audio.framing import SAMPLE_RATE
from pe_audio_cli.errors import OutputError
from pe_audio_cli.live.actions.base import Failures, Notice
from pe_audio_cli.live.actions.lanes import Lanes
from pe_audio_cli.live.event import LiveEvent
from pe_audio_cli.options import check_range

__all__ = ["LONGEST_EVENT", "LONGEST_ROLL", "ClipSaver", "clip_name"]

LONGEST_EVENT = 60.0  # seconds of an event in its clip: one that lasts longer, or has no end, is cut
LONGEST_ROLL = 60.0  # seconds before and after
LATENESS = 30.0  # seconds by which detection, and a slow disk, may come after the sound
MOST_WAITING = 1_000  # clips that are complete and not yet written
CORRECTION = 0.1  # seconds
TOO_LATE = f"when it is to be written: the event was found, or the disk writes, more than {LATENESS:g} s late"
FULL_SCALE = 1 << 15

Pcm16 = npt.NDArray[np.int16]


class ClipSaver:
    """Writes the sound of each event, from ``pre_roll`` seconds before its onset to ``post_roll`` after its offset.

    Samples are kept in a ring of bounded length, in 16 bits, clipped at full scale; a clip is a stretch of it. Another
    thread writes a clip, whole or not at all, and then calls ``on_saved`` with the event and the path.
    """

    def __init__(
        self, folder: str | Path, pre_roll: float, post_roll: float, on_saved: Callable[[LiveEvent, str], None]
    ) -> None:
        """Make the folder.

        Raises :class:`UsageError` for a length out of its range, and :class:`OutputError` if nothing can be written
        there.
        """
        for name, value in (("pre-roll", pre_roll), ("post-roll", post_roll)):
            check_range(f"the {name}", value, 0, LONGEST_ROLL, f"from 0 to {LONGEST_ROLL:g} s")
        self.failures = Failures("--save-clips")
        self._folder = Path(folder)
        _prepare(self._folder)
        self._before, self._after = round(pre_roll * SAMPLE_RATE), round(post_roll * SAMPLE_RATE)
        self._ring = Ring(round((pre_roll + LONGEST_EVENT + post_roll + LATENESS) * SAMPLE_RATE))
        self._on_saved = on_saved
        self._open: dict[str, _Clip] = {}  # by label, of events that go on
        self._waiting: list[_Clip] = []  # for the samples of their end
        self._writer = Lanes("clips", self._write, self.failures, most_waiting=MOST_WAITING)

    def on_audio(self, samples: npt.NDArray[np.float32], start: float) -> None:
        """Keep samples (mono, 48 kHz) that begin ``start`` seconds after the start of the listening."""
        self._ring.append(samples, start)
        for label, clip in list(self._open.items()):
            if self._ring.end >= clip.end:
                self._waiting.append(self._open.pop(label))
        self._hand_over()

    def notify(self, notice: Notice) -> None:
        """Begin or end a clip."""
        event = notice.event
        if notice.kind == "start":
            self._open[event.label] = self._clip(event, event.onset + LONGEST_EVENT)
        elif notice.kind == "end" and self._open.pop(event.label, None) is not None:
            offset = event.onset if event.offset is None else event.offset
            self._waiting.append(self._clip(event, min(offset, event.onset + LONGEST_EVENT)))
            self._hand_over()

    def close(self, timeout: float) -> None:
        """Write all clips, with what there is of them."""
        deadline = time.monotonic() + timeout
        for clip in (*self._waiting, *self._open.values()):
            self._writer.put(clip)
        self._waiting, self._open = [], {}
        n_left = self._writer.close(deadline - time.monotonic())
        if n_left:
            self.failures.failed(f"{n_left} clips were not written by the end")

    def _hand_over(self) -> None:
        """Have the clips written whose last sample is there."""
        for clip in self._waiting:
            if self._ring.end >= clip.end:
                self._writer.put(clip)
        self._waiting = [clip for clip in self._waiting if self._ring.end < clip.end]

    def _clip(self, event: LiveEvent, until: float) -> _Clip:
        first, end = self._ring.number(event.onset) - self._before, self._ring.number(until) + self._after
        return _Clip(event, max(first, 0), end)

    def _write(self, clip: _Clip) -> None:
        samples, n_lost = self._ring.read(clip.first, clip.end)
        if not len(samples):
            self.failures.failed(f"the sound of an event is no longer kept {TOO_LATE}")
            return
        try:
            path = _save(self._folder, clip.event, _flac(samples))
        except Unusable as error:
            self.failures.failed(f"a clip cannot be written to {self._folder}: {reason(error)}")
            return
        if n_lost:
            seconds = n_lost / SAMPLE_RATE
            self.failures.failed(f"the first {seconds:.1f} s of an event are no longer kept {TOO_LATE}")
        else:
            self.failures.succeeded()
        self._on_saved(clip.event, str(path))


@dataclass(frozen=True, slots=True)
class _Clip:
    """The samples from number ``first`` to ``end`` (exclusive), as far as there are such."""

    event: LiveEvent
    first: int
    end: int


class Ring:
    """The latest samples, numbered as they come; any thread may read them."""

    def __init__(self, capacity: int) -> None:
        """``capacity`` is in samples."""
        self.end = 0
        self._samples: Pcm16 = np.zeros(capacity, np.int16)
        self._origin = 0  # the number of samples that the clock would have counted before the first
        self._lock = threading.Lock()

    def append(self, samples: npt.NDArray[np.float32], start: float) -> None:
        """Add samples that begin ``start`` seconds after the start of the listening.

        Sound that is missing is silence. Less than :data:`CORRECTION` is not missing: it is a correction of the
        recorder's clock, which also applies to the times of events from now on.
        """
        with self._lock:
            number = round(start * SAMPLE_RATE)
            gap = number - self._origin - self.end if self.end else 0
            if gap > CORRECTION * SAMPLE_RATE:
                self.end += max(gap - len(self._samples), 0)
                self._put(np.zeros(min(gap, len(self._samples)), np.int16))
            self._origin = number - self.end
            scaled = np.rint(np.clip(np.nan_to_num(samples), -1, 1) * np.float32(FULL_SCALE))
            self._put(np.minimum(scaled, FULL_SCALE - 1).astype(np.int16))

    def number(self, seconds: float) -> int:
        """The number of the sample at a time since the start of the listening."""
        return round(seconds * SAMPLE_RATE) - self._origin

    def read(self, first: int, end: int) -> tuple[Pcm16, int]:
        """Copy the samples from number ``first`` to ``end``, as far as there are; return how many are gone, too."""
        with self._lock:
            end = min(end, self.end)
            begin = min(max(first, self.end - len(self._samples)), max(end, first))
            start, n_samples = begin % len(self._samples), max(end - begin, 0)
            copied = self._samples[start : start + n_samples]
            return np.concatenate([copied, self._samples[: n_samples - len(copied)]]), begin - first

    def _put(self, samples: Pcm16) -> None:
        self.end += len(samples)
        samples = samples[-len(self._samples) :]
        start = (self.end - len(samples)) % len(self._samples)
        n_before_wrap = min(len(samples), len(self._samples) - start)
        self._samples[start : start + n_before_wrap] = samples[:n_before_wrap]
        self._samples[: len(samples) - n_before_wrap] = samples[n_before_wrap:]


def clip_name(event: LiveEvent) -> str:
    """The name of an event's clip without its extension: the time of its onset and its label, safe on every system.

    The time is that of ISO 8601 without colons; of the label, letters and digits are kept.
    """
    day, _, time_of_day = event.started_at.partition("T")
    label = re.sub(r"[\W_]+", "-", event.label).strip("-")
    try:
        os.fsencode(label)
    except UnicodeError:  # on a system whose names are ASCII
        label = label.encode("ascii", "ignore").decode()
    return f"{day.replace('-', '')}T{time_of_day.replace(':', '')}-{label or 'sound'}"


def _save(folder: Path, event: LiveEvent, content: bytes) -> Path:
    """Write a clip under a name that is free."""
    folder.mkdir(parents=True, exist_ok=True)  # it may have been removed meanwhile
    name = clip_name(event)
    for number in itertools.count(1):
        path = folder / fitting(name, ".flac" if number == 1 else f"-{number}.flac")
        if path.exists():
            continue
        with contextlib.suppress(FileExistsError), growing(path, overwrite=False) as file:
            file.write(content)
            return path
    raise AssertionError("numbers do not end")


def _flac(samples: Pcm16) -> bytes:
    import soundfile

    encoded = io.BytesIO()
    soundfile.write(encoded, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return encoded.getvalue()


def _prepare(folder: Path) -> None:
    """Make the folder, remove what a killed run left in it, and raise :class:`OutputError` if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in os.listdir(folder):
            if f".flac.{MARK}" in name:
                sweep(folder / name.partition(f".{MARK}")[0])
        with growing(folder / f"{MARK}test") as file:
            file.write(b"peaudio")
        (folder / f"{MARK}test").unlink()
    except Unusable as error:
        raise OutputError(f"clips cannot be saved in {folder}: {reason(error)}") from error
