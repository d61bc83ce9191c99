"""Decodes recordings of any format, rate and channels to blocks of mono float32 at 48 kHz, in constant memory.

libsndfile decodes WAV and its relatives, AIFF, AU, CAF and FLAC, FFmpeg all other formats. The format is detected from
the content, never from the name. Claims of a header are checked against limits, and no allocation depends on them
alone. Of a damaged recording, the rest is decoded, in its place on the timeline as far as the format tells it, and
:attr:`AudioStream.warnings` name the problems.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from types import TracebackType
from typing import BinaryIO, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from pe_audio_cli.audio.addresses import addressed
from pe_audio_cli.audio.bitstream import refusal, refusing_compressed
from pe_audio_cli.audio.decoders.base import MAX_GATHERED, Block, Decoder, check_track
from pe_audio_cli.audio.decoders.samples import SamplesDecoder
from pe_audio_cli.audio.decoders.sndfile import SndfileDecoder, recognizes
from pe_audio_cli.audio.excerpt import Opened, part_of, size_of
from pe_audio_cli.audio.framing import SAMPLE_RATE
from pe_audio_cli.audio.inputs import DataInput, Samples
from pe_audio_cli.audio.limits import Limits, remedy
from pe_audio_cli.audio.mixing import Mixer
from pe_audio_cli.audio.opening import check_readable, open_recording, system_errors_of
from pe_audio_cli.audio.resampling import resampled
from pe_audio_cli.errors import InputError

__all__ = ["SAMPLE_RATE", "AudioStream", "open_audio"]

LIBSNDFILE_ALONE = frozenset({"HTK", "MAT4", "MAT5", "MPC2K", "PAF", "PVF", "SDS", "SVX", "WVE", "XI"})
MAX_TOLD = 10  # recordings in one file of which warnings are told
LOUD = 8.0  # times full scale: no recording that is merely too loud reaches that


class _Medium(Protocol):
    """The medium of an open recording: a file, or memory."""

    def fraction(self, seconds: float) -> float:
        """Return the fraction that has been read, from 0 to 1, when ``seconds`` have been decoded."""

    def check_length(self, seconds: float) -> None:
        """Raise :class:`InputError` if it is too small for so many seconds."""

    def check_unchanged(self) -> None:
        """Raise :class:`InputError` if what was read cannot be relied upon."""

    def close(self) -> None:
        """Free it."""


class _File:
    """An open file."""

    def __init__(self, file: str, opened: BinaryIO) -> None:
        self._file = file
        self._opened = opened
        self._stamp = _stamp(opened)
        self._limits = Limits.of_environment()

    def fraction(self, seconds: float) -> float:
        return min(self._opened.tell() / max(self._stamp[0], 1), 1.0)

    def check_length(self, seconds: float) -> None:
        size = self._stamp[0]
        if seconds > self._limits.seconds_per_byte * size:
            message = f"its {size:,} bytes make more than {seconds:,.0f} s: {remedy('seconds_per_byte')}"
            raise InputError(self._file, "decode", message)

    def check_unchanged(self) -> None:
        check_readable(self._file, self._opened)
        if _stamp(self._opened) != self._stamp:
            raise InputError(self._file, "changed", "it changed while it was read: run again when it is complete")

    def close(self) -> None:
        self._opened.close()


class _Memory:
    """Samples in memory, which are what they are."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def fraction(self, seconds: float) -> float:
        return seconds / self._seconds

    def check_length(self, seconds: float) -> None:
        pass

    def check_unchanged(self) -> None:
        pass

    def close(self) -> None:
        pass


class AudioStream:
    """An open recording, decoded as it is read; a context manager.

    Attributes:
        sample_rate: in Hz, that the recording begins with.
        channels: that it begins with.

    One thread at a time may use it, not only the one that opened it.
    """

    def __init__(self, file: str, medium: _Medium, decoder: Decoder) -> None:
        self.sample_rate = decoder.sample_rate
        self.channels = decoder.channels
        self._file = file
        self._medium = medium
        self._decoder = decoder
        self._mixer = Mixer()
        self._decoded: dict[int, int] = {}  # samples so far, by their rate
        self._peak = 0.0

    @property
    def duration(self) -> float:
        """Seconds decoded so far, source samples over source rate; the recording's own once the blocks have run out."""
        return sum(samples / rate for rate, samples in self._decoded.items())

    @property
    def fraction(self) -> float:
        """The fraction of the file that was read, from 0 to 1; exact enough for a progress bar."""
        return self._medium.fraction(self.duration)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Problems of a recording that could be decoded nevertheless; complete after the last block."""
        return (*self._decoder.warnings, *self._mixer.warnings, *self._loudness_warning())

    @property
    def warning(self) -> str | None:
        """All warnings on one line, None if there are none."""
        return "; ".join(self.warnings) if self.warnings else None

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Mono blocks at 48 kHz of shape ``(samples,)``, none empty, most of about a second; to be read once.

        Channels are mixed by their mean, or where they cancel each other by
        :class:`~pe_audio_cli.audio.mixing.Mixer`; rates are changed by
        :func:`~pe_audio_cli.audio.resampling.resampled`, which says how many samples come out, each segment at one rate
        by itself. At 48 kHz samples are passed on as they are.

        Raises:
            InputError: there are no samples, or a NaN or infinite one, or the file was changed in the meantime.
        """
        with system_errors_of(self._file):
            for sample_rate, blocks in groupby(self._decoded_blocks(), lambda block: block.sample_rate):
                yield from resampled((self._mixer.mix(block.samples, sample_rate) for block in blocks), sample_rate)

    def _decoded_blocks(self) -> Iterator[Block]:
        for block in _gathered(self._decoder.blocks()):
            self._check(block)
            self._decoded[block.sample_rate] = self._decoded.get(block.sample_rate, 0) + len(block.samples)
            self._medium.check_length(self.duration)
            yield block
        self._medium.check_unchanged()
        if not self._decoded and self._decoder.warnings:
            message = f"nothing in it can be decoded ({self.warning}): export or download the recording again"
            raise InputError(self._file, "decode", message)
        if not self._decoded:
            raise InputError(self._file, "empty", "it holds no samples: record or export it again, or leave it out")

    def _check(self, block: Block) -> None:
        """Update the peak. Raises :class:`InputError` for a sample that is not finite."""
        peak = max(float(block.samples.max()), -float(block.samples.min()))
        if np.isfinite(peak):
            self._peak = max(self._peak, peak)
            return
        finite = np.isfinite(block.samples).all(axis=1)
        first = self.duration + int(np.argmin(finite)) / block.sample_rate
        message = f"a sample at {first:.3f} s is NaN or infinite: export it again, clipped or as integers"
        raise InputError(self._file, "samples", message)

    def _loudness_warning(self) -> list[str]:
        if self._peak <= LOUD:
            return []
        advice = "export it again as float with a full scale of 1, or as integers"
        return [f"its samples reach {self._peak:g} where full scale is 1, as if they were integers: {advice}"]

    def close(self) -> None:
        """Free the decoder and the file; no more blocks can be read."""
        self._decoder.close()
        self._medium.close()

    def __enter__(self) -> AudioStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_audio(file: str, audio_track: int | None = None) -> AudioStream:
    """Open a recording as the user gave it: a file, a pipe, ``-`` for standard input, an address, or data.

    ``audio_track`` selects one of several audio tracks, counted from 1; None is the one that players
    choose, with a warning.

    Raises:
        InputError: it is missing, unreadable, empty, without sound, or nothing that can be decoded.
        RunError: there is no space for what comes through a pipe.
    """
    if isinstance(file, DataInput) and isinstance(file.content, Samples):
        return _open_samples(str(file), file.content, audio_track)
    opened = open_recording(addressed(file))
    file = str(file) if isinstance(file, DataInput) else addressed(file)
    try:
        with system_errors_of(file):
            check_readable(file, opened)
            decoder = _Joined(file, opened, _decoder(file, opened, audio_track), audio_track)
            return AudioStream(file, _File(file, opened), decoder)
    except InputError:
        with opened:
            check_readable(file, opened)  # what the system says is closer to the truth than what a decoder says
        raise
    except BaseException:
        opened.close()
        raise


def _open_samples(name: str, samples: Samples, audio_track: int | None) -> AudioStream:
    check_track(name, audio_track, 1)
    decoder = SamplesDecoder(name, samples)
    return AudioStream(name, _Memory(decoder.seconds), decoder)


def _stamp(opened: BinaryIO) -> tuple[int, int]:
    """Size in bytes and time of change in nanoseconds."""
    status = os.fstat(opened.fileno())
    return status.st_size, status.st_mtime_ns


class _Joined:
    """A :class:`Decoder` of all recordings in a file, one after the other: most hold one, some were put together."""

    def __init__(self, file: str, opened: Opened, first: Decoder, audio_track: int | None) -> None:
        self.sample_rate, self.channels = first.sample_rate, first.channels
        self.warnings: list[str] = []
        self.next_recording: int | None = None
        self.is_sound = True  # compressed data are refused
        self._file, self._opened, self._decoder = file, opened, first
        self._audio_track = audio_track

    def blocks(self) -> Iterator[Block]:
        seconds = 0.0
        part = self._opened
        second = 0.0  # when the second recording begins
        n_more = 0
        while True:
            blocks = self._decoder.blocks()
            for block in blocks if self._decoder.is_sound else refusing_compressed(self._file, blocks):
                seconds += block.seconds
                yield block
            place = self._decoder.next_recording
            self.warnings += self._decoder.warnings if n_more < MAX_TOLD else []
            if place is None:
                break
            part = part_of(part, place, size_of(part))
            self.close()
            try:
                self._decoder = _decoder(self._file, part, self._audio_track)
            except InputError:
                left = f"{part.size:,} bytes after {seconds:.3f} s, which begin like another recording"
                self.warnings.append(f"{left}, cannot be decoded: export it again")
                break
            n_more += 1
            second = seconds if n_more == 1 else second
        if n_more:
            several = f" (recordings: {n_more + 1})" if n_more > 1 else ""
            where = f"at {second:.3f} s, in the same file{several}"
            self.warnings.append(f"another recording follows {where}: it was read too")

    def close(self) -> None:
        self._decoder.close()


def _decoder(file: str, opened: Opened, audio_track: int | None = None) -> Decoder:
    if size_of(opened) == 0:
        raise InputError(file, "empty", "it is empty, 0 bytes long: record or download it again, or leave it out")
    known = _known_to_libsndfile(file, opened)
    if known is not None and known.has_length and known.header_is_wrong is None:
        check_track(file, audio_track, 1)
        return known if (kind := known.compressed()) is None else _decompressed(file, opened, known, kind)
    from pe_audio_cli.audio.decoders.ffmpeg import (
        FFmpegDecoder,  # PyAV takes a moment that WAV and FLAC need not wait for
    )

    if known is None:
        try:
            return FFmpegDecoder(file, opened, audio_track)
        except InputError:
            other = _known_to_libsndfile_alone(file, opened)
            if other is None:
                raise
            check_track(file, audio_track, 1)
            return other
    with contextlib.suppress(InputError):  # if FFmpeg sees nothing either, libsndfile's nothing stands
        decoder = FFmpegDecoder(file, opened, audio_track)
        decoder.warnings += [known.header_is_wrong] if known.header_is_wrong is not None else []
        return decoder
    return known


def _decompressed(file: str, opened: Opened, known: SndfileDecoder, kind: str) -> Decoder:
    """The sound in compressed data that a file calls samples, where FFmpeg sees through that too."""
    from pe_audio_cli.audio.decoders.ffmpeg import FFmpegDecoder

    known.close()
    with contextlib.suppress(InputError):
        decoder = FFmpegDecoder(file, opened)
        if not decoder.codec.startswith(("pcm_", "flac", "alac")):
            return decoder
        decoder.close()
    raise refusal(file, kind)


def _known_to_libsndfile(file: str, opened: Opened) -> SndfileDecoder | None:
    if not recognizes(opened):
        return None
    try:
        return SndfileDecoder(file, opened)
    except soundfile.LibsndfileError:
        return None


def _known_to_libsndfile_alone(file: str, opened: Opened) -> SndfileDecoder | None:
    """Return a decoder for formats that FFmpeg lacks, such as samplers' files; None for those it decodes better."""
    try:
        decoder = SndfileDecoder(file, opened)
    except (InputError, soundfile.LibsndfileError):
        return None
    if decoder.form in LIBSNDFILE_ALONE and decoder.has_length:
        if decoder.form != "SDS":  # which spreads samples over more bytes
            decoder.note_unread()
        return decoder
    decoder.close()
    return None


def _gathered(blocks: Iterable[Block]) -> Iterator[Block]:
    """The same samples in blocks of about a second, of less where there are many channels or something changes."""
    parts: list[NDArray[np.float32]] = []
    n_gathered = 0
    shape = (0, 0)  # their rate and channels
    for block in blocks:
        changes = (block.sample_rate, block.samples.shape[1]) != shape
        if parts and (changes or n_gathered >= min(shape[0], MAX_GATHERED // shape[1])):
            yield Block(_joined(parts), shape[0])
            parts, n_gathered = [], 0
        shape = block.sample_rate, block.samples.shape[1]
        if len(block.samples):
            parts.append(block.samples)
            n_gathered += len(block.samples)
    if parts:
        yield Block(_joined(parts), shape[0])


def _joined(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
