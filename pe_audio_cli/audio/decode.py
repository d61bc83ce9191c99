"""A recording in, blocks of mono float32 at 48 kHz out: whatever its format, rate and channels, in flat memory.

libsndfile decodes WAV and its kin, AIFF, AU, CAF and FLAC, FFmpeg all else, told apart by the content, never by the
name. What a header claims is checked against limits and never sizes anything by itself. Damage costs what is damaged:
the rest is decoded, in its place on the timeline as far as the format tells it, and :attr:`AudioStream.warnings` say
what was amiss.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from pe_audio_cli.audio.addresses import addressed
from pe_audio_cli.audio.limits import Limits, remedy
from pe_audio_cli.audio.opening import open_recording
from pe_audio_cli.audio.resample import resampled
from pe_audio_cli.audio.sndfile import SndfileSource, recognizes
from pe_audio_cli.audio.source import Source
from pe_audio_cli.audio.windows import SAMPLE_RATE
from pe_audio_cli.errors import InputError

__all__ = ["SAMPLE_RATE", "AudioStream", "open_audio"]


class AudioStream:
    """An open recording, decoded as it is read; a context manager.

    Attributes:
        sample_rate: of the source, in Hz.
        channels: of the source.

    One thread at a time may use it, not only the one that opened it.
    """

    def __init__(self, file: str, opened: BinaryIO, source: Source) -> None:
        self.sample_rate = source.sample_rate
        self.channels = source.channels
        self._file = file
        self._opened = opened
        self._source = source
        self._stamp = _stamp(opened)
        self._limits = Limits.of_environment()
        self._samples = 0  # decoded so far, at the source's rate

    @property
    def duration(self) -> float:
        """Seconds decoded so far, source samples over source rate; the recording's own once the blocks have run out."""
        return self._samples / self.sample_rate

    @property
    def fraction(self) -> float:
        """How much of the file the decoder has taken in, from 0 to 1; exact enough for a progress bar."""
        return min(self._opened.tell() / max(self._stamp[0], 1), 1.0)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was amiss with a recording that could be decoded all the same; complete once the blocks have run out."""
        return tuple(self._source.warnings)

    @property
    def warning(self) -> str | None:
        """All warnings on one line, None if there are none."""
        return "; ".join(self.warnings) if self.warnings else None

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Mono blocks at 48 kHz of shape ``(samples,)``, none empty, most of about a second; to be read once.

        Channels are mixed by their mean, rates changed by :func:`pe_audio_cli.audio.resample.resampled`, which says how
        many samples come out. At 48 kHz samples are passed on as they are.

        Raises:
            InputError: there are no samples, or a NaN or infinite one, or the file was changed in the meantime.
        """
        return resampled(self._source_blocks(), self.sample_rate)

    def _source_blocks(self) -> Iterator[NDArray[np.float32]]:
        for block in _gathered(self._source.blocks(), self.sample_rate):
            self._check(block)
            self._samples += len(block)
            self._check_length()
            yield block
        if _stamp(self._opened) != self._stamp:
            raise InputError(self._file, "changed", "it changed while it was read: run again when it is complete")
        if self._samples == 0 and self._source.warnings:
            message = f"nothing in it can be decoded ({self.warning}): export or download the recording again"
            raise InputError(self._file, "decode", message)
        if self._samples == 0:
            raise InputError(self._file, "empty", "it holds no samples: record or export it again, or leave it out")

    def _check(self, block: NDArray[np.float32]) -> None:
        finite = np.isfinite(block)
        if finite.all():
            return
        first = (self._samples + int(np.argmin(finite))) / self.sample_rate
        message = f"a sample at {first:.3f} s is NaN or infinite: export it again, clipped or as integers"
        raise InputError(self._file, "samples", message)

    def _check_length(self) -> None:
        size = self._stamp[0]
        if self.duration > self._limits.seconds_per_byte * size:
            message = f"its {size:,} bytes make more than {self.duration:,.0f} s: {remedy('seconds_per_byte')}"
            raise InputError(self._file, "decode", message)

    def close(self) -> None:
        """Free the decoder and the file; no more blocks can be read."""
        self._source.close()
        self._opened.close()

    def __enter__(self) -> AudioStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_audio(file: str) -> AudioStream:
    """Open a recording as the user named it: a file, a pipe, or ``-`` for standard input.

    Raises:
        InputError: it is missing, unreadable, empty, without sound, or nothing that can be decoded.
        RunError: there is no room to hold what comes through a pipe.
    """
    file = addressed(file)
    opened = open_recording(file)
    try:
        return AudioStream(file, opened, _source(file, opened))
    except BaseException:
        opened.close()
        raise


def _stamp(opened: BinaryIO) -> tuple[int, int]:
    """Size in bytes and time of change in nanoseconds."""
    status = os.fstat(opened.fileno())
    return status.st_size, status.st_mtime_ns


def _source(file: str, opened: BinaryIO) -> Source:
    if os.fstat(opened.fileno()).st_size == 0:
        raise InputError(file, "empty", "it is empty, 0 bytes long: record or download it again, or leave it out")
    known = _known_to_libsndfile(file, opened)
    if known is not None and known.has_length:
        return known
    from pe_audio_cli.audio.ffmpeg import FFmpegSource  # PyAV takes a moment that WAV and FLAC need not wait for

    if known is None:
        return FFmpegSource(file, opened)
    with contextlib.suppress(InputError):  # if FFmpeg sees nothing either, libsndfile's nothing stands
        return FFmpegSource(file, opened)
    return known


def _known_to_libsndfile(file: str, opened: BinaryIO) -> SndfileSource | None:
    if not recognizes(opened):
        return None
    try:
        return SndfileSource(file, opened)
    except soundfile.LibsndfileError:
        return None


def _gathered(blocks: Iterable[NDArray[np.float32]], size: int) -> Iterator[NDArray[np.float32]]:
    """The same samples in blocks of at least ``size``, but for the last."""
    parts: list[NDArray[np.float32]] = []
    gathered = 0
    for block in blocks:
        parts.append(block)
        gathered += len(block)
        if gathered >= size:
            yield np.concatenate(parts)
            parts, gathered = [], 0
    if gathered:
        yield np.concatenate(parts)
