"""JSON has the documented schemas and numbers, and any name or label reads back."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.formats.base import WriteOptions
from pe_audio_cli.formats.registry import writer_for
from pe_audio_cli.results import Event, FileError, LocalizeResult, Recording, Result, SearchResult, Tag, TagResult

FORMATS = ["json", "jsonl"]

# What a file name that is not UTF-8 looks like in Python: its odd bytes are lone surrogates.
surrogates = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=["Cs"])
texts = st.text(st.characters() | surrogates | st.sampled_from('"\\/\n\r\t\0\x1b\x7f\x85\u2028\u2029'))


def written(name: str, results: list[Result], command: str = "tag") -> str:
    stream = io.StringIO(newline="")
    writer = writer_for(name, command)(stream, WriteOptions(command))
    writer.open()
    for result in results:
        writer.write(result)
    writer.close()
    return stream.getvalue()


def read(name: str, text: str) -> list[dict]:
    return json.loads(text) if name == "json" else [json.loads(line) for line in text.split("\n")[:-1]]


def only(name: str, result: Result) -> dict:
    (found,) = read(name, written(name, [result]))
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_tags(name: str, tagged: TagResult) -> None:
    found = only(name, tagged)
    assert found == {
        "schema": "peaudio.tag/1",
        "file": "clips/dog.wav",
        "duration": 3.27,
        "sample_rate": 44100,
        "channels": 2,
        "model": "mini",
        "windows": 1,
        "tags": [{"label": "a dog barking", "probability": 0.981234}, {"label": "rain", "probability": 0.0}],
    }
    assert list(found) == ["schema", "file", "duration", "sample_rate", "channels", "model", "windows", "tags"]
    assert [list(tag) for tag in found["tags"]] == [["label", "probability"]] * 2


@pytest.mark.parametrize("name", FORMATS)
def test_tags_of_each_window(name: str, tagged_per_window: TagResult) -> None:
    found = only(name, tagged_per_window)
    assert list(found)[-2:] == ["tags", "per_window"]
    assert [list(window) for window in found["per_window"]] == [["start", "end", "tags"]] * 2
    assert found["per_window"][1] == {
        "start": 15.68,
        "end": 45.68,
        "tags": [{"label": "dog", "probability": 0.75}, {"label": "rain", "probability": 0.125}],
    }


@pytest.mark.parametrize("name", FORMATS)
def test_events(name: str, localized: LocalizeResult) -> None:
    found = only(name, localized)
    assert found == {
        "schema": "peaudio.localize/1",
        "file": "clips/dog.wav",
        "duration": 3.27,
        "sample_rate": 44100,
        "channels": 2,
        "model": "mini",
        "frame_seconds": 0.04,
        "threshold": 0.3,
        "events": [
            {"label": "a dog barking", "start": 0.56, "end": 1.2, "probability": 0.93},
            {"label": "rain", "start": 1.08, "end": 3.27, "probability": 0.3},
        ],
    }
    recording = ["schema", "file", "duration", "sample_rate", "channels"]
    assert list(found) == [*recording, "model", "frame_seconds", "threshold", "events"]
    assert [list(event) for event in found["events"]] == [["label", "start", "end", "probability"]] * 2


@pytest.mark.parametrize("name", FORMATS)
def test_frames_where_they_were_asked_for(name: str, localized_frames: LocalizeResult) -> None:
    found = only(name, localized_frames)
    assert list(found)[-2:] == ["events", "frames"]
    assert found["frames"] == {"rain": [0.1, 0.333333, 1.0], "a dog barking": [0.0, 0.0, 0.0]}


@pytest.mark.parametrize("name", FORMATS)
def test_warnings_where_there_are_any(name: str, tagged: TagResult, localized: LocalizeResult) -> None:
    for result in (tagged, localized):
        recording = replace(result.recording, warnings=("damaged at 1.000 s", 'odd "\x1b"'))
        assert only(name, replace(result, recording=recording))["warnings"] == list(recording.warnings)
        assert "warnings" not in only(name, result)
    found = SearchResult("a.wav", "similarity", (), ("cut short",))
    assert only(name, found) == {
        "schema": "peaudio.search/1",
        "query": "a.wav",
        "warnings": ["cut short"],
        "hits": [],
    }


@pytest.mark.parametrize("name", FORMATS)
def test_errors(name: str, failed: FileError) -> None:
    found = only(name, failed)
    assert found == {
        "schema": "peaudio.error/1",
        "file": "clips/bad.wav",
        "error": {"kind": "decode", "message": "it is text, not a recording"},
    }
    assert [list(found), list(found["error"])] == [["schema", "file", "error"], ["kind", "message"]]


@pytest.mark.parametrize("name", FORMATS)
@given(st.lists(st.tuples(texts, texts), max_size=4))
def test_any_name_and_label_reads_back_from_utf8_lines(name: str, pairs: list[tuple[str, str]]) -> None:
    results = [
        LocalizeResult(
            Recording(file, 1.0, 48_000, 1),
            label,
            0.04,
            0.3,
            (label,),
            (Event(label, 0.0, 1.0, 0.5),),
            {label: np.zeros(1, np.float32)},
        )
        for file, label in pairs
    ]
    text = written(name, results, "localize")
    found = read(name, text.encode("utf-8").decode("utf-8"))
    assert [(each["file"], each["events"][0]["label"], *each["frames"]) for each in found] == [
        (file, label, label) for file, label in pairs
    ]
    brackets = 0 if name == "jsonl" else 2
    assert len(text.splitlines()) == len(pairs) + brackets


def test_letters_of_any_script_stay_readable(tagged: TagResult) -> None:
    text = written("jsonl", [replace(tagged, tags=(Tag("犬が吠える Größe 🐕", 0.5),))])
    assert "犬が吠える Größe 🐕" in text


def test_json_is_one_array_of_one_object_a_line(tagged: TagResult, failed: FileError) -> None:
    lines = written("json", [tagged, failed]).splitlines()
    assert (lines[0], lines[-1]) == ("[", "]")
    assert [json.loads(line.removesuffix(","))["schema"] for line in lines[1:-1]] == [
        "peaudio.tag/1",
        "peaudio.error/1",
    ]


def test_no_results_are_an_empty_array_and_no_lines() -> None:
    assert json.loads(written("json", [])) == []
    assert written("jsonl", []) == ""


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_know_is_an_error(name: str, value: float, tagged: TagResult) -> None:
    with pytest.raises(ValueError, match="JSON"):
        written(name, [replace(tagged, tags=(Tag("dog", value),))])


@given(st.floats(0, 1, width=32), st.floats(0, 1e6))
def test_numbers_are_rounded_to_their_decimals(probability: float, duration: float) -> None:
    recording = Recording("a.wav", duration, 48_000, 1)
    found = only("jsonl", TagResult(recording, "mini", 1, (Tag("dog", probability),)))
    assert found["tags"][0]["probability"] == float(f"{probability:.6f}")
    assert found["duration"] == float(f"{duration:.3f}")
