"""RTTM read back with pyannote.database, DCASE's event lists with pandas, as DESED's own tools do."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyannote.database.util import load_rttm
from timelines import bare, plain, timelines, written

from pe_audio_cli.results import FileError, LocalizeResult, Recording


def read_rttm(text: str) -> dict[str, list[tuple[float, float, str]]]:
    return {
        file: [(segment.start, segment.end, label) for segment, _, label in found.itertracks(yield_label=True)]
        for file, found in load_rttm(io.StringIO(text, newline="")).items()
    }


def read_dcase(text: str) -> pandas.DataFrame:
    return pandas.read_csv(
        io.StringIO(text, newline=""), sep="\t", na_values=[""], keep_default_na=False, dtype={"event_label": str}
    )


def test_rttm_has_ten_fields_with_a_duration_and_the_confidence(localized: LocalizeResult) -> None:
    assert written("rttm", localized) == (
        "SPEAKER dog 1 0.560000 0.640000 <NA> <NA> a_dog_barking 0.930000 <NA>\n"
        "SPEAKER dog 1 1.080000 2.190000 <NA> <NA> rain 0.300000 <NA>\n"
    )
    assert written("rttm", replace(localized, events=())) == ""


def test_rttm_holds_several_recordings_by_their_base_names(localized: LocalizeResult, failed: FileError) -> None:
    other = replace(localized, recording=Recording("other/my cat.flac", 3.27, 8_000, 1))
    found = read_rttm(written("rttm", localized, failed, other))
    assert found.keys() == {"dog", "my_cat"}
    for events in found.values():
        assert [(start, pytest.approx(end), name) for start, end, name in events] == [
            (0.56, 1.2, "a_dog_barking"),
            (1.08, 3.27, "rain"),
        ]


@given(timelines())
def test_any_label_is_one_word_of_rttm(result: LocalizeResult) -> None:
    text = written("rttm", result)
    assert all(len(line.split()) == 10 for line in text.splitlines())
    if not result.events:
        return
    ((file, found),) = read_rttm(text).items()
    assert file == "a_dog"
    expected = [
        (event.start, event.end, re.sub(r"\s", "_", plain(event.label)).replace('"', "'")) for event in result.events
    ]
    for (start, end, label), (onset, offset, name) in zip(sorted(found), sorted(expected), strict=True):
        assert (start, end) == pytest.approx((onset, offset), abs=1e-6)
        assert bare(label) == bare(name)


def test_dcase_has_a_header_and_keeps_recordings_without_events(localized: LocalizeResult, failed: FileError) -> None:
    silent = replace(localized, recording=Recording("clips/quiet.wav", 1.0, 8_000, 1), events=())
    text = written("dcase", localized, failed, silent)
    assert text == (
        "filename\tonset\toffset\tevent_label\n"
        "clips/dog.wav\t0.560000\t1.200000\ta dog barking\n"
        "clips/dog.wav\t1.080000\t3.270000\train\n"
        "clips/quiet.wav\t\t\t\n"
    )
    table = read_dcase(text)
    assert list(table["filename"].unique()) == ["clips/dog.wav", "clips/quiet.wav"]
    assert table[table["filename"] == "clips/quiet.wav"].isna().sum(axis=1).tolist() == [3]


@given(st.lists(timelines(), max_size=3))
def test_any_label_reads_back_from_dcase(results: list[LocalizeResult]) -> None:
    table = read_dcase(written("dcase", *results))
    assert len(table) == sum(max(len(result.events), 1) for result in results)
    table = table.dropna()
    events = [event for result in results for event in result.events]
    assert list(table["event_label"]) == [plain(event.label) for event in events]
    assert list(zip(table["onset"], table["offset"], strict=True)) == [
        (round(event.start, 6), round(event.end, 6)) for event in events
    ]
