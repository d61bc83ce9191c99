"""A microphone behind a PortAudio of the tests' own, and a real one where there is any."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pe_audio_cli.errors import InputError, UsageError
from pe_audio_cli.live.sources import microphone
from pe_audio_cli.live.sources.microphone import MicrophoneSource, input_devices

FOUND: list[dict[str, Any]] = [
    {"name": "HDMI", "max_input_channels": 0, "default_samplerate": 48_000.0},
    {"name": "USB microphone", "max_input_channels": 1, "default_samplerate": 44_100.0},
    {"name": "Interface", "max_input_channels": 18, "default_samplerate": 48_000.0},
]


class PortAudioError(Exception):
    """As sounddevice's."""


class FakePortAudio:
    """As much of sounddevice as is used: devices, and streams that call back from a thread of their own."""

    PortAudioError = PortAudioError
    default = SimpleNamespace(device=(1, 0))

    def __init__(self, n_blocks: int, overflow_at: int | None = None, stops: bool = True) -> None:
        self.n_blocks, self.overflow_at, self.stops = n_blocks, overflow_at, stops
        self.opened: list[dict[str, Any]] = []

    def query_devices(self, device: Any = None, kind: str | None = None) -> Any:
        if kind is None:
            return FOUND
        if device is None:
            return FOUND[1]
        matching = [each for number, each in enumerate(FOUND) if device == number or str(device) in each["name"]]
        if len(matching) != 1:
            raise ValueError(f"No input device matching {device!r}")
        return matching[0]

    def check_input_settings(self, device: Any, channels: int, dtype: str, samplerate: int) -> None:
        if samplerate != self.query_devices(device, "input")["default_samplerate"]:
            raise PortAudioError("Invalid sample rate")

    def InputStream(self, **settings: Any) -> Any:
        self.opened.append(settings)
        return FakeStream(self, settings)


class FakeStream:
    active = True

    def __init__(self, portaudio: FakePortAudio, settings: dict[str, Any]) -> None:
        self._portaudio, self._settings = portaudio, settings
        self._thread = threading.Thread(target=self._record, daemon=True)

    def __enter__(self) -> FakeStream:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._thread.join()

    def _record(self) -> None:
        block = np.zeros((self._settings["blocksize"], self._settings["channels"]), np.float32)
        for number in range(self._portaudio.n_blocks):
            block[:] = 0.1 * (number + 1)  # PortAudio uses its memory again
            overflow = number == self._portaudio.overflow_at
            self._settings["callback"](block, len(block), None, SimpleNamespace(input_overflow=overflow))
            time.sleep(0.001)
        if self._portaudio.stops:
            self.active = False
            self._settings["finished_callback"]()


def use(monkeypatch: pytest.MonkeyPatch, portaudio: FakePortAudio) -> FakePortAudio:
    monkeypatch.setattr(microphone, "_portaudio", lambda: portaudio)
    return portaudio


def heard(source: MicrophoneSource) -> Iterator[np.ndarray]:
    """All blocks until the device is unplugged."""
    with pytest.raises(InputError, match="it does not record") as told:
        yield from source.blocks()
    heard.error = str(told.value)  # type: ignore[attr-defined]


def test_a_microphone_is_heard_at_the_rate_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    portaudio = use(monkeypatch, FakePortAudio(5))
    blocks = list(heard(MicrophoneSource("Interface", 1.0)))
    assert [round(float(block[0]), 3) for block in blocks] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert all(len(block) == 4_800 for block in blocks)
    (settings,) = portaudio.opened
    assert (settings["channels"], settings["samplerate"], settings["device"]) == (2, 48_000, "Interface")


def test_one_that_has_another_rate_is_resampled(monkeypatch: pytest.MonkeyPatch) -> None:
    portaudio = use(monkeypatch, FakePortAudio(10))
    n_samples = sum(map(len, heard(MicrophoneSource(None, 1.0))))
    assert portaudio.opened[0]["samplerate"] == 44_100
    assert 0 < n_samples <= 48_000  # what the resampler still holds goes with the device


def test_a_device_that_is_unplugged_or_says_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakePortAudio(2))
    assert len(list(heard(MicrophoneSource("2", 1.0)))) == 2
    assert "the device has stopped" in heard.error  # type: ignore[attr-defined]
    use(monkeypatch, FakePortAudio(2, stops=False))
    assert len(list(heard(MicrophoneSource("2", 0.3)))) == 2
    assert "nothing has come from it for 0.3 s" in heard.error  # type: ignore[attr-defined]


def test_samples_that_the_computer_did_not_take_are_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakePortAudio(5, overflow_at=3))
    assert len(list(heard(MicrophoneSource("2", 1.0)))) == 3
    assert "samples were lost" in heard.error  # type: ignore[attr-defined]


def test_a_name_that_no_device_has_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakePortAudio(1))
    with pytest.raises(InputError, match=r"nowhere: it does not record .* peaudio listen --devices"):
        list(MicrophoneSource("nowhere", 1.0).blocks())


def test_devices_that_record_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakePortAudio(1))
    assert [line.split("\t")[:2] for line in input_devices()] == [["1", "USB microphone"], ["2", "Interface"]]
    assert "(default)" in input_devices()[0]


def test_without_portaudio_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class WithoutLibrary:
        def find_spec(self, name: str, *more: Any) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.setattr(microphone, "require_extra", lambda *about: None)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [WithoutLibrary(), *sys.meta_path])
    with pytest.raises(UsageError, match=r"PortAudio library not found.*apt-get install libportaudio2"):
        input_devices()


def test_a_real_microphone_is_heard() -> None:
    sounddevice = pytest.importorskip("sounddevice", reason="no sounddevice here", exc_type=(ImportError, OSError))
    if not input_devices():
        pytest.skip("no device records here, not even ALSA's null device")
    assert sounddevice is not None
    blocks = MicrophoneSource(None, 5.0).blocks()
    assert len(next(blocks)) > 0
    blocks.close()  # type: ignore[attr-defined]
