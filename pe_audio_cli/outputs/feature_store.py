"""A cache on disk for codec features of the current recordings, so that a resumed run need not compute them again.

The codec is nearly all that a recording costs, and its features take little space: 46 MB for an hour at a width of 128.
Each recording has a helper file of its own beside the output, a sequence of records

    key         32 bytes    SHA-256 of the encoder's identity and of the samples that the codec was given
    frames      uint32      how many there are
    width       uint32      numbers in each
    checksum    uint32      CRC-32 of the numbers
    features    float32     (frames, width), little-endian

after eight bytes that tell whose it is. A record is found by what the codec is asked, not by its place, so that
whatever has changed meanwhile is computed anew, and what was torn when the power failed is passed over.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import struct
import zlib
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pe_audio_cli._files import create, helper, open_helper
from pe_audio_cli._paths import exists
from pe_audio_cli.errors import OutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pe_audio_cli.inference.pipeline import Codec
    from pe_audio_cli.models.encoder import Encoder

__all__ = ["FeatureStore"]

MAGIC = b"peaudioF"
HEADER = struct.Struct("<32sIII")
DIGITS = 12  # hexadecimal, in the name of a recording's file
NUMBER = np.dtype("<f4")


class FeatureStore:
    """The files of one output's recordings. Making it touches nothing."""

    def __init__(self, output: Path) -> None:
        """``output`` is the path next to which the files are, and after which they are named."""
        self._output = output

    def codec(self, file: str, encoder: Encoder) -> Codec:
        """Return a substitute of ``encoder.encode_codec`` for the chunks of one recording, in order."""
        return _KeptCodec(self._path(file), encoder).encode

    def forget(self, file: str) -> None:
        """Remove what is kept of a recording: its result is safe, or there will be none."""
        _remove(self._path(file))

    def clear(self) -> None:
        """Remove what is kept of all recordings."""
        for path in self._paths():
            _remove(path)

    @property
    def is_empty(self) -> bool:
        """True if no features are stored."""
        return not self._paths()

    def _path(self, file: str) -> Path:
        return helper(self._output, _ending(hashlib.sha256(file.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]))

    def _paths(self) -> list[Path]:
        end = _ending("0" * DIGITS)
        begin = re.escape(helper(self._output, end).name.removesuffix(end))
        pattern = re.compile(begin + _ending(f"[0-9a-f]{{{DIGITS}}}").replace(".", r"\."))
        with contextlib.suppress(OSError):
            return [self._output.with_name(name) for name in os.listdir(self._output.parent) if pattern.fullmatch(name)]
        return []


class _KeptCodec:
    """The codec of one recording. Where its file cannot be used, nothing is kept, and the results are the same."""

    def __init__(self, path: Path, encoder: Encoder) -> None:
        self._path, self._encoder = path, encoder
        self._identity = f"{encoder.facts.fingerprint}\0{encoder.facts.backend}\0".encode()
        self._n_chunks = 0
        self._places: dict[bytes, int] = {}  # of records by their keys
        self._end = 0  # of the last whole record
        self._is_usable = True

    def encode(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Codec features, ``(n_frames, width)``, of frames of samples, ``(n_frames, 1920)``."""
        self._n_chunks += 1
        if self._n_chunks == 1:  # which is all of most recordings
            return self._encoder.encode_codec(frames)
        if self._n_chunks == 2:
            self._if_usable(self._scan)
        key = self._key(frames)
        kept = self._if_usable(lambda: self._read(key))
        if kept is not None and len(kept) == len(frames):
            return kept
        features = self._encoder.encode_codec(frames)
        self._if_usable(lambda: self._append(key, features))
        return features

    def _key(self, frames: NDArray[np.float32]) -> bytes:
        digest = hashlib.sha256(self._identity)
        digest.update(np.ascontiguousarray(frames).data)
        return digest.digest()

    def _if_usable(self, work: Callable[[], NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
        """Read or write the file, unless that has failed: a full disk has more need of the room."""
        if not self._is_usable:
            return None
        try:
            return work()
        except OutputError:  # something else is in its place
            self._is_usable = False
        except OSError:
            self._is_usable = False
            _remove(self._path)
        return None

    def _scan(self) -> None:
        """Find the records that an earlier run left."""
        if not exists(self._path):
            return
        with open_helper(self._path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if file.read(len(MAGIC)) != MAGIC:
                raise OutputError(f"{self._path} is no file of peaudio's")
            self._end = len(MAGIC)
            while len(header := file.read(HEADER.size) or b"") == HEADER.size:
                key, n_frames, width, _ = HEADER.unpack(header)
                end = self._end + HEADER.size + n_frames * width * NUMBER.itemsize
                if n_frames == 0 or width == 0 or end > size:
                    return
                self._places[key] = self._end
                self._end = file.seek(end)

    def _read(self, key: bytes) -> NDArray[np.float32] | None:
        if key not in self._places:
            return None
        with open_helper(self._path) as file:
            file.seek(self._places[key])
            _, n_frames, width, checksum = HEADER.unpack(_exactly(file, HEADER.size))
            numbers = _exactly(file, n_frames * width * NUMBER.itemsize)
        if zlib.crc32(numbers) != checksum:
            return None
        return np.frombuffer(numbers, NUMBER).reshape(n_frames, width).astype(np.float32)

    def _append(self, key: bytes, features: NDArray[np.float32]) -> None:
        numbers = features.astype(NUMBER).tobytes()
        record = HEADER.pack(key, *features.shape, zlib.crc32(numbers)) + numbers
        if self._end == 0:
            record = MAGIC + record
        with open_helper(self._path, "r+b") if self._end else create(self._path) as file:
            file.truncate(self._end)  # of a record that was torn
            file.seek(self._end)
            if file.write(record) != len(record):
                raise OSError("the disk is full")
        self._places[key] = self._end + (len(MAGIC) if self._end == 0 else 0)
        self._end += len(record)


def _ending(digits: str) -> str:
    return f".{digits}.features"


def _exactly(file: FileIO, size: int) -> bytes:
    read = file.read(size) or b""
    return read.ljust(size, b"\0")  # what is missing has another checksum


def _remove(path: Path) -> None:
    """Remove a file of ours; anything else stays."""
    with contextlib.suppress(OSError, OutputError):
        with open_helper(path) as file:
            ours = file.read(len(MAGIC)) == MAGIC
        if ours:
            os.unlink(path)
