from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training.archives import members

RATE = 8_000
TONE = np.sin(np.arange(400) / 5) / 2


def wav() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, TONE, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def heard(content: bytes) -> None:
    samples, rate = soundfile.read(io.BytesIO(content))
    assert rate == RATE
    np.testing.assert_allclose(samples, TONE, atol=0.01)


def qt_resources(compress: bool) -> bytes:
    """A resource file of version 2 with ``sound/tone.wav``, and a picture beside it."""
    content = wav()
    stored = struct.pack(">I", len(content)) + zlib.compress(content) if compress else content
    data = struct.pack(">I", len(stored)) + stored + struct.pack(">I", 3) + b"png"
    names, offsets = b"", []
    for name in ("sound", "tone.wav", "tone.png"):
        offsets.append(len(names))
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    folder, plain, packed = 2, 0, 1
    tree = struct.pack(">IHIIQ", 0, folder, 1, 1, 0)
    tree += struct.pack(">IHIIQ", offsets[0], folder, 2, 2, 0)
    tree += struct.pack(">IHHHIQ", offsets[1], packed if compress else plain, 0, 0, 0, 0)
    tree += struct.pack(">IHHHIQ", offsets[2], plain, 0, 0, 4 + len(stored), 0)
    header = 20
    places = (header, header + len(tree), header + len(tree) + len(data))
    return b"qres" + struct.pack(">4I", 2, *places) + tree + data + names


def openttd_catalogue() -> bytes:
    title, content = b'"Sheep". By nobody.\0', wav()
    return struct.pack("<II", 0x8000_0008, len(content)) + bytes([len(title)]) + title + content


def openclonk_group() -> bytes:
    def group(entries: list[tuple[bytes, bool, bytes]]) -> bytes:
        header = bytearray(204)
        struct.pack_into("<I", header, 36, len(entries))
        for at in range(0, 202, 3):
            header[at], header[at + 2] = header[at + 2], header[at]
        table, contents = b"", b""
        for name, is_group, content in entries:
            numbers = struct.pack("<5i", 1, is_group, len(content), 0, len(contents))
            table += name.ljust(260, b"\0") + numbers.ljust(56, b"\0")
            contents += content
        return bytes(byte ^ 237 for byte in header) + table + contents

    inner = group([(b"Tone.wav", False, wav()), (b"Notes.txt", False, b"none")])
    return b"\x1e\x8c" + gzip.compress(group([(b"Animals.ocg", True, inner)]))[2:]


def gravis_patch(unsigned: bool) -> bytes:
    header = bytearray(129 + 63 + 47)
    header[129 + 63 + 6] = 1  # samples
    samples = np.round(TONE * 32767).astype("<i2")
    stored = (samples.astype(int) + 32768).astype("<u2").tobytes() if unsigned else samples.tobytes()
    sample = bytearray(96)
    struct.pack_into("<I", sample, 8, len(stored))
    struct.pack_into("<H", sample, 20, RATE)
    sample[55] = 3 if unsigned else 1
    return bytes(header + sample) + stored


def pk3() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("sound/tone.wav", wav())
        archive.writestr("readme.txt", "none")
    return file.getvalue()


@pytest.mark.parametrize(
    ("suffix", "archive", "name"),
    [
        ("pk3", pk3(), "sound/tone.wav"),
        ("rcc", qt_resources(compress=False), "/sound/tone.wav"),
        ("rcc", qt_resources(compress=True), "/sound/tone.wav"),
        ("cat", openttd_catalogue(), '00 "Sheep".wav'),
        ("ocg", openclonk_group(), "Animals.ocg/Tone.wav"),
        ("pat", gravis_patch(unsigned=False), "0.wav"),
        ("pat", gravis_patch(unsigned=True), "0.wav"),
        ("wav", wav(), ""),
    ],
)
def test_only_the_recording_comes_out(tmp_path: Path, suffix: str, archive: bytes, name: str) -> None:
    path = tmp_path / f"archive.{suffix}"
    path.write_bytes(archive)
    ((found, content),) = members(path)
    assert found == name
    heard(content)


def test_other_files_hold_nothing(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"png")
    assert list(members(path)) == []
