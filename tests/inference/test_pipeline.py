"""Order, batches, and one bad file among good ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import LEVEL_FACTS, LevelEncoder, write_tone

from pe_audio_cli.audio.framing import WindowOptions
from pe_audio_cli.inference.pipeline import EncodedWindow, encode
from pe_audio_cli.results import FileError, Recording

WINDOWS = WindowOptions(window=1.0, overlap=0.0)


@dataclass
class Finished:
    """The result of a recording: the start and level of each of its windows."""

    recording: Recording
    windows: list[tuple[int, float]]


class Keeper:
    """Keeps what comes."""

    def __init__(self) -> None:
        self.windows: list[tuple[int, float]] = []

    def score(self, window: EncodedWindow) -> tuple[int, float]:
        return window.start_frame, float(window.clip[0])

    def add(self, scored: tuple[int, float]) -> None:
        self.windows.append(scored)

    def finish(self, recording: Recording) -> Finished:
        return Finished(recording, self.windows)


def run(files, encoder=None, options=WINDOWS, **more):
    return list(encode(files, LevelEncoder() if encoder is None else encoder, options, Keeper, **more))


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> list[str]:
    """Twelve recordings of different length and level; every fourth is not a recording."""
    folder = tmp_path_factory.mktemp("tones")
    files = []
    for index in range(12):
        file = folder / f"{index}.wav"
        if index % 4 == 3:
            file.write_text("not a recording")
        else:
            write_tone(file, seconds=[0.5, 1.0, 2.3][index % 3], level=0.01 * (index + 1))
        files.append(str(file))
    return files


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.lists(st.integers(0, 11), max_size=12), batch_size=st.integers(1, 7))
def test_each_input_gives_its_own_outcome_in_order_in_any_batch(tones, order, batch_size):
    files = [tones[index] for index in order]
    outcomes = run(files, batch_size=batch_size)
    assert [o.file if isinstance(o, FileError) else o.recording.file for o in outcomes] == files
    for file, outcome in zip(files, outcomes, strict=True):
        (alone,) = run([file])
        assert type(outcome) is type(alone)
        if isinstance(alone, Finished):
            assert outcome.windows == alone.windows
        else:
            assert outcome.kind == "decode"


def test_windows_of_different_recordings_share_a_batch(tones):
    encoder = LevelEncoder()
    run([tones[1], tones[4], tones[10], tones[1]], encoder, batch_size=4)
    assert encoder.batches == [(4, 25)]


def test_only_windows_of_equal_length_share_a_batch(tones):
    encoder = LevelEncoder()
    run(tones[:3], encoder, batch_size=8)
    lengths = [n_frames for _, n_frames in encoder.batches]
    assert len(lengths) == len(set(lengths))


def test_a_window_that_cannot_be_encoded_costs_only_its_own_recording(tmp_path):
    levels = [0.1, 0.1, 0.9, 0.1]
    files = [str(write_tone(tmp_path / f"{index}.wav", level=level)) for index, level in enumerate(levels)]
    outcomes = run(files, LevelEncoder(too_loud=30), batch_size=4)
    assert [isinstance(outcome, FileError) for outcome in outcomes] == [False, False, True, False]
    assert outcomes[2].kind == "encode"


def test_an_error_found_before_reading_stays_in_its_place(tones):
    missing = FileError("gone.wav", "missing", "not there")
    outcomes = run([tones[0], missing, tones[1]])
    assert outcomes[1] == missing
    assert isinstance(outcomes[2], Finished)


def test_nan_in_the_middle_is_an_error_though_its_beginning_was_encoded(tmp_path):
    import soundfile

    samples = np.zeros(48_000 * 3, np.float32)
    samples[48_000 * 2 + 7] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, 48_000, "FLOAT")
    (outcome,) = run([str(tmp_path / "nan.wav")])
    assert isinstance(outcome, FileError)
    assert outcome.kind == "samples"


def test_results_come_before_later_inputs_are_read(tones):
    """A reader that never ends must not keep back what is done."""

    def endless():
        yield tones[0]
        while True:
            yield tones[1]

    outcomes = encode(endless(), LevelEncoder(), WINDOWS, Keeper)
    assert next(outcomes).recording.file == tones[0]
    outcomes.close()


def test_progress_is_told_piece_by_piece(tmp_path, tones):
    seen = []
    long = str(write_tone(tmp_path / "long.wav", seconds=25.0))
    run([tones[2], long], on_chunk=lambda *told: seen.append(told))
    assert [file for file, _, _ in seen] == [tones[2], long, long, long]
    assert [seconds for _, seconds, _ in seen] == pytest.approx([2.32, 10.0, 10.0, 5.0])
    fractions = [fraction for _, _, fraction in seen[1:]]
    assert fractions == sorted(fractions)
    assert fractions[0] < fractions[-1] == 1.0


def test_overlapping_windows_share_the_work_of_the_codec(tones):
    class Counting(LevelEncoder):
        n_frames = 0

        def encode_codec(self, frames):
            self.n_frames += len(frames)
            return super().encode_codec(frames)

    encoder = Counting(replace(LEVEL_FACTS, context_frames=0))
    (outcome,) = run([tones[2]], encoder, WindowOptions(1.0, 0.48))
    assert len(outcome.windows) > 3
    assert encoder.n_frames == 58


def test_a_fault_in_the_reader_is_not_swallowed():
    def broken():
        yield from ()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(broken())


def test_spectrograms_come_with_the_recordings_where_they_are_asked_for(tones):
    plain, drawn = run(tones), run(tones, spectrograms=True)
    assert plain == drawn
    for before, after in zip(plain, drawn, strict=True):
        if isinstance(after, FileError):
            continue
        assert before.recording.spectrogram is None
        spectrogram = after.recording.spectrogram
        seconds = len(spectrogram.levels) * spectrogram.column_seconds
        assert after.recording.duration <= seconds < after.recording.duration + spectrogram.column_seconds
        loudest = spectrogram.frequencies[spectrogram.levels.max(axis=0).argmax()]
        assert loudest == pytest.approx(440, abs=40)
