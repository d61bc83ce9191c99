"""Audacity, Raven and Praat files, read back with pandas and with Praat itself."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import replace
from pathlib import Path

import pandas
import parselmouth
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parselmouth.praat import call
from timelines import plain, timelines, written

from pe_audio_cli.results import Event, FileError, LocalizeResult, Recording

DOG, RAIN = "a dog barking", "rain"
AS_IT_IS = {"sep": "\t", "keep_default_na": False}


def read_audacity(text: str) -> list[tuple[float, float, str]]:
    if not text:
        return []
    table = pandas.read_csv(
        io.StringIO(text, newline=""), header=None, quoting=csv.QUOTE_NONE, dtype={2: str}, **AS_IT_IS
    )
    return list(table.itertuples(index=False, name=None))


def read_raven(text: str) -> pandas.DataFrame:
    return pandas.read_csv(io.StringIO(text, newline=""), dtype={"Label": str}, **AS_IT_IS)


def read_textgrid(text: str, tmp_path: Path) -> dict[str, list[tuple[float, float, str]]]:
    """The intervals of each tier, as Praat itself reads them."""
    file = tmp_path / "x.TextGrid"
    file.write_text(text, encoding="utf-8", newline="")
    grid = parselmouth.Data.read(str(file))
    return {
        call(grid, "Get tier name", tier): [
            (
                call(grid, "Get start time of interval", tier, number),
                call(grid, "Get end time of interval", tier, number),
                call(grid, "Get label of interval", tier, number),
            )
            for number in range(1, call(grid, "Get number of intervals", tier) + 1)
        ]
        for tier in range(1, call(grid, "Get number of tiers") + 1)
    }


def test_an_audacity_track_is_three_columns_in_microseconds(localized: LocalizeResult) -> None:
    assert written("audacity", localized) == (
        "0.560000\t1.200000\ta dog barking\n1.080000\t3.270000\train\n"  # no header
    )
    assert written("audacity", replace(localized, events=())) == ""


@given(timelines())
def test_any_label_reads_back_from_an_audacity_track(result: LocalizeResult) -> None:
    text = written("audacity", result)
    assert not any(line.startswith("\\") for line in text.splitlines()), "it would be a band of frequencies"
    assert read_audacity(text) == [
        (round(event.start, 6), round(event.end, 6), plain(event.label)) for event in result.events
    ]


def test_a_raven_table_has_ravens_columns_and_ours(localized: LocalizeResult) -> None:
    table = read_raven(written("raven", localized))
    assert list(table.columns) == [
        "Selection",
        "View",
        "Channel",
        "Begin Time (s)",
        "End Time (s)",
        "Low Freq (Hz)",
        "High Freq (Hz)",
        "Begin Path",
        "File Offset (s)",
        "Label",
        "Score",
    ]
    path = os.path.abspath("clips/dog.wav")
    assert list(table.itertuples(index=False, name=None)) == [
        (1, "Spectrogram 1", 1, 0.56, 1.2, 0.0, 22050.0, path, 0.56, DOG, 0.93),
        (2, "Spectrogram 1", 1, 1.08, 3.27, 0.0, 22050.0, path, 1.08, RAIN, 0.3),
    ]


def test_a_raven_table_lays_recordings_end_to_end(localized: LocalizeResult, failed: FileError) -> None:
    silent = replace(localized, recording=Recording("quiet.wav", 10.5, 8_000, 1), events=())
    last = replace(localized, recording=Recording("last.wav", 2.0, 8_000, 1), events=(Event(RAIN, 0.0, 2.0, 0.5),))
    table = read_raven(written("raven", localized, failed, silent, last))
    assert list(table["Selection"]) == [1, 2, 3]
    assert list(table["Begin Time (s)"]) == [0.56, 1.08, 13.77]
    assert list(table["End Time (s)"]) == [1.2, 3.27, 15.77]
    assert list(table["File Offset (s)"]) == [0.56, 1.08, 0.0]
    assert list(table["High Freq (Hz)"]) == [22_050.0, 22_050.0, 4_000.0]
    assert [Path(path).name for path in table["Begin Path"]] == ["dog.wav", "dog.wav", "last.wav"]


def test_a_raven_table_without_events_is_a_header(localized: LocalizeResult) -> None:
    table = read_raven(written("raven", replace(localized, events=())))
    assert len(table) == 0
    assert "Begin Path" in table.columns


@given(st.lists(timelines(), max_size=3))
def test_any_label_reads_back_from_a_raven_table(results: list[LocalizeResult]) -> None:
    table = read_raven(written("raven", *results))
    assert list(table["Label"]) == [plain(event.label) for result in results for event in result.events]
    assert list(table["File Offset (s)"]) == [round(event.start, 6) for result in results for event in result.events]
    lengths = [event.end - event.start for result in results for event in result.events]
    assert (table["End Time (s)"] - table["Begin Time (s)"]).tolist() == pytest.approx(lengths, abs=2e-6)


def test_a_textgrid_has_a_tier_for_each_label_in_the_users_order(localized: LocalizeResult, tmp_path: Path) -> None:
    tiers = read_textgrid(written("textgrid", localized), tmp_path)
    assert tiers == {
        RAIN: [(0.0, 1.08, ""), (1.08, 3.27, RAIN)],
        DOG: [(0.0, 0.56, ""), (0.56, 1.2, DOG), (1.2, 3.27, "")],
        "wind": [(0.0, 3.27, "")],
    }
    assert list(tiers) == [RAIN, DOG, "wind"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(result=timelines())
def test_any_label_reads_back_from_a_textgrid_whose_tiers_tile_the_recording(
    result: LocalizeResult, tmp_path: Path
) -> None:
    tiers = read_textgrid(written("textgrid", result), tmp_path)
    assert list(tiers) == list(map(plain, result.labels))
    for label, intervals in zip(result.labels, tiers.values(), strict=True):
        starts, ends, texts = zip(*intervals, strict=True)
        assert (starts[0], ends[-1]) == (0.0, result.recording.duration)
        assert ends[:-1] == starts[1:]
        assert all(start < end for start, end in zip(starts, ends, strict=True))
        assert set(texts) <= {"", plain(label)}
        heard = [(start, end) for start, end, text in intervals if text]
        assert heard == [(event.start, event.end) for event in result.events if event.label == label]


def test_events_of_a_textgrid_that_touch_share_their_boundary(localized: LocalizeResult, tmp_path: Path) -> None:
    events = (Event(RAIN, 0.0, 1.0, 0.5), Event(RAIN, 1.0, 3.27, 0.5))
    tiers = read_textgrid(written("textgrid", replace(localized, labels=(RAIN,), events=events)), tmp_path)
    assert tiers == {RAIN: [(0.0, 1.0, RAIN), (1.0, 3.27, RAIN)]}


@pytest.mark.parametrize("name", ["audacity", "textgrid"])
def test_a_recording_that_failed_is_nowhere(name: str, failed: FileError) -> None:
    assert written(name, failed) == ""
