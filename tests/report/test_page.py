"""The content of a page, as an HTML parser reads it: complete, bounded, and without external resources."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import Elements, result_of, wandering, write_page

from pe_audio_cli.options import EventOptions
from pe_audio_cli.report import page as report_page
from pe_audio_cli.report.page import PageOptions, PageWriter
from pe_audio_cli.results import FileError, Sound

LABELS = [f"label {place}" for place in range(12)]
noise = np.random.default_rng(0).uniform(-0.5, 0.5, 600 * 48_000).astype(np.float32)


def read(path: Path) -> Elements:
    return Elements(path.read_text(encoding="utf-8"))


def write(path: Path, *results, embed: bool = False) -> list[tuple[str, str]]:
    return write_page(path, results, EventOptions(), embed)


def test_ten_minutes_with_twelve_labels_take_less_than_300_kilobytes(tmp_path):
    result = result_of("x.wav", wandering(LABELS, 600.0), EventOptions(), 600.0, noise)
    write(tmp_path / "report.html", result)
    assert (tmp_path / "report.html").stat().st_size < 300 * 1024


def test_beyond_some_hours_a_recording_takes_no_more_room_however_long_it_is(tmp_path, monkeypatch):
    for name, value in {"EXACT_FRAMES": 4_000, "POOLED_COLUMNS": 256, "LISTED_EVENTS": 50}.items():
        monkeypatch.setattr(report_page, name, value)
    sizes = {}
    for seconds in (10.0, 20.0, 80.0, 320.0):
        result = result_of("x.wav", wandering(LABELS, seconds), EventOptions(), seconds)
        write(tmp_path / "report.html", result)
        (facts,) = read(tmp_path / "report.html").recordings
        assert (facts["pool"] == 1) == (seconds <= 4_000 / 25 / len(LABELS))
        assert facts["eventsFound"] == len(result.events)
        sizes[seconds] = (tmp_path / "report.html").stat().st_size
    assert sizes[320.0] < sizes[20.0] + 1_000


def test_only_the_pages_own_style_and_script_are_let_in(tmp_path):
    write(tmp_path / "report.html", result_of("x.wav", wandering(LABELS[:2], 1.0), EventOptions(), 1.0))
    page = read(tmp_path / "report.html")
    (policy,) = [attributes["content"] for _, attributes, _ in page.found if "http-equiv" in attributes]
    for tag in ("style", "script"):
        (text,) = [text for name, attributes, text in page.found if name == tag and not attributes]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")


def test_nothing_in_the_page_is_elsewhere(tmp_path):
    write(tmp_path / "report.html", result_of("x.wav", wandering(LABELS[:2], 1.0), EventOptions(), 1.0))
    page = read(tmp_path / "report.html")
    names = {name for _, attributes, _ in page.found for name in attributes}
    assert names & {"src", "href", "srcset", "action", "poster"} == set()
    assert "://" not in (tmp_path / "report.html").read_text(encoding="utf-8")


@settings(max_examples=50)
@given(label=st.text(min_size=1), file=st.text(min_size=1), message=st.text())
def test_labels_names_and_errors_of_any_text_stay_data(label, file, message):
    label, file = (text + "</script><!-- <script>" for text in (label, file))
    stream = io.StringIO()
    page = PageWriter(stream, PageOptions("report.html", EventOptions()))
    page.open()
    page.write(result_of(file.replace("\0", ""), {label: np.ones(25, np.float32)}, EventOptions(), 1.0))
    page.write(FileError(file, "decode", message))
    page.close()
    elements = Elements(stream.getvalue())
    good, bad = elements.recordings
    assert (good["file"], good["labels"]) == (file.replace("\0", ""), [label])
    assert bad == {"file": file, "error": message}
    assert [name for name, *_ in elements.found].count("script") == 6


@pytest.mark.parametrize("fits", [True, False])
def test_sound_is_embedded_up_to_some_hours_in_all(tmp_path, monkeypatch, fits):
    monkeypatch.setattr(report_page, "EMBED_SECONDS", 2.0 if fits else 1.9)
    contents = [b"one" * 1_000_000, b"two"]
    results = [
        result_of(
            f"{place}.wav", wandering(["rain"], 1.0), EventOptions(), 1.0, sound=Sound("x/y", io.BytesIO(content))
        )
        for place, content in enumerate(contents)
    ]
    warnings = write(tmp_path / "report.html", *results, embed=True)
    page = read(tmp_path / "report.html")
    sounds = {attributes.get("id"): text for _, attributes, text in page.found}
    assert base64.b64decode(sounds["sound-0"]) == contents[0]
    first, second = page.recordings
    assert (first["soundType"], first["link"]) == ("x/y", None)
    if fits:
        assert base64.b64decode(sounds["sound-1"]) == contents[1]
        assert warnings == []
    else:
        assert (second["soundType"], second["link"]) == (
            None,
            os.path.relpath("1.wav", tmp_path),
        )
        assert [warning.partition(": ")[0] for warning in warnings] == ["1.wav"]


def test_a_recording_too_long_to_keep_its_sound_is_linked_with_a_warning(tmp_path):
    result = result_of(tmp_path / "x.wav", wandering(["rain"], 1.0), EventOptions(), 1.0)
    assert len(write(tmp_path / "report.html", result, embed=True)) == 1
    assert read(tmp_path / "report.html").recordings[0]["link"] == "x.wav"


@pytest.mark.parametrize("name", ["-", "https://example.org/a.wav"])
def test_what_is_no_file_cannot_be_linked(tmp_path, name):
    result = result_of(name, wandering(["rain"], 1.0), EventOptions(), 1.0)
    (warning,) = write(tmp_path / "report.html", result)
    assert warning.startswith(f"{name}: ")
    assert "--embed-audio" in warning
    assert read(tmp_path / "report.html").recordings[0]["link"] is None


def test_the_frequencies_that_are_marked_rise_within_the_picture(tmp_path):
    write(tmp_path / "report.html", result_of("x.wav", wandering(["rain"], 1.0), EventOptions(), 1.0))
    heights = [*read(tmp_path / "report.html").recordings[0]["spectrogram"]["heights"].values()]
    assert heights == sorted(heights)
    assert 0 < heights[0] < heights[-1] < 1
