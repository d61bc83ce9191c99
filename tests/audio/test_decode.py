"""Samples and times are right, whatever holds them; and what the user names is opened, or refused with a reason."""

from __future__ import annotations

import io
import os
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from audio.corpus import CLICK_SECONDS, Recordings, wav_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pe_audio_cli.audio import opening
from pe_audio_cli.audio.decoding import SAMPLE_RATE, AudioStream, open_audio
from pe_audio_cli.audio.resampling import resampled
from pe_audio_cli.errors import InputError, RunError

FRAME_SECONDS = 0.04  # what a time may be off


def decode(file: Path | str) -> NDArray[np.float32]:
    with open_audio(str(file)) as stream:
        return np.concatenate(list(stream.blocks()))


def refusal(file: Path | str) -> InputError:
    with pytest.raises(InputError) as caught:
        decode(file)
    assert caught.value.file == str(file)
    return caught.value


# Samples


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE", "PCM_16", "PCM_24", "PCM_U8", "ULAW"])
def test_at_48_khz_samples_are_passed_on_bit_by_bit(recordings: Recordings, subtype: str) -> None:
    file = recordings.sound("a.wav", recordings.noise(100_000), 48_000, "WAV", subtype)
    assert np.array_equal(decode(file), soundfile.read(file, dtype="float32")[0])


def test_samples_beyond_full_scale_are_not_clipped(recordings: Recordings) -> None:
    samples = 10 * recordings.noise(1_000)
    assert np.array_equal(decode(recordings.sound("a.wav", samples, 48_000, "WAV", "FLOAT")), samples[:, 0])


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 16])
def test_channels_are_mixed_by_their_mean(recordings: Recordings, channels: int) -> None:
    samples = recordings.noise(5_000, channels)
    mixed = decode(recordings.sound("a.wav", samples, 48_000, "WAV", "FLOAT"))
    assert mixed == pytest.approx(samples.mean(axis=1, dtype=np.float64), abs=1e-7)


@pytest.mark.parametrize(
    ("name", "codec", "step"),
    [
        *(("a.mkv", f"pcm_{sample}", 2**-15) for sample in ("s16le", "s24le", "s32le", "f32le", "f64le")),
        *(("a.mov", "pcm_s16be", 2**-15), ("a.m4a", "alac", 2**-15), ("a.mkv", "flac", 2**-15)),
        *(("a.mkv", "pcm_u8", 2**-7), ("a.wv", "wavpack", 2**-7)),
    ],
)
def test_ffmpeg_reads_every_type_of_sample(recordings: Recordings, name: str, codec: str, step: float) -> None:
    samples = recordings.noise(20_000, 2)
    mixed = decode(recordings.encode(name, codec, samples, 48_000))[: len(samples)]
    assert mixed == pytest.approx(samples.mean(axis=1), abs=step)


def test_ffmpeg_reads_64_bit_integers(recordings: Recordings) -> None:
    samples = np.array([0, 2**62, -(2**63), -(2**61)], "<i8")
    assert decode(recordings.wav("a.wav", samples.tobytes(), bits=64)).tolist() == [0.0, 0.5, -1.0, -0.25]


def test_16_channels_of_planes_are_all_heard(recordings: Recordings) -> None:
    tone = np.sin(np.arange(48_000) * 0.05).astype(np.float32)[:, None]
    samples = np.zeros((48_000, 16), np.float32)
    samples[:, 15:] = 0.8 * tone
    mixed = decode(recordings.sound("a.ogg", samples, 48_000, "OGG", "VORBIS"))
    assert len(mixed) == pytest.approx(48_000, abs=256)  # Vorbis ends on a block of its own
    assert mixed == pytest.approx(0.8 / 16 * tone[: len(mixed), 0], abs=0.01)


def test_vorbis_sounds_as_another_decoder_hears_it(recordings: Recordings) -> None:
    file = recordings.sound("a.ogg", recordings.noise(48_000, 2), 48_000, "OGG", "VORBIS")
    assert decode(file) == pytest.approx(soundfile.read(file)[0].mean(axis=1), abs=1e-4)


# Resampling


@pytest.mark.parametrize("rate", [4_000, 11_025, 44_100, 96_000, 384_000])
@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_a_stream_gives_the_samples_of_the_whole_file(recordings: Recordings, rate: int, form: str) -> None:
    samples = recordings.noise(int(3.21 * rate))
    file = recordings.sound("a", samples, rate, form, "PCM_24")
    whole = soxr.resample(soundfile.read(file, dtype="float32")[0], rate, SAMPLE_RATE, quality="HQ")
    streamed = decode(file)
    assert len(streamed) == len(whole) == int(len(samples) * SAMPLE_RATE / rate + 0.5)
    assert np.abs(streamed - whole).max() <= 1e-6


@settings(max_examples=40)
@given(
    rate=st.sampled_from([4_000, 8_000, 11_025, 16_000, 22_050, 44_100, 47_999, 48_000, 96_000, 192_000, 384_000]),
    seconds=st.floats(0.001, 0.4),
    seams=st.lists(st.floats(0, 1), max_size=8),
)
def test_blocks_of_any_sizes_give_the_same_samples(rate: int, seconds: float, seams: list[float]) -> None:
    samples = np.random.default_rng(7).uniform(-0.5, 0.5, max(1, int(seconds * rate))).astype(np.float32)
    bounds = sorted({0, len(samples), *(int(seam * len(samples)) for seam in seams)})
    blocks = list(resampled([samples[begin:end] for begin, end in pairwise(bounds)], rate))
    assert all(block.dtype == np.float32 and len(block) > 0 for block in blocks)
    (whole,) = resampled([samples], rate) if rate == SAMPLE_RATE else [soxr.resample(samples, rate, SAMPLE_RATE)]
    streamed = np.concatenate(blocks)
    assert len(streamed) == max(1, len(whole))
    assert np.abs(streamed[: len(whole)] - whole).max(initial=0.0) <= 1e-6


def test_too_few_samples_for_one_at_48_khz_still_give_one(recordings: Recordings) -> None:
    file = recordings.sound("a.wav", np.full((1, 1), 0.5, np.float32), 384_000, "WAV", "FLOAT")
    assert decode(file).tolist() == [0.5]


# Time


def click_seconds(file: Path) -> float:
    return float(np.argmax(np.abs(decode(file)) > 0.4)) / SAMPLE_RATE


@pytest.mark.parametrize("rate", [44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("form", "subtype"),
    [
        *((form, "PCM_16") for form in ("WAV", "FLAC", "AIFF", "W64")),
        *(("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("CAF", "ALAC_16"), ("WAV", "MS_ADPCM")),
    ],
)
def test_a_click_is_where_it_was_put(recordings: Recordings, form: str, subtype: str, rate: int, channels: int) -> None:
    rate = 48_000 if subtype == "OPUS" else rate
    file = recordings.sound("a", recordings.click(rate, channels), rate, form, subtype)
    assert click_seconds(file) == pytest.approx(CLICK_SECONDS, abs=0.005)


@pytest.mark.parametrize("rate", [44_100, 48_000])
@pytest.mark.parametrize(
    ("name", "codec", "video"),
    [
        *(("a.m4a", "aac", None), ("a.m4a", "alac", None), ("a.mp3", "libmp3lame", None), ("a.opus", "libopus", None)),
        *(("a.ogg", "flac", None), ("a.ac3", "ac3", None), ("a.aac", "aac", None), ("a.flv", "aac", None)),
        *((f"a.{name}", "aac", "mpeg4") for name in ("mp4", "mkv", "ts")),
        ("a.webm", "libopus", "libvpx-vp9"),
    ],
)
def test_a_click_is_where_it_was_encoded(
    recordings: Recordings, name: str, codec: str, video: str | None, rate: int
) -> None:
    rate = 48_000 if codec == "libopus" else rate
    file = recordings.encode(name, codec, recordings.click(rate, 2), rate, video=video)
    assert click_seconds(file) == pytest.approx(CLICK_SECONDS, abs=FRAME_SECONDS)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.ts"])
def test_sound_that_starts_later_than_the_video_keeps_its_time(recordings: Recordings, name: str) -> None:
    file = recordings.encode(name, "aac", recordings.click(48_000, 2), 48_000, video="mpeg4", start=0.5)
    assert click_seconds(file) == pytest.approx(0.5 + CLICK_SECONDS, abs=FRAME_SECONDS)
    assert not decode(file)[: int(0.4 * SAMPLE_RATE)].any()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_where_nothing_was_recorded_there_is_silence(recordings: Recordings, name: str) -> None:
    file = recordings.encode(name, "aac", recordings.click(48_000, 2), 48_000, video="mpeg4", gap=(1.0, 7.0))
    assert click_seconds(file) == pytest.approx(7.0 + CLICK_SECONDS, abs=FRAME_SECONDS)
    with open_audio(str(file)) as stream:
        assert sum(map(len, stream.blocks())) == pytest.approx(10 * SAMPLE_RATE, abs=0.05 * SAMPLE_RATE)
        assert "silence for 7.0" in str(stream.warning)


def test_time_stamps_that_jump_by_hours_are_not_believed(recordings: Recordings) -> None:
    file = recordings.encode("a.mkv", "aac", recordings.click(48_000, 2), 48_000, gap=(1.0, 40_000.0))
    assert click_seconds(file) == pytest.approx(CLICK_SECONDS, abs=FRAME_SECONDS)
    with open_audio(str(file)) as stream:
        list(stream.blocks())
        assert "time stamps jump" in str(stream.warning)


@pytest.mark.parametrize("damage", [True, False], ids=["overwritten", "inserted"])
def test_what_follows_damage_in_a_flac_keeps_its_time(recordings: Recordings, damage: bool) -> None:
    samples = 0.1 * recordings.noise(5 * 48_000)
    samples[4 * 48_000] = 0.9
    file = recordings.damage(recordings.sound("a.flac", samples, 48_000, "FLAC", "PCM_16"), 0.4, 3_000, damage)
    assert click_seconds(file) == pytest.approx(4.0, abs=0.0001)


def test_duration_is_source_samples_over_source_rate(recordings: Recordings) -> None:
    file = recordings.sound("a.wav", recordings.noise(100_001, 2), 44_100, "WAV", "PCM_16")
    with open_audio(str(file)) as stream:
        assert (stream.sample_rate, stream.channels, stream.duration) == (44_100, 2, 0.0)
        list(stream.blocks())
        assert stream.duration == 100_001 / 44_100


def test_a_bad_sample_is_placed_in_seconds(recordings: Recordings) -> None:
    samples = recordings.noise(100_000)
    samples[66_150] = np.nan
    error = refusal(recordings.sound("a.wav", samples, 44_100, "WAV", "FLOAT"))
    assert error.kind == "samples"
    assert "1.500 s" in error.message


# Memory


@pytest.mark.parametrize(("form", "subtype"), [("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")])
def test_memory_does_not_grow_with_the_recording(recordings: Recordings, form: str, subtype: str) -> None:
    def peak(seconds: int) -> int:
        path = recordings.folder / f"{seconds}.{form}"
        with soundfile.SoundFile(path, "w", 44_100, 1, subtype, format=form) as file:
            for _ in range(seconds):
                file.write(recordings.noise(44_100))
        tracemalloc.start()
        with open_audio(str(path)) as stream:
            for _ in stream.blocks():
                pass
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(40) < 1.2 * peak(5)


def test_many_channels_do_not_make_large_blocks(recordings: Recordings) -> None:
    file = recordings.wav("a.wav", bytes(2 * 1_024 * 48_000), channels=1_024)
    tracemalloc.start()
    decode(file)
    assert tracemalloc.get_traced_memory()[1] < 100_000_000  # all of it, as float32, is 200 MB
    tracemalloc.stop()


# Files, pipes and streams


def test_another_thread_may_read_the_stream(recordings: Recordings) -> None:
    heard: list[int] = []

    def listen(stream: AudioStream) -> None:
        heard.append(sum(map(len, stream.blocks())))

    for make in ("FLAC", "OGG"):
        subtype = {"FLAC": "PCM_16", "OGG": "VORBIS"}[make]
        with open_audio(str(recordings.sound(make, recordings.noise(96_000), 48_000, make, subtype))) as stream:
            thread = threading.Thread(target=listen, args=(stream,))
            thread.start()
            thread.join()
    assert heard == [96_000, 96_000]


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "W64"])
def test_standard_input(recordings: Recordings, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    subtype = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}.get(form, "PCM_16")
    file = recordings.sound("a", recordings.noise(96_000), 48_000, form, subtype)
    expected = decode(file)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    assert np.array_equal(decode("-"), expected)
    assert refusal("-").kind == "empty", "it has been read to its end"


def test_standard_input_that_nothing_comes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert refusal("-").kind == "empty"
    monkeypatch.setattr("sys.stdin", None)
    assert refusal("-").kind == "unreadable"


def test_standard_input_that_breaks_off(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(Broken()))
    assert (refusal("-").kind, "Input/output error" in refusal("-").message) == ("unreadable", True)


def test_a_terminal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, terminal = os.openpty()
    with open(leader, "rb", buffering=0), open(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert "terminal" in refusal("-").message


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "WRITER_SECONDS", 0.05)


def fed(pipe: Path | int, chunks: list[bytes], pause: float = 0.0) -> threading.Thread:
    def write() -> None:
        with open(pipe, "wb") as end:
            for chunk in chunks:
                threading.Event().wait(pause)
                end.write(chunk)
                end.flush()

    thread = threading.Thread(target=write)
    thread.start()
    return thread


@pytest.mark.parametrize("pause", [0.0, 0.2], ids=["at once", "slowly"])
def test_a_named_pipe(recordings: Recordings, no_patience: None, pause: float) -> None:
    pipe = recordings.folder / "pipe.wav"
    os.mkfifo(pipe)
    keep_open = os.open(pipe, os.O_RDWR)
    content = wav_bytes(recordings.pcm())
    writer = fed(pipe, [content[:50_000], content[50_000:]], pause)
    threading.Timer(0.1, os.close, [keep_open]).start()
    assert len(decode(pipe)) == 48_000
    writer.join()


def test_a_shell_s_process_substitution(recordings: Recordings) -> None:
    read_end, write_end = os.pipe()
    writer = fed(write_end, [wav_bytes(recordings.pcm())])
    try:
        assert len(decode(f"/dev/fd/{read_end}")) == 48_000
    finally:
        os.close(read_end)
    writer.join()


def test_a_pipe_that_nothing_writes_into_is_given_up(recordings: Recordings, no_patience: None) -> None:
    os.mkfifo(recordings.folder / "pipe")
    error = refusal(recordings.folder / "pipe")
    assert error.kind == "unreadable"
    assert "nothing writes" in error.message


def test_no_room_for_a_pipe_ends_the_run(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"x" * 100)))
    monkeypatch.setattr("tempfile.tempdir", str(recordings.folder / "nowhere"))
    with pytest.raises(RunError, match="TMPDIR"):
        open_audio("-")


def test_what_cannot_be_opened(recordings: Recordings) -> None:
    link = recordings.folder / "link.wav"
    link.symlink_to("gone.wav")
    knot = recordings.folder / "knot.wav"
    knot.symlink_to("knot.wav")
    assert refusal(recordings.folder / "gone.wav").kind == "missing"
    assert (refusal(link).kind, "dangling link to 'gone.wav'" in refusal(link).message) == ("missing", True)
    assert refusal(knot).kind == "unreadable"
    assert refusal("").kind == "missing"
    assert refusal("a\0b.wav").kind == "missing"
    assert (refusal(recordings.folder).kind, "folder" in refusal(recordings.folder).message) == ("unreadable", True)
    assert (refusal("/dev/null").kind, "device" in refusal("/dev/null").message) == ("unreadable", True)


def test_a_socket_is_refused(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(recordings.folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.wav")
        assert refusal("socket.wav").kind == "unreadable"


def test_a_file_that_may_not_be_read(powerless: Path) -> None:
    file = powerless / "a.wav"
    file.write_bytes(wav_bytes(bytes(100)))
    file.chmod(0)
    assert (refusal(file).kind, "permissions" in refusal(file).message) == ("unreadable", True)


def test_a_file_that_grows_while_it_is_read(recordings: Recordings) -> None:
    file = recordings.wav("a.wav", recordings.pcm(480_000))
    with open_audio(str(file)) as stream, pytest.raises(InputError) as caught:
        for index, _ in enumerate(stream.blocks()):
            if index == 0:
                file.write_bytes(wav_bytes(recordings.pcm(500_000)))
    assert caught.value.kind == "changed"


def test_a_file_that_is_written_over_while_it_is_read(recordings: Recordings) -> None:
    file = recordings.wav("a.wav", recordings.pcm(480_000))
    with open_audio(str(file)) as stream, pytest.raises(InputError) as caught:
        for _ in stream.blocks():
            os.utime(file, ns=(1, 1))
    assert caught.value.kind == "changed"


def test_nothing_named_in_a_file_is_opened(recordings: Recordings) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.2)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/a.wav"
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{address}\n#EXT-X-ENDLIST\n"
        for name in ("a.m3u8", "a.wav"):
            assert refusal(recordings.raw(name, playlist.encode())).kind == "decode"
        with pytest.raises(TimeoutError):
            listener.accept()


def test_reading_may_stop_early(recordings: Recordings) -> None:
    makers: dict[str, Callable[[], Path]] = {
        "libsndfile": lambda: recordings.sound("a.wav", recordings.noise(480_000), 48_000, "WAV", "PCM_16"),
        "ffmpeg": lambda: recordings.encode("a.mp3", "libmp3lame", recordings.noise(480_000), 48_000),
    }
    for make in makers.values():
        with open_audio(str(make())) as stream:
            blocks: Iterator[NDArray[np.float32]] = stream.blocks()
            assert len(next(blocks)) > 0
            assert stream.warning is None
        stream.close()


# Loudness


@pytest.mark.parametrize(
    ("name", "form", "subtype"),
    [
        *(("a.wav", "WAV", "FLOAT"), ("a.wav", "WAV", "DOUBLE"), ("a.aiff", "AIFF", "FLOAT"), ("a.au", "AU", "FLOAT")),
        *(
            ("a.caf", "CAF", "DOUBLE"),
            ("a.w64", "W64", "FLOAT"),
            ("a.rf64", "RF64", "FLOAT"),
        ),
    ],
)
def test_floats_in_the_range_of_integers_are_told_and_left_as_they_are(
    recordings: Recordings, name: str, form: str, subtype: str
) -> None:
    samples = 20_000 * recordings.noise(48_000, 2)
    file = recordings.sound(name, samples, 48_000, form, subtype)
    with open_audio(str(file)) as stream:
        decoded = np.concatenate(list(stream.blocks()))
        (warning,) = stream.warnings
    assert "full scale is 1" in warning
    np.testing.assert_allclose(decoded, samples.mean(axis=1), rtol=1e-5, atol=1e-2)


def test_ffmpeg_s_floats_in_the_range_of_integers_are_told(recordings: Recordings) -> None:
    samples = 20_000 * recordings.noise(48_000, 2)
    with open_audio(str(recordings.encode("a.mkv", "pcm_f32le", samples, 48_000))) as stream:
        decoded = np.concatenate(list(stream.blocks()))
        assert "full scale is 1" in stream.warnings[0]
    assert np.abs(decoded).max() > 1_000


def test_a_recording_that_is_merely_too_loud_is_no_matter(recordings: Recordings) -> None:
    with open_audio(str(recordings.sound("a.wav", 15 * recordings.noise(48_000), 48_000, "WAV", "FLOAT"))) as stream:
        assert len(list(stream.blocks())) > 0
        assert stream.warnings == ()


@pytest.mark.parametrize(
    ("form", "subtype"), [("SVX", "PCM_16"), ("PVF", "PCM_16"), ("MAT5", "FLOAT"), ("WVE", "ALAW")]
)
def test_what_only_libsndfile_reads(recordings: Recordings, form: str, subtype: str) -> None:
    rate = 8_000 if form == "WVE" else 48_000
    samples = decode(recordings.sound("a.odd", recordings.noise(rate), rate, form, subtype))
    assert len(samples) == pytest.approx(48_000, abs=6)
