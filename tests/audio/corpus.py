"""Makes recordings for the tests of this room: through libsndfile, through FFmpeg, and by hand."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

CLICK_SECONDS = 1.5
PNG = bytes.fromhex(  # a picture of one pixel
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301"
    "0100c9fe92ef0000000049454e44ae426082"
)
FRAME_SAMPLES = 1024  # handed to an encoder at a time


class Recordings:
    """Makes recordings in a folder of its own; every method returns the path of what it has made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def noise(self, samples: int, channels: int = 1) -> NDArray[np.float32]:
        """The same noise every time, ``(samples, channels)``, within [-0.5, 0.5]."""
        return np.random.default_rng(7).uniform(-0.5, 0.5, (samples, channels)).astype(np.float32)

    def click(self, rate: int, channels: int = 1, seconds: float = 3.0) -> NDArray[np.float32]:
        """Near silence with 4 ms of loud 2 kHz from 1.500 s on, ``(samples, channels)``."""
        time = np.arange(round(seconds * rate)) / rate
        samples = 0.001 * np.sin(2 * np.pi * 440 * time)
        loud = (time >= CLICK_SECONDS) & (time < CLICK_SECONDS + 0.004)
        samples[loud] = 0.9 * np.cos(2 * np.pi * 2000 * time[loud])
        return np.repeat(samples.astype(np.float32)[:, None], channels, axis=1)

    def raw(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def cut(self, path: Path, share: float) -> Path:
        """The first part of a file, as an interrupted download leaves it."""
        content = path.read_bytes()
        return self.raw(f"cut-{path.name}", content[: int(share * len(content))])

    def damage(self, path: Path, share: float, junk: int, replace: bool) -> Path:
        """A file with ``junk`` random bytes in it, put over or between its own."""
        content, noise = path.read_bytes(), np.random.default_rng(7).bytes(junk)
        at = int(share * len(content))
        return self.raw(f"damaged-{path.name}", content[:at] + noise + content[at + junk * replace :])

    def sound(self, name: str, samples: NDArray[Any], rate: int, form: str, subtype: str) -> Path:
        """Through libsndfile; ``samples`` of shape ``(samples, channels)``."""
        path = self.folder / name
        soundfile.write(path, samples, rate, format=form, subtype=subtype)
        return path

    def pcm(self, samples: int = 48_000) -> bytes:
        """Noise as 16-bit samples, for a header made by hand."""
        return (self.noise(samples) * 2**15).astype("<i2").tobytes()

    def wav(self, name: str, content: bytes, **claims: Any) -> Path:
        """By hand, so that its header may claim anything; see :func:`wav_bytes`."""
        return self.raw(name, wav_bytes(content, **claims))

    def silent_header(self, form: str) -> Path:
        """A recording of no samples at all."""
        return self.sound(f"a.{form.lower()}", np.empty((0, 1), np.float32), 48_000, form, "PCM_16")

    def film(self, name: str, video: str) -> Path:
        """A second of video without sound."""
        path = self.folder / name
        with av.open(str(path), "w") as container:
            _encode_pictures(container, video, 25)
        return path

    def encode(self, name: str, codec: str, samples: NDArray[np.float32], rate: int, **more: Any) -> Path:
        """Through FFmpeg; see :func:`encode`."""
        path = self.folder / name
        encode(path, codec, samples, rate, **more)
        return path


def wav_bytes(
    content: bytes,
    form: int = 1,
    channels: int = 1,
    rate: int = 48_000,
    bits: int = 16,
    block: int | None = None,
    data_size: int | None = None,
    riff_size: int | None = None,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """A WAV whose header says what it is told to: format tag, block align, sizes, chunks before and after the data."""
    block = channels * bits // 8 if block is None else block
    header = struct.pack("<HHIIHH", form, channels, rate, rate * block & 0xFFFF_FFFF, block & 0xFFFF, bits)
    size = len(content) if data_size is None else data_size
    body = b"WAVE" + chunk(b"fmt ", header) + before + b"data" + struct.pack("<I", size) + content + after
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


def chunk(name: bytes, content: bytes) -> bytes:
    """A RIFF chunk, padded to an even length."""
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def id3_tag(name: bytes, content: bytes) -> bytes:
    """An ID3v2.3 tag with one frame, as players put it in front of an MP3."""
    frame = name + struct.pack(">IH", len(content), 0) + content
    return b"ID3\3\0\0" + bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0)) + frame


def encode(
    path: Path,
    codec: str,
    samples: NDArray[np.float32],
    rate: int,
    video: str | None = None,
    start: float = 0.0,
    gap: tuple[float, float] | None = None,
) -> None:
    """Write ``samples`` of shape ``(samples, channels)``, from ``start`` seconds on, with video if it is named.

    ``gap`` is a second, and for how many seconds nothing is recorded there.
    """
    for name in filter(None, (codec, video)):
        if name not in av.codecs_available:
            pytest.skip(f"this PyAV cannot encode {name}")
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[samples.shape[1]]
    with av.open(str(path), "w") as container:
        sound = container.add_stream(codec, rate=rate, layout=layout)
        if codec.startswith("wma"):
            sound.bit_rate = 128_000
        if video is not None:
            _encode_pictures(container, video, round(25 * len(samples) / rate))
        for frame in _sound_frames(samples, rate, sound, layout):
            shift = start + (gap[1] if gap is not None and frame.pts >= gap[0] * rate else 0.0)
            frame.pts += round(shift * rate)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def _encode_pictures(container: Any, codec: str, count: int) -> None:
    stream = container.add_stream(codec, rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), index % 256, np.uint8), format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, 25)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _sound_frames(samples: NDArray[np.float32], rate: int, stream: Any, layout: str) -> Iterator[Any]:
    sample_format = stream.codec_context.format.name
    for begin in range(0, len(samples), FRAME_SAMPLES):
        block = _quantized(samples[begin : begin + FRAME_SAMPLES], sample_format.removesuffix("p"))
        planes = block.T if sample_format.endswith("p") else block.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), format=sample_format, layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), begin
        yield frame


def _quantized(samples: NDArray[np.float32], sample_format: str) -> NDArray[Any]:
    if sample_format in ("flt", "dbl"):
        return samples.astype({"flt": np.float32, "dbl": np.float64}[sample_format])
    if sample_format == "u8":
        return np.round(samples * 127 + 128).astype(np.uint8)
    bits = int(sample_format[1:])
    return np.round(samples.astype(np.float64) * (2 ** (bits - 1) - 1)).astype(f"i{bits // 8}")
