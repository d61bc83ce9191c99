"""Subtitles read back with webvtt-py and pysubs2."""

from __future__ import annotations

import html
import io
import unicodedata
from dataclasses import replace

import pysubs2
import pytest
import webvtt
from hypothesis import given
from timelines import plain, timelines, written

from pe_audio_cli.results import Event, LocalizeResult

HOURS = (Event("rain", 3599.9996, 360_000.0, 0.5), Event("rain", 360_000.04, 360_000.0403, 0.5))


def read_vtt(text: str) -> list[tuple[str, str, str]]:
    cues = webvtt.from_buffer(io.StringIO(text, newline=""))
    return [(cue.start, cue.end, html.unescape(cue.raw_text)) for cue in cues]


def read_srt(text: str) -> list[tuple[int, int, str]]:
    return [(line.start, line.end, line.plaintext) for line in pysubs2.SSAFile.from_string(text, format_="srt")]


def test_vtt_is_a_cue_for_each_event(localized: LocalizeResult) -> None:
    assert written("vtt", localized) == (
        "WEBVTT\n\n00:00:00.560 --> 00:00:01.200\na dog barking\n\n00:00:01.080 --> 00:00:03.270\nrain\n"
    )
    assert written("vtt", replace(localized, events=())) == "WEBVTT\n"


def test_srt_is_counted_from_1_and_has_decimal_commas(localized: LocalizeResult) -> None:
    assert written("srt", localized) == (
        "1\n00:00:00,560 --> 00:00:01,200\na dog barking\n\n2\n00:00:01,080 --> 00:00:03,270\nrain\n\n"
    )
    assert written("srt", replace(localized, events=())) == ""


@pytest.mark.parametrize("name", ["vtt", "srt"])
def test_times_carry_over_and_each_event_lasts_a_millisecond_at_least(name: str, localized: LocalizeResult) -> None:
    text = written(name, replace(localized, events=HOURS)).replace(",", ".")
    assert "01:00:00.000 --> 100:00:00.000\n" in text
    assert "100:00:00.040 --> 100:00:00.041\n" in text


def test_markup_is_text_in_vtt(localized: LocalizeResult) -> None:
    text = written("vtt", replace(localized, events=(Event("<b>R&B</b> --> &amp;", 0.0, 1.0, 0.5),)))
    assert text.endswith("\n&lt;b&gt;R&amp;B&lt;/b&gt; --&gt; &amp;amp;\n")
    assert text.count("-->") == 1


def test_markup_is_text_in_srt(localized: LocalizeResult) -> None:
    label = r"<b>bold</b> {\an8}top \Nline --> C:\x"
    ((_, _, shown),) = read_srt(written("srt", replace(localized, events=(Event(label, 0.0, 1.0, 0.5),))))
    assert shown != label
    assert unicodedata.normalize("NFKC", shown) == label


@given(timelines())
def test_any_label_reads_back_from_vtt(result: LocalizeResult) -> None:
    cues = read_vtt(written("vtt", result))
    assert [text for _, _, text in cues] == [plain(event.label) for event in result.events]
    assert [start for start, _, _ in cues] == sorted(start for start, _, _ in cues)
    assert all(start < end for start, end, _ in cues)


@given(timelines())
def test_any_label_reads_back_from_srt(result: LocalizeResult) -> None:
    lines = read_srt(written("srt", result))
    assert [(start, end) for start, end, _ in lines] == [
        (round(event.start * 1000), max(round(event.end * 1000), round(event.start * 1000) + 1))
        for event in result.events
    ]
    for (_, _, text), event in zip(lines, result.events, strict=True):
        assert unicodedata.normalize("NFKC", text) == unicodedata.normalize("NFKC", plain(event.label))
