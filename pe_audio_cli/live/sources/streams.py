"""Sound that FFmpeg reads as it comes: pipes, and streams from the network."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from pe_audio_cli.audio.addresses import Address
from pe_audio_cli.audio.decoders.base import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, Block, check_header
from pe_audio_cli.audio.decoders.ffmpeg import DEMUXERS
from pe_audio_cli.audio.decoders.frame_run import FrameRun, likeness_of
from pe_audio_cli.errors import InputError, UsageError
from pe_audio_cli.live.sources.base import block_seconds, mono

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["PipeSource", "RawFormat", "StreamSource", "is_stream"]

# What FFmpeg may open, by the scheme: nothing in a playlist or a description makes it read a file.
HTTP_PROTOCOLS = "http,https,httpproxy,tcp,tls,crypto"
PROTOCOLS = {
    "http": HTTP_PROTOCOLS,
    "https": "https,httpproxy,tcp,tls,crypto",
    "rtsp": "tcp,udp,rtp",
    "rtsps": "tcp,tls,udp,rtp,srtp",
}
CONNECT_SECONDS = 10.0
# What is looked at before the first sound, which comes that much later: for raw samples, the least that FFmpeg takes.
STREAM_PROBE_BYTES, STREAM_PROBE_SECONDS = 1 << 18, 2
PIPE_PROBE_BYTES, RAW_PROBE_BYTES = 1 << 15, 32
RAW = re.compile(r"(?P<codec>[a-z0-9]+),(?P<rate>\d{1,7}),(?P<channels>\d{1,3})")
RAW_CODECS = (
    *("s16le", "s16be", "s24le", "s24be", "s32le", "s32be", "u8", "s8"),
    *("f32le", "f32be", "f64le", "f64be", "alaw", "mulaw"),
)
MOST_RAW_CHANNELS = 64


def is_stream(source: str) -> bool:
    """True for the address of a stream."""
    return source.partition("://")[0].lower() in PROTOCOLS and "://" in source


@dataclass(frozen=True, slots=True)
class RawFormat:
    """The format of samples without a header."""

    codec: str
    rate: int
    channels: int

    @classmethod
    def parse(cls, text: str) -> RawFormat:
        """Read such a text as ``s16le,48000,1``. Raises :class:`UsageError` for others."""
        match = RAW.fullmatch(text.strip().lower())
        if match is None or match["codec"] not in RAW_CODECS:
            raise UsageError(
                f"--raw takes a sample format, a rate and a number of channels, such as s16le,48000,1, "
                f"with {', '.join(RAW_CODECS)}: got {text!r}"
            )
        rate, channels = int(match["rate"]), int(match["channels"])
        if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
            raise UsageError(f"--raw takes a rate from {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz: got {rate}")
        if not 1 <= channels <= MOST_RAW_CHANNELS:
            raise UsageError(f"--raw takes 1 to {MOST_RAW_CHANNELS} channels: got {channels}")
        return cls(match["codec"], rate, channels)


class _FFmpegSource:
    """A :class:`~pe_audio_cli.live.sources.base.Source` that FFmpeg reads."""

    name: str
    is_live: bool

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the sound, a tenth of a second at a time, of several channels a quarter."""
        try:
            with contextlib.closing(self._open()) as container:
                yield from mono(_decoded(self.name, container))
        except av.FFmpegError as error:
            raise self._lost(error) from None  # what caused it may tell the address

    def _open(self) -> InputContainer:
        raise NotImplementedError

    def _lost(self, error: av.FFmpegError) -> InputError:
        reason = (error.strerror or "it makes no sense").lower()
        return InputError(self.name, "unreadable", f"no sound comes from it ({reason}): check that it plays")

    def close(self) -> None:
        """Nothing ends a thread in FFmpeg that waits for a pipe; one for the network ends by its time limit."""


class PipeSource(_FFmpegSource):
    """A pipe, or standard input: a recording that need not end, or with ``raw`` samples without a header."""

    is_live = False

    def __init__(self, name: str, opened: BinaryIO, raw: RawFormat | None = None) -> None:
        self.name = name
        self._opened, self._raw = opened, raw

    @classmethod
    def standard_input(cls, raw: RawFormat | None = None) -> PipeSource:
        """Standard input. Raises :class:`InputError` if it is closed, or a terminal."""
        if sys.stdin is None or sys.stdin.closed:
            raise InputError("-", "unreadable", "standard input is closed: pipe sound into the command")
        if sys.stdin.buffer.isatty():
            raise InputError("-", "unreadable", "standard input is a terminal: pipe sound into the command")
        return cls("-", sys.stdin.buffer, raw)

    def _open(self) -> InputContainer:
        options = {
            "fd": str(self._opened.fileno()),
            "protocol_whitelist": "fd",
            "probesize": str(PIPE_PROBE_BYTES if self._raw is None else RAW_PROBE_BYTES),
        }
        if self._raw is None:
            # The length in the header of an endless WAV is a guess.
            options |= {"format_whitelist": DEMUXERS, "ignore_length": "1"}
            return av.open("fd:", "r", container_options=options, metadata_errors="replace")
        options |= {"sample_rate": str(self._raw.rate), "ch_layout": f"{self._raw.channels}C"}
        return av.open("fd:", "r", format=self._raw.codec, container_options=options)


class StreamSource(_FFmpegSource):
    """A stream from the network: RTSP, or HTTP with Icecast and HLS.

    No message tells its user, password or token.
    """

    is_live = True

    def __init__(self, address: str, stall: float) -> None:
        """``stall`` is the seconds after which a stream from which nothing comes is given up."""
        named = Address(address)
        self.name = str(named)
        self._full, self._stall = named.full, stall
        self._scheme = address.partition("://")[0].lower()

    def _open(self) -> InputContainer:
        options = {
            "protocol_whitelist": PROTOCOLS[self._scheme],
            "probesize": str(STREAM_PROBE_BYTES),
            "analyzeduration": str(STREAM_PROBE_SECONDS * av.time_base),
        }
        if self._scheme.startswith("rtsp"):
            options |= {"allowed_media_types": "audio", "rtsp_transport": "tcp", "format_whitelist": "rtsp,rtp,sdp"}
        else:
            options |= {"format_whitelist": f"hls,{DEMUXERS}"}
        return av.open(
            self._full,
            "r",
            container_options=options,
            metadata_errors="replace",
            timeout=(CONNECT_SECONDS, self._stall),
        )


def _decoded(name: str, container: InputContainer) -> Iterator[Block]:
    """The decoded sound of a container, as it comes."""
    sound = container.streams.best("audio")
    if not isinstance(sound, AudioStream) or sound.codec_context is None:
        raise InputError(name, "no-audio", "there is no sound in it that can be decoded: name another source")
    _leave_out_others(container, sound)
    run, n_samples = FrameRun(), 0
    for packet in container.demux(sound):
        try:
            frames = sound.decode(packet)
        except av.error.InvalidDataError:  # a packet that came damaged; the next may be whole
            continue
        for frame in frames:
            likeness = likeness_of(frame)
            rate, channels, _ = likeness
            if likeness != run.likeness:
                check_header(name, rate, channels)
                yield from run.blocks()
                run, n_samples = FrameRun(likeness), 0
            n_samples += frame.samples
            if run.append(frame, frame.samples) or n_samples >= block_seconds(channels) * rate:
                yield from run.blocks()
                run, n_samples = FrameRun(likeness), 0
    yield from run.blocks()


def _leave_out_others(container: InputContainer, sound: AudioStream) -> None:
    """Let the demuxer throw away video as it comes."""
    stream: Any
    for stream in container.streams:
        if stream.index != sound.index:
            with contextlib.suppress(AttributeError):  # releases of PyAV that cannot say it
                stream.discard = "all"
