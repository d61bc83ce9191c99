"""Typical recordings and typical damage: each file has the one outcome that it must have."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from audio.corpus import PNG, Recordings, chunk, id3_tag

from pe_audio_cli.audio.decoding import SAMPLE_RATE, open_audio
from pe_audio_cli.errors import InputError

DESCRIPTORS = Path("/proc/self/fd")  # of this process, on Linux

Make = Callable[[Recordings], Path]


@dataclass(frozen=True)
class Case:
    """A file and its outcome: ``seconds`` of sound, with or without a ``warning``, or an error of a ``kind``."""

    name: str
    make: Make
    seconds: float = 0.0
    within: float = 0.0
    warning: str | None = None
    kind: str | None = None


def good(name: str, make: Make, seconds: float = 3.0, within: float = 0.0) -> Case:
    return Case(name, make, seconds, within)


def damaged(name: str, make: Make, warning: str, seconds: float = 1.5, within: float = 0.2) -> Case:
    return Case(name, make, seconds, within, warning)


def refused(name: str, kind: str, make: Make) -> Case:
    return Case(name, make, kind=kind)


def sound(name: str, form: str, subtype: str, channels: int = 2, rate: int = 44_100, within: float = 0.0) -> Case:
    def make(recordings: Recordings) -> Path:
        return recordings.sound(f"a.{name}", recordings.noise(3 * rate, channels), rate, form, subtype)

    return good(f"{name}-{subtype.lower()}-{channels}ch-{rate}", make, within=within)


def encoded(name: str, codec: str, within: float, video: str | None = None, rate: int = 44_100) -> Case:
    def make(recordings: Recordings) -> Path:
        return recordings.encode(f"a.{name}", codec, recordings.noise(3 * rate, 2), rate, video=video)

    return good("-".join(filter(None, (name, codec, video))), make, within=within)


def length(samples: int, rate: int) -> Case:
    def make(recordings: Recordings) -> Path:
        return recordings.sound("a.wav", recordings.noise(samples), rate, "WAV", "PCM_16")

    return good(f"{samples}-samples-at-{rate}", make, samples / rate)


def by_hand(name: str, seconds: float = 1.0, **claims: object) -> Case:
    """A WAV of a second of 16-bit samples at 48 kHz whose header claims what it is told to."""
    return good(name, lambda recordings: recordings.wav("a.wav", recordings.pcm(), **claims), seconds)


def lie(name: str, **claims: object) -> Case:
    return refused(name, "decode", lambda recordings: recordings.wav("a.wav", recordings.pcm(), **claims))


def cut(name: str, make: Make, warning: str, seconds: float = 1.5, within: float = 0.2) -> Case:
    return damaged(f"cut-{name}", lambda recordings: recordings.cut(make(recordings), 0.5), warning, seconds, within)


def holed(name: str, make: Make, warning: str, replace: bool, seconds: float = 3.0, within: float = 0.2) -> Case:
    def damage(recordings: Recordings) -> Path:
        return recordings.damage(make(recordings), 0.5, 3_000, replace)

    return damaged(f"{'overwritten' if replace else 'inserted'}-{name}", damage, warning, seconds, within)


def poisoned(name: str, value: float, channels: int = 1, subtype: str = "FLOAT") -> Case:
    def make(recordings: Recordings) -> Path:
        samples = recordings.noise(96_000, channels).astype(np.float64)
        samples[60_000, -1] = value
        return recordings.sound("a.wav", samples, 48_000, "WAV", subtype)

    return refused(name, "samples", make)


def named(name: str, content: bytes) -> Make:
    return lambda recordings: recordings.raw(name, content)


def renamed(make: Make, name: str) -> Make:
    return lambda recordings: make(recordings).rename(recordings.folder / name)


def wav(r: Recordings) -> Path:
    return r.sound("a.wav", r.noise(144_000, 2), 48_000, "WAV", "PCM_16")


def flac(r: Recordings) -> Path:
    return r.sound("a.flac", r.noise(144_000, 2), 48_000, "FLAC", "PCM_16")


def ogg(r: Recordings) -> Path:
    return r.sound("a.ogg", r.noise(144_000, 2), 48_000, "OGG", "VORBIS")


def opus(r: Recordings) -> Path:
    return r.sound("a.opus", r.noise(144_000, 2), 48_000, "OGG", "OPUS")


def mp3(r: Recordings) -> Path:
    return r.encode("a.mp3", "libmp3lame", r.noise(144_000, 2), 48_000)


def m4a(r: Recordings) -> Path:
    return r.encode("a.m4a", "aac", r.noise(144_000, 2), 48_000)


def joined(make: Make) -> Make:
    """The same recording twice in one file, as ``cat`` joins them."""
    return lambda recordings: recordings.raw("joined", make(recordings).read_bytes() * 2)


def around(make: Make, before: bytes = b"", after: bytes = b"") -> Make:
    return lambda recordings: recordings.raw("around", before + make(recordings).read_bytes() + after)


UNKNOWN = 0xFFFF_FFFF  # what a program writes for a size that it cannot go back to fill in
LIST = chunk(b"LIST", b"INFO" + chunk(b"ISFT", b"Lavf61.7.100\0"))
CUT_SHORT = r"cut short: \d\.\d{3} s of the (2\.99\d|3\.0\d\d) s that its header claims"

PLAIN = [
    *(sound("wav", "WAV", f"PCM_{bits}") for bits in ("U8", "16", "24", "32")),
    *(sound("wav", "WAV", subtype) for subtype in ("FLOAT", "DOUBLE", "ULAW", "ALAW")),
    *(sound("wav", "WAV", subtype, 1, within=0.1) for subtype in ("IMA_ADPCM", "MS_ADPCM", "GSM610")),
    *(
        sound(form.lower(), form, "PCM_16")
        for form in ("WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "VOC", "NIST")
    ),
    *(sound("aiff", "AIFF", subtype) for subtype in ("PCM_24", "FLOAT")),
    *(sound("caf", "CAF", subtype) for subtype in ("ALAC_16", "FLOAT")),
    *(sound("flac", "FLAC", subtype) for subtype in ("PCM_S8", "PCM_24")),
    sound("au", "AU", "ULAW"),
    sound("ogg", "OGG", "VORBIS"),
    sound("opus", "OGG", "OPUS", rate=48_000),
    sound("mp3", "MP3", "MPEG_LAYER_III"),
    *(sound("wav", "WAV", "PCM_16", channels) for channels in (1, 6, 8, 16, 100)),
    *(sound("wav", "WAV", "PCM_16", 1, rate) for rate in (4_000, 8_000, 11_025, 22_050, 96_000, 192_000, 384_000)),
    sound("ogg", "OGG", "VORBIS", 16),
]
ENCODED = [
    encoded("m4a", "aac", 0.05),
    encoded("m4a", "alac", 0.0),
    encoded("aac", "aac", 0.05),
    encoded("wma", "wmav2", 0.1),
    encoded("ac3", "ac3", 0.05, rate=48_000),
    encoded("eac3", "eac3", 0.05, rate=48_000),
    encoded("mp2", "mp2", 0.05),
    encoded("wav", "libmp3lame", 0.1),
    encoded("mp3", "libmp3lame", 0.0),
    encoded("opus", "libopus", 0.0, rate=48_000),
    encoded("ogg", "flac", 0.0),
    encoded("wv", "wavpack", 0.0),
    encoded("tta", "tta", 0.0),
    encoded("mka", "pcm_s24le", 0.0),
    encoded("mp4", "aac", 0.05, "libx264"),
    encoded("mov", "pcm_s16be", 0.0, "mpeg4"),
    encoded("mkv", "aac", 0.05, "mpeg4"),
    encoded("webm", "libopus", 0.01, "libvpx-vp9", rate=48_000),
    encoded("avi", "libmp3lame", 0.05, "mpeg4"),
    encoded("flv", "libmp3lame", 0.05),
    encoded("flv", "aac", 0.05, "flv"),
    encoded("ts", "aac", 0.05, "mpeg4"),
    encoded("asf", "wmav2", 0.1, "mpeg4"),
]
LENGTHS = [
    *(length(samples, rate) for samples in (1, 2, 1_919, 1_920, 1_921) for rate in (48_000, 44_100)),
    *(length(samples, 384_000) for samples in (1, 3, 4, 11)),
]
HEADERS = [
    by_hand("size-unknown", data_size=UNKNOWN, riff_size=UNKNOWN, before=LIST),
    by_hand("size-zero", data_size=0, riff_size=0),
    by_hand("size-zero-after-list", data_size=0, riff_size=0, before=LIST),
    by_hand("size-of-sox", data_size=0x7FFF_F000, riff_size=0x7FFF_F024),
    by_hand("size-of-arecord", data_size=0x8000_0000, riff_size=0x8000_0024),
    by_hand("odd-chunk-first", before=chunk(b"junk", b"abc")),
    by_hand("junk-behind", after=b"junkjunkjunk"),
    by_hand("block-too-large", block=60_000),
    by_hand("block-zero", block=0),
    by_hand("64-bit-integers", 0.25, bits=64),
    by_hand("1024-channels", 46 / 48_000, channels=1_024),
    lie("no-channels", channels=0, block=2),
    lie("65535-channels", channels=65_535),
    lie("no-rate", rate=0),
    lie("1-hz", rate=1),
    lie("10-mhz", rate=10_000_000),
    lie("no-bits", bits=0, block=2),
    lie("unheard-of-codec", form=0x1234),
    damaged(
        "claims-3-gb-in-100-kb",
        lambda r: r.wav("a.wav", r.pcm(), data_size=3_000_000_000),
        r"1\.000 s of the 31250\.000 s",
        1.0,
    ),
    damaged(
        "claims-3-gb-in-1-kb",
        lambda r: r.wav("a.wav", r.pcm(500), data_size=3_000_000_000),
        r"0\.010 s of the 31250\.000 s",
        500 / 48_000,
        0.0,
    ),
    damaged(
        "flac-claims-a-year", lambda r: r.raw("a", longer_flac(flac(r).read_bytes())), "cut short: 3.000 s", 3.0, 0.0
    ),
    good("flac-of-unknown-length", lambda r: r.raw("a", streamed_flac(flac(r).read_bytes()))),
]
CONTENT = [
    good("flac-named-mp3", renamed(flac, "a.mp3")),
    good("mp3-named-wav", renamed(mp3, "a.wav")),
    good("ogg-named-raw", renamed(ogg, "a.raw")),
    good("wav-named-vox", renamed(wav, "a.vox")),
    good("m4a-without-extension", renamed(m4a, "a"), within=0.05),
    *(
        good(f"name-{index}", renamed(wav, name))
        for index, name in enumerate(("é 音 .wav", "a\nb.wav", "-n.wav", "[1]*?.wav", os.fsdecode(b"a\xff.wav")))
    ),
    good("mp3-with-cover", around(mp3, id3_tag(b"APIC", b"\0image/png\0\3\0" + PNG))),
    good("mp3-with-latin-1-tags", around(mp3, after=(b"TAG" + "Motörhead".encode("latin-1")).ljust(128, b"\0"))),
    good("mp3-with-an-absurd-tag", around(mp3, b"ID3\3\0\0\0\0\x02\0" + b"\xff\xfe" * 128), within=0.06),
    good("wav-behind-a-tag", around(wav, id3_tag(b"TIT2", b"\0title"))),
    good("flac-with-tags", around(flac, id3_tag(b"TIT2", b"\0title"), b"TAG".ljust(128, b"\0"))),
    good("ogg-twice", joined(ogg), 6.0, 0.02),
    refused("text-named-wav", "decode", named("a.wav", b"not a sound\n" * 100)),
    refused("page-named-mp3", "decode", named("a.mp3", b"<!DOCTYPE html><html>" + b"<p>Not found</p>" * 1_000)),
    refused("playlist-named-mp3", "decode", named("a.mp3", b"#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n")),
    refused("list-of-files", "decode", named("a.wav", b"ffconcat version 1.0\nfile /etc/hostname\n")),
    refused("noise-named-mp3", "decode", named("a.mp3", np.random.default_rng(7).bytes(100_000))),
    refused("zeros-named-mp3", "decode", named("a.mp3", bytes(100_000))),
    refused("picture-named-wav", "no-audio", named("a.wav", PNG)),
    refused("video-without-sound", "no-audio", lambda r: r.film("a.mp4", "mpeg4")),
    refused("zero-bytes", "empty", named("a.wav", b"")),
    refused("one-byte", "decode", named("a.wav", b"R")),
    *(
        refused(f"{form.lower()}-without-samples", "empty", lambda r, form=form: r.silent_header(form))
        for form in ("WAV", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC")
    ),
    refused("header-that-promises", "empty", lambda r: r.wav("a.wav", b"", data_size=96_000)),
    refused("half-a-header", "decode", lambda r: r.raw("a.wav", wav(r).read_bytes()[:30])),
    refused("only-riff", "decode", named("a.wav", b"RIFF\4\0\0\0WAVE")),
    poisoned("nan", float("nan")),
    poisoned("infinity", float("inf")),
    poisoned("minus-infinity", float("-inf")),
    poisoned("nan-in-one-of-8-channels", float("nan"), 8),
    poisoned("too-large-for-float32", 1e300, subtype="DOUBLE"),
]
DAMAGED = [
    cut("wav", wav, CUT_SHORT),
    *(
        cut(form.lower(), lambda r, form=form: r.sound("a", r.noise(144_000), 48_000, form, "PCM_16"), CUT_SHORT)
        for form in ("WAVEX", "RF64", "W64", "AIFF", "AU")
    ),
    cut("caf", lambda r: r.sound("a.caf", r.noise(144_000), 48_000, "CAF", "PCM_16"), "damaged at 1.4"),
    cut("flac", flac, f"damaged after 1.*{CUT_SHORT}"),
    cut("ogg", ogg, "cut short: it ends in mid-stream", 1.0, 0.6),
    cut("opus", opus, "cut short: it ends in mid-stream", 1.0, 0.6),
    cut("mp3", mp3, CUT_SHORT),
    cut("mkv", lambda r: r.encode("a.mkv", "aac", r.noise(144_000, 2), 48_000, video="mpeg4"), CUT_SHORT),
    cut("webm", lambda r: r.encode("a.webm", "libopus", r.noise(144_000, 2), 48_000), CUT_SHORT),
    cut("flv", lambda r: r.encode("a.flv", "aac", r.noise(144_000, 2), 48_000), "cut short"),
    cut("wavpack", lambda r: r.encode("a.wv", "wavpack", r.noise(144_000, 2), 48_000), CUT_SHORT, within=0.5),
    cut("aac", lambda r: r.encode("a.aac", "aac", r.noise(144_000, 2), 48_000), "damaged at 1"),
    refused("cut-m4a", "decode", lambda r: r.cut(m4a(r), 0.5)),
    holed("flac", flac, "damaged after 1", replace=True),
    holed("flac", flac, "damaged after 1", replace=False),
    holed("mp3", mp3, "damaged at 1", replace=True),
    holed("mp3", mp3, "damaged at 1", replace=False),
    holed("ogg", ogg, r"silence for \d\.\d+ s that are missing, first at 1", replace=True),
    holed("ogg", ogg, r"silence for \d\.\d+ s that are missing, first at 1", replace=False),
    damaged("mp3-twice", joined(mp3), "damaged at 3.0", 6.0, 0.1),
    damaged(
        "rate-changes", lambda r: r.raw("a.mp3", mp3(r).read_bytes() + slow_mp3(r)), "48000 to 44100 Hz at 3", 6.0, 0.1
    ),
]
CORPUS = [*PLAIN, *ENCODED, *LENGTHS, *HEADERS, *CONTENT, *DAMAGED]


def longer_flac(content: bytes) -> bytes:
    """A FLAC whose header claims 2**36 - 1 samples (36 bits from the middle of byte 21 on; RFC 9639, section 8.2)."""
    return content[:21] + bytes([content[21] | 0x0F]) + b"\xff" * 4 + content[26:]


def streamed_flac(content: bytes) -> bytes:
    """A FLAC whose header claims 0 samples, which stands for any number."""
    return content[:21] + bytes([content[21] & 0xF0]) + b"\0" * 4 + content[26:]


def slow_mp3(r: Recordings) -> bytes:
    return r.encode("slow.mp3", "libmp3lame", r.noise(132_300, 2), 44_100).read_bytes()


def open_descriptors() -> int:
    return len(os.listdir(DESCRIPTORS)) if DESCRIPTORS.exists() else 0


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CORPUS])
def test_each_file_has_its_one_outcome(case: Case, recordings: Recordings, capfd: pytest.CaptureFixture[str]) -> None:
    file = str(case.make(recordings))
    before = open_descriptors()
    capfd.readouterr()
    if case.kind is None:
        assert_decoded(case, file)
    else:
        assert_refused(case, file)
    assert capfd.readouterr() == ("", ""), "a library wrote to the terminal"
    assert open_descriptors() == before


def assert_decoded(case: Case, file: str) -> None:
    with open_audio(file) as stream:
        blocks = list(stream.blocks())
        assert stream.duration == pytest.approx(case.seconds, abs=case.within + 1e-9)
        assert re.search(case.warning, str(stream.warning)) if case.warning else stream.warning is None
    assert all(block.dtype == np.float32 and 0 < len(block) <= 2 * SAMPLE_RATE for block in blocks)
    assert sum(map(len, blocks)) == max(1, int(stream.duration * SAMPLE_RATE + 0.5))
    assert np.isfinite(np.concatenate(blocks)).all()


def assert_refused(case: Case, file: str) -> None:
    with pytest.raises(InputError) as caught, open_audio(file) as stream:
        list(stream.blocks())
    assert (caught.value.file, caught.value.kind) == (file, case.kind)
    assert re.fullmatch(r"[^\n]+: [^\n]+", caught.value.message), "one line: what is wrong, then what to do"
    assert file not in caught.value.message


def test_channels_in_an_order_of_their_own_do_not_crash_the_program(recordings: Recordings) -> None:
    """Some releases of PyAV free such a layout twice, which ends the process; hence a process of its own."""
    description = struct.pack(">d4sIIIII", 48_000.0, b"lpcm", 0, 4, 1, 2, 16)
    right_then_left = struct.pack(">III", 0, 0, 2) + b"".join(
        struct.pack(">II3f", label, 0, 0, 0, 0) for label in (2, 1)
    )
    content = b"caff\0\1\0\0"
    for name, body, size in (
        (b"desc", description, len(description)),
        (b"chan", right_then_left, len(right_then_left)),
        (b"data", bytes(4) + recordings.pcm(96_000), 400_000),  # cut short, so that libsndfile leaves it to FFmpeg
    ):
        content += name + struct.pack(">q", size) + body
    file = recordings.raw("a.caf", content)
    code = "import sys; from pe_audio_cli.audio.decoding import open_audio; list(open_audio(sys.argv[1]).blocks())"
    done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
