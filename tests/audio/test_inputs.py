"""Recordings that are handed over as data: bytes, open files, samples with their rate."""

from __future__ import annotations

import gzip
import io
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from support import write_tone

from pe_audio_cli.audio.decoding import open_audio
from pe_audio_cli.audio.find import find_recordings
from pe_audio_cli.audio.framing import WindowOptions
from pe_audio_cli.audio.inputs import listed
from pe_audio_cli.errors import InputError, UsageError
from pe_audio_cli.inference.reader import RecordingBegin, RecordingEnd, read

NAN, INFINITY = float("nan"), float("inf")
SUBTYPES = {"uint8": "PCM_U8", "int16": "PCM_16", "int32": "PCM_32", "float32": "FLOAT", "float64": "DOUBLE"}


def decoded(recording: object) -> tuple[np.ndarray, float, int, int, tuple[str, ...]]:
    """Decode an input; return its samples, facts and warnings."""
    (name,) = listed(recording)
    with open_audio(name) as stream:
        samples = np.concatenate(list(stream.blocks()))
        return samples, stream.duration, stream.sample_rate, stream.channels, stream.warnings


def error_of(recording: object) -> InputError:
    with pytest.raises(InputError) as raised:
        decoded(recording)
    assert "\n" not in str(raised.value)
    return raised.value


def noise(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(len(shape))
    if kind.startswith("float"):
        return rng.uniform(-1, 1, shape).astype(kind)
    limits = np.iinfo(kind)
    return rng.integers(limits.min, limits.max, shape, kind, endpoint=True)


def same(one: tuple, other: tuple) -> bool:
    return np.array_equal(one[0], other[0]) and one[1:] == other[1:]


@pytest.mark.parametrize("kind", SUBTYPES)
@pytest.mark.parametrize("shape", [(100_000,), (100_000, 1), (100_000, 2), (30_000, 5)])
@pytest.mark.parametrize("rate", [48_000, 44_100])
def test_samples_are_heard_as_a_wav_file_of_them_is(tmp_path, kind, shape, rate):
    samples = noise(kind, shape)
    if kind == "uint8":  # which soundfile does not write from bytes
        raw = samples.astype(np.int16) - 128 << 8
        soundfile.write(tmp_path / "a.wav", raw, rate, "PCM_U8")
    else:
        soundfile.write(tmp_path / "a.wav", samples, rate, SUBTYPES[kind])
    assert same(decoded((samples, rate)), decoded(tmp_path / "a.wav"))


@settings(max_examples=50)
@given(
    n_samples=st.integers(1, 300_000),
    rate=st.sampled_from([1_000, 8_000, 44_100, 48_000, 192_000, 768_000]),
    step=st.sampled_from([1, 2, -1]),
)
def test_the_duration_is_that_of_the_samples_however_they_lie_in_memory(n_samples, rate, step):
    samples = noise("float32", (n_samples,))[::step]
    heard, duration, *_ = decoded((samples, rate))
    assert duration == len(samples) / rate
    if rate == 48_000:
        np.testing.assert_array_equal(heard, samples)


def test_samples_of_other_kinds_that_are_arrays_are_taken():
    samples = noise("float32", (5_000, 2))
    expected = decoded((samples, 48_000))
    assert same(decoded((samples.tolist(), 48_000)), expected)
    assert same(decoded((samples.astype(">f4"), np.int64(48_000))), expected)
    assert same(decoded((np.asfortranarray(samples), 48_000.0)), expected)
    half = samples.astype(np.float16)
    assert same(decoded((half, 48_000)), decoded((half.astype(np.float32), 48_000)))


def test_the_samples_themselves_stay_as_they_are():
    samples = noise("float32", (5_000, 2))
    before = samples.copy()
    decoded((samples, 44_100))
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize(
    ("samples", "rate", "kind", "told"),
    [
        (np.zeros(10), 0, "samples", "from 1000 to 768000"),
        (np.zeros(10), -44_100, "samples", "sample rate"),
        (np.zeros(10), 999_999, "samples", "sample rate"),
        (np.zeros(10), 44_100.5, "samples", "whole number"),
        (np.zeros(10), NAN, "samples", "sample rate"),
        (np.zeros(10), INFINITY, "samples", "sample rate"),
        (np.zeros(10), None, "samples", "sample rate"),
        (np.zeros(10), True, "samples", "sample rate"),
        (np.zeros(10), "44100", "samples", "sample rate"),
        (np.zeros(10), 44_100 + 0j, "samples", "sample rate"),
        (np.zeros(0), 44_100, "empty", "no samples"),
        (np.zeros((0, 2)), 44_100, "empty", "no samples"),
        (np.zeros((10, 0)), 44_100, "empty", "no samples"),
        ([], 44_100, "empty", "no samples"),
        (np.float32(0.5), 44_100, "samples", "shape"),
        (np.zeros((2, 2, 2)), 44_100, "samples", "shape"),
        (np.zeros((2, 48_000)), 44_100, "samples", "channels last"),
        (np.zeros((5_000, 2_000)), 44_100, "samples", "channels last"),
        (np.zeros(10, np.int64), 44_100, "samples", "int64"),
        (np.zeros(10, np.int8), 44_100, "samples", "int8"),
        (np.zeros(10, bool), 44_100, "samples", "bool"),
        (np.zeros(10, complex), 44_100, "samples", "complex"),
        (["loud", "quiet"], 44_100, "samples", "type"),
        ([[1.0], [1.0, 2.0]], 44_100, "samples", "no array"),
        (np.array([0.0, NAN]), 44_100, "samples", "NaN"),
        (np.array([0.0, -INFINITY]), 44_100, "samples", "infinite"),
        (np.array([0.0, 1e300]), 44_100, "samples", "infinite"),
    ],
)
def test_samples_that_cannot_be_heard_are_that_inputs_error(samples, rate, kind, told):
    error = error_of((samples, rate))
    assert (error.file, error.kind) == ("<samples>", kind)
    assert told in error.message
    assert len(error.message) < 250


def test_integers_handed_over_as_floats_are_warned_of():
    *_, warnings = decoded((noise("int16", (5_000,)).astype(np.float32), 44_100))
    assert "full scale is 1" in warnings[0]


def test_samples_have_one_track():
    (name,) = listed((np.zeros(10), 48_000))
    with open_audio(name, audio_track=1) as stream:
        assert sum(map(len, stream.blocks())) == 10
    with pytest.raises(InputError, match="it has one audio track, not 2"):
        open_audio(name, audio_track=2)


def test_progress_through_samples_ends_at_one():
    (name,) = listed((np.zeros(500_000), 48_000))
    with open_audio(name) as stream:
        fractions = [stream.fraction for _ in stream.blocks()]
    assert fractions == sorted(fractions)
    assert fractions[0] < 0.5
    assert fractions[-1] == 1.0


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg"])
def test_encoded_bytes_are_heard_as_the_file_is(tmp_path, name):
    soundfile.write(tmp_path / name, noise("float32", (100_000, 2)), 44_100)
    content = (tmp_path / name).read_bytes()
    expected = decoded(tmp_path / name)
    for kind in (bytes, bytearray, memoryview, io.BytesIO):
        assert same(decoded(kind(content)), expected)
    with open(tmp_path / name, "rb") as opened:
        opened.read(1_000)
        assert same(decoded(opened), expected), "it is read from its beginning"
        assert same(decoded(opened), expected), "and again"
        assert not opened.closed


def test_a_file_that_cannot_seek_is_read_from_where_it_is(tmp_path):
    content = write_tone(tmp_path / "a.wav", seconds=3).read_bytes()
    reader, writer = os.pipe()
    thread = threading.Thread(target=lambda: (os.write(writer, b"skipped"), _write(writer, content)))
    thread.start()
    with open(reader, "rb", buffering=0) as pipe:
        assert pipe.read(7) == b"skipped"
        assert same(decoded(pipe), decoded(tmp_path / "a.wav"))
    thread.join()


def _write(writer: int, content: bytes) -> None:
    with open(writer, "wb") as opened:
        opened.write(content)


def test_a_file_that_is_unpacked_as_it_is_read_is_heard(tmp_path):
    content = write_tone(tmp_path / "a.wav", seconds=1).read_bytes()
    packed = gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(content)))
    assert same(decoded(packed), decoded(tmp_path / "a.wav"))


@pytest.mark.parametrize("content", [b"", b"no sound", b"RIFF\0\0\0\0WAVE"])
def test_bytes_that_are_no_recording_are_that_inputs_error(content):
    assert error_of(content).file == "<bytes>"


def test_files_that_give_no_bytes_are_refused_with_a_remedy(tmp_path):
    path = write_tone(tmp_path / "a.wav")
    closed = path.open("rb")
    closed.close()
    with path.open("wb") as written, path.open(encoding="latin-1") as text:
        for opened in (closed, written, text, io.StringIO("sound"), io.StringIO("")):
            error = error_of(opened)
            assert error.kind == "unreadable"
            assert "for reading bytes" in error.message


def test_what_each_input_is_called(tmp_path):
    path = write_tone(tmp_path / "a.wav")
    named, nameless = io.BytesIO(), io.BytesIO()
    named.name = "-"
    with path.open("rb") as opened:
        inputs = [path, str(path), b"", nameless, named, opened, (np.zeros(1), 48_000), ([0.0], 48_000)]
        names = listed(inputs)
    assert names == [str(path), str(path), "<bytes>", "<bytes>", "-", str(path), "<samples>", "<samples>"]


def test_one_input_is_told_from_several():
    array = np.zeros(10)
    assert listed("a.wav") == ["a.wav"]
    assert listed(("a.wav", "b.wav")) == ["a.wav", "b.wav"]
    assert listed((array, 48_000)) == listed([(array, 48_000)]) == ["<samples>"]
    assert listed(((array, 48_000), (array, 44_100))) == ["<samples>"] * 2
    assert listed((b"a", b"b")) == ["<bytes>"] * 2
    assert listed(Path(name) for name in "ab") == ["a", "b"]
    assert listed([]) == []


@pytest.mark.parametrize("wrong", [np.zeros(10), [np.zeros(10)], 5, None, ["a.wav", None], ([0.5] * 3, 1, 2), {1: 2}])
def test_what_is_no_input_is_refused_at_once(wrong):
    with pytest.raises(UsageError, match=r"\(samples, 44100\)"):
        listed(wrong)


def test_an_open_file_is_itself_whatever_it_is_called(tmp_path):
    content = write_tone(tmp_path / "a.wav").read_bytes()
    for name in ("-", "https://localhost/a.wav", str(tmp_path), "*.wav", "nowhere.wav"):
        opened = io.BytesIO(content)
        opened.name = name
        (found,) = find_recordings(listed(opened))
        assert found == name
        assert same(decoded([found]), decoded(tmp_path / "a.wav"))


def test_results_do_not_hold_on_to_the_data_that_they_are_of():
    names = listed([(np.zeros(48_000), 48_000), b"no sound"])
    news = list(read(names, WindowOptions(), 0))
    begins = [item.file for item in news if isinstance(item, RecordingBegin)]
    assert begins == ["<samples>", "<bytes>"]
    (end,) = (item for item in news if isinstance(item, RecordingEnd))
    for name in (*begins, end.recording.file, news[-1].file):
        assert type(name) is str


def test_data_inputs_need_no_numpy():
    import subprocess

    code = "import sys, pe_audio_cli.audio.inputs; print('numpy' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
