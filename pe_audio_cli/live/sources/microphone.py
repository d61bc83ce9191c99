"""Microphones, through PortAudio."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pe_audio_cli._extras import require_extra
from pe_audio_cli.audio.decoders.base import Block
from pe_audio_cli.audio.framing import SAMPLE_RATE
from pe_audio_cli.errors import InputError, UsageError
from pe_audio_cli.live.sources.base import BLOCK_SECONDS, mono

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MicrophoneSource", "input_devices"]

MOST_CHANNELS = 2  # that are recorded: of a device with more, the first
HELD_BLOCKS = 100  # between PortAudio's thread and the reader's, which only hands them on


def _portaudio() -> Any:
    """Return the module sounddevice. Raises :class:`UsageError` if it, or the library that it needs, is not here."""
    require_extra("listen", "a microphone", "pipe its sound in: arecord -f S16_LE -r 48000 | peaudio listen -")
    try:
        import sounddevice
    except OSError as error:  # it says that PortAudio is not found
        raise UsageError(
            f"a microphone needs the library PortAudio ({error}): apt-get install libportaudio2"
        ) from error
    return sounddevice


def input_devices() -> list[str]:
    """Return a line for each device that records: its number, name, channels and rate, and whether it is the default.

    Raises :class:`UsageError` if the extra ``listen`` or PortAudio is not installed.
    """
    portaudio = _portaudio()
    default = portaudio.default.device[0]
    lines = []
    for number, device in enumerate(portaudio.query_devices()):
        if device["max_input_channels"] > 0:
            mark = " (default)" if number == default else ""
            about = f"channels: {device['max_input_channels']}, {device['default_samplerate']:g} Hz"
            lines.append(f"{number}\t{device['name']}\t{about}{mark}")
    return lines


class MicrophoneSource:
    """A :class:`~pe_audio_cli.live.sources.base.Source`: a device that records, by its number or a part of its name."""

    is_live = True

    def __init__(self, device: str | None, stall: float) -> None:
        """``device`` None is the default; ``stall`` the seconds after which a device that says nothing is given up.

        Raises :class:`UsageError` if the extra ``listen`` or PortAudio is not installed.
        """
        self._portaudio = _portaudio()
        self._device: int | str | None = int(device) if device is not None and device.isdecimal() else device
        self._stall = stall
        self._closed = threading.Event()
        self.name = "the microphone" if device is None else device

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Open the device, at 48 kHz if it can, and yield what it records."""
        try:
            yield from mono(self._recorded())
        except self._portaudio.PortAudioError as error:
            raise self._lost(str(error)) from error
        except ValueError as error:  # there is none of this name, or several
            raise self._lost(str(error)) from error

    def _recorded(self) -> Iterator[Block]:
        facts = self._portaudio.query_devices(self._device, "input")
        channels = min(int(facts["max_input_channels"]), MOST_CHANNELS)
        rate = self._rate(channels, round(facts["default_samplerate"]))
        held: queue.Queue[tuple[NDArray[np.float32], bool]] = queue.Queue(HELD_BLOCKS)
        ended = threading.Event()

        def on_block(samples: NDArray[np.float32], n_frames: int, times: Any, status: Any) -> None:
            # What does not fit is counted by the next block's flag, as what PortAudio itself had to drop.
            if not held.full():
                held.put_nowait((samples.copy(), bool(status.input_overflow)))

        stream = self._portaudio.InputStream(
            device=self._device,
            channels=channels,
            samplerate=rate,
            dtype="float32",
            blocksize=round(BLOCK_SECONDS * rate),
            callback=on_block,
            finished_callback=ended.set,
        )
        with stream:
            waited = 0.0
            while not self._closed.is_set():
                try:
                    samples, overflowed = held.get(timeout=BLOCK_SECONDS)
                except queue.Empty:
                    waited += BLOCK_SECONDS
                    if ended.is_set() or not stream.active:
                        raise self._lost("the device has stopped") from None
                    if waited > self._stall:
                        raise self._lost(f"nothing has come from it for {self._stall:g} s") from None
                    continue
                waited = 0.0
                if overflowed:
                    raise self._lost("samples were lost, because this computer was too busy to take them")
                yield Block(samples, rate)

    def _rate(self, channels: int, default: int) -> int:
        """Return the model's rate if the device has it, else its own."""
        try:
            self._portaudio.check_input_settings(self._device, channels, "float32", samplerate=SAMPLE_RATE)
        except self._portaudio.PortAudioError:
            return default
        return SAMPLE_RATE

    def _lost(self, reason: str) -> InputError:
        return InputError(self.name, "unreadable", f"it does not record ({reason}): see peaudio listen --devices")

    def close(self) -> None:
        """End before the next block."""
        self._closed.set()
