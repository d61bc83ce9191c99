"""The page in a real browser: its events are the command line's, it plays, it takes keys, and labels are but text."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from browsing import Page
from pages import result_of, wandering, write_page
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from support import write_tone
from typer.testing import CliRunner

from pe_audio_cli.cli.app import app
from pe_audio_cli.detection.events import find_events
from pe_audio_cli.formats.annotation import AudacityWriter, RavenWriter
from pe_audio_cli.formats.base import WriteOptions
from pe_audio_cli.formats.csv import CsvWriter
from pe_audio_cli.formats.subtitles import SrtWriter, VttWriter
from pe_audio_cli.options import EventOptions
from pe_audio_cli.report import page as report_page
from pe_audio_cli.results import FileError, LocalizeResult

pytestmark = pytest.mark.timeout(400)  # a browser on a busy machine takes its time


LABELS = ("rain", "a dog barking", "𝄞 music", "\uff21 wide")  # the last two sort otherwise in JavaScript
UNKNOWN = "\u2013"  # stands for a probability that the page cannot know
THRESHOLDS = {step / 200 for step in range(201)}


@pytest.fixture
def heard(tmp_path: Path, page: Page) -> LocalizeResult:
    """A tone of six seconds with an awkward name, open in the browser, with events of two labels."""
    file = write_tone(tmp_path / "in" / "a tone #1 50%?.wav", seconds=6)
    rows = {"rain": np.zeros(150, np.float32), "wind": np.zeros(150, np.float32)}
    rows["rain"][[*range(25, 50), *range(100, 125)]] = 0.9
    rows["wind"][75:150] = 0.45
    result = result_of(file, rows, EventOptions(), 6.0)
    write_page(tmp_path / "report.html", [result], EventOptions())
    page.open_and_hear(tmp_path / "report.html")
    return result


def listed(result: LocalizeResult, options: EventOptions) -> list[list[str]]:
    """Return the rows that the page should list for a result."""
    assert result.frames is not None
    return [
        [event.label, f"{event.start:.2f}", f"{event.end:.2f}", f"{event.probability:.2f}"]
        for event in find_events(result.frames, result.recording.duration, options)
    ]


# Events


@pytest.mark.parametrize(
    "options",
    [
        EventOptions(),
        EventOptions(0.123456),
        EventOptions(0.6, offset_threshold=0.2),
        EventOptions(0.5, median=0.2),
        EventOptions(0.5, merge_gap=0.12),
        EventOptions(0.5, min_duration=0.119),
        EventOptions(0.7, 0.317, median=0.28, merge_gap=0.08, min_duration=0.2),
    ],
)
def test_the_sliders_events_are_the_tools_at_every_threshold(page, tmp_path, options):
    duration = 6.55  # the last frame is partly padding
    file = write_tone(tmp_path / "x.wav", seconds=duration)
    result = result_of(file, wandering(LABELS, duration), options, duration)
    write_page(tmp_path / "report.html", [result], options)
    page.open(tmp_path / "report.html")
    assert page.rows == listed(result, options)
    found = page.rows_at_every_threshold()
    lowest = 0 if options.offset_threshold is None else options.offset_threshold
    assert {*map(float, found)} >= {threshold for threshold in THRESHOLDS if threshold >= lowest}
    for threshold, rows in found.items():
        assert rows == listed(result, dataclasses.replace(options, threshold=float(threshold))), threshold
    assert page.complaints() == []


def test_the_slider_finds_what_the_command_line_finds_at_that_threshold(page, tmp_path, encoder_without_a_model):
    def localize(*arguments: str) -> dict:
        rule = ["--median", "0.12", "--merge-gap", "0.08", "--min-duration", "0.08", "-l", "rain,birds,music"]
        ran = CliRunner().invoke(app, ["localize", str(file), *rule, *arguments, "-f", "json"])
        assert ran.exit_code == 0, ran.stderr
        return json.loads(ran.stdout)[0]

    generator = np.random.default_rng(0)
    level = np.repeat(generator.uniform(0.02, 0.09, 151), 1_920)[: round(6.01 * 48_000)]
    file = tmp_path / "x.wav"
    soundfile.write(file, level * generator.choice([-1, 1], len(level)), 48_000)
    item = localize("--report", str(tmp_path / "report.html"), "--frames")
    page.open(tmp_path / "report.html")
    found = page.rows_at_every_threshold()
    for threshold in np.quantile([*item["frames"].values()], [0.3, 0.5, 0.8]).round(2):
        events = localize("--threshold", str(threshold))["events"]
        assert len(events) > 3
        assert found[f"{threshold:.2f}"] == [
            [event["label"], f"{event['start']:.2f}", f"{event['end']:.2f}", f"{event['probability']:.2f}"]
            for event in events
        ]


def test_a_recording_of_many_hours_shows_the_tools_events_and_leaves_the_threshold(page, tmp_path, monkeypatch):
    monkeypatch.setattr(report_page, "EXACT_FRAMES", 100)
    monkeypatch.setattr(report_page, "POOLED_COLUMNS", 40)
    options = EventOptions(0.4, merge_gap=0.2)
    result = result_of("x.wav", wandering(LABELS, 6.55), options, 6.55)
    write_page(tmp_path / "report.html", [result], options)
    page.open(tmp_path / "report.html")
    assert page.rows == listed(result, options)
    assert not page.find("#threshold").is_enabled()
    assert "too long" in page.find("#note").text


@pytest.mark.parametrize("options", [EventOptions(0.5), EventOptions(0.6, 0.3, 0.12, merge_gap=0.2, min_duration=3.0)])
def test_the_sliders_of_gap_and_duration_find_what_the_tool_finds(page, tmp_path, options):
    duration = 6.55
    file = write_tone(tmp_path / "x.wav", seconds=duration)
    result = result_of(file, wandering(LABELS, duration), options, duration)
    write_page(tmp_path / "report.html", [result], options)
    page.open(tmp_path / "report.html")
    assert page.rows == listed(result, options)
    assert page.find("#gap-value").text == ("off" if options.merge_gap is None else "0.20 s")
    assert page.find("#shortest-value").text == ("off" if options.min_duration is None else "3.00 s")
    for gap, shortest in [(0, 0), (1, 0), (3, 0), (0, 2), (3, 5), (50, 50)]:
        for name, value in (("gap", gap), ("shortest", shortest)):
            page.slide(name, value)
        now = dataclasses.replace(
            options, merge_gap=gap / 25 if gap else None, min_duration=shortest / 25 if shortest else None
        )
        assert page.rows == listed(result, now), (gap, shortest)
        assert page.find("#gap").get_attribute("aria-valuetext") == (f"{gap / 25:.2f} s" if gap else "off")
    assert page.complaints() == []


def test_the_filter_leaves_the_labels_that_hold_it_in_list_and_timeline(page, heard, tmp_path):
    everything = page.rows
    page.find("#filter").send_keys("WIN")
    assert [row[0] for row in page.rows] == ["wind"]
    assert page.find("#count").text == "1 of 3 events"
    assert [name.text for name in page.all("#tracks .name")] == ["wind"]
    page.buttons("Delete")[0].click()
    assert page.rows == [] and page.find("#count").text == "0 of 2 events, 1 changed by you"
    page.find("#undo").click()
    page.save_into(tmp_path)
    page.find("#save-vtt").click()
    page.until(lambda: [*tmp_path.glob("a tone*.vtt")])
    (saved,) = tmp_path.glob("a tone*.vtt")
    assert saved.read_text(encoding="utf-8").count("-->") == 3, "what is saved is not filtered"
    page.find("#filter").send_keys(Keys.CONTROL, "a")
    page.find("#filter").send_keys(Keys.DELETE)
    assert page.rows == everything and len(page.all("#tracks canvas")) == 2


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
def test_the_timeline_stays_in_sight_while_the_list_scrolls(page, tmp_path, width, height):
    labels = [f"label {number}" for number in range(12)]
    result = result_of(write_tone(tmp_path / "x.wav", seconds=9), wandering(labels, 9.0), EventOptions(0.5), 9.0)
    write_page(tmp_path / "report.html", [result], EventOptions(0.5))
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        page.open(tmp_path / "report.html")
        assert len(page.rows) > 40
        page.run("document.querySelectorAll('#events tbody tr')[40].scrollIntoView({ block: 'nearest' })")
        for row in (40, 20):
            page.run("document.querySelectorAll('#events tbody tr .play-event')[arguments[0]].click()", row)
            page.until(lambda: page.run("return scrollY") > 300)
            picture, axis, chosen = (
                page.run("return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", selector)
                for selector in ("#spectrogram", "#axis", "#events .chosen")
            )
            assert 0 <= picture["top"] < picture["bottom"] < axis["bottom"] <= chosen["top"] + 1, "nothing is covered"
            assert chosen["bottom"] <= height + 1
            assert picture["left"] == pytest.approx(axis["left"]) and picture["right"] == pytest.approx(axis["right"])
    finally:
        page.chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_one_unit_of_time_in_list_and_editor(page, tmp_path):
    row = np.zeros(75 * 25, np.float32)
    row[[*range(25, 50), *range(1600, 1625)]] = 0.9
    result = result_of("x.wav", {"rain": row}, EventOptions(), 75.0)
    write_page(tmp_path / "report.html", [result], EventOptions())
    page.open(tmp_path / "report.html")
    assert [row[1:3] for row in page.rows] == [["0:01.00", "0:02.00"], ["1:04.00", "1:05.00"]]
    assert [heading.text for heading in page.all("#events th")[1:3]] == ["Start (min:s)", "End (min:s)"]
    assert page.find("#time").text == "0:00.00 / 1:15.00"
    page.buttons("Edit")[1].click()
    fields = page.all("#events .form input")
    assert [field.get_attribute("value") for field in fields] == ["rain", "1:04.00", "1:05.00"]
    for start, end in (("1:04", "1:75.5"), ("a minute", "1:05"), ("1:04", "1:16")):
        fill(page, "rain", start, end)
        page.keys(Keys.ENTER)
        assert page.all("#events .form"), (start, end)
    fill(page, "rain", "63.5", "1:05.5")
    page.keys(Keys.ENTER)
    assert page.rows[1][1:3] == ["1:03.50", "1:05.50"]


def test_an_edit_of_the_label_alone_keeps_every_digit_of_its_times(page, tmp_path):
    result = result_of("x.wav", {"rain": np.ones(26, np.float32)}, EventOptions(), 1.0123456)
    write_page(tmp_path / "report.html", [result], EventOptions())
    page.open(tmp_path / "report.html")
    page.buttons("Edit")[0].click()
    fill(page, "hail", "0.00", "1.012")
    page.keys(Keys.ENTER)
    assert page.run("return state.events[0].end") == 1.0123456


# Sound and cursor


def test_a_film_is_shown_and_a_recording_is_not(page, heard, tmp_path):
    assert not page.find("#audio").is_displayed()
    film = tmp_path / "in" / "film.webm"
    write_film(film, 3.0)
    write_page(tmp_path / "film.html", [result_of(film, wandering(LABELS, 3.0), EventOptions(), 3.0)], EventOptions())
    page.open_and_hear(tmp_path / "film.html")
    page.until(lambda: page.find("#audio").is_displayed())
    assert page.find("#audio").tag_name == "video" and page.audio("videoWidth") == 64
    page.click_at(page.find("#spectrogram"), 0.5)
    assert page.audio("currentTime") == pytest.approx(1.5, abs=0.02)
    page.until(lambda: page.run("return document.documentElement.scrollWidth <= innerWidth"))


def write_film(path: Path, seconds: float) -> None:
    """A film of grey frames and silence."""
    with av.open(str(path), "w") as container:
        picture, sound = container.add_stream("libvpx", rate=10), container.add_stream("libopus", rate=48_000)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 128, np.uint8), format="rgb24")
        for number in range(round(10 * seconds)):
            frame.pts = number
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, round(48_000 * seconds)), np.float32), "flt", "mono")
        silence.sample_rate = 48_000
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))


def test_a_click_on_an_event_plays_it_and_stops_at_its_end(page, heard):
    event = page.all("#events .play-event")[2]
    assert event.text == "rain"
    event.click()
    assert 4.0 <= page.audio("currentTime") < 5.0
    page.until(lambda: page.audio("paused"))
    assert 5.0 <= page.audio("currentTime") < 6.0
    assert "chosen" in page.all("#events tbody tr")[2].get_attribute("class")


def test_a_click_on_the_timeline_seeks_and_on_a_bar_plays_its_event(page, heard):
    page.click_at(page.find("#spectrogram"), 2.5 / 6)
    assert page.audio("paused")
    assert page.audio("currentTime") == pytest.approx(2.5, abs=0.02)
    assert page.find("#time").text.startswith("2.")
    cursor, canvas = page.find("#cursor").rect, page.find("#spectrogram").rect
    assert cursor["x"] - canvas["x"] == pytest.approx(canvas["width"] * 2.5 / 6, abs=3)
    page.click_at(page.all("#tracks canvas")[1], 5 / 6)
    assert page.audio("currentTime") == pytest.approx(3.0, abs=0.9)
    assert not page.audio("paused")


def test_the_cursor_moves_as_it_plays_and_the_view_goes_with_it(page, heard):
    for _ in range(3):
        page.find("#zoom-in").click()
    place = page.find("#cursor").rect["x"]
    page.keys(" ")
    page.until(lambda: page.find("#cursor").rect["x"] > place + 20)
    page.until(lambda: page.run("return state.view.start") > 0)
    start, end = page.run("return [state.view.start, state.view.end]")
    assert start <= page.audio("currentTime") <= end + 0.1
    assert end - start == pytest.approx(6 / 8)


def test_an_embedded_sound_plays_where_no_file_is(page, tmp_path, encoder_without_a_model):
    file = write_tone(tmp_path / "x.wav", seconds=3)
    arguments = ["-l", "rain", "--report", str(tmp_path / "out.html"), "--embed-audio"]
    assert CliRunner().invoke(app, ["localize", str(file), *arguments]).exit_code == 0
    file.unlink()
    page.open_and_hear(tmp_path / "out.html")
    assert page.audio("duration") == pytest.approx(3.0, abs=0.05)
    page.click_at(page.find("#spectrogram"), 0.5)
    assert page.audio("currentTime") == pytest.approx(1.5, abs=0.02)
    page.keys(" ")
    page.until(lambda: page.audio("currentTime") > 1.6)
    assert page.complaints() == []


def test_a_recording_that_is_gone_is_said_to_be(page, heard, tmp_path):
    Path(heard.recording.file).unlink()
    page.open(tmp_path / "report.html")
    page.until(lambda: page.find("#problem").is_displayed())
    assert "--embed-audio" in page.find("#problem").text
    page.all("#events .play-event")[0].click()
    assert page.find("#time").text.startswith("1.00 "), "the place can be seen all the same"


# Keys


def test_everything_is_reached_by_keyboard_in_the_order_in_which_it_stands(page, heard):
    controls = ["play", "threshold", "gap", "shortest", "zoom-out", "zoom-all", "zoom-in"]
    saves = [f"save-{name}" for name in ("csv", "raven", "audacity", "srt", "vtt")]
    order = [*controls, "timeline", "filter", "add", *saves, "rain"]
    reached = []
    for _ in order:
        page.keys(Keys.TAB)
        focus = page.chrome.switch_to.active_element
        reached.append(focus.get_attribute("id") or focus.accessible_name)
    assert reached == order
    page.keys(Keys.ENTER)
    page.until(lambda: not page.audio("paused"))


def test_keys_play_seek_and_move_the_threshold(page, heard):
    page.keys(" ")
    page.until(lambda: not page.audio("paused"))
    page.keys(" ")
    page.until(lambda: page.audio("paused"))
    page.focus("#timeline")
    page.keys(Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.audio("currentTime") == pytest.approx(2.0)
    assert page.find("#timeline").get_attribute("aria-valuenow") == "2.00"
    ActionChains(page.chrome).key_down(Keys.SHIFT).send_keys(Keys.ARROW_LEFT).key_up(Keys.SHIFT).perform()
    assert page.audio("currentTime") == pytest.approx(1.96)
    page.focus("#threshold")
    page.keys(*[Keys.ARROW_RIGHT] * 30)
    assert page.find("#threshold").get_attribute("aria-valuetext") == "0.45"
    assert [row[0] for row in page.rows] == ["rain", "rain"]


def test_plus_minus_and_nought_zoom(page, heard):
    lengths = []
    for key in ["+", "+", "-", "0"]:
        page.keys(key)
        start, end = page.run("return [state.view.start, state.view.end]")
        lengths.append(end - start)
    assert lengths == pytest.approx([3.0, 1.5, 3.0, 6.0])


def test_the_view_goes_where_the_keys_lead(page, heard):
    page.focus("#timeline")
    for key in ["+", "+", Keys.ARROW_RIGHT, Keys.ARROW_RIGHT]:
        page.keys(key)
    start, end = page.run("return [state.view.start, state.view.end]")
    assert 0 < start <= 2.0 <= end == pytest.approx(start + 1.5)
    assert page.find("#cursor").is_displayed()


# Changes, and files of them


def fill(page: Page, *texts: str) -> None:
    """Fill in the form of an event: label, start, end."""
    for field, text in zip(page.all("#events .form input"), texts, strict=True):
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text)


def test_an_event_is_relabelled_moved_deleted_and_brought_back(page, heard):
    page.buttons("Edit")[0].click()
    fill(page, "hail", "1.25", "1.2")
    page.keys(Keys.ENTER)
    assert page.all("#events .form"), "an event cannot end before it starts"
    fill(page, "hail", "1.25", "2.5")
    page.keys(Keys.ENTER)
    assert page.rows[0] == ["hail", "1.25", "2.50", UNKNOWN]
    page.buttons("Delete")[1].click()
    assert [row[:2] for row in page.rows] == [["hail", "1.25"], ["rain", "4.00"]]
    page.find("#threshold").send_keys(Keys.ARROW_LEFT)
    assert [row[:2] for row in page.rows] == [["hail", "1.25"], ["rain", "4.00"]], "changes outlive the threshold"
    page.find("#undo").click()
    page.find("#undo").click()
    assert page.rows == listed(heard, EventOptions(0.295))
    assert not page.find("#undo").is_displayed()


def test_an_event_that_was_missed_is_added_at_the_cursor(page, heard):
    page.click_at(page.find("#spectrogram"), 2.5 / 6)
    page.find("#add").click()
    assert float(page.all("#events .form input")[1].get_attribute("value")) == pytest.approx(2.5, abs=0.02)
    page.keys(Keys.ESCAPE)
    assert page.rows == listed(heard, EventOptions()), "it can be left"
    page.find("#add").click()
    fill(page, "wind", "2", "3")
    page.keys(Keys.ENTER)
    assert page.rows[1] == ["wind", "2.00", "3.00", "0.00"]
    assert page.chrome.switch_to.active_element.accessible_name == "Edit wind at 2.00"
    page.buttons("Delete")[1].click()
    assert page.rows == listed(heard, EventOptions())


def test_the_edited_list_is_saved_as_csv_and_as_audacity_labels(page, heard, tmp_path):
    page.save_into(tmp_path)
    page.buttons("Delete")[0].click()
    for name in ("save-csv", "save-audacity"):
        page.find(f"#{name}").click()
    page.until(lambda: len([*tmp_path.glob("events.csv"), *tmp_path.glob("a tone*.labels.txt")]) == 2)
    (labels,) = tmp_path.glob("a tone*.labels.txt")
    assert list(csv.reader(io.StringIO((tmp_path / "events.csv").read_text(encoding="utf-8")))) == [
        ["file", "label", "start", "end", "probability"],
        [heard.recording.file, "wind", "3.000", "6.000", "0.45"],
        [heard.recording.file, "rain", "4.000", "5.000", "0.90"],
    ]
    assert labels.read_text(encoding="utf-8") == "3.000000\t6.000000\twind\n4.000000\t5.000000\train\n"


AWKWARD = ['quo"te', "com,ma", "two\nlines", "tab\there", "Ärger 𝄞", "\u2028\ufeff"]


EXPORTS = {"raven": RavenWriter, "audacity": AudacityWriter, "srt": SrtWriter, "vtt": VttWriter}


@pytest.mark.parametrize("form", EXPORTS)
def test_what_is_saved_is_what_the_tool_writes(page, tmp_path, form):
    """To the byte, but for probabilities, of which the page knows two decimals; and the tool reads it back."""
    labels = [*AWKWARD, "a <b> & {c}\\N 12:30", "=1+1", "٣:٤"]
    durations = [1.0078125, 63.0625, 2.0]  # of which Python and JavaScript would round some otherwise
    options = EventOptions(0.5, min_duration=0.4)
    results = []
    for seed, (name, duration) in enumerate(zip(["a.wav", 'b "c"\tü.wav', "c.wav"], durations, strict=True)):
        frames = {label: wandering(["x"], duration, seed + place)["x"] for place, label in enumerate(labels)}
        results.append(result_of(tmp_path / name, frames, options, duration))
    if form != "raven":
        results = results[1:2]
    write_page(tmp_path / "report.html", results, options)
    page.save_into(tmp_path)
    page.open(tmp_path / "report.html")
    stream = io.StringIO(newline="")
    writer = EXPORTS[form](stream, WriteOptions("localize"))
    writer.open()
    for result in results:
        writer.write(result)
    writer.close()
    page.find(f"#save-{form}").click()
    ending = {"raven": ".selections.txt", "audacity": ".labels.txt"}.get(form, f".{form}")
    page.until(lambda: [*tmp_path.glob(f"*{ending}")])
    (saved,) = tmp_path.glob(f"*{ending}")
    text, expected = saved.read_bytes().decode("utf-8"), stream.getvalue()
    assert len(expected.splitlines()) > 20
    if form == "raven":  # its last column is the probability
        rows, expected_rows = ([line.rpartition("\t") for line in each.split("\n")] for each in (text, expected))
        assert [row[0] for row in rows] == [row[0] for row in expected_rows]
        for (_, _, score), (_, _, exact) in zip(rows[1:-1], expected_rows[1:-1], strict=True):
            assert float(score) == pytest.approx(float(exact), abs=0.0051)
    else:
        assert text == expected


def test_awkward_labels_are_saved_as_the_tool_writes_them(page, heard):
    frames = {label: np.ones(25, np.float32) for label in AWKWARD}
    result = result_of("x.wav", frames, EventOptions(), 1.0)
    stream = io.StringIO(newline="")
    writer = CsvWriter(stream, WriteOptions("localize"))
    writer.open()
    writer.write(result)
    event = {"file": result.recording.file, "start": 0, "end": 1, "probability": 1}
    events = [{**event, "label": found.label} for found in result.events]
    assert page.run("return csvText(arguments[0])", events) == stream.getvalue().replace("1.000000", "1.00")


def test_a_saved_label_is_no_formula_and_breaks_no_line(page, heard):
    event = {"file": "-", "start": 0, "end": 1, "probability": None}
    text = page.run("return csvText(arguments[0])", [{**event, "label": "=1+1"}, {**event, "label": " '@x"}])
    assert text.splitlines()[1:] == ["-,'=1+1,0.000,1.000,", "-,' '@x,0.000,1.000,"]
    line = page.run("return audacityText([arguments[0]])", {**event, "label": "a\tb\nc\u2028d\0"})
    assert line == "0.000000\t1.000000\ta b c d\ufffd\n"


# Several recordings, and what they may be called


def shows(page: Page, name: str, rows: list[list[str]]) -> bool:
    return page.find("h1").text == name and page.rows == rows


def test_several_recordings_are_switched_between(page, tmp_path):
    options = EventOptions()
    results = [result_of(f"{name}.wav", wandering(LABELS, 4, seed), options, 4.0) for seed, name in enumerate("ab")]
    write_page(tmp_path / "report.html", [*results, FileError("c.wav", "decode", "it is text")], options)
    page.open(tmp_path / "report.html")
    *good, bad = page.all("#recordings button")
    for button, result in zip(good, results, strict=True):
        button.click()
        page.until(partial(shows, page, result.recording.file, listed(result, options)))
        assert button.get_attribute("aria-current") == "true"
    bad.click()
    assert page.find("#problem").text == "it is text"
    assert not page.find("#content").is_displayed()


def test_markup_in_labels_names_and_errors_is_text(page, tmp_path):
    evil = "</script><script>document.title='evil'</script><img src=x onerror=\"document.title='evil'\"><!--"
    file = f"{evil}.wav".replace("/", "")
    options = EventOptions()
    result = result_of(file, {evil: np.ones(25, np.float32)}, options, 1.0)
    write_page(tmp_path / "report.html", [result, FileError(f"{evil}.wav", "decode", evil)], options)
    page.open(tmp_path / "report.html")
    assert page.find("#events .play-event").text == evil
    assert page.find("#tracks .name").text == evil
    assert page.chrome.title.startswith(file)
    page.all("#recordings button")[1].click()
    assert page.find("#problem").text == evil
    assert page.all("img") == []


# The page itself


def test_the_page_asks_for_nothing_but_its_recording(page, heard):
    asked = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert {*asked} <= {page.audio("src")}
    page.run("fetch('https://example.org/').catch(() => {})")
    page.until(lambda: any("Content Security Policy" in line for line in page.complaints()))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground_in_light_and_dark(page, heard, scheme):
    page.chrome.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    ground, *inks = map(
        luminance, page.run("const c = colours(); return [c.ground, c.text, c.event, c.changed].map(rgb)")
    )
    assert (ground < 0.1) == (scheme == "dark")
    for ink in inks:
        assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) >= 4.5


def luminance(colour: list[int]) -> float:
    """Relative luminance (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("width", [390, 1920])
def test_nothing_runs_over_the_sides_of_a_narrow_or_wide_window(page, heard, width):
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    page.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        assert page.run("return document.documentElement.scrollWidth") <= width
        assert page.find("#spectrogram").size["width"] > 0.75 * min(width, 1600)
    finally:
        page.chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
