"""Timelines for tests of formats: labels of every character, events from real frames, and what a file says of them."""

from __future__ import annotations

import io
import math
import unicodedata

import numpy as np
from hypothesis import strategies as st

from pe_audio_cli.detection.events import find_events
from pe_audio_cli.formats.base import WriteOptions
from pe_audio_cli.formats.registry import writer_for
from pe_audio_cli.options import EventOptions
from pe_audio_cli.results import LocalizeResult, Recording, Result

AWKWARD = "\t\n\r\x0b\x0c\x1c\x85\u2028\u2029\0\x1b\x7f \u00a0\\\"'`,;:#<>&{}[]()=+-@*/|%$~^!?._0aé犬🐕\u202e\ufeff"

surrogates = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=["Cs"])
phrases = st.sampled_from(
    [
        "-->",
        "00:00:01,000 --> 00:00:02,000",
        "NOTE",
        "WEBVTT",
        "<i>",
        "{\\an8}",
        '""',
        "\\\t1.0\t2.0",
        "1\n",
        ";;",
        "item [1]:",
    ]
)
texts = st.lists(st.sampled_from(AWKWARD) | st.characters() | surrogates | phrases, min_size=1, max_size=8).map("".join)
labels = texts.map(str.strip).filter(bool)  # as the command line takes them


@st.composite
def timelines(draw: st.DrawFn, file: str = "clips/a dog.wav") -> LocalizeResult:
    """A recording of up to two seconds, with any activity in its frames, of up to three labels."""
    names = draw(st.lists(labels, min_size=1, max_size=3, unique_by=bare))
    rate = draw(st.sampled_from([8_000, 44_100, 96_000]))
    duration = draw(st.integers(1, 2 * rate)) / rate
    n_frames = math.ceil(duration * 25)
    frames = {
        name: np.array(draw(st.lists(st.sampled_from([0.1, 0.9]), min_size=n_frames, max_size=n_frames)), np.float32)
        for name in names
    }
    events = find_events(frames, duration, EventOptions())
    return LocalizeResult(Recording(file, duration, rate, 2), "m", 0.04, 0.3, tuple(names), events)


def bare(label: str) -> str:
    """Return what any format keeps of a label: labels that differ in it differ everywhere."""
    return "".join(character if character.isalnum() else "_" for character in label)


def plain(label: str) -> str:
    """A label on one line: controls that are white space as blanks, the others as U+FFFD."""
    printable = label.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(map(_plain_character, printable))


def _plain_character(character: str) -> str:
    if unicodedata.category(character) in {"Cc", "Zl", "Zp"} or character == "\ufeff":
        return " " if character.isspace() else "\ufffd"
    return character


def written(name: str, *results: Result) -> str:
    """The whole output of a run of localize."""
    stream = io.StringIO(newline="")
    writer = writer_for(name, "localize")(stream, WriteOptions("localize"))
    writer.open()
    for result in results:
        writer.write(result)
    writer.close()
    return stream.getvalue().encode("utf-8").decode("utf-8")
