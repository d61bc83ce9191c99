"""Small files that claim a great deal cost little: each limit is named in what is said, and can be raised."""

from __future__ import annotations

import re
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from audio.corpus import Recordings, chunk, id3_tag
from support import peak_memory

from pe_audio_cli.audio.decoders.quicktime import index_bytes_and_tags
from pe_audio_cli.audio.decoding import open_audio
from pe_audio_cli.audio.excerpt import part_of, read_at
from pe_audio_cli.audio.limits import Limits, variable
from pe_audio_cli.errors import InputError, UsageError

PLAIN_MEGABYTES = 200  # enough for Python, NumPy, both libraries and a recording of a few seconds
SIDE = 5_000  # pixels of a picture that takes 200 MB to decode

DECODE = """
import sys
from pe_audio_cli.audio.decoding import open_audio
from pe_audio_cli.errors import InputError
try:
    with open_audio(sys.argv[1]) as stream:
        print(sum(map(len, stream.blocks())), stream.warning)
except InputError as error:
    print(error)
"""


def heard(file: Path) -> tuple[float, str]:
    """Seconds of a recording, and what was amiss with it."""
    with open_audio(str(file)) as stream:
        for _ in stream.blocks():
            pass
        return stream.duration, str(stream.warning)


def refusal(file: Path) -> str:
    with pytest.raises(InputError) as caught:
        heard(file)
    assert caught.value.kind == "decode"
    return caught.value.message


def cost(file: Path) -> tuple[float, str]:
    """Megabytes that it takes to decode a recording in a process of its own, and what that says."""
    script = file.parent / "decode.py"
    script.write_text(DECODE)
    megabytes, said = peak_memory(script, file)
    return megabytes, said.decode()


def packets(path: Path, contents: Sequence[bytes], times: Sequence[float]) -> Path:
    """A Matroska file with packets of 8-bit samples at 8 kHz, at times of its own."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_u8", rate=8_000, layout="mono")
        for content, seconds in zip(contents, times, strict=True):
            packet = av.Packet(content)
            packet.stream, packet.time_base = stream, Fraction(1, 8_000)
            packet.pts = packet.dts = round(seconds * 8_000)
            container.mux(packet)
    return path


def picture() -> bytes:
    """A PNG that is small and takes hundreds of megabytes to decode: 16 bits in each of four channels."""
    row = b"\0" * (1 + 8 * SIDE)
    packer = zlib.compressobj(1)
    data = b"".join([*(packer.compress(row) for _ in range(SIDE)), packer.flush()])
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 16, 6, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


# What there is to raise


def test_a_variable_sets_each_limit() -> None:
    raised = Limits.of_environment({"PEAUDIO_MAX_GAP_SECONDS": "7.5", "PEAUDIO_MAX_FRAME_BYTES": "12"})
    assert raised == Limits(gap_seconds=7.5, frame_bytes=12)
    assert Limits.of_environment({}) == Limits.of_environment({"PEAUDIO_MAX_GAP_SECONDS": ""}) == Limits()


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "much", "1" * 5_000])
@pytest.mark.parametrize("limit", ["gap_seconds", "packet_bytes"])
def test_a_limit_that_is_no_positive_number_is_refused(limit: str, value: str) -> None:
    with pytest.raises(UsageError, match=variable(limit)):
        Limits.of_environment({variable(limit): value})


# Silence


def test_silence_for_what_is_missing_is_limited_in_all(recordings: Recordings) -> None:
    file = packets(recordings.folder / "a.mkv", [bytes(800)] * 150, [3_000.0 * n for n in range(150)])
    assert file.stat().st_size < 200_000
    seconds, warning = heard(file)
    assert 3_000 < seconds < 3_600 + 150
    assert "PEAUDIO_MAX_GAP_SECONDS" in warning


def test_more_silence_is_made_where_that_is_wished(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    file = packets(recordings.folder / "a.mkv", [bytes(8_000)] * 3, [0.0, 300.0, 600.0])
    monkeypatch.setenv("PEAUDIO_MAX_GAP_SECONDS", "400")
    assert heard(file)[0] == pytest.approx(302.0)
    monkeypatch.setenv("PEAUDIO_MAX_GAP_SECONDS", "1000")
    assert heard(file)[0] == pytest.approx(601.0)


def test_a_byte_makes_so_many_seconds_and_no_more(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEAUDIO_MAX_GAP_SECONDS", "1000000")
    file = packets(recordings.folder / "a.mkv", [bytes(800)] * 2, [0.0, 100_000.0])
    assert "PEAUDIO_MAX_SECONDS_PER_BYTE" in refusal(file)
    flac = recordings.sound("a.flac", np.zeros((360_000, 1), np.float32), 1_000, "FLAC", "PCM_16")
    assert heard(flac)[0] == 360
    monkeypatch.setenv("PEAUDIO_MAX_SECONDS_PER_BYTE", "0.01")
    assert "PEAUDIO_MAX_SECONDS_PER_BYTE" in refusal(flac)


# Memory


def test_a_large_packet_is_refused(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    file = packets(recordings.folder / "a.mkv", [bytes(20_000_000)], [0.0])
    assert "PEAUDIO_MAX_PACKET_BYTES" in refusal(file)
    monkeypatch.setenv("PEAUDIO_MAX_PACKET_BYTES", "30000000")
    assert "PEAUDIO_MAX_FRAME_BYTES" in refusal(file)
    monkeypatch.setenv("PEAUDIO_MAX_FRAME_BYTES", "100000000")
    assert heard(file) == (2_500.0, "None")


def test_a_large_packet_costs_little_more_than_itself(recordings: Recordings) -> None:
    megabytes, said = cost(packets(recordings.folder / "a.mkv", [bytes(100_000_000)], [0.0]))
    assert "PEAUDIO_MAX_PACKET_BYTES" in said
    assert megabytes < PLAIN_MEGABYTES + 100


def test_a_frame_as_large_as_allowed_is_mixed_down_piece_by_piece(recordings: Recordings) -> None:
    content = np.random.default_rng(7).bytes(8_000_000)
    with open_audio(str(packets(recordings.folder / "a.mkv", [content], [0.0]))) as stream:
        blocks = list(stream._decoder.blocks())
    assert max(len(block.samples) for block in blocks) <= 1 << 20
    expected = (np.frombuffer(content, np.uint8).astype(np.float64) - 128) / 128
    np.testing.assert_array_equal(
        np.concatenate([block.samples[:, 0] for block in blocks]), expected.astype(np.float32)
    )


def test_an_alac_header_that_claims_huge_frames(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    content = recordings.encode("a.m4a", "alac", recordings.noise(1_000), 48_000).read_bytes()
    config = struct.pack(">IBBBBBB", 4_096, 0, 24, 40, 10, 14, 1)
    assert config in content
    file = recordings.raw("huge.m4a", content.replace(config, struct.pack(">I", 1 << 24) + config[4:]))
    megabytes, said = cost(file)
    assert "PEAUDIO_MAX_FRAME_BYTES" in said
    assert megabytes < PLAIN_MEGABYTES
    monkeypatch.setenv("PEAUDIO_MAX_FRAME_BYTES", "100000000")
    assert heard(file)[0] == 1_000 / 48_000


def mp3_with_cover(recordings: Recordings, cover: bytes) -> Path:
    sound = recordings.encode("a.mp3", "libmp3lame", recordings.noise(48_000), 48_000)
    return recordings.raw("cover.mp3", id3_tag(b"APIC", b"\0image/png\0\3\0" + cover) + sound.read_bytes())


def film_with_picture(recordings: Recordings, image: bytes) -> Path:
    path = recordings.folder / "picture.mov"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=48_000, layout="mono")
        pictures: Any = container.add_stream("png", rate=1)
        pictures.width, pictures.height, pictures.pix_fmt = SIDE, SIDE, "rgba64be"
        for stream, content in ((pictures, image), (sound, recordings.pcm())):
            packet = av.Packet(content)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, 0, 0, Fraction(1, 48_000)
            container.mux(packet)
    return path


@pytest.mark.parametrize("make", [mp3_with_cover, film_with_picture])
def test_no_picture_is_decoded(recordings: Recordings, make: Any) -> None:
    image = picture()
    assert len(image) < 1_000_000
    megabytes, said = cost(make(recordings, image))
    assert re.fullmatch(r"48000 None\n", said)
    assert megabytes < PLAIN_MEGABYTES


# Numbers in texts


@pytest.mark.parametrize("hours", ["9" * 400, "9" * 5_000, "9" * 6, "-1", "٣", "1e400"])
def test_a_duration_that_is_told_by_a_tag(recordings: Recordings, hours: str) -> None:
    path = recordings.folder / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_u8", rate=8_000, layout="mono")
        stream.metadata["XURATION"] = f"{hours}:00:03.023000000"
        packet = av.Packet(bytes(8_000))
        packet.stream, packet.pts, packet.dts, packet.time_base = stream, 0, 0, Fraction(1, 8_000)
        container.mux(packet)
    content = path.read_bytes()
    assert b"XURATION" in content
    path.write_bytes(content.replace(b"DURATION", b"YURATION").replace(b"XURATION", b"DURATION"))
    with av.open(str(path)) as opened:
        assert opened.streams.audio[0].metadata["DURATION"].startswith(hours)
    seconds, warning = heard(path)
    assert seconds == 1.0
    assert ("cut short" in warning) == (hours == "9" * 6)


@pytest.mark.parametrize(
    "text",
    [
        "data : 96000000 (should be 96000)",
        "x\ndata : 96000000 (should be 96000)\nframes : 1\n",
        "data : 9 (should be 0)",
        "frame count 1 does not match  'ds64' chunk of 99999999999",
    ],
)
def test_a_text_in_a_wav_claims_nothing(recordings: Recordings, text: str) -> None:
    info = chunk(b"LIST", b"INFO" + chunk(b"ICMT", text.encode() + b"\0"))
    for file in (
        recordings.wav("a.wav", recordings.pcm(), before=info),
        recordings.wav("b.wav", recordings.pcm(), after=info),
    ):
        assert heard(file) == (1.0, "None")


def box(name: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">I4s", len(content) + 8, name) + content


def table(name: bytes, *numbers: int, rest: bytes = b"", version: int = 0, flags: int = 0) -> bytes:
    """A box that begins with its version and flags, then numbers of 32 bits."""
    return box(name, struct.pack(f">{1 + len(numbers)}I", version << 24 | flags, *numbers), rest)


def movie(*tracks: bytes, more: bytes = b"") -> bytes:
    """The headers of an MP4, on a clock of a thousand ticks in a second."""
    return box(b"moov", table(b"mvhd", 0, 0, 1_000, 1_000, rest=bytes(80)), *tracks, more)


def track(
    count: int = 1_000,
    duration: int = 1_024,
    kind: bytes = b"mp4a",
    *,
    tables: dict[bytes, bytes] | None = None,
    more: bytes = b"",
    number: int = 1,
    handler: bytes = b"soun",
) -> bytes:
    """A track of ``count`` frames of 4 bytes, each of ``duration`` samples, whose tables may be exchanged."""
    entry = bytes(6) + struct.pack(">H8xHHHHI", 1, 2, 16, 0, 0, 48_000 << 16)
    those = {
        b"stsd": table(b"stsd", 1, rest=box(kind, entry)),
        b"stts": table(b"stts", 1, count, duration),
        b"stsc": table(b"stsc", 1, 1, count, 1),
        b"stsz": table(b"stsz", 4, count),
        b"stco": table(b"stco", 1, 40),
        **(tables or {}),
    }
    media = (
        table(b"mdhd", 0, 0, 48_000, count, 0),
        table(b"hdlr", 0, rest=handler + bytes(13)),
        box(b"minf", table(b"smhd", 0), box(b"stbl", *those.values())),
    )
    return box(b"trak", table(b"tkhd", 0, 0, number, rest=bytes(68), flags=7), box(b"mdia", *media), more)


def edited(*edits: tuple[int, int]) -> bytes:
    """Edits of a track: their lengths in ticks of the movie, and where they begin in ticks of the track."""
    content = b"".join(struct.pack(">III", length, begin, 1 << 16) for length, begin in edits)
    return box(b"edts", table(b"elst", len(edits), rest=content))


EMPTY = {name: table(name, 0) for name in (b"stts", b"stsc", b"stco")} | {b"stsz": table(b"stsz", 0, 0)}
FRAGMENTED = movie(track(tables=EMPTY), more=box(b"mvex", table(b"trex", 1, 1, 1_024, 4, 0)))


def fragment(*runs: bytes) -> bytes:
    begin = table(b"tfhd", 1, flags=0x20000), table(b"tfdt", 0)
    return box(b"moof", table(b"mfhd", 1), box(b"traf", *begin, *runs))


def compressed(headers: bytes, padding: int = 0) -> bytes:
    """The same as QuickTime compresses them."""
    content = headers + box(b"free", bytes(padding))
    packed = struct.pack(">I", len(content)) + zlib.compress(content, 9)
    return box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", packed)))


def quicktime(recordings: Recordings, content: bytes) -> Path:
    return recordings.raw("a.mov", box(b"ftyp", b"isomiso2") + box(b"mdat", bytes(4_000)) + content)


# Frames of which FFmpeg makes a table of nearly 2 GB; it refuses to make a larger one.
MANY = 80_000_000
HUGE = movie(track(MANY))


@pytest.mark.parametrize(
    "content",
    [
        HUGE,
        movie(track(MANY, 2, b"sowt")),
        movie(track(tables={b"stsz": table(b"stsz", 4, MANY, version=1, flags=1)})),
        movie(track(MANY, 1, handler=b"text")),
        movie(*[track(MANY // 40, number=number) for number in range(1, 41)]),
        movie(track(1_000, 1, b"sowt", tables={b"stsc": table(b"stsc", 1, 1, 0x7FFF_FFFF, 1), b"stco": table(
            b"stco", 100, rest=bytes(400))})),
        compressed(HUGE),
        compressed(movie(track(10)), 300 << 20),
        HUGE.replace(b"moov", b"free", 1),
        HUGE.replace(b"moov", b"hoov", 1),
        box(b"udta", HUGE),
        10_001 * box(b"free") + HUGE,
        movie(track(), more=track(MANY)[8:]) + track(MANY),
        FRAGMENTED + fragment(table(b"trun", MANY)),
        FRAGMENTED + fragment(table(b"trun", MANY, 8, flags=0xF01)),
        FRAGMENTED + 40 * (fragment(table(b"trun", MANY // 40)) + box(b"mdat", bytes(4))),
        FRAGMENTED + 1_000 * table(b"sidx", 1, 48_000, 0, 0, 0xFFFF),
        movie(track(100_000, more=edited(*1_000 * [(0x7FFF_FFFF, 0)]))),
        movie(track(more=1_000 * table(b"saio", 1 << 20)), more=bytes(1_000_000)),
        movie(track(more=table(b"sgpd", rest=struct.pack(">4sII", b"sync", 1, 0x7FFF_FFFF), version=1))),
        movie(track()) + box(b"meta", bytes(4), table(b"hdlr", 0, rest=b"pict" + bytes(13)), table(
            b"iloc", 0x4400_0000 | MANY >> 16, MANY << 16 & 0xFFFF_FFFF, version=2)),
    ],
    ids=[
        "frames", "samples of two", "another version", "no sound", "tracks", "chunks", "compressed", "much compressed",
        "free", "hoov", "in another box", "behind many boxes", "behind a track", "run", "run with fields", "fragments",
        "index of fragments", "edits", "tables to the end", "groups", "items",
    ],
)  # fmt: skip
def test_headers_of_an_mp4_that_claim_huge_tables(recordings: Recordings, content: bytes) -> None:
    assert len(content) < 1_500_000
    assert "PEAUDIO_MAX_INDEX_BYTES" in refusal(quicktime(recordings, content))


@pytest.mark.parametrize("content", [HUGE, FRAGMENTED + fragment(table(b"trun", MANY))], ids=["frames", "fragments"])
def test_what_is_refused_would_take_gigabytes(
    recordings: Recordings, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    file = quicktime(recordings, content)
    assert cost(file)[0] < PLAIN_MEGABYTES
    monkeypatch.setenv("PEAUDIO_MAX_INDEX_BYTES", str(1 << 40))
    assert cost(file)[0] > 900


def test_long_pcm_in_an_mp4_is_within_the_limit(recordings: Recordings) -> None:
    chunks = {b"stsc": table(b"stsc", 1, 1, 1_000, 1), b"stco": table(b"stco", 2, 40, 40)}
    file = quicktime(recordings, movie(track(MANY, 1, b"sowt", tables=chunks)))
    with open_audio(str(file)) as stream:
        assert sum(map(len, stream.blocks())) > 0


@pytest.mark.parametrize("edits", [[(1_000, 0)], [(10_000, 0xFFFF_FFFF), *1_000 * [(10, 48_000)]]])
def test_edits_of_a_recording_are_within_the_limit(edits: list[tuple[int, int]], recordings: Recordings) -> None:
    with quicktime(recordings, movie(track(100_000, more=edited(*edits)))).open("rb") as opened:
        assert index_bytes_and_tags(opened)[0] < Limits().index_bytes / 20


@pytest.mark.parametrize(
    "options", [{}, {"movflags": "frag_keyframe+empty_moov"}, {"movflags": "dash+frag_every_frame"}]
)
@pytest.mark.parametrize("codec", ["aac", "pcm_s16le", "alac"])
def test_what_encoders_write_claims_next_to_nothing(
    recordings: Recordings, codec: str, options: dict[str, str]
) -> None:
    path = recordings.folder / "a.mov"
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        for begin in range(0, 480_000, 1_024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1_024), np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = 48_000, begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with path.open("rb") as opened:
        assert index_bytes_and_tags(opened)[0] <= 32 * path.stat().st_size
    assert heard(path)[0] == pytest.approx(10, abs=0.1)


def test_titles_of_chapters_are_not_read(recordings: Recordings) -> None:
    title = b"\xff\xff\xfe\xff" + b"ab" * 33_000  # which each of many chapters has
    count = 3_000
    places = table(b"stco", count, rest=struct.pack(">I", 24) * count)
    titles = track(count, kind=b"text", handler=b"text", number=2, tables={
        b"stsc": table(b"stsc", 1, 1, 1, 1), b"stsz": table(b"stsz", 66_000, count), b"stco": places
    })  # fmt: skip
    sound = track(1_000, 1, b"sowt", tables={b"stco": table(b"stco", 1, 24 + len(title))}, more=box(
        b"tref", box(b"chap", struct.pack(">I", 2))))  # fmt: skip
    content = box(b"ftyp", b"isomiso2") + box(b"mdat", title, bytes(4_000)) + movie(sound, titles)
    megabytes, said = cost(recordings.raw("a.mov", content))
    assert said == "1000 None\n"
    assert megabytes < PLAIN_MEGABYTES


# Tags, each of which FFmpeg compares with all before it


def id3(frames: Iterable[tuple[bytes, bytes]], version: int = 3) -> bytes:
    """An ID3v2 tag."""
    content = b"".join(
        name + (struct.pack(">IH", len(text), 0) if version > 2 else len(text).to_bytes(3, "big")) + text
        for name, text in frames
    )
    return b"ID3" + bytes([version, 0, 0]) + bytes(len(content) >> bits & 0x7F for bits in (21, 14, 7, 0)) + content


def comments(texts: Iterable[bytes]) -> bytes:
    """Vorbis comments."""
    those = [struct.pack("<I", len(text)) + text for text in texts]
    return struct.pack("<I", 3) + b"abc" + struct.pack("<I", len(those)) + b"".join(those)


def ebml(name: str, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return bytes.fromhex(name) + (1 << 56 | len(content)).to_bytes(8, "big") + content


def tagged(recordings: Recordings, name: str, codec: str, texts: dict[str, str]) -> Path:
    """A recording with tags, as FFmpeg writes them."""
    path = recordings.folder / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        container.metadata.update(texts)
        for begin in range(0, 48_000, 960):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 48_000, begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def mp3_tags(recordings: Recordings, count: int, version: int = 3, name: bytes = b"TXXX") -> Path:
    sound = recordings.encode("a.mp3", "libmp3lame", recordings.noise(48_000), 48_000).read_bytes()
    return recordings.raw("a.mp3", id3(((name, b"\0k%d\0v" % n) for n in range(count)), version) + sound)


def ape_tags(recordings: Recordings, count: int) -> Path:
    sound = recordings.encode("a.wv", "wavpack", recordings.noise(48_000), 48_000).read_bytes()
    items = b"".join(struct.pack("<II", 1, 0) + b"key%d\0v" % n for n in range(count))
    footer = b"APETAGEX" + struct.pack("<IIII8x", 2_000, len(items) + 32, count, 0)
    return recordings.raw("b.wv", sound + items + footer)


def ogg_tags(recordings: Recordings, count: int) -> Path:
    return tagged(recordings, "a.ogg", "libvorbis", {f"key{n}": "v" for n in range(count)})


def flac_tags(recordings: Recordings, count: int) -> Path:
    content = recordings.sound("a.flac", recordings.noise(48_000), 48_000, "FLAC", "PCM_16").read_bytes()
    texts = comments(b"K%d=v" % n for n in range(count))
    block = b"\4" + len(texts).to_bytes(3, "big") + texts
    return recordings.raw("b.flac", content[:4] + b"\0" + content[5:42] + block + b"\x81" + content[43:])


SEEK = 54  # bytes of a SeekHead with one entry


def matroska_tags(recordings: Recordings, count: int, *, at_the_end: bool = False) -> Path:
    content = recordings.encode("a.mka", "libopus", recordings.noise(48_000), 48_000).read_bytes()
    texts = (ebml("67c8", ebml("45a3", b"K%d" % n), ebml("4487", b"v")) for n in range(count))
    tags = ebml("1254c367", ebml("7373", *texts))
    begin = content.index(bytes.fromhex("18538067"))
    head, segment = content[:begin], content[begin + 12 :]
    where = ebml("53ab", bytes.fromhex("1254c367")), ebml("53ac", struct.pack(">Q", SEEK + len(segment)))
    seek = ebml("114d9b74", ebml("4dbb", *where))
    assert len(seek) == SEEK
    return recordings.raw("b.mka", head + bytes.fromhex("18538067") + b"\1" + 7 * b"\xff" + (
        seek + segment + tags if at_the_end else tags + segment))  # fmt: skip


def matroska_tags_at_the_end(recordings: Recordings, count: int) -> Path:
    return matroska_tags(recordings, count, at_the_end=True)


def mp4_tags(recordings: Recordings, count: int) -> Path:
    def text(number: int) -> bytes:
        mean, name = table(b"mean", rest=b"com.apple.iTunes"), table(b"name", rest=b"k%d" % number)
        return box(b"----", mean, name, table(b"data", 1, rest=b"v"))

    items = box(b"ilst", *map(text, range(count)))
    handler = table(b"hdlr", 0, rest=b"mdirappl" + bytes(9))
    return quicktime(
        recordings, movie(track(1_000, 1, b"sowt"), more=box(b"udta", table(b"meta", rest=handler + items)))
    )


TAGGED: dict[str, Callable[[Recordings, int], Path]] = {
    "ID3": mp3_tags,
    "ID3v2.2": lambda recordings, count: mp3_tags(recordings, count, 2, b"TXX"),
    "ID3v2.4": lambda recordings, count: mp3_tags(recordings, count, 4, b"PRIV"),
    "APE": ape_tags,
    "Ogg": ogg_tags,
    "FLAC": flac_tags,
    "Matroska": matroska_tags,
    "Matroska, at the end": matroska_tags_at_the_end,
    "MP4": mp4_tags,
}


@pytest.mark.parametrize("form", TAGGED)
def test_tags_have_a_limit(recordings: Recordings, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEAUDIO_MAX_TAGS", "300")
    assert heard(TAGGED[form](recordings, 100))[0] > 0.01
    file = TAGGED[form](recordings, 400)
    if form == "FLAC":  # which libsndfile reads, however many there are
        assert heard(file)[0] == 1.0
        return
    assert "PEAUDIO_MAX_TAGS" in refusal(file)
    monkeypatch.setenv("PEAUDIO_MAX_TAGS", "1000")
    assert heard(file)[0] > 0.01


@pytest.mark.parametrize("form", ["ID3", "Matroska", "MP4"])
def test_many_tags_take_no_time(recordings: Recordings, form: str) -> None:
    file = TAGGED[form](recordings, 50_000)
    begin = time.thread_time()
    assert "PEAUDIO_MAX_TAGS" in refusal(file)
    assert time.thread_time() - begin < 2


def test_a_large_cover_is_no_tags(recordings: Recordings) -> None:
    sound = recordings.encode("a.mp3", "libmp3lame", recordings.noise(48_000), 48_000).read_bytes()
    cover = b"\0image/png\0\3\0" + np.random.default_rng(7).bytes(3_000_000)
    assert heard(recordings.raw("a.mp3", id3([(b"APIC", cover)]) + sound))[0] == 1.0


# Packets without sound


@pytest.mark.parametrize("head", [b"#!AMR\n", b"#!AMR-WB\n"])
def test_frames_without_sound_have_a_limit(recordings: Recordings, head: bytes) -> None:
    file = recordings.raw("a.amr", head + b"\x7c" * 300_000)
    begin = time.thread_time()
    assert "PEAUDIO_MAX_PACKETS_WITHOUT_SOUND" in refusal(file)
    assert time.thread_time() - begin < 10


def test_packets_of_single_samples_have_a_limit(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEAUDIO_MAX_PACKETS_WITHOUT_SOUND", "1000")
    for size, count in ((8, 1_500), (7, 900)):  # a millisecond, and less
        file = packets(recordings.folder / "a.mkv", [bytes(size)] * count, [n / 1_000 for n in range(count)])
        assert heard(file)[0] >= size * count / 8_000
    file = packets(recordings.folder / "a.mkv", [bytes(7)] * 1_500, [n / 1_000 for n in range(1_500)])
    assert "PEAUDIO_MAX_PACKETS_WITHOUT_SOUND" in refusal(file)


def test_what_is_broken_between_sound_is_passed_over(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEAUDIO_MAX_PACKETS_WITHOUT_SOUND", "12")
    content = recordings.encode("a.aac", "aac", recordings.noise(480_000), 48_000).read_bytes()
    frames = re.findall(rb"\xff\xf1.*?(?=\xff\xf1|\Z)", content, re.S)
    broken = [frame[:7] + b"\xff" * (len(frame) - 7) for frame in frames]
    halves = [frame if n % 2 else broken[n] for n, frame in enumerate(frames)]
    assert heard(recordings.raw("b.aac", b"".join(halves)))[0] > 3
    assert "PEAUDIO_MAX_PACKETS_WITHOUT_SOUND" in refusal(recordings.raw("c.aac", b"".join(frames[:9] + broken)))


def test_an_offset_beyond_what_any_file_can_have_reads_nothing(tmp_path: Path) -> None:
    """A damaged header may claim one; FFmpeg is asked all the same."""
    (tmp_path / "x.mka").write_bytes(b"content")
    with open(tmp_path / "x.mka", "rb") as opened:
        assert read_at(opened, 2**64 - 1, 4) == b""
        assert read_at(part_of(opened, 1, 4), 2**64 - 1, 4) == b""
