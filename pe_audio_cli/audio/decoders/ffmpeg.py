"""FFmpeg's libraries, through PyAV: all compressed formats, and the sound of videos."""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterator
from fractions import Fraction
from functools import cache, cached_property
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from pe_audio_cli.audio.decoders.base import Block, check_header, check_track, cut_short
from pe_audio_cli.audio.decoders.frame_run import FrameRun, likeness_of
from pe_audio_cli.audio.decoders.quicktime import index_bytes_and_tags
from pe_audio_cli.audio.decoders.tags import tags_of
from pe_audio_cli.audio.excerpt import Excerpt, Opened, part_of, read_at, size_of
from pe_audio_cli.audio.extent import beginning_after, extent_of, id3_in_front, is_no_sound, next_recording
from pe_audio_cli.audio.frames import TRANSPORT_BYTES
from pe_audio_cli.audio.limits import Limits, remedy, variable
from pe_audio_cli.audio.opening import rewound
from pe_audio_cli.errors import InputError

__all__ = ["FFmpegDecoder"]

MOST_TRACKS = 16  # that a warning lists
GAP_SECONDS = 0.02  # half a frame: time stamps this far ahead of the sound are a gap in it, not rounding
AMR_HEADER_BYTES = 1  # of a frame, which may have no more: RFC 4867, section 5.3
SHORTEST = 1_000  # packets in a second: those of codecs last 2.5 ms at least
PACKETS_FOR_SOUND = 10  # without sound, that one with sound makes up for
SAMPLE_BYTES = 4  # of a decoded sample, in most formats
MP3_TAG, MP3_TAG_BYTES = re.compile(rb"(?:Xing|Info)\x00\x00\x00[\x01\x03\x05\x07\x09\x0b\x0d\x0f](.{4})", re.S), 256
MPEG1_RATE = 32_000  # Hz; at lower rates, MPEG-2's, frames are half as long
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
MATROSKA_DURATION = re.compile(
    r"(\d{1,6}):(\d\d):(\d\d(?:\.\d{1,9})?)", re.ASCII
)  # a stream's tag, say 00:00:03.023000000
# Decoders that allocate, as soon as they are opened, what the header claims for a frame.
TRUSTING_DECODERS = frozenset({"alac", "als"})
ALAC_SAMPLES = struct.Struct(">12xI")  # in a frame: ALACSpecificConfig, behind an atom's header of 12 bytes
ALS_CHANNELS_AND_SAMPLES = struct.Struct(">4s8xHxH")  # each less one: ALSSpecificConfig (ISO/IEC 14496-3, 11.6.1)


class FFmpegDecoder:
    """A recording that FFmpeg decodes; see :class:`pe_audio_cli.audio.decoders.base.Decoder`.

    Its timeline is the container's, the one that ``ffmpeg -ss`` counts on: where sound starts later than the video or
    where some of it is missing, there is silence.

    Raises:
        InputError: FFmpeg cannot read it, there is no sound in it, or its header claims the impossible.
    """

    def __init__(self, file: str, opened: Opened, audio_track: int | None = None) -> None:
        self._file, self._whole = file, opened
        self.next_recording = next_recording(opened)
        if self.next_recording is not None:
            opened = part_of(opened, 0, self.next_recording)  # or FFmpeg takes what follows for more of the first
        self._opened = opened
        self._limits = Limits.of_environment()
        claimed, n_tags = index_bytes_and_tags(opened)
        if claimed > self._limits.index_bytes:
            raise InputError(file, "decode", f"its header claims {claimed:,} bytes of tables: {remedy('index_bytes')}")
        if (n_tags := n_tags + tags_of(opened)) > self._limits.tags:
            raise InputError(file, "decode", f"it has {n_tags:,} tags: {remedy('tags')}")
        self._gap_left = self._limits.gap_seconds
        self._n_without_sound = 0  # packets, fewer for each with sound
        self.warnings: list[str] = []
        self._start: float | None = None  # seconds; the time stamp of the timeline's zero
        self._earlier = 0.0  # seconds of the timeline before the sample rate changed, if it did
        self._position = 0  # samples of the timeline since then
        self._sound_end = 0  # bytes of the file, of which the last are of a packet that could be decoded
        self._changes: list[str] = []  # of rate and channels
        self._broken: list[float] = []  # seconds at which a packet was, and likewise
        self._packet_bytes = 0  # of the last one that could be decoded
        self._ended = ""  # what FFmpeg said where it could not go on
        self._refused = False  # whether the decoder refused to make a frame, as it does of one that is too large
        self._jumps: list[float] = []
        self._gaps: list[tuple[float, float]] = []  # with their lengths
        self._container = _open(file, opened)
        try:
            self._stream = _sound(file, self._container, audio_track)
            self.warnings += _track_warning(self._container, self._stream) if audio_track is None else []
            self._check_decoder()
            self.is_sound = not self._stream.codec_context.codec.lossless
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
        self.sample_rate = self._rate = sample_rate
        self.channels = self._channels = channels

    def blocks(self) -> Iterator[Block]:
        """Yield blocks of about a second, of less where there are many channels or something changes."""
        run = FrameRun()
        for frame in self._frames:
            likeness, samples = likeness_of(frame), frame.samples
            self._follow(*likeness[:2])
            missing = self._missing_before(frame)
            if missing or likeness != run.likeness:
                yield from run.blocks()
                run = FrameRun(likeness)
            if missing:
                for n in _seconds_of(missing, self._rate):
                    self._position += n
                    yield Block(np.zeros((n, self._channels), np.float32), self._rate)
            self._position += samples
            if run.append(frame, samples):
                yield from run.blocks()
                run = FrameRun(likeness)
        yield from run.blocks()
        if self.next_recording is None and self._sound_end:
            self.next_recording = beginning_after(self._whole, self._sound_end)
        self._sum_up()

    def _follow(self, rate: int, channels: int) -> None:
        """Continue with a frame's rate and channels."""
        if rate == self._rate and channels == self._channels:
            return
        changes = []
        if rate != self._rate:
            changes.append(f"the sample rate changes from {self._rate} to {rate} Hz")
        if channels != self._channels:
            changes.append(f"the number of channels changes from {self._channels} to {channels}")
        check_header(self._file, rate, channels)
        self._changes.append(f"{' and '.join(changes)} at {self._seconds:.3f} s")
        self._earlier, self._position, self._rate, self._channels = self._seconds, 0, rate, channels

    @property
    def _seconds(self) -> float:
        """Seconds of the timeline so far."""
        return self._earlier + self._position / self._rate

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec."""
        return str(self._stream.codec_context.name)

    @cached_property
    def _is_mistimed(self) -> bool:
        """True if time stamps use another rate than the frames: those of a FLAC with a damaged header."""
        return self._container.format.name == "flac" and self._stream.time_base != Fraction(1, self.sample_rate)

    @cached_property
    def _ends_anywhere(self) -> bool:
        """True if the header does not tell the length: FFmpeg then reports the last packet as broken."""
        if self._container.format.name == "caf":
            extent = extent_of(self._opened)
            return extent is not None and extent.claimed is None
        return self._container.format.name == "wav"

    def _check_decoder(self) -> None:
        """Keep the decoder from making larger frames than are allowed, before it is opened."""
        context = self._stream.codec_context
        claimed = _claimed_frame_bytes(context.name, context.extradata or b"", self._stream.channels)
        if claimed > self._limits.frame_bytes:
            raise InputError(
                self._file, "decode", f"its header claims frames of {claimed:,} bytes: {remedy('frame_bytes')}"
            )
        context.options = {"max_samples": str(self._limits.frame_bytes // SAMPLE_BYTES)}

    def _check_packet(self, packet: Packet[Any]) -> None:
        if packet.size > self._limits.packet_bytes:
            message = f"a packet at {self._seconds:.3f} s has {packet.size:,} bytes: {remedy('packet_bytes')}"
            raise InputError(self._file, "decode", message)

    def _count_without_sound(self, has_sound: bool) -> None:
        self._n_without_sound = max(0, self._n_without_sound + (-PACKETS_FOR_SOUND if has_sound else 1))
        if self._n_without_sound > self._limits.packets_without_sound:
            message = (
                f"{self._n_without_sound:,} packets after {self._seconds:.3f} s hold no sound, or less than 1 ms: "
                f"{remedy('packets_without_sound')}"
            )
            raise InputError(self._file, "decode", message)

    def _decoded(self) -> Iterator[AudioFrame]:
        least = AMR_HEADER_BYTES if self.codec.startswith("amr") else 0
        try:
            for packet in self._container.demux(self._stream):
                self._check_packet(packet)
                broken = packet.is_corrupt and not self._ends_anywhere
                try:
                    frames = self._stream.decode(packet)
                    if frames and not broken and packet.pos is not None:
                        self._sound_end = max(self._sound_end, packet.pos + packet.size)
                        self._packet_bytes = packet.size
                except av.FFmpegError as error:
                    frames, broken = [], True
                    self._refused = self._refused or isinstance(error, av.ArgumentError)
                if broken:
                    self._broken.append(self._seconds)
                samples = sum(frame.samples for frame in frames) if packet.size > least else 0
                self._count_without_sound(samples * SHORTEST >= self._rate)
                yield from frames
        except av.FFmpegError as error:
            self._ended = error.strerror or "it makes no sense"

    def _missing_before(self, frame: AudioFrame) -> int:
        """Return the samples of silence that stand in for audio that is missing by a frame's time stamp."""
        time = frame.time
        if time is None or self._is_mistimed:
            return 0
        if self._start is None:
            self._start = time
        missing = round((time - self._start - self._earlier) * self._rate) - self._position
        seconds = missing / self._rate
        if seconds > self._gap_left:
            self._jumps.append(self._seconds)
            self._start += seconds
            return 0
        if seconds <= GAP_SECONDS:
            return 0
        self._gap_left -= seconds
        if self._position > 0:
            self._gaps.append((self._seconds, seconds))
        return missing

    def _sum_up(self) -> None:
        claimed = self._claimed_seconds()
        self._forgive_junk(claimed)
        if self._ended:
            self.warnings.append(f"damaged after {self._seconds:.3f} s ({self._ended})")
        if self._changes:
            count = f" (changes: {len(self._changes)})" if len(self._changes) > 1 else ""
            self.warnings.append(self._changes[0] + count)
        if self._broken:
            perhaps = f", perhaps frames larger than {variable('frame_bytes')} allows" if self._refused else ""
            broken = f"broken packets: {len(self._broken)}{perhaps}"
            self.warnings.append(f"damaged at {self._broken[0]:.3f} s ({broken})")
        if self._gaps:
            total = sum(length for _, length in self._gaps)
            self.warnings.append(f"silence for {total:.3f} s that are missing, first at {self._gaps[0][0]:.3f} s")
        if self._jumps:
            allowed = f"{variable('gap_seconds')} allows {self._limits.gap_seconds:g} s of silence"
            self.warnings.append(f"time stamps jump at {self._jumps[0]:.3f} s: taken as going on, as {allowed}")
        cut = [] if claimed is None else cut_short(self._seconds, claimed)
        if not cut and self._container.format.name == "ogg" and not _ogg_is_complete(self._opened):
            cut = [f"cut short: it ends in mid-stream, after {self._seconds:.3f} s"]
        self.warnings += cut

    def _forgive_junk(self, claimed: float | None) -> None:
        """Ignore damage that FFmpeg found after the audio, if that is not audio."""
        ends, name = [self._sound_end], self._container.format.name
        if name == "mpegts":
            ends = [_end_of_transport_packets(self._opened, self._sound_end)]
        elif name in ("ac3", "eac3"):  # the last frame is one packet with what follows; frames may differ by a word
            ends += [self._sound_end + self._packet_bytes + word for word in (0, 2)]
        is_junk = any(is_no_sound(self._opened, end) for end in ends)
        if is_junk or (claimed is not None and not cut_short(self._seconds, claimed)):
            self._ended = ""
        if is_junk and self._broken and self._broken[0] >= self._seconds:
            self._broken = []

    def _claimed_seconds(self) -> float | None:
        """The end of the audio in seconds by the header, if it tells."""
        formats = set(self._container.format.name.split(","))
        # An MP3 has its length in a LAME tag, which also moves its start, or FFmpeg guesses.
        has_lame_tag = "mp3" in formats and bool(self._stream.start_time)
        if (not has_lame_tag and not formats & TIMED_DEMUXERS) or self._is_mistimed:
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
        if "mp3" in formats and (frames := _mp3_frames(self._opened)):  # FFmpeg may guess, and count what follows
            end = min(end, frames * (1_152 if self.sample_rate >= MPEG1_RATE else 576) / self.sample_rate)
        return end - (self._start if self._start is not None else 0.0)

    def close(self) -> None:
        """Free what FFmpeg holds; the file stays open."""
        self._container.close()


def _open(file: str, opened: Opened) -> InputContainer:
    options = {
        "format_whitelist": DEMUXERS,
        "codec_whitelist": _probing_decoders(),
        "protocol_whitelist": "fd",  # so that nothing in the file makes FFmpeg open another file, or the network
        "ignore_chapters": "1",  # whose titles may all be one and the same long text in the file
    }
    try:
        # Not `options`: PyAV hands those to every stream as well, and crashes where FFmpeg finds one more on its way.
        if isinstance(opened, Excerpt):
            opened.seek(0)
            return av.open(opened, "r", container_options=options, metadata_errors="replace")
        options["fd"] = str(rewound(opened))
        return av.open("fd:", "r", container_options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        message = "it is not a recording, or damaged beyond use: check that it plays, or convert it to WAV"
        raise InputError(file, "decode", message) from error


def _sound(file: str, container: InputContainer, audio_track: int | None) -> AudioStream:
    if not container.streams.audio:
        raise InputError(file, "no-audio", "it has no audio: leave it out, or name the file that has the audio")
    check_track(file, audio_track, len(container.streams.audio))
    best = container.streams.best("audio")
    stream = best if audio_track is None else container.streams.audio[audio_track - 1]
    if not isinstance(stream, AudioStream):
        raise InputError(file, "decode", "the header of its audio is invalid: export it again")
    if stream.codec_context is None:
        raise InputError(file, "decode", "no decoder is available for its audio: convert it to WAV or FLAC")
    return stream


def _track_warning(container: InputContainer, decoded: AudioStream) -> list[str]:
    """Return a warning that names the decoded audio track, if there are several."""
    tracks = container.streams.audio
    if len(tracks) < 2:
        return []
    named = [f"{number}{_about_track(track)}" for number, track in enumerate(tracks, 1)]
    number = [track.index for track in tracks].index(decoded.index) + 1
    listed = ", ".join([*named[:MOST_TRACKS], *(["..."] if len(named) > MOST_TRACKS else [])])
    return [f"it has {len(tracks)} audio tracks ({listed}): {number} was used, --audio-track N chooses another"]


def _about_track(track: AudioStream) -> str:
    """Return the language and the title of a track, if the file has them."""
    told = [track.metadata.get(name, "") for name in ("language", "title")]
    named = " ".join(" ".join(each.split())[:40] for each in told if each and each != "und")
    return f": {named}" if named else ""


def _seconds_of(samples: int, sample_rate: int) -> Iterator[int]:
    """Split a number of samples into lengths of up to a second."""
    yield from (min(sample_rate, samples - done) for done in range(0, samples, sample_rate))


@cache
def _probing_decoders() -> str:
    """The decoders that FFmpeg may try while it finds out what is in a file.

    None of pictures, so that no cover is ever decoded: one of a megabyte can take a gigabyte.
    """
    decoders = (name for name in sorted(av.codecs_available) if _is_sound_decoder(name))
    return ",".join(name for name in decoders if name not in TRUSTING_DECODERS)


def _is_sound_decoder(name: str) -> bool:
    try:
        return av.Codec(name, "r").type == "audio"
    except av.codec.codec.UnknownCodecError:  # it only encodes
        return False


def _claimed_frame_bytes(decoder: str, header: bytes, channels: int) -> int:
    """Return the bytes that one of :data:`TRUSTING_DECODERS` would allocate for a frame; 0 for other decoders."""
    if decoder == "alac" and len(header) >= ALAC_SAMPLES.size:
        (samples,) = ALAC_SAMPLES.unpack_from(header)
        return int(samples) * channels * SAMPLE_BYTES
    config = header[max(header.find(b"ALS\0"), 0) :]
    if decoder == "als" and len(config) >= ALS_CHANNELS_AND_SAMPLES.size:
        _, last_channel, last_sample = ALS_CHANNELS_AND_SAMPLES.unpack_from(config)
        return (int(last_channel) + 1) * (int(last_sample) + 1) * SAMPLE_BYTES
    return 0


def _mp3_frames(opened: Opened) -> int:
    """Return the number of frames from the tag in the first one; 0 if there is none."""
    content = read_at(opened, id3_in_front(opened), MP3_TAG_BYTES)
    tag = MP3_TAG.search(content)
    return int.from_bytes(tag[1], "big") if tag is not None else 0


def _end_of_transport_packets(opened: Opened, place: int) -> int:
    """The first place at or after ``place`` at which no packet of MPEG-TS begins."""
    place -= place % TRANSPORT_BYTES
    while read_at(opened, place, 1) == b"G":
        place += TRANSPORT_BYTES
    return place


def _ogg_is_complete(opened: Opened) -> bool:
    """Return True if the last page is complete, and marked as the last of its stream (RFC 3533, section 6)."""
    tail = read_at(opened, max(0, size_of(opened) - MAX_OGG_PAGE_BYTES), MAX_OGG_PAGE_BYTES)
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < OGG_HEADER_BYTES or not page.startswith(b"OggS"):
        return False
    is_last = bool(page[5] & 0x04)
    segments = page[OGG_HEADER_BYTES - 1]
    lengths = page[OGG_HEADER_BYTES : OGG_HEADER_BYTES + segments]
    return is_last and len(page) >= OGG_HEADER_BYTES + segments + sum(lengths)
