"""Progress, speed and the forecast of a run, whatever is known of its recordings."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.cli.forecast import Forecast, length_text


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def sized(tmp_path: Path, name: str, n_bytes: int) -> str:
    (tmp_path / name).write_bytes(bytes(n_bytes))
    return str(tmp_path / name)


def test_a_long_recording_has_a_total_a_speed_and_a_named_time_left(tmp_path):
    clock = Clock()
    file = sized(tmp_path, "night.flac", 36_000)
    forecast = Forecast([file], clock)
    assert forecast.text() == "0/1"
    for minute in range(1, 11):
        forecast.chunk(file, 60.0, minute / 60)
        clock.now += 4
    assert forecast.seconds_left == pytest.approx(50 * 40 / 9)  # nine minutes in forty seconds
    assert forecast.text() == "0/1  10:00 of about 1:00:00  14 times real time  3:42 left"
    forecast.done(file)
    assert forecast.completed == forecast.total and forecast.seconds_left == 0


@pytest.mark.parametrize("unknown", ["https://example.org/a.wav", "-", "gone.wav", "x\0y"])
def test_a_recording_of_unknown_length_counts_as_much_as_the_others(unknown, tmp_path):
    clock = Clock()
    files = [sized(tmp_path, "a.wav", 3_000), unknown, sized(tmp_path, "b.wav", 1_000), unknown]
    forecast = Forecast(files, clock)
    for file in files[:2]:
        for fraction in (0.25, 0.5, 0.75, 1.0):
            forecast.chunk(file, 1.0, fraction)
            clock.now += 1
        forecast.done(file)
    assert forecast.completed / forecast.total == pytest.approx(5 / 8)
    assert 0 < forecast.seconds_left < 10
    for file in files[2:]:
        forecast.done(file)
    assert forecast.completed == forecast.total and forecast.text().startswith("4/4")


def test_what_an_earlier_run_has_done_is_no_measure_of_speed(tmp_path):
    clock = Clock()
    files = [sized(tmp_path, f"{number}.wav", 1_000) for number in range(10)]
    forecast = Forecast(files, clock)
    for file in files[:5]:
        forecast.done(file)
    clock.now += 10  # the model is loaded
    for file in files[5:7]:
        forecast.chunk(file, 60.0, 1.0)
        forecast.done(file)
        clock.now += 10
    assert forecast.seconds_left == pytest.approx(3 * 20)
    forecast.done(files[7])  # cannot be read, which takes no time
    assert forecast.seconds_left == pytest.approx(2 * 20)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 100), st.floats(-1, 2), st.floats(0, 100), st.booleans())),
)
def test_it_never_goes_beyond_its_end_and_never_raises(steps):
    clock = Clock()
    forecast = Forecast([f"{number}.wav" for number in range(3)], clock)
    for number, seconds, fraction, passed, is_done in steps:
        clock.now += passed
        if is_done:
            forecast.done(f"{number}.wav")
        else:
            forecast.chunk(f"{number}.wav", seconds, fraction)
        assert 0 <= forecast.completed <= forecast.total
        assert forecast.seconds_left is None or forecast.seconds_left >= 0
        assert "\n" not in forecast.text()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.4, "0:59"), (200, "3:20"), (3599.6, "1:00:00"), (7325, "2:02:05")]
)
def test_lengths_in_words(seconds, text):
    assert length_text(seconds) == text
