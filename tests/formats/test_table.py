"""Tables fit, can be read without colour, show text as it is, and cannot be used to drive a terminal."""

from __future__ import annotations

import io
import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from pe_audio_cli.formats.base import WriteOptions
from pe_audio_cli.formats.table import TableWriter
from pe_audio_cli.results import Event, FileError, LocalizeResult, Recording, Result, Tag, TagResult

STYLES = re.compile(r"\x1b\[[0-9;]*m")
LONG = "rain falling on the corrugated iron roof of a very old and rather leaky wooden house in the hills"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


def shown(*results: Result, stream: io.StringIO | None = None) -> str:
    stream = io.StringIO() if stream is None else stream
    writer = TableWriter(stream, WriteOptions("tag" if isinstance(results[0], TagResult) else "localize"))
    writer.open()
    for result in results:
        writer.write(result)
    writer.close()
    return stream.getvalue()


def widest(text: str) -> int:
    return max(cell_len(line) for line in STYLES.sub("", text).split("\n"))


def rows(text: str) -> list[list[str]]:
    """The cells of the lines, told apart by two blanks or more."""
    return [re.split(r"\s{2,}", line.strip()) for line in STYLES.sub("", text).split("\n") if line.strip()]


def test_tags_are_a_heading_and_one_row_each(tagged: TagResult) -> None:
    heading, header, rule, *body = rows(shown(tagged))
    assert heading == ["clips/dog.wav", "3.27 s · 44.1 kHz · stereo"]
    assert header == ["label", "probability"]
    assert set(rule[0]) == {"─"}
    assert body == [["a dog barking", "0.981", "█" * 19 + "▌"], ["rain", "0.000"]]


def test_tags_of_windows_carry_their_times(tagged_per_window: TagResult) -> None:
    _, header, _, *body = rows(shown(tagged_per_window))
    assert header == ["start", "end", "label", "probability"]
    assert [row[:4] for row in body] == [
        ["0.00 s", "30.00 s", "rain", "0.500"],
        ["0.00 s", "30.00 s", "dog", "0.250"],
        ["15.68 s", "45.68 s", "dog", "0.750"],
        ["15.68 s", "45.68 s", "rain", "0.125"],
    ]


def test_events_are_one_row_each_without_a_timeline_where_there_is_no_terminal(localized: LocalizeResult) -> None:
    _, header, _, *body = rows(shown(localized))
    assert header == ["start", "end", "label", "probability"]
    assert body == [["0.56 s", "1.20 s", "a dog barking", "0.930"], ["1.08 s", "3.27 s", "rain", "0.300"]]


def test_a_terminal_gets_a_timeline_with_one_row_a_label_in_the_users_order(
    localized: LocalizeResult, terminal: Terminal
) -> None:
    lines = STYLES.sub("", shown(localized, stream=terminal)).split("\n")
    timeline = [line for line in lines if line.endswith("│")]
    assert [line.split("│")[0].strip() for line in timeline] == ["rain", "a dog barking", "wind"]
    strips = [line.split("│")[1] for line in timeline]
    (width,) = {len(each) for each in strips}
    first, last = round(0.56 / 3.27 * width), round(1.2 / 3.27 * width)
    assert strips[1].strip() == "█" * len(strips[1].strip())
    assert abs(strips[1].index("█") - first) <= 1
    assert abs(len(strips[1].rstrip()) - last) <= 1
    assert strips[0].endswith("▃")
    assert strips[2].strip() == ""
    assert lines[lines.index(timeline[-1]) + 1].strip().startswith("└┬─")
    ticks = re.findall(r"[\d.]+ s", lines[lines.index(timeline[-1]) + 2])
    assert ticks == ["0.0 s", "0.5 s", "1.0 s", "1.5 s", "2.0 s", "2.5 s", "3.0 s"]


@pytest.mark.parametrize("stream", [None, "terminal"])
def test_no_events_and_no_tags_say_so(
    stream: str | None, localized: LocalizeResult, tagged: TagResult, terminal: Terminal
) -> None:
    there = None if stream is None else terminal
    assert rows(shown(replace(localized, events=()), stream=there))[1] == ["no events above 0.3"]
    assert ["no label to show"] in rows(shown(replace(tagged, tags=()), stream=there))


def test_an_error_is_not_shown(failed: FileError, tagged: TagResult) -> None:
    assert shown(failed) == ""
    assert shown(failed, tagged, failed) == shown(tagged)


@pytest.mark.parametrize("n_labels", [1, 5, 12, 50])
@pytest.mark.parametrize("duration", [0.0001, 0.9, 5.0, 75.0, 7_200.0, 200_000.0])
def test_everything_fits_in_80_columns(n_labels: int, duration: float, terminal: Terminal) -> None:
    labels = tuple(f"{LONG} {index}" if index % 3 == 0 else f"label {index}" for index in range(n_labels))
    recording = Recording("a folder/" * 20 + "recording.wav", duration, 44_100, 6)
    events = tuple(Event(label, 0.0, duration, 0.5) for label in labels)
    result = LocalizeResult(recording, "mini", 0.04, 0.3, labels, events)
    tags = TagResult(recording, "mini", 1, tuple(Tag(label, 1.0) for label in labels))
    assert widest(shown(tags)) <= 80
    assert widest(shown(result)) <= 80
    assert widest(shown(result, tags, stream=terminal)) <= 80


def test_plain_text_uses_80_columns_whatever_terminal_stands_by(tagged: TagResult) -> None:
    assert widest(shown(replace(tagged, recording=replace(tagged.recording, file="x" * 200)))) == 80


@pytest.mark.parametrize("columns", [1, 20, 40, 200])
def test_columns_are_obeyed(columns: int, localized: LocalizeResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert widest(shown(localized)) <= columns
    assert widest(shown(localized, stream=Terminal())) <= columns
    if columns == 200:
        assert widest(shown(localized, stream=Terminal())) > 190


def test_a_long_label_is_whole_in_the_table_and_cut_short_in_the_timeline(
    localized: LocalizeResult, terminal: Terminal
) -> None:
    result = replace(localized, labels=(LONG,), events=(Event(LONG, 0.0, 1.0, 0.5),))
    timeline, table = STYLES.sub("", shown(result, stream=terminal)).split("label", 1)
    assert " rain falling on the corru… │" in timeline
    words = [word for word in table.split() if word in LONG.split()]
    assert " ".join(words) == LONG


def test_markup_and_emoji_codes_are_shown_as_they_are(localized: LocalizeResult, terminal: Terminal) -> None:
    label = "[bold]dog[/bold] :dog: [/]"
    recording = replace(localized.recording, file="[red]a[/red].wav")
    result = replace(localized, recording=recording, labels=(label,), events=(Event(label, 0.0, 1.0, 0.5),))
    text = STYLES.sub("", shown(result, stream=terminal))
    assert text.count(label) == 2
    assert "[red]a[/red].wav" in text


def test_escape_sequences_are_shown_and_not_sent(tagged: TagResult) -> None:
    result = replace(
        tagged,
        recording=replace(tagged.recording, file="a\x1b]0;owned\x07.wav"),
        tags=(Tag("dog\x1b[2J\nrain\u202egnikrab", 0.5),),
    )
    text = shown(result)
    assert r"a\x1b]0;owned\x07.wav" in text
    assert r"dog\x1b[2J\nrain\u202egnikrab" in text


def drives_a_terminal(character: str) -> bool:
    bidirectional = unicodedata.bidirectional(character) in {
        "LRE",
        "RLE",
        "LRO",
        "RLO",
        "PDF",
        "LRI",
        "RLI",
        "FSI",
        "PDI",
    }
    return bidirectional or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}


surrogates = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=["Cs"])
texts = st.text(st.characters() | surrogates | st.sampled_from("\x1b\x9b\n\r\t\b\0\u2028\u202e\u2066[]"), max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts, texts, st.booleans())
def test_no_name_or_label_can_drive_a_terminal(
    monkeypatch: pytest.MonkeyPatch, file: str, label: str, on_terminal: bool
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    recording = Recording(file, 1.0, 48_000, 1)
    located = LocalizeResult(recording, label, 0.04, 0.3, (label,), (Event(label, 0.0, 1.0, 0.5),))
    text = shown(located, stream=Terminal() if on_terminal else None)
    text += shown(TagResult(recording, label, 1, (Tag(label, 0.5),)))
    assert not any(drives_a_terminal(character) for character in STYLES.sub("", text).replace("\n", ""))
    text.encode("utf-8")


def test_no_style_is_sent_where_there_is_no_terminal(localized: LocalizeResult, tagged: TagResult) -> None:
    assert "\x1b" not in shown(localized) + shown(tagged)


def test_a_terminal_without_colour_gets_the_same_text_in_no_colour(
    localized: LocalizeResult, tagged: TagResult, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    coloured = shown(localized, tagged, stream=terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    colourless = shown(localized, tagged, stream=Terminal())
    assert STYLES.sub("", coloured) == STYLES.sub("", colourless)
    assert set(STYLES.findall(colourless)) <= {"\x1b[0m", "\x1b[1m", "\x1b[2m"}


def test_a_terminal_keeps_its_own_background_and_foreground(
    localized: LocalizeResult, tagged: TagResult, terminal: Terminal
) -> None:
    numbers = {
        number
        for style in STYLES.findall(shown(localized, tagged, stream=terminal))
        for number in re.findall(r"\d+", style)
    }
    assert numbers <= {"0", "1", "2", "32", "49"}, "reset, bold, dim, the theme's green, its own background"
