"""Of a file with several audio tracks, one is heard, and it is said which."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from audio.corpus import Recordings

from pe_audio_cli.audio.decoding import SAMPLE_RATE, open_audio
from pe_audio_cli.errors import InputError, UsageError
from pe_audio_cli.inference.reader import read
from pe_audio_cli.inference.runner import window_options
from pe_audio_cli.inference.tasks.base import EncodeOptions

PITCHES = (440, 880, 1_760)
LANGUAGES = ("eng", "deu", "")


def with_tracks(
    path: Path, pitches: tuple[int, ...] = PITCHES, languages: tuple[str, ...] = ("eng", "deu", "")
) -> Path:
    """A second of a tone in each audio track, with a language and a title where there is a name for it."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("aac", rate=SAMPLE_RATE, layout="mono") for _ in pitches]
        for stream, language in zip(streams, LANGUAGES, strict=False):
            if language:
                stream.metadata.update({"language": language, "title": f"{language} voice"})
        time = np.arange(SAMPLE_RATE, dtype=np.float32) / SAMPLE_RATE
        for begin in range(0, SAMPLE_RATE, 1_024):
            for stream, pitch in zip(streams, pitches, strict=True):
                tone = 0.5 * np.sin(2 * np.pi * pitch * time[begin : begin + 1_024])
                frame = av.AudioFrame.from_ndarray(tone[None].astype(np.float32), format="fltp", layout="mono")
                frame.sample_rate, frame.pts = SAMPLE_RATE, begin
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


def pitch(file: Path, audio_track: int | None) -> tuple[float, tuple[str, ...]]:
    with open_audio(str(file), audio_track) as stream:
        samples = np.concatenate(list(stream.blocks()))[:SAMPLE_RATE]
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
        return float(np.argmax(spectrum)) * SAMPLE_RATE / len(samples), stream.warnings


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov", "a.ts"])
def test_the_track_that_is_asked_for_is_heard(tmp_path: Path, name: str) -> None:
    file = with_tracks(tmp_path / name)
    for number, expected in enumerate(PITCHES, 1):
        found, warnings = pitch(file, number)
        assert found == pytest.approx(expected, abs=5)
        assert warnings == ()


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_which_of_several_was_heard_is_said_where_nobody_chose(tmp_path: Path, name: str) -> None:
    found, warnings = pitch(with_tracks(tmp_path / name), None)
    (warning,) = warnings
    assert "it has 3 audio tracks (1: eng" in warning
    assert "2: deu" in warning
    assert "--audio-track" in warning
    heard = PITCHES.index(min(PITCHES, key=lambda each: abs(each - found))) + 1
    assert f"): {heard} was used" in warning


def test_nothing_is_said_of_a_file_with_one_track(tmp_path: Path) -> None:
    assert pitch(with_tracks(tmp_path / "a.mkv", (440,)), None)[1] == ()


def test_a_track_that_is_not_there_is_an_error_of_that_recording(tmp_path: Path, recordings: Recordings) -> None:
    wav = recordings.sound("a.wav", recordings.noise(48_000), 48_000, "WAV", "PCM_16")
    for file, number, there in ((with_tracks(tmp_path / "a.mkv"), 4, "3 audio tracks"), (wav, 2, "one audio track")):
        with pytest.raises(InputError, match=f"it has {there}, not {number}") as caught:
            open_audio(str(file), number)
        assert caught.value.kind == "no-audio"
    with open_audio(str(wav), 1) as stream:
        assert sum(map(len, stream.blocks())) == 48_000


def test_the_pipeline_hears_the_track(tmp_path: Path) -> None:
    file = with_tracks(tmp_path / "a.mkv")
    *_, end = read([str(file)], window_options("tag"), 2, audio_track=2)
    assert end.recording.warnings == ()
    *_, end = read([str(file)], window_options("tag"), 2, audio_track=9)
    assert end.kind == "no-audio"


def test_tracks_are_counted_from_1() -> None:
    with pytest.raises(UsageError, match="counted from 1"):
        EncodeOptions(window_options("tag"), audio_track=0)
