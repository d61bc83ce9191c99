"""The page in a real browser: its events are the command line's, it plays, it takes keys, and labels are but text."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pages import result_of, wandering, write_page
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait
from support import write_tone

from pe_audio_cli.detect.events import EventOptions, find_events
from pe_audio_cli.report import page as report_page
from pe_audio_cli.results import FileError, LocalizeResult
from pe_audio_cli.write.base import WriteOptions
from pe_audio_cli.write.rows import CsvWriter

PATIENCE = 30.0  # seconds; the machine may be busy
LABELS = ("rain", "a dog barking", "𝄞 music", "\uff21 wide")  # the last two sort otherwise in JavaScript

AT_EVERY_THRESHOLD = """
const slider = document.getElementById("threshold");
const cells = (row) => [...row.cells].slice(0, 4).map((cell) => cell.textContent);
const found = {};
for (let place = Number(slider.min); place <= Number(slider.max); place++) {
  slider.value = place;
  slider.dispatchEvent(new Event("input"));
  found[slider.ariaValueText] = [...document.querySelectorAll("#events tbody tr")].map(cells);
}
return found;
"""


class Page:
    """A report, open in the browser."""

    def __init__(self, chrome: webdriver.Chrome) -> None:
        self.chrome = chrome

    def open(self, path: Path) -> None:
        self.chrome.get(path.as_uri())
        self.until(lambda: self.all("#tracks canvas") or self.find("#problem").is_displayed())

    def find(self, selector: str) -> WebElement:
        return self.chrome.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    def run(self, script: str, *arguments: object) -> object:
        return self.chrome.execute_script(script, *arguments)

    def keys(self, *keys: str) -> None:
        ActionChains(self.chrome).send_keys(*keys).perform()

    def until(self, condition: Callable[[], object]) -> None:
        WebDriverWait(self.chrome, PATIENCE, 0.05).until(lambda _: condition())

    def audio(self, name: str) -> object:
        return self.run(f"return document.getElementById('audio').{name}")

    def rows(self) -> list[list[str]]:
        """What is listed: label, start, end, probability."""
        return self.run(
            "return [...document.querySelectorAll('#events tbody tr')].map("
            "(row) => [...row.cells].slice(0, 4).map((cell) => cell.textContent))"
        )

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.chrome.get_log("browser")]


@pytest.fixture
def page(chromium: webdriver.Chrome) -> Iterator[Page]:
    page = Page(chromium)
    page.complaints()  # of the test before
    yield page
    chromium.get("about:blank")


@pytest.fixture
def heard(tmp_path: Path, page: Page) -> LocalizeResult:
    """A tone of six seconds with an awkward name, open in the browser, with events of two labels."""
    file = write_tone(tmp_path / "in" / "a tone #1 50%?.wav", seconds=6)
    rows = {"rain": np.zeros(150, np.float32), "wind": np.zeros(150, np.float32)}
    rows["rain"][[*range(25, 50), *range(100, 125)]] = 0.9
    rows["wind"][75:150] = 0.45
    result = result_of(file, rows, EventOptions(), 6.0)
    write_page(tmp_path / "report.html", [result], EventOptions())
    page.open(tmp_path / "report.html")
    return result


def listed(result: LocalizeResult, options: EventOptions) -> list[list[str]]:
    """What the page should list of the events that the tool finds."""
    assert result.frames is not None
    return [
        [event.label, f"{event.start:.2f}", f"{event.end:.2f}", f"{event.probability:.2f}"]
        for event in find_events(result.frames, result.recording.duration, options)
    ]


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
    result = result_of("x.wav", wandering(LABELS, duration), options, duration)
    write_page(tmp_path / "report.html", [result], options)
    page.open(tmp_path / "report.html")
    assert page.rows() == listed(result, options)
    found = page.run(AT_EVERY_THRESHOLD)
    lowest = 0 if options.offset_threshold is None else options.offset_threshold
    assert {step / 200 for step in range(201) if step / 200 >= lowest} <= {*map(float, found)}
    for threshold, rows in found.items():
        assert rows == listed(result, dataclasses.replace(options, threshold=float(threshold))), threshold
    assert page.complaints() == []


def test_a_click_on_an_event_plays_it_and_stops_at_its_end(page, heard):
    page.until(lambda: page.audio("readyState") >= 1)
    page.all("#events .hear")[2].click()
    assert page.all("#events .hear")[2].text == "rain"
    assert 4.0 <= page.audio("currentTime") < 5.0
    page.until(lambda: page.audio("paused"))
    assert 5.0 <= page.audio("currentTime") < 6.0
    assert "chosen" in page.all("#events tbody tr")[2].get_attribute("class")


def test_a_click_on_the_timeline_seeks_and_on_a_bar_plays_its_event(page, heard):
    def click(canvas: WebElement, seconds: float) -> None:
        width = canvas.size["width"]
        ActionChains(page.chrome).move_to_element_with_offset(
            canvas, round((seconds / 6 - 0.5) * width), 0
        ).click().perform()

    page.until(lambda: page.audio("readyState") >= 1)
    click(page.find("#spectrogram"), 2.5)
    assert page.audio("paused")
    assert page.audio("currentTime") == pytest.approx(2.5, abs=0.02)
    assert page.find("#time").text.startswith("2.")
    cursor, canvas = page.find("#cursor").rect, page.find("#spectrogram").rect
    assert cursor["x"] - canvas["x"] == pytest.approx(canvas["width"] * 2.5 / 6, abs=3)
    click(page.all("#tracks canvas")[1], 5.0)
    assert page.audio("currentTime") == pytest.approx(3.0, abs=0.9)
    assert not page.audio("paused")


def test_everything_is_reached_by_keyboard_in_the_order_in_which_it_stands(page, heard):
    reached = []
    for _ in range(9):
        page.keys(Keys.TAB)
        focus = page.chrome.switch_to.active_element
        reached.append(focus.get_attribute("id") or focus.accessible_name)
    assert reached == [
        "play",
        "threshold",
        "zoom-out",
        "zoom-all",
        "zoom-in",
        "timeline",
        "save-csv",
        "save-audacity",
        "rain",
    ]


def test_keys_play_seek_and_move_the_threshold(page, heard):
    page.until(lambda: page.audio("readyState") >= 1)
    page.keys(" ")
    page.until(lambda: not page.audio("paused"))
    page.keys(" ")
    page.until(lambda: page.audio("paused"))
    page.run("document.getElementById('timeline').focus()")
    page.keys(Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.audio("currentTime") == pytest.approx(2.0)
    assert page.find("#timeline").get_attribute("aria-valuenow") == "2.00"
    page.keys(Keys.SHIFT, Keys.ARROW_LEFT)
    assert page.audio("currentTime") == pytest.approx(1.96)
    page.run("document.getElementById('threshold').focus()")
    page.keys(*[Keys.ARROW_RIGHT] * 30)
    assert page.find("#threshold").get_attribute("aria-valuetext") == "0.45"
    assert [row[0] for row in page.rows()] == ["rain", "rain"]


def test_an_event_is_relabelled_moved_deleted_and_brought_back(page, heard):
    page.all("#events td:last-child button")[0].click()
    label, start, end = page.all("#events .form input")
    label.send_keys(Keys.CONTROL, "a")
    label.send_keys("hail")
    for field, seconds in ((start, "1.25"), (end, "1.2")):
        field.clear()
        field.send_keys(seconds)
    end.send_keys(Keys.ENTER)
    assert page.all("#events .form"), "an event cannot end before it starts"
    end.clear()
    end.send_keys("2.5", Keys.ENTER)
    assert page.rows()[0] == ["hail", "1.25", "2.50", "–"]
    page.all("#events td:last-child button:last-child")[1].click()
    assert [row[:2] for row in page.rows()] == [["hail", "1.25"], ["rain", "4.00"]]
    slider = page.find("#threshold")
    slider.send_keys(Keys.ARROW_LEFT)
    assert [row[:2] for row in page.rows()] == [["hail", "1.25"], ["rain", "4.00"]], "changes outlive the threshold"
    page.find("#undo").click()
    page.find("#undo").click()
    assert page.rows() == listed(heard, EventOptions(0.295))
    assert not page.find("#undo").is_displayed()


def test_the_edited_list_is_saved_as_csv_and_as_audacity_labels(page, heard, tmp_path):
    page.chrome.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    page.all("#events td:last-child button:last-child")[0].click()
    for name in ("save-csv", "save-audacity"):
        page.find(f"#{name}").click()
    saved, labels = tmp_path / "events.csv", tmp_path / "a tone #1 50%?.wav.labels.txt"
    page.until(lambda: saved.exists() and list(tmp_path.glob("a tone*.txt")))
    (labels,) = tmp_path.glob("a tone*.txt")
    assert list(csv.reader(io.StringIO(saved.read_text(encoding="utf-8")))) == [
        ["file", "label", "start", "end", "probability"],
        [heard.recording.file, "wind", "3.000", "6.000", "0.45"],
        [heard.recording.file, "rain", "4.000", "5.000", "0.90"],
    ]
    assert labels.read_text(encoding="utf-8") == "3.000000\t6.000000\twind\n4.000000\t5.000000\train\n"


AWKWARD = ['quo"te', "com,ma", "two\nlines", "tab\there", "Ärger 𝄞", "\u2028\ufeff"]


def test_awkward_labels_are_saved_as_the_tool_writes_them(page, heard):
    frames = {label: np.ones(25, np.float32) for label in AWKWARD}
    result = result_of("x.wav", frames, EventOptions(), 1.0)
    stream = io.StringIO(newline="")
    writer = CsvWriter(stream, WriteOptions("localize"))
    writer.open()
    writer.write(result)
    events = [
        {"file": result.recording.file, "start": 0, "end": 1, "probability": 1, "label": e.label} for e in result.events
    ]
    assert page.run("return csvText(arguments[0])", events) == stream.getvalue().replace("1.000000", "1.00")


def test_a_saved_label_is_no_formula_and_breaks_no_line(page, heard):
    event = {"file": "-", "start": 0, "end": 1, "probability": None}
    text = page.run("return csvText(arguments[0])", [{**event, "label": "=1+1"}, {**event, "label": " '@x"}])
    assert text.splitlines()[1:] == ["-,'=1+1,0.000,1.000,", "-,' '@x,0.000,1.000,"]
    line = page.run("return audacityText([arguments[0]])", {**event, "label": "a\tb\nc\u2028d\0"})
    assert line == "0.000000\t1.000000\ta b c d\ufffd\n"


def test_markup_in_labels_names_and_errors_is_text(page, tmp_path):
    evil = "</script><script>document.title='evil'</script><img src=x onerror=\"document.title='evil'\"><!--"
    options = EventOptions()
    result = result_of(f"{evil}.wav".replace("/", ""), {evil: np.ones(25, np.float32)}, options, 1.0)
    write_page(tmp_path / "report.html", [result, FileError(f"{evil}.wav", "decode", evil)], options)
    page.open(tmp_path / "report.html")
    assert page.find("#events .hear").text == evil
    assert page.find("#tracks .name").text == evil
    page.all("#recordings button")[1].click()
    assert page.find("#problem").text == evil
    assert page.all("img") == []
    assert "evil" not in page.chrome.title.replace(evil, "")
    assert page.run("return document.scripts[document.scripts.length - 1].text.startsWith('\"use strict\"')")


def test_several_recordings_are_switched_between(page, tmp_path):
    options = EventOptions()
    results = [result_of(f"{name}.wav", wandering(LABELS, 4, seed), options, 4.0) for seed, name in enumerate("ab")]
    write_page(tmp_path / "report.html", [*results, FileError("c.wav", "decode", "it is text")], options)
    page.open(tmp_path / "report.html")
    for button, result in zip(page.all("#recordings button"), results, strict=False):
        button.click()
        page.until(lambda: page.find("h1").text == result.recording.file and page.rows() == listed(result, options))
        assert button.get_attribute("aria-current") == "true"
    page.all("#recordings button")[2].click()
    assert page.find("#problem").text == "it is text"
    assert not page.find("#content").is_displayed()


def test_a_recording_of_many_hours_shows_the_tools_events_and_leaves_the_threshold(page, tmp_path, monkeypatch):
    monkeypatch.setattr(report_page, "EXACT_FRAMES", 100)
    monkeypatch.setattr(report_page, "POOLED_COLUMNS", 40)
    options = EventOptions(0.4, merge_gap=0.2)
    result = result_of("x.wav", wandering(LABELS, 6.55), options, 6.55)
    write_page(tmp_path / "report.html", [result], options)
    page.open(tmp_path / "report.html")
    assert page.rows() == listed(result, options)
    assert not page.find("#threshold").is_enabled()
    assert "too long" in page.find("#note").text


def test_the_page_asks_for_nothing_but_its_recording(page, heard):
    page.until(lambda: page.audio("readyState") >= 1)
    asked = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert {*asked} <= {page.audio("src")}
    page.run("fetch('https://example.org/').catch(() => {})")
    page.until(lambda: any("Content Security Policy" in line for line in page.complaints()))


def test_a_recording_that_is_gone_is_said_to_be(page, heard, tmp_path):
    Path(heard.recording.file).unlink()
    page.open(tmp_path / "report.html")
    page.until(lambda: page.find("#problem").is_displayed())
    assert "--embed-audio" in page.find("#problem").text
    page.all("#events .hear")[0].click()
    assert page.find("#time").text.startswith("1.00 "), "the place can be seen all the same"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground_in_light_and_dark(page, heard, scheme):
    page.chrome.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    colours = page.run("const c = colours(); return [c.ground, c.text, c.event, c.changed].map(rgb)")
    ground, *inks = (luminance(colour) for colour in colours)
    assert (ground < 0.1) == (scheme == "dark")
    for ink in inks:
        assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) >= 4.5


def luminance(colour: list[int]) -> float:
    """Relative luminance (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
