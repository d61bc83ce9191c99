"""FFmpeg's libraries, through PyAV: all compressed formats, and the sound of videos."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from typing import BinaryIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.plane import AudioPlane
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from pe_audio_cli.audio.opening import rewound
from pe_audio_cli.audio.source import check_header, cut_short, mixed_down
from pe_audio_cli.errors import InputError

__all__ = ["FFmpegSource"]

GAP_SECONDS = 0.02  # half a frame: time stamps this far ahead of the sound are a gap in it, not rounding
MAX_GAP_SECONDS = 3600.0  # time stamps further ahead than that are wrong
OGG_HEADER_BYTES, MAX_OGG_PAGE_BYTES = 27, 65_307  # RFC 3533, section 6; the header without its segment table

# Formats that hold sound, without those that FFmpeg knows by next to nothing (it takes an HTML page for AMR) and those
# that make it open what they name (playlists). Pictures and bare video are there to be told from damaged recordings.
DEMUXERS = (
    "3gp,aa,aac,ac3,aiff,amr,ape,asf,au,avi,avr,caf,dsf,dts,dtshd,dv,eac3,flac,flv,gxf,iamf,ircam,loas,matroska,mlp,mov,"
    "mp3,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nut,ogg,oma,paf,pvf,qcp,qoa,rm,sds,shn,sox,tak,truehd,tta,voc,vqf,w64,wav,"
    "wtv,wv,xwma,"
    "apng,bmp_pipe,gif,gif_pipe,h264,hevc,ico,jpeg_pipe,jpegxl_pipe,m4v,mjpeg,mpegvideo,png_pipe,svg_pipe,tiff_pipe,"
    "webp_pipe,yuv4mpegpipe"
)
# Formats whose headers hold a duration; for the others, FFmpeg guesses one from the bit rate.
TIMED_DEMUXERS = frozenset({"ape", "asf", "flac", "flv", "matroska", "mov", "ogg", "tak", "tta", "wv"})
# Formats whose last packet FFmpeg calls broken where the header leaves the length open.
ENDS_BROKEN = frozenset({"wav"})
# FFmpeg's sample formats: numpy's name for the type, what stands for 0.0 in it, and what for 1.0.
SAMPLE_FORMATS = {
    "u8": ("u1", 2**7, 2**7),
    "s16": ("i2", 0, 2**15),
    "s32": ("i4", 0, 2**31),
    "s64": ("i8", 0, 2**63),
    "flt": ("f4", 0, 1),
    "dbl": ("f8", 0, 1),
}
MATROSKA_DURATION = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")  # a stream's tag, say 00:00:03.023000000


class FFmpegSource:
    """A recording that FFmpeg decodes; see :class:`pe_audio_cli.audio.source.Source`.

    Its timeline is the container's, the one that ``ffmpeg -ss`` counts on: where sound starts later than the video or
    where some of it is missing, there is silence.

    Raises:
        InputError: FFmpeg cannot read it, there is no sound in it, or its header claims the impossible.
    """

    def __init__(self, file: str, opened: BinaryIO) -> None:
        self._opened = opened
        self.warnings: list[str] = []
        self._start: float | None = None  # seconds; the time stamp of the timeline's zero
        self._position = 0  # samples of the timeline so far
        self._broken: list[float] = []  # seconds at which a packet was, and likewise
        self._jumps: list[float] = []
        self._gaps: list[tuple[float, float]] = []  # with their lengths
        self._container = _open(file, opened)
        try:
            self._stream = _sound(file, self._container)
            self._believe(file, self._stream.rate, self._stream.channels)
            self._frames = self._decoded()
            first = next(self._frames, None)
            if first is not None:  # it knows better than the header, which may hold half the rate and channels (HE-AAC)
                self._believe(file, first.sample_rate, first.layout.nb_channels)
                self._frames = itertools.chain([first], self._frames)
        except InputError:
            self.close()
            raise
        if self._container.start_time is not None:
            self._start = self._container.start_time / av.time_base

    def _believe(self, file: str, sample_rate: int, channels: int) -> None:
        check_header(file, sample_rate, channels)
        self.sample_rate, self.channels = sample_rate, channels

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Mono blocks of shape ``(samples,)``, of a second or a packet at most."""
        for frame in self._frames:
            if frame.sample_rate != self.sample_rate:
                change = f"from {self.sample_rate} to {frame.sample_rate} Hz"
                self.warnings.append(f"the sample rate changes {change} at {self._seconds:.3f} s: the rest is left out")
                break
            for block in itertools.chain(self._silence_before(frame), [_mono(frame)]):
                self._position += len(block)
                yield block
        self._sum_up()

    @property
    def _seconds(self) -> float:
        return self._position / self.sample_rate

    def _decoded(self) -> Iterator[AudioFrame]:
        try:
            for packet in self._container.demux(self._stream):
                broken = packet.is_corrupt and self._container.format.name not in ENDS_BROKEN
                try:
                    frames = self._stream.decode(packet)
                except av.FFmpegError:
                    frames, broken = [], True
                if broken:
                    self._broken.append(self._seconds)
                yield from frames
        except av.FFmpegError as error:
            self.warnings.append(f"damaged after {self._seconds:.3f} s ({error.strerror})")

    def _silence_before(self, frame: AudioFrame) -> Iterator[NDArray[np.float32]]:
        if frame.time is None:
            return
        if self._start is None:
            self._start = frame.time
        missing = round((frame.time - self._start) * self.sample_rate) - self._position
        seconds = missing / self.sample_rate
        if seconds > MAX_GAP_SECONDS:
            self._jumps.append(self._seconds)
            self._start += seconds
        elif seconds > GAP_SECONDS:
            if self._position > 0:
                self._gaps.append((self._seconds, seconds))
            for done in range(0, missing, self.sample_rate):
                yield np.zeros(min(self.sample_rate, missing - done), np.float32)

    def _sum_up(self) -> None:
        if self._broken:
            self.warnings.append(f"damaged at {self._broken[0]:.3f} s (broken packets: {len(self._broken)})")
        if self._gaps:
            total = sum(length for _, length in self._gaps)
            self.warnings.append(f"silence for {total:.3f} s that are missing, first at {self._gaps[0][0]:.3f} s")
        if self._jumps:
            self.warnings.append(f"time stamps jump by hours, first at {self._jumps[0]:.3f} s: taken as going on")
        claimed = self._claimed_seconds()
        cut = [] if claimed is None else cut_short(self._seconds, claimed)
        if not cut and self._container.format.name == "ogg" and not _ogg_is_complete(self._opened):
            cut = [f"cut short: it ends in mid-stream, after {self._seconds:.3f} s"]
        self.warnings += cut

    def _claimed_seconds(self) -> float | None:
        """Where the sound ends on the timeline by the header, if that says so."""
        formats = set(self._container.format.name.split(","))
        # An MP3 has its length in a LAME tag, which also moves its start, or FFmpeg guesses.
        has_lame_tag = "mp3" in formats and bool(self._stream.start_time)
        if not has_lame_tag and not formats & TIMED_DEMUXERS:
            return None
        if self._stream.duration is not None and self._stream.time_base is not None:
            start = self._stream.start_time if self._stream.start_time is not None else 0
            end = float((start + self._stream.duration) * self._stream.time_base)
        elif (tag := MATROSKA_DURATION.fullmatch(self._stream.metadata.get("DURATION", ""))) is not None:
            hours, minutes, seconds = tag.groups()
            end = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        elif self._container.duration is not None and len(self._container.streams) == 1:
            end = self._container.duration / av.time_base
        else:
            return None
        return end - (self._start if self._start is not None else 0.0)

    def close(self) -> None:
        """Free what FFmpeg holds; the file stays open."""
        self._container.close()


def _open(file: str, opened: BinaryIO) -> InputContainer:
    options = {
        "fd": str(rewound(opened)),
        "format_whitelist": DEMUXERS,
        "protocol_whitelist": "fd",  # so that nothing in the file makes FFmpeg open another file, or the network
    }
    try:
        # Not `options`: PyAV hands those to every stream as well, and crashes where FFmpeg finds one more on its way.
        return av.open("fd:", container_options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        message = "it is not a recording, or damaged beyond use: check that it plays, or convert it to WAV"
        raise InputError(file, "decode", message) from error


def _sound(file: str, container: InputContainer) -> AudioStream:
    if not container.streams.audio:
        raise InputError(file, "no-audio", "there is no sound in it: leave it out, or name the file that has the sound")
    stream = container.streams.best("audio")
    if not isinstance(stream, AudioStream):
        raise InputError(file, "decode", "the header of its sound makes no sense: it is damaged, export it again")
    if stream.codec_context is None:
        raise InputError(file, "decode", "no decoder is at hand for its sound: convert it to WAV or FLAC")
    return stream


def _mono(frame: AudioFrame) -> NDArray[np.float32]:
    sample_type, silence, full_scale = SAMPLE_FORMATS[frame.format.name.removesuffix("p")]
    count, channels = frame.samples, frame.layout.nb_channels
    if frame.format.is_planar:
        # Not `frame.planes`: with more than 8 channels, PyAV counts them past the end of FFmpeg's list of them.
        planes = [memoryview(AudioPlane(frame, channel)) for channel in range(channels)]
        samples = np.stack([np.frombuffer(plane, sample_type, count) for plane in planes], axis=1)
    else:
        packed = np.frombuffer(memoryview(frame.planes[0]), sample_type, count * channels)
        samples = packed.reshape(count, channels)
    return mixed_down(samples, silence, full_scale)


def _ogg_is_complete(opened: BinaryIO) -> bool:
    """Whether the last page is whole, and says that its stream ends with it (RFC 3533, section 6)."""
    size = os.fstat(opened.fileno()).st_size
    tail = os.pread(opened.fileno(), MAX_OGG_PAGE_BYTES, max(0, size - MAX_OGG_PAGE_BYTES))
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < OGG_HEADER_BYTES or not page.startswith(b"OggS"):
        return False
    is_last = bool(page[5] & 0x04)
    segments = page[OGG_HEADER_BYTES - 1]
    lengths = page[OGG_HEADER_BYTES : OGG_HEADER_BYTES + segments]
    return is_last and len(page) >= OGG_HEADER_BYTES + segments + sum(lengths)
