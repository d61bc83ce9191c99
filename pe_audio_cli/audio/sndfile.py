"""libsndfile, through soundfile: WAV and its kin, AIFF, AU, CAF and FLAC.

Not MP3 and Ogg, though it reads them: its MP3 decoder (mpg123) prints to standard error and gives up at the first
damage, and its Ogg decoders pass over damage without a word, so that all after it comes too early, and leave out what
follows the first stream of a chain. FFmpeg does better, and also where libsndfile stops at damage in a FLAC.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import BinaryIO

import soundfile

from pe_audio_cli.audio.opening import rewound
from pe_audio_cli.audio.source import Block, check_header, cut_short
from pe_audio_cli.errors import InputError

__all__ = ["SndfileSource", "recognizes"]

MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b".snd", b"caff", b"fLaC")  # WAV, RF64, W64, AIFF, AU, CAF, FLAC
ID3_BYTES = 10  # of a tag's own header; the last four say how long the tag is, in 7 bits each (ID3v2.4, section 3.1)
BLOCK_SECONDS = 0.1  # decoded at once; what is lost before a damaged place is less than that
MAX_BLOCK_BYTES = 1 << 24  # of float32 samples decoded at once, however many channels there are
UNKNOWN_FRAMES = 2**63 - 1  # libsndfile's SF_COUNT_MAX: the header leaves the length open, as a streamed FLAC's does

# libsndfile reads what is there, and tells only its log that a header claims more: in bytes, or, for RF64, in frames.
CLAIM_IN_BYTES = re.compile(r"^ *(?:data|SSND|Data Size|riff) *: (?P<claimed>\d+) \(should be (?P<there>\d+)\)", re.M)
CLAIM_IN_FRAMES = re.compile(r"frame count (?P<there>\d+) does not match .*'ds64' chunk of (?P<claimed>\d+)")
# What programs write that cannot go back to fill in the size: all ones, or about 2 GiB.
UNKNOWN_BYTES = (range(0x7F00_0000, 0x8001_0000), range(0xFFFF_0000, 0x1_0000_0000))


def recognizes(opened: BinaryIO) -> bool:
    """Whether a recording is of a format that is libsndfile's here, by its first bytes, or those after an ID3 tag."""
    head = os.pread(opened.fileno(), ID3_BYTES, 0)
    if head.startswith(b"ID3") and len(head) == ID3_BYTES:
        tag = sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        head = os.pread(opened.fileno(), ID3_BYTES, ID3_BYTES + tag)
    return head.startswith(MAGIC)


class SndfileSource:
    """A recording that libsndfile decodes; see :class:`pe_audio_cli.audio.source.Source`.

    Raises:
        soundfile.LibsndfileError: libsndfile cannot read it.
        InputError: its header claims an impossible rate or number of channels.
    """

    def __init__(self, file: str, opened: BinaryIO) -> None:
        self._file, self._opened = file, opened
        self._sound = soundfile.SoundFile(rewound(opened), closefd=False)
        self.sample_rate: int = self._sound.samplerate
        self.channels: int = self._sound.channels
        self.warnings: list[str] = []
        check_header(file, self.sample_rate, self.channels)

    @property
    def has_length(self) -> bool:
        """Whether libsndfile knows of samples, and how many; a header that was never finished hides them from it."""
        return 0 < int(self._sound.frames) < UNKNOWN_FRAMES

    def blocks(self) -> Iterator[Block]:
        """Blocks of a tenth of a second at most."""
        size = min(int(BLOCK_SECONDS * self.sample_rate), MAX_BLOCK_BYTES // (4 * self.channels))
        frames = 0
        try:
            while len(block := self._sound.read(size, dtype="float32", always_2d=True)):
                frames += len(block)
                yield Block(block, self.sample_rate)
        except soundfile.LibsndfileError:
            self.warnings.append(f"damaged after {frames / self.sample_rate:.3f} s")
            for rest in self._rest(frames):
                frames += len(rest.samples)
                yield rest
        self.warnings += cut_short(frames / self.sample_rate, self._claimed_frames() / self.sample_rate)

    def _rest(self, done: int) -> Iterator[Block]:
        """What FFmpeg makes of the recording from sample ``done`` on: it goes on after damage, and keeps the time."""
        from pe_audio_cli.audio.ffmpeg import FFmpegSource  # not for a whole one: PyAV takes a moment

        try:
            source = FFmpegSource(self._file, self._opened)
        except InputError:
            return
        with contextlib.closing(source):
            for block in source.blocks():
                if len(block.samples) > done:
                    yield Block(block.samples[done:], block.sample_rate)
                done = max(0, done - len(block.samples))

    def _claimed_frames(self) -> int:
        frames = int(self._sound.frames)
        log = self._sound.extra_info
        match = CLAIM_IN_BYTES.search(log) or CLAIM_IN_FRAMES.search(log)
        if match is None:
            return frames
        claimed, there = int(match["claimed"]), int(match["there"])
        if there == 0 or any(claimed in unknown for unknown in UNKNOWN_BYTES):
            return frames
        return frames * claimed // there

    def close(self) -> None:
        """Free what libsndfile holds; the file stays open."""
        self._sound.close()
