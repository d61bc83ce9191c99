"""All sound in a file is heard, or its rest is named, whatever the header claims; what is no sound is passed over."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from audio.corpus import Recordings, chunk, id3_tag, wav_bytes
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pe_audio_cli.audio import extent
from pe_audio_cli.audio.decoders.sndfile import SndfileDecoder
from pe_audio_cli.audio.decoding import SAMPLE_RATE, open_audio

CONTAINERS = {
    "wav": ("WAV", "PCM_16"),
    "float.wav": ("WAV", "FLOAT"),
    "wavex": ("WAVEX", "PCM_24"),
    "aiff": ("AIFF", "PCM_16"),
    "aifc": ("AIFF", "FLOAT"),
    "au": ("AU", "PCM_16"),
    "ulaw.au": ("AU", "ULAW"),
    "caf": ("CAF", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_24"),
}
# Where the numbers of bytes of samples stand in these files, by what comes before them, and how.
SIZES = {
    "wav": (b"data", 4, "<I"),
    "float.wav": (b"data", 4, "<I"),
    "wavex": (b"data", 4, "<I"),
    "aiff": (b"SSND", 4, ">I"),
    "aifc": (b"SSND", 4, ">I"),
    "au": (b".snd", 8, ">I"),
    "ulaw.au": (b".snd", 8, ">I"),
    "caf": (b"data", 4, ">q"),
    "rf64": (b"ds64", 16, "<Q"),
    "w64": (b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a", 16, "<q"),
}


def heard(file: Path) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    with open_audio(str(file)) as stream:
        return np.concatenate(list(stream.blocks())), stream.warnings


def made(recordings: Recordings, name: str, seconds: float = 2.0) -> Path:
    form, subtype = CONTAINERS[name]
    return recordings.sound(f"a.{name}", recordings.noise(round(seconds * SAMPLE_RATE), 2), SAMPLE_RATE, form, subtype)


def claiming(file: Path, name: str, share: float) -> Path:
    """The same with a header that claims a part of the samples."""
    content = bytearray(file.read_bytes())
    before, gap, kind = SIZES[name]
    place = content.index(before) + gap
    (size,) = struct.unpack_from(kind, content, place)
    width = 2 * 24
    struct.pack_into(kind, content, place, int(size * share) // width * width + (size % width if share else 0))
    return Path(file.with_name(f"claims-{file.name}").write_bytes(content) and file.with_name(f"claims-{file.name}"))


@pytest.mark.parametrize("share", [0.0, 0.25, 0.9])
@pytest.mark.parametrize("name", CONTAINERS)
def test_more_samples_than_the_header_claims_are_heard(recordings: Recordings, name: str, share: float) -> None:
    file = made(recordings, name)
    expected = soundfile.read(file, dtype="float32")[0].mean(axis=1)
    samples, warnings = heard(claiming(file, name, share))
    np.testing.assert_allclose(samples[: len(expected)], expected, atol=1e-6)
    assert len(samples) == pytest.approx(len(expected), abs=64)
    if share and name != "w64":  # libsndfile takes all of that for samples by itself
        assert any("its header claims" in warning and "2.000 s are there" in warning for warning in warnings), warnings


def test_a_caf_whose_length_is_left_open_is_not_called_damaged(recordings: Recordings) -> None:
    content = bytearray(made(recordings, "caf").read_bytes())
    struct.pack_into(">q", content, content.index(b"data") + 4, -1)  # CAF: up to the end of the file
    assert heard(recordings.raw("open.caf", bytes(content)))[1] == ()


@pytest.mark.parametrize("claimed", [192_000, 4_800, 0, 0xFFFF_FFFF])
def test_an_au_whose_bytes_are_swapped(recordings: Recordings, claimed: int) -> None:
    content = recordings.pcm(96_000)
    head = b"dns." + struct.pack("<6I", 28, claimed, 3, 48_000, 1, 0)
    samples, warnings = heard(recordings.raw("a.au", head + content))
    np.testing.assert_allclose(samples, np.frombuffer(content, "<i2") / 2**15, atol=1e-6)
    assert bool(warnings) == (claimed == 4_800)


@pytest.mark.parametrize("name", ["wav", "aiff", "au", "caf", "rf64", "w64"])
def test_a_whole_file_is_read_as_ever(recordings: Recordings, name: str) -> None:
    file = made(recordings, name)
    samples, warnings = heard(file)
    assert warnings == ()
    np.testing.assert_allclose(samples, soundfile.read(file, dtype="float32")[0].mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF, 0x7FFF_FFFF, 36, 4_800])
@pytest.mark.parametrize("riff_size", [0, 36, 0xFFFF_FFFF, None])
def test_a_wav_whose_header_was_never_brought_up_to_date(
    recordings: Recordings, size: int, riff_size: int | None
) -> None:
    file = recordings.wav("a.wav", recordings.pcm(96_000), data_size=size, riff_size=riff_size)
    assert len(heard(file)[0]) == 96_000


@pytest.mark.parametrize("magic", [b"RF64", b"BW64"])
@pytest.mark.parametrize(
    "ds64",
    [(0, 0, 0), (100, 4_800, 2_400), ((1 << 64) - 1,) * 3, None],
    ids=["zero", "stale", "all ones", "missing"],
)
def test_an_rf64_of_a_recorder_that_died(
    recordings: Recordings, ds64: tuple[int, int, int] | None, magic: bytes
) -> None:
    plain = wav_bytes(recordings.pcm(96_000), data_size=0xFFFF_FFFF, riff_size=0xFFFF_FFFF)
    chunk64 = b"" if ds64 is None else chunk(b"ds64", struct.pack("<QQQI", *ds64, 0))
    file = recordings.raw("a.wav", magic + plain[4:12] + chunk64 + plain[12:])
    assert len(heard(file)[0]) == 96_000


@pytest.mark.parametrize("beyond", [96_000, 0])
def test_a_wav_of_more_than_4_gib_whose_size_wrapped(recordings: Recordings, beyond: int) -> None:
    file = recordings.wav("a.wav", recordings.pcm(48_000)[:beyond], data_size=beyond)
    os.truncate(file, 44 + (1 << 32) + beyond)  # sparse: it takes no room
    with open(file, "rb") as opened:
        decoder = SndfileDecoder(str(file), opened)
        assert decoder._sound.frames == ((1 << 32) + beyond) // 2
        next(decoder.blocks())
        decoder.close()
    assert not beyond or "its header claims 1.000 s" in decoder.warnings[0]


def guano(size: int = 300) -> bytes:
    return chunk(b"guan", b"GUANO|Version: 1.0\n".ljust(size, b"x"))


TRAILING: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "GUANO": guano,
    "GUANO of an odd size": lambda: guano(301),
    "a long GUANO": lambda: guano(200_000),
    "LIST": lambda: chunk(b"LIST", b"INFOISFT\x06\x00\x00\x00Lavf58"),
    "several chunks": lambda: (
        chunk(b"LIST", b"INFO") + chunk(b"bext", bytes(602)) + chunk(b"id3 ", b"ID3\x03" + bytes(50))
    ),
    "a chunk that nobody knows": lambda: chunk(b"qX7~", np.random.default_rng(7).bytes(50_000)),
    "a chunk that was cut": lambda: chunk(b"LIST", bytes(range(256)) * 100)[:20_000],
    "a chunk without its padding": lambda: b"LIST" + struct.pack("<I", 5) + b"INFOx" + chunk(b"bext", bytes(602)),
    "zeros": lambda: bytes(100_000),
    "ones": lambda: b"\xff" * 100_000,
    "chunks and zeros": lambda: guano() + bytes(30_000),
    "an ID3v2 tag": lambda: id3_tag(b"TIT2", b"\0A title" + b"\xff" * 40_000),
    "an ID3v1 tag": lambda: b"TAG".ljust(128, b"\x01"),
    "XML": lambda: b"<?xml version='1.0'?>\n<x:xmpmeta>" + b"a" * 40_000,
    "a few odd bytes": lambda: b"\x03\x07\x01\x09\x04",
}


@pytest.mark.parametrize("what", TRAILING)
@pytest.mark.parametrize("odd", [False, True])
def test_what_is_no_sound_is_passed_over_without_a_word(recordings: Recordings, what: str, odd: bool) -> None:
    content = (recordings.noise(48_001) * 100 + 128).astype(np.uint8).tobytes()[: 48_000 + odd]
    for padding in {b"", b"\0" * odd}:
        body = wav_bytes(content, bits=8, after=padding + TRAILING[what]())
        for riff_size in (len(body) - 8, 36 + len(content)):
            file = recordings.raw("a.wav", body[:4] + struct.pack("<I", riff_size) + body[8:])
            samples, warnings = heard(file)
            assert (len(samples), warnings) == (48_000 + odd, ())


@pytest.mark.parametrize("name", CONTAINERS)
def test_padding_after_any_container_is_passed_over(recordings: Recordings, name: str) -> None:
    file = made(recordings, name, 1.0)
    expected = heard(file)[0]
    samples, warnings = heard(recordings.raw(f"padded.{name}", file.read_bytes() + bytes(40_000)))
    if name != "w64":  # libsndfile takes what follows for samples
        assert len(samples) == len(expected)
        assert warnings == ()


BEHIND = {
    "zeros": bytes(4_096),
    "many zeros": bytes(100_000),
    "ones": b"\xff" * 512,
    "an ID3v1 tag": b"TAG".ljust(128, b"\x01"),
    "an APE tag": b"APETAGEX" + struct.pack("<4I", 2_000, 32, 0, 0).ljust(24, b"\0"),
}


@pytest.mark.parametrize("what", BEHIND)
@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        *(("mp3", "libmp3lame", 48_000), ("aac", "aac", 48_000), ("ac3", "ac3", 48_000), ("eac3", "eac3", 48_000)),
        *(("wv", "wavpack", 48_000), ("ts", "aac", 48_000), ("mp3", "libmp3lame", 22_050), ("ac3", "ac3", 44_100)),
    ],
)
def test_what_lies_behind_compressed_sound_is_no_damage(
    recordings: Recordings, name: str, codec: str, rate: int, what: str
) -> None:
    file = recordings.encode(f"a.{name}", codec, recordings.noise(2 * rate, 2), rate)
    samples, warnings = heard(recordings.raw(f"padded.{name}", file.read_bytes() + BEHIND[what]))
    assert warnings == ()
    assert len(samples) == pytest.approx(len(heard(file)[0]), abs=0.05 * SAMPLE_RATE)


@pytest.mark.parametrize(("name", "codec"), [("mp3", "libmp3lame"), ("wv", "wavpack"), ("ac3", "ac3"), ("ts", "aac")])
def test_padding_in_place_of_sound_is_damage(recordings: Recordings, name: str, codec: str) -> None:
    content = recordings.encode(f"a.{name}", codec, recordings.noise(96_000, 2), SAMPLE_RATE).read_bytes()
    half, third = len(content) // 2, len(content) // 3
    inside = content[:half] + bytes(third // 4) + content[half + third // 4 :]
    assert heard(recordings.raw(f"inside.{name}", inside))[1]
    if name in ("mp3", "wv"):  # the others do not say how long they are
        assert heard(recordings.raw(f"never-finished.{name}", content[:half] + bytes(len(content) - half)))[1]


OTHER_FORMATS = {
    **{"mp3": "libmp3lame", "aac": "aac", "ogg": "libvorbis", "m4a": "aac", "tta": "tta", "flv": "aac"},
    **{"wv": "wavpack", "wma": "wmav2", "mka": "aac", "webm": "libopus", "avi": "pcm_s16le", "voc": "pcm_s16le"},
}


def other_format(recordings: Recordings, name: str) -> bytes:
    codec = OTHER_FORMATS[name]
    return recordings.encode(f"b.{name}", codec, recordings.noise(96_000, 2), SAMPLE_RATE).read_bytes()


@pytest.mark.parametrize("name", [*CONTAINERS, "flac", *OTHER_FORMATS])
def test_recordings_that_were_put_together_are_all_heard(recordings: Recordings, name: str) -> None:
    if name == "flac":
        content = recordings.sound("a.flac", recordings.noise(96_000, 2), SAMPLE_RATE, "FLAC", "PCM_16").read_bytes()
    elif name in CONTAINERS:
        content = made(recordings, name).read_bytes()
    else:
        content = other_format(recordings, name)
    samples, _ = heard(recordings.raw(f"two.{name}", 3 * content))
    assert len(samples) == pytest.approx(6 * SAMPLE_RATE, abs=0.2 * SAMPLE_RATE)


@pytest.mark.parametrize("name", sorted(OTHER_FORMATS.keys() - {"mp3", "aac", "voc"}))
def test_a_wav_and_a_recording_of_another_kind_are_both_heard(recordings: Recordings, name: str) -> None:
    wav = recordings.sound("a.wav", recordings.noise(96_000, 2), SAMPLE_RATE, "WAV", "PCM_16").read_bytes()
    other = other_format(recordings, name)
    for content in (wav + other, other + wav):
        samples, warnings = heard(recordings.raw("both", content))
        assert len(samples) == pytest.approx(4 * SAMPLE_RATE, abs=0.2 * SAMPLE_RATE)
        assert any("another recording follows" in warning for warning in warnings), warnings


STREAMS = {
    **{"mp3": "libmp3lame", "mp2": "mp2", "aac": "aac", "ac3": "ac3", "eac3": "eac3", "ts": "aac", "mpg": "mp2"},
    **{"nut": "pcm_s16le", "latm": "aac", "thd": "truehd", "rm": "ac3"},
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_behind_a_wav_is_not_heard_as_samples(recordings: Recordings, name: str) -> None:
    wav = recordings.sound("a.wav", recordings.noise(96_000, 2), SAMPLE_RATE, "WAV", "PCM_16").read_bytes()
    try:
        stream = recordings.encode(f"b.{name}", STREAMS[name], recordings.noise(96_000, 2), SAMPLE_RATE).read_bytes()
    except (av.FFmpegError, ValueError):
        pytest.skip(f"this PyAV writes no {name}")
    samples, warnings = heard(recordings.raw("both", wav + stream))
    assert len(samples) == pytest.approx(4 * SAMPLE_RATE, abs=0.2 * SAMPLE_RATE)
    assert "another recording follows at 2.000 s" in " ".join(warnings)


def sox() -> bytes:
    """Two seconds of samples of 32 bits behind a header of SoX."""
    head = struct.pack("<4sIQdII", b".SoX", 28, 96_000, 48_000.0, 1, 0)
    return head + np.random.default_rng(7).integers(-(2**30), 2**30, 96_000, np.int32).tobytes()


def ircam(recordings: Recordings) -> bytes:
    return recordings.sound("a.sf", recordings.noise(96_000), SAMPLE_RATE, "IRCAM", "PCM_16").read_bytes()


@pytest.mark.parametrize("second", ["wav", "mp3", "the same"])
@pytest.mark.parametrize("first", ["sox", "ircam"])
def test_what_follows_a_file_without_an_end_is_heard(recordings: Recordings, first: str, second: str) -> None:
    content = sox() if first == "sox" else ircam(recordings)
    other = {
        "wav": lambda: wav_bytes(recordings.pcm(96_000)),
        "mp3": lambda: other_format(recordings, "mp3"),
        "the same": lambda: content,
    }[second]()
    samples, warnings = heard(recordings.raw("both", content + other))
    assert len(samples) == pytest.approx(4 * SAMPLE_RATE, abs=0.2 * SAMPLE_RATE)
    assert "another recording follows at 2.000 s" in " ".join(warnings)


@pytest.mark.parametrize("n_chunks", [2, 3])
def test_all_data_chunks_of_a_wav_are_heard_in_turn(recordings: Recordings, n_chunks: int) -> None:
    content = recordings.pcm(48_000)
    parts = [chunk(b"LIST", b"INFO") + chunk(b"data", content) for _ in range(n_chunks - 1)]
    samples, warnings = heard(recordings.wav("a.wav", content, after=b"".join(parts)))
    expected = np.frombuffer(n_chunks * content, "<i2") / 2**15
    np.testing.assert_allclose(samples, expected, atol=1e-6)
    assert warnings == (f"it has {n_chunks} data chunks: all were read",)


def test_a_last_data_chunk_that_was_never_finished_is_heard_once(recordings: Recordings) -> None:
    content = recordings.pcm(48_000)
    more = b"data" + struct.pack("<I", 0x7FFF_FFFF) + content
    samples, _ = heard(recordings.wav("a.wav", content, after=more))
    np.testing.assert_allclose(samples, np.frombuffer(2 * content, "<i2") / 2**15, atol=1e-6)


def test_a_matlab_file_that_claims_less_than_it_holds_says_so(recordings: Recordings) -> None:
    file = recordings.sound("a.mat", recordings.noise(96_000), SAMPLE_RATE, "MAT4", "PCM_16")
    assert heard(file)[1] == ()
    content = bytearray(file.read_bytes())
    place = content.index(struct.pack("<I", 96_000))
    struct.pack_into("<I", content, place, 24_000)
    assert "144," in " ".join(heard(recordings.raw("less.mat", bytes(content)))[1])


def test_an_mp3_that_follows_with_its_tag_is_heard_and_a_tag_alone_is_not_missed(recordings: Recordings) -> None:
    wav = recordings.sound("a.wav", recordings.noise(96_000, 2), SAMPLE_RATE, "WAV", "PCM_16").read_bytes()
    tag = id3_tag(b"TIT2", b"\0A title" + bytes(100))
    samples, _ = heard(recordings.raw("both", wav + other_format(recordings, "mp3")))  # it brings its own tag
    assert len(samples) == pytest.approx(4 * SAMPLE_RATE, abs=0.2 * SAMPLE_RATE)
    m4a = other_format(recordings, "m4a")
    assert heard(recordings.raw("tagged", m4a + tag))[1] == heard(recordings.raw("plain", m4a))[1] == ()


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
@pytest.mark.parametrize("name", ["opus", "mka", "webm"])
def test_what_follows_with_other_channels_is_heard(recordings: Recordings, name: str, first: int, second: int) -> None:
    codec = "aac" if name == "mka" else "libopus"
    parts = [
        recordings.encode(f"{n}.{name}", codec, recordings.noise(96_000, n), SAMPLE_RATE).read_bytes()
        for n in (first, second)
    ]
    samples, _ = heard(recordings.raw(f"both.{name}", b"".join(parts)))
    assert len(samples) == pytest.approx(4 * SAMPLE_RATE, abs=0.2 * SAMPLE_RATE)


def test_recordings_of_several_rates_and_kinds_are_all_heard(recordings: Recordings) -> None:
    parts = [
        recordings.sound("a.wav", recordings.noise(48_000, 1), 48_000, "WAV", "PCM_16"),
        recordings.sound("b.flac", recordings.noise(44_100, 2), 44_100, "FLAC", "PCM_16"),
        recordings.sound("c.aiff", recordings.noise(8_000, 1), 8_000, "AIFF", "PCM_16"),
    ]
    samples, warnings = heard(recordings.raw("all.wav", b"".join(part.read_bytes() for part in parts)))
    assert len(samples) == 3 * SAMPLE_RATE
    assert [warning for warning in warnings if "another recording follows at 1.000 s" in warning]


# FLAC


def flac(recordings: Recordings, samples: int = 96_000, **claims: int) -> Path:
    """A FLAC whose STREAMINFO claims another ``rate`` or ``total`` (RFC 9639, section 8.2)."""
    file = recordings.sound("a.flac", recordings.noise(samples), 48_000, "FLAC", "PCM_16")
    content = bytearray(file.read_bytes())
    packed = int.from_bytes(content[18:26], "big")
    rate, rest, total = packed >> 44, packed >> 36 & 0xFF, packed & (1 << 36) - 1
    packed = claims.get("rate", rate) << 44 | rest << 36 | claims.get("total", total)
    content[18:26] = packed.to_bytes(8, "big")
    return recordings.raw("claims.flac", bytes(content))


@pytest.mark.parametrize("total", [0, 1, 10_000, 80_000])
def test_a_flac_of_more_samples_than_its_header_claims(recordings: Recordings, total: int) -> None:
    samples, warnings = heard(flac(recordings, total=total))
    assert len(samples) == 96_000
    assert not total or "2.000 s are there" in warnings[0]


def test_a_flac_behind_a_tag_of_more_samples_than_its_header_claims(recordings: Recordings) -> None:
    content = flac(recordings, total=4_800).read_bytes()
    assert len(heard(recordings.raw("tagged.flac", id3_tag(b"TIT2", b"\0A title") + content))[0]) == 96_000


@pytest.mark.parametrize("rate", [1_500, 8_000, 44_100, 96_000, 655_350])
def test_a_flac_whose_header_claims_another_rate_than_its_frames(recordings: Recordings, rate: int) -> None:
    samples, warnings = heard(flac(recordings, rate=rate))
    assert len(samples) == 96_000
    assert warnings == (f"its header claims {rate} Hz, its frames 48000 Hz: those were used",)


@pytest.mark.parametrize("place", range(8, 30))
def test_damage_in_a_flac_s_header_makes_no_hours_of_seconds(recordings: Recordings, place: int) -> None:
    file = flac(recordings, 57_600)
    content = bytearray(file.read_bytes())
    for value in (0x00, 0x01, 0x5A, 0xFF):
        damaged = content.copy()
        damaged[place] = value
        try:
            samples, _ = heard(recordings.raw("damaged.flac", bytes(damaged)))
        except Exception as error:
            assert type(error).__name__ == "InputError", error
        else:
            assert len(samples) / SAMPLE_RATE < 3


LETTERS = sorted(extent.BEGINNINGS)
SNIPPETS = st.one_of(
    st.sampled_from(LETTERS),
    st.sampled_from(LETTERS).map(lambda letters: letters[:2]),
    st.integers(0, 5).map(bytes),
    st.binary(max_size=5),
)


@given(st.lists(SNIPPETS, max_size=12).map(b"".join))
def test_letters_are_found_wherever_a_plain_search_finds_them(content: bytes) -> None:
    plain = [(at, letters) for at in range(len(content)) for letters in LETTERS if content.startswith(letters, at)]
    assert extent._places(content) == [at for at, _ in plain]
