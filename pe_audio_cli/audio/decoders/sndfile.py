"""libsndfile, through soundfile: WAV and its relatives, AIFF, AU, CAF and FLAC.

Not MP3 and Ogg, though it reads them: its MP3 decoder (mpg123) prints to standard error and gives up at the first
damage, and its Ogg decoders pass over damage without a word, so that all after it comes too early, and leave out what
follows the first stream of a chain. FFmpeg does better, and also where libsndfile stops at damage in a FLAC.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import chain

import numpy as np
import soundfile
from numpy.typing import NDArray

from pe_audio_cli.audio.bitstream import LOOK_WORDS, compressed_kind, words_of
from pe_audio_cli.audio.decoders.base import MAX_GATHERED, TOLERANCE_SECONDS, Block, check_header, cut_short
from pe_audio_cli.audio.excerpt import Excerpt, Opened, part_of, read_at, size_of
from pe_audio_cli.audio.extent import Rest, beginning_after, extent_of, head_as_riff, id3_in_front, is_no_sound, rest_of
from pe_audio_cli.audio.flac import claims_of
from pe_audio_cli.audio.opening import rewound
from pe_audio_cli.errors import InputError

__all__ = ["SndfileDecoder", "recognizes"]

# Of WAV, RF64, BW64, W64, AIFF, AU, CAF and FLAC.
MAGIC = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"riff", b"FORM", b".snd", b"dns.", b"caff", b"fLaC")
BLOCK_SECONDS = 0.1  # of compressed sound, decoded at once; what is lost before a damaged place is less than that
MAX_BLOCK_BYTES = 1 << 24  # of float32 samples decoded at once, however many channels there are
SILENT_SECONDS = 60  # before compressed sound, at most
LEAST_WORDS = 1_024  # in which compressed sound is looked for
UNREAD_BYTES = 4_096  # after compressed samples: more than that may be sound
UNKNOWN_FRAMES = 2**63 - 1  # libsndfile's SF_COUNT_MAX: the header leaves the length open, as a streamed FLAC's does

# Bytes of a sample, of kinds that can be read from any place on.
WIDTHS = {
    **{"PCM_S8": 1, "PCM_U8": 1, "ULAW": 1, "ALAW": 1},
    **{"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8},
}
# What programs write that cannot go back to fill in the size: all ones, or about 2 GiB.
UNKNOWN_BYTES = (range(0x7F00_0000, 0x8001_0000), range(0xFFFF_0000, 0x1_0000_0000))


def recognizes(opened: Opened) -> bool:
    """Return True for a format that libsndfile decodes here, by the first bytes, or those after an ID3 tag."""
    return read_at(opened, id3_in_front(opened), 4).startswith(MAGIC)


class _SoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is read from front to back.

    In one that can seek, soundfile does so after each read, for which libsndfile decodes a frame of FLAC again.
    """

    def seekable(self) -> bool:
        """Return False."""
        return False


class SndfileDecoder:
    """A recording that libsndfile decodes; see :class:`pe_audio_cli.audio.decoders.base.Decoder`.

    Raises:
        soundfile.LibsndfileError: libsndfile cannot read it.
        InputError: its header claims an impossible rate or number of channels.
    """

    def __init__(self, file: str, opened: Opened) -> None:
        self.warnings: list[str] = []
        self.next_recording: int | None = None
        self.is_sound = False
        self._blocks: Iterator[Block] = self._decoded()
        whole = opened
        self._extent = extent_of(opened)
        rest = None if self._extent is None else rest_of(opened, self._extent)
        if self._extent is not None and self._extent.more:
            opened = part_of(opened, 0, self._extent.start + (self._extent.claimed or 0))  # libsndfile reads the last
        elif rest is not None and rest.kind == "recording":
            self.next_recording = rest.start
            opened = part_of(opened, 0, rest.start)  # libsndfile refuses the whole
        elif read_at(opened, tag := id3_in_front(opened), 4) == b"fLaC":
            self.next_recording = beginning_after(opened, tag + 1, size_of(opened))
            if self.next_recording is not None:
                opened = part_of(opened, 0, self.next_recording)
        elif read_at(opened, 0, 4) in (b"RF64", b"BW64") and self._extent is not None and self._extent.claimed == 0:
            opened = part_of(opened, 0, size_of(opened)).under(head_as_riff(opened, self._extent))
        elif read_at(opened, 0, 4) == b"BW64":  # which is RF64 with other chunks of metadata; libsndfile knows that
            opened = part_of(opened, 0, size_of(opened)).under(b"RF64")
        self._file, self._opened = file, opened
        self._sound = _SoundFile(opened if isinstance(opened, Excerpt) else rewound(opened), closefd=False)
        self.sample_rate: int = self._sound.samplerate
        self.channels: int = self._sound.channels
        check_header(file, self.sample_rate, self.channels)
        self.header_is_wrong = self._check_flac(opened)
        self._more = self._other_chunks(whole)
        if rest is not None and rest.kind == "samples" and not self._more:
            self._look_beyond(rest)

    def _other_chunks(self, whole: Opened) -> list[Excerpt]:
        """Further data chunks."""
        places = [] if self._extent is None else list(self._extent.more)
        if not places or self._sound.subtype not in WIDTHS:
            n_bytes = sum(stop - start for start, stop in places)
            self.warnings += [f"{n_bytes:,} bytes in further data chunks were not read"] if places else []
            return []
        self.warnings.append(f"it has {len(places) + 1} data chunks: all were read")
        return [part_of(whole, start, min(stop, size_of(whole))) for start, stop in places]

    def _check_flac(self, opened: Opened) -> str | None:
        """Return what contradicts a FLAC's header in its frames, by which FFmpeg decodes."""
        tag = id3_in_front(opened)
        claims = claims_of(part_of(opened, tag, size_of(opened)) if tag else opened)
        if claims is None:
            return None
        if claims.frame_rate not in (0, claims.rate):
            return f"its header claims {claims.rate} Hz, its frames {claims.frame_rate} Hz: those were used"
        surplus = (claims.frame_samples - claims.samples) / self.sample_rate
        if claims.samples == 0 or surplus <= TOLERANCE_SECONDS:
            return None
        claimed, there = claims.samples / self.sample_rate, claims.frame_samples / self.sample_rate
        return f"its header claims {claimed:.3f} s, and {there:.3f} s are there: all were read"

    def _look_beyond(self, rest: Rest) -> None:
        """Read on where there are clearly more samples than the header claims."""
        assert self._extent is not None
        width = WIDTHS.get(self._sound.subtype, 0) * self.channels
        n_bytes = rest.stop - rest.start
        if not width:
            if n_bytes > UNREAD_BYTES:
                self.warnings.append(f"{n_bytes:,} bytes after the sound that its header claims were not read")
            return
        claimed, there = int(self._sound.frames), (rest.stop - self._extent.start) // width
        if there - claimed <= TOLERANCE_SECONDS * self.sample_rate:
            return
        self._sound.close()
        self._sound = self._samples(part_of(self._opened, self._extent.start, rest.stop))
        if self._extent.claimed:
            found = f"{there / self.sample_rate:.3f} s are there: all were read"
            self.warnings.append(f"its header claims {claimed / self.sample_rate:.3f} s, and {found}")

    def _samples(self, place: Excerpt) -> _SoundFile:
        """Open all bytes of an excerpt as samples, of the type in the header."""
        sound = self._sound
        little = read_at(self._opened, 0, 4) in (b"RIFF", b"RF64", b"BW64", b"riff")
        endian = ("LITTLE" if little else "BIG") if sound.endian == "FILE" else sound.endian
        return _SoundFile(place, "r", self.sample_rate, self.channels, sound.subtype, endian, "RAW")

    def note_unread(self) -> None:
        """Warn if the file is clearly longer than the samples that its header claims, where headers are short."""
        width = WIDTHS.get(self._sound.subtype, 0) * self.channels
        n_bytes = size_of(self._opened) - int(self._sound.frames) * width
        if width and n_bytes > UNREAD_BYTES and not is_no_sound(self._opened, size_of(self._opened) - n_bytes):
            self.warnings.append(f"about {n_bytes:,} bytes besides the sound that its header claims were not read")

    def compressed(self) -> str | None:
        """Return the compressed format within declared PCM, or None; to be called before the blocks are read."""
        if self._sound.subtype not in ("PCM_16", "PCM_24", "PCM_32"):
            return None
        early: list[Block] = []
        heard: list[NDArray[np.float32]] = []
        seconds, left = 0.0, LOOK_WORDS
        for block in self._blocks:
            early.append(block)
            if heard or block.samples.any():
                heard.append(block.samples)
                left -= block.samples.size
            else:
                early[-1] = _silence_like(block)
            seconds += block.seconds
            if left <= 0 or (not heard and seconds >= SILENT_SECONDS):
                break
        self._blocks = chain(early, self._blocks)
        if not heard or left > LOOK_WORDS - LEAST_WORDS:
            return None
        kind = compressed_kind(words_of(heard))
        self.is_sound = kind is None
        return kind

    @property
    def form(self) -> str:
        """The container, as soundfile calls it."""
        return str(self._sound.format)

    @property
    def has_length(self) -> bool:
        """True if libsndfile finds samples and their number; an unfinished header hides them."""
        return 0 < int(self._sound.frames) < UNKNOWN_FRAMES

    def blocks(self) -> Iterator[Block]:
        """Blocks of a tenth of a second, of plain samples about a second."""
        return self._blocks

    def _decoded(self) -> Iterator[Block]:
        size = min(int(BLOCK_SECONDS * self.sample_rate), MAX_BLOCK_BYTES // (4 * self.channels))
        if self._sound.subtype in WIDTHS:  # nothing is lost there, and each read takes a while
            size *= -(-min(self.sample_rate, MAX_GATHERED // self.channels) // size)
        frames = 0
        try:
            for sound in chain([self._sound], map(self._samples, self._more)):
                while len(block := sound.read(size, dtype="float32", always_2d=True)):
                    frames += len(block)
                    yield Block(block, self.sample_rate)
        except soundfile.LibsndfileError:
            self.warnings.append(f"damaged after {frames / self.sample_rate:.3f} s")
            for rest in self._rest(frames):
                frames += len(rest.samples)
                yield rest
        self.warnings += cut_short(frames / self.sample_rate, self._claimed_frames() / self.sample_rate)

    def _rest(self, done: int) -> Iterator[Block]:
        """Yield FFmpeg's blocks from sample ``done`` on: it continues after damage, and keeps the time."""
        from pe_audio_cli.audio.decoders.ffmpeg import FFmpegDecoder  # not for a whole one: PyAV takes a moment

        try:
            decoder = FFmpegDecoder(self._file, self._opened)
        except InputError:
            return
        with contextlib.closing(decoder):
            for block in decoder.blocks():
                if len(block.samples) > done:
                    yield Block(block.samples[done:], block.sample_rate)
                done = max(0, done - len(block.samples))

    def _claimed_frames(self) -> int:
        """Return the number of frames by the header: libsndfile reads what exists, without an error."""
        frames = int(self._sound.frames)
        if self._extent is None or self._extent.claimed is None:
            return frames
        claimed, there = self._extent.claimed, size_of(self._opened) - self._extent.start
        if there >= claimed or there <= 0 or any(claimed in unknown for unknown in UNKNOWN_BYTES):
            return frames
        return frames * claimed // there

    def close(self) -> None:
        """Free what libsndfile holds; the file stays open."""
        self._blocks = iter(())
        self._sound.close()


def _silence_like(block: Block) -> Block:
    """Return a block of as many zeros, which takes no memory."""
    return Block(np.broadcast_to(np.zeros((), np.float32), block.samples.shape), block.sample_rate)
