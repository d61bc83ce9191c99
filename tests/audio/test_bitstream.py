"""Compressed sound that is stored as samples is decoded or refused, and no real sound is taken for it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from audio.corpus import Recordings, wav_bytes
from numpy.typing import NDArray

from pe_audio_cli.audio.bitstream import compressed_kind
from pe_audio_cli.audio.decoding import SAMPLE_RATE, open_audio
from pe_audio_cli.errors import InputError

EXAMPLES = Path(__file__).parents[2] / "examples" / "recordings"


def packets(recordings: Recordings, codec: str, seconds: float = 3.0) -> list[bytes]:
    """A tone of 880 Hz, compressed, packet by packet."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tone = np.repeat((0.5 * np.sin(2 * np.pi * 880 * time)).astype(np.float32)[:, None], 2, axis=1)
    file = recordings.encode(f"a.{codec}", codec, tone, SAMPLE_RATE)
    with av.open(str(file)) as container:
        return [bytes(packet) for packet in container.demux() if packet.size]


def dts_frames(count: int = 60, size: int = 1_000) -> list[bytes]:
    """Frames of 512 samples whose headers are right (ETSI TS 102 114, section 5.3); FFmpeg here cannot write DTS."""
    fields = [(1, 1), (31, 5), (0, 1), (15, 7), (size - 1, 14), (2, 6), (13, 4), (24, 5), (0, 21)]
    bits = "".join(f"{value:0{width}b}" for value, width in fields)
    head = bytes.fromhex("7ffe8001") + int(bits, 2).to_bytes(len(bits) // 8, "big")
    rng = np.random.default_rng(7)
    return [head + rng.integers(0, 100, size - len(head), np.uint8).tobytes() for _ in range(count)]


def swapped(content: bytes) -> bytes:
    return np.frombuffer(content[: len(content) // 2 * 2], "<u2").byteswap().tobytes()


def spdif(frames: list[bytes], period: int, data_type: int) -> bytes:
    """Bursts as IEC 61937 has them, of words that are little-endian."""
    bursts = (
        struct.pack("<4H", 0xF872, 0x4E1F, data_type, 8 * len(frame)) + swapped(frame + b"\0" * (len(frame) % 2))
        for frame in frames
    )
    return b"".join(burst.ljust(period, b"\0") for burst in bursts)


def fourteen_bits(content: bytes) -> bytes:
    """The same bits, 14 in each 16-bit word, the sign repeated, as on a DTS-CD."""
    bits = np.unpackbits(np.frombuffer(content, np.uint8))
    groups = bits[: len(bits) // 14 * 14].reshape(-1, 14).astype(np.int64)
    values = groups @ (1 << np.arange(13, -1, -1))
    return np.where(values >= 1 << 13, values - (1 << 14), values).astype("<i2").tobytes()


STREAMS: dict[str, Callable[[Recordings], bytes]] = {
    "AC-3 in S/PDIF": lambda r: spdif(packets(r, "ac3"), 6_144, 1),
    "E-AC-3 in S/PDIF": lambda r: spdif(packets(r, "eac3"), 24_576, 21),
    "AC-3": lambda r: b"".join(packets(r, "ac3")),
    "E-AC-3": lambda r: b"".join(packets(r, "eac3")),
    "AC-3 with padding": lambda r: b"".join(packet.ljust(6_144, b"\0") for packet in packets(r, "ac3")),
}


def decoded_or_refused(file: Path) -> None:
    try:
        with open_audio(str(file)) as stream:
            samples = np.concatenate(list(stream.blocks()))
    except InputError as error:
        assert error.kind == "decode"
        assert "what it calls samples is" in error.message
    else:
        middle = samples[len(samples) // 3 : len(samples) // 3 + SAMPLE_RATE // 2]
        spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
        assert np.argmax(spectrum) * 2 == pytest.approx(880, abs=4), "what was compressed is heard as noise"


@pytest.mark.parametrize("lead", [0, 4_000, 400_000], ids=["at once", "after a moment", "after a while"])
@pytest.mark.parametrize("swap", [False, True], ids=["", "swapped"])
@pytest.mark.parametrize("name", STREAMS)
def test_compressed_sound_is_never_heard_as_noise(recordings: Recordings, name: str, swap: bool, lead: int) -> None:
    content = STREAMS[name](recordings)
    content = swapped(content) if swap else content
    decoded_or_refused(recordings.wav("a.wav", bytes(lead) + content, channels=2))


DTS = {
    "in S/PDIF": lambda: spdif(dts_frames(), 2_048, 11),
    "plain": lambda: b"".join(dts_frames()),
    "with padding": lambda: b"".join(frame.ljust(2_048, b"\0") for frame in dts_frames()),
    "of 14 bits": lambda: b"".join(fourteen_bits(frame).ljust(2_048, b"\0") for frame in dts_frames()),
}


@pytest.mark.parametrize("lead", [0, 5, 4_000])
@pytest.mark.parametrize("swap", [False, True], ids=["", "swapped"])
@pytest.mark.parametrize("name", DTS)
def test_dts_is_never_heard_as_noise(recordings: Recordings, name: str, swap: bool, lead: int) -> None:
    content = DTS[name]()
    content = np.random.default_rng(7).bytes(2 * lead) + (swapped(content) if swap else content)
    kind = compressed_kind(np.frombuffer(content, "<u2"))
    assert kind is not None
    assert "DTS" in kind or name == "in S/PDIF"
    with pytest.raises(InputError) as caught, open_audio(str(recordings.wav("a.wav", content, channels=2))) as stream:
        list(stream.blocks())
    assert caught.value.kind == "decode"


@pytest.mark.parametrize(("form", "subtype"), [("WAV", "PCM_24"), ("AIFF", "PCM_16"), ("FLAC", "PCM_16")])
def test_other_containers_of_samples(recordings: Recordings, form: str, subtype: str) -> None:
    words = np.frombuffer(STREAMS["AC-3 in S/PDIF"](recordings), "<i2").reshape(-1, 2)
    decoded_or_refused(recordings.sound("a", words, SAMPLE_RATE, form, subtype))


def exact(content: bytes) -> NDArray[np.float32]:
    """Words as the samples that an encoder of 16 bits makes of them again."""
    words = np.frombuffer(content[: len(content) // 4 * 4], "<i2").reshape(-1, 2)
    return (words / (2**15 - 1)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        *(("a.mkv", "pcm_s16le"), ("a.mkv", "pcm_s16be"), ("a.mkv", "flac"), ("a.mov", "pcm_s16le")),
        *(("a.mov", "pcm_s16be"), ("a.avi", "pcm_s16le"), ("a.nut", "pcm_s16le"), ("a.mp4", "flac")),
    ],
)
@pytest.mark.parametrize("stream", ["AC-3 in S/PDIF", "AC-3"])
@pytest.mark.parametrize("lead", [0, 400_000])
def test_compressed_sound_that_a_film_calls_samples(
    recordings: Recordings, stream: str, lead: int, name: str, codec: str
) -> None:
    samples = exact(bytes(lead) + STREAMS[stream](recordings))
    decoded_or_refused(recordings.encode(name, codec, samples, SAMPLE_RATE))


@pytest.mark.parametrize("name", DTS)
def test_dts_that_a_film_calls_samples(recordings: Recordings, name: str) -> None:
    decoded_or_refused(recordings.encode("a.mkv", "pcm_s16le", exact(DTS[name]()), SAMPLE_RATE))


def test_no_real_sound_is_taken_for_compressed_sound() -> None:
    rng = np.random.default_rng(7)
    time = np.arange(2 * SAMPLE_RATE)
    square = np.where(time % 109 < 54, 32_766, -32_767)
    sounds = [
        *(soundfile.read(file, dtype="int16")[0] for file in EXAMPLES.iterdir()),
        rng.integers(-(2**15), 2**15, 4 * SAMPLE_RATE),
        np.stack([square, -1 - square], axis=1),
        np.stack([np.where(time % 400 == 0, 32_766, 0), np.where(time % 400 == 0, -32_767, 0)], axis=1),
        np.full(SAMPLE_RATE, 0x0B77),
    ]
    for sound in sounds:
        assert compressed_kind(sound.reshape(-1).astype(np.int16).view(np.uint16)) is None


def test_a_sync_word_by_itself_is_no_matter(recordings: Recordings) -> None:
    words = (recordings.noise(96_000)[:, 0] * 1_000).astype("<i2")
    words[5_000:5_004] = np.array([0xF872, 0x4E1F, 1, 4_096], np.uint16).view(np.int16)
    file = recordings.raw("a.wav", wav_bytes(words.tobytes(), channels=2))
    with open_audio(str(file)) as stream:
        assert sum(map(len, stream.blocks())) == 48_000
