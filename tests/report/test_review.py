"""The review page in a browser: it plays excerpts, takes marks by keys, keeps them, and saves them as annotations."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browsing import Page
from invoked import Result
from pages import result_of, write_page
from selenium.webdriver.common.keys import Keys
from support import REFERENCE, logged, write_tone

from pe_audio_cli.errors import OutputError, UsageError
from pe_audio_cli.evaluation.annotations.folder import read_annotations
from pe_audio_cli.options import EventOptions
from pe_audio_cli.outputs.review_page import ReviewPage
from pe_audio_cli.report.review import ReviewItem, ReviewOptions

pytestmark = pytest.mark.timeout(400)  # a browser on a busy machine takes its time

AWKWARD = '=1+1, "a <script>alert(1)</script>; dog"'


def write(folder: Path, items: list[ReviewItem], **options: object) -> Path:
    path = folder / "review.html"
    ReviewPage(ReviewOptions(str(path), **options), overwrite=True).write(items)
    return path


def show(page: Page, path: Path) -> None:
    """Open the page and forget the marks of earlier tests."""
    page.chrome.get(path.as_uri())
    page.run("localStorage.clear()")
    reopen(page, path)


def reopen(page: Page, path: Path) -> None:
    page.chrome.get(path.as_uri())
    page.until(lambda: page.run("return state.shades !== null || !element.problem.hidden"))


@pytest.fixture
def items(tmp_path: Path) -> list[ReviewItem]:
    """Four excerpts of two recordings."""
    one, two = (str(write_tone(tmp_path / "in" / name, seconds=6)) for name in ("a #1 50%?.wav", "=b.wav"))
    spans = [(one, 0.0, 2.0), (one, 4.0, 6.0), (two, 1.0, 3.0), (two, 0.0, 6.0)]
    return [ReviewItem("rain", *span, score) for span, score in zip(spans, (0.9, 0.8, 0.5, 0.1), strict=True)]


@pytest.fixture
def shown(page: Page, tmp_path: Path, items: list[ReviewItem]) -> Page:
    show(page, write(tmp_path, items))
    return page


def marks(page: Page) -> list[str]:
    return page.run("return state.marks")


def saved(page: Page, folder: Path) -> Path:
    page.save_into(folder)
    page.keys("s")
    page.until(lambda: (folder / "marks.csv").is_file())
    return folder / "marks.csv"


def test_keys_mark_go_on_and_undo(shown: Page) -> None:
    assert shown.find("#question").text == "Is this rain?"
    for key in "ynu":
        shown.keys(key)
    assert marks(shown) == ["yes", "no", "unsure", ""]
    assert shown.find("#place").text == "4 of 4"
    assert shown.find("#count").text == "3 of 4 marked: 1 yes, 1 no, 1 unsure"
    shown.keys("z")
    assert marks(shown) == ["yes", "no", "", ""] and shown.find("#place").text == "3 of 4"
    shown.keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert shown.find("#yes").get_attribute("aria-pressed") == "true"
    shown.keys("n")  # a second answer replaces the first, and the next one without a mark follows
    assert marks(shown) == ["no", "no", "", ""] and shown.find("#place").text == "3 of 4"
    shown.keys("Y", "y")
    assert "All are marked" in shown.find("#count").text
    assert [row.text for row in shown.all("#items td:last-child")] == ["✗ no", "✗ no", "✓ yes", "✓ yes"]
    assert shown.run("return document.activeElement.id") == "save"
    assert shown.complaints() == []


def test_what_is_saved_are_annotations_in_which_wrong_hits_are_negatives(shown: Page, tmp_path, items) -> None:
    for key in "ynu":
        shown.keys(key)
    table = saved(shown, tmp_path)
    with table.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["mark"] for row in rows] == ["yes", "no", "unsure", ""]
    assert [float(row["probability"]) for row in rows] == [item.score for item in items]
    (read,) = read_annotations(str(table)).recordings
    assert read.file == items[0].file
    assert [(mark.label, mark.onset, mark.offset, mark.is_present) for mark in read.marks] == [
        ("rain", 0.0, 2.0, True),
        ("rain", 4.0, 6.0, False),
    ]


def test_labels_are_but_text_and_come_back_from_the_table(page: Page, tmp_path, items) -> None:
    items = [ReviewItem(AWKWARD, item.file, item.start, item.end, item.score) for item in items]
    show(page, write(tmp_path, items))
    assert page.find("#question q").text == AWKWARD
    page.keys("n", "n", "y", "n")
    read = read_annotations(str(saved(page, tmp_path)))
    assert read.labels == (AWKWARD,)
    assert [recording.file for recording in read.recordings] == [items[0].file, items[2].file]
    assert page.complaints() == []


def test_marks_survive_the_page_and_come_back_from_a_table(shown: Page, tmp_path, items) -> None:
    shown.keys("y", "n")
    reopen(shown, tmp_path / "review.html")
    assert marks(shown) == ["yes", "no", "", ""]
    assert shown.find("#place").text == "3 of 4", "the queue goes on where it was left"
    table = saved(shown, tmp_path)
    other = write(tmp_path, items[1:])  # another page has marks of its own
    show(shown, other)
    assert marks(shown) == ["", "", ""]
    shown.find("#table").send_keys(str(table))
    shown.until(lambda: marks(shown) == ["no", "", ""])
    shown.keys("z")
    assert marks(shown) == ["", "", ""]
    (tmp_path / "other.csv").write_text("file,label\na.wav,dog\n")
    shown.find("#table").send_keys(str(tmp_path / "other.csv"))
    shown.until(lambda: "has no marks" in shown.find("#problem").text)


@pytest.mark.parametrize("embedded", [False, True])
def test_an_excerpt_plays_from_its_start_to_its_end(page: Page, tmp_path, items, embedded) -> None:
    path = write(tmp_path, items, embed_audio=embedded)
    if embedded:
        for item in items:
            Path(item.file).unlink(missing_ok=True)
    show(page, path)
    page.keys(Keys.ARROW_RIGHT)
    start = 0.0 if embedded else 4.0
    page.until(lambda: not page.audio("paused") and page.audio("currentTime") > start + 0.2)
    assert page.audio("currentTime") < start + 2.1
    page.keys(" ")
    assert page.audio("paused")
    page.keys(" ")
    page.until(lambda: page.audio("paused"))
    assert page.audio("currentTime") == pytest.approx(start + 2.0, abs=0.3)
    page.keys(Keys.ARROW_RIGHT)
    page.until(lambda: not page.audio("paused"))
    assert page.find("#place").text == "3 of 4"
    assert page.complaints() == []


def test_the_list_opens_an_item_and_keeps_the_focus(shown: Page) -> None:
    shown.all(".open-item")[2].click()
    assert shown.find("#place").text == "3 of 4"
    assert shown.run("return document.activeElement === document.querySelectorAll('.open-item')[2]")
    shown.keys("y")
    assert marks(shown) == ["", "", "yes", ""]


def test_everything_is_reached_by_keyboard(shown: Page) -> None:
    order = ["previous", "play", "next", "yes", "no", "unsure", "undo", "save", "load"]
    reached = []
    for _ in order:
        shown.keys(Keys.TAB)
        reached.append(shown.run("return document.activeElement.id"))
        if reached[-1] == "unsure":
            shown.run("element.undo.disabled = false")  # as after the first mark
    assert reached == order
    shown.focus("#yes")
    shown.keys(Keys.ENTER)
    assert marks(shown)[0] == "yes"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
def test_it_fits_narrow_and_wide_screens(page: Page, tmp_path, items, width, height, scheme) -> None:
    items.append(ReviewItem("a very " * 20 + "long_" * 30, items[0].file, 0.0, 3.0, 0.2))
    path = write(tmp_path, items)
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        show(page, path)
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        for answer in ("yes", "no", "unsure"):
            box = page.find(f"#{answer}").rect
            assert box["height"] >= 44 and box["x"] >= 0 and box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= height, "an answer needs no scrolling"
        page.keys("y")
        ground, ink = page.run(
            "element.yes.ariaPressed = 'true'; const style = getComputedStyle(element.yes);"
            "return [style.backgroundColor, style.color]"
        )
        assert ground != ink
    finally:
        page.chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_recording_that_cannot_be_read_is_told_and_the_others_are_there(page: Page, tmp_path, items) -> None:
    Path(items[0].file).write_text("no recording")
    with logged() as warnings:
        path = write(tmp_path, [*items, ReviewItem("rain", items[2].file, 100.0, 110.0, 0.1)])
    assert len(warnings) == 2 and items[0].file in warnings[0] and "has changed" in warnings[1]
    show(page, path)
    assert page.find("#problem").is_displayed() and not page.find("#picture").is_displayed()
    page.keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    page.until(lambda: page.find("#picture").is_displayed())
    assert not page.find("#problem").is_displayed()
    assert page.complaints() == []


def test_a_page_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there.html").write_text("mine")
    with pytest.raises(UsageError, match=r"\.html"):
        ReviewPage(ReviewOptions(str(tmp_path / "page.txt")))
    with pytest.raises(OutputError, match="exists"):
        ReviewPage(ReviewOptions(str(tmp_path / "there.html")))
    with pytest.raises(OutputError):
        ReviewPage(ReviewOptions(str(tmp_path / "no" / "page.html")))


def test_what_a_report_saves_is_taught(page: Page, tmp_path, monkeypatch) -> None:
    """The events of a report, one deleted and one renamed by its reader, are the examples of labels."""
    pytest.importorskip("sklearn", reason="no label is taught: pip install 'pe-audio-cli[eval]'")
    monkeypatch.setenv("PEAUDIO_MODEL", str(REFERENCE / "pe-av-tiny"))
    row = np.zeros(100, np.float32)
    row[25:75] = 0.9
    results = [
        result_of(write_tone(tmp_path / "in" / f"{name}.wav", 4.0, level), {"hum": row}, EventOptions(), 4.0)
        for name, level in (("a", 0.1), ("b", 0.2), ("c", 0.3))
    ]
    write_tone(tmp_path / "more" / "d.wav", 2.0, 0.01)
    write_page(tmp_path / "report.html", results, EventOptions())
    page.open(tmp_path / "report.html")
    page.buttons("Delete")[0].click()
    page.all("#recordings button")[1].click()
    page.until(lambda: page.find("#file").text == "b.wav" and page.rows)
    page.buttons("Edit")[0].click()
    label = page.find("#events .form input")
    label.clear()
    label.send_keys("drone", Keys.ENTER)
    page.save_into(tmp_path)
    page.find("#save-csv").click()
    page.until((tmp_path / "events.csv").is_file)
    ran = Result("teach", tmp_path / "events.csv", "--background", tmp_path / "more", "-o", tmp_path / "x.labels")
    assert ran.code == 0, ran
    taught = json.loads(ran.out)["labels"]
    assert {(each["label"], each["command"], each["examples"]) for each in taught} == {
        (name, command, 1) for name in ("hum", "drone") for command in ("tag", "localize")
    }


def test_the_loop_closes(page: Page, tmp_path, monkeypatch) -> None:
    """A search by a name that means nothing, marks on the page, and a search that finds the sound."""
    pytest.importorskip("sklearn", reason="no label is taught: pip install 'pe-audio-cli[eval]'")
    monkeypatch.setenv("PEAUDIO_MODEL", "mini")
    (tmp_path / "in").mkdir()
    times = np.arange(48_000) / 48_000
    for seed in range(20):
        rng = np.random.default_rng(seed)
        samples = rng.normal(size=48_000) * 0.02
        if seed % 4 == 0:
            samples += 0.3 * np.sign(np.sin(2 * np.pi * rng.uniform(90, 130) * times))
        soundfile.write(tmp_path / "in" / f"{'buzz' if seed % 4 == 0 else 'noise'}{seed}.wav", samples, 48_000)
    index, html = tmp_path / "x.index", tmp_path / "review.html"
    assert Result("index", tmp_path / "in", "--index", index).code == 0
    found = ["-k", "all", "-f", "jsonl"]
    before = Result("search", "brimm", "--index", index, *found, "--review", html)
    assert before.code == 0, before
    hits = before.objects[0]["hits"]
    sought = "noise" if Path(hits[0]["file"]).name.startswith("buzz") else "buzz"  # what the name does not find
    show(page, html)
    for hit in hits[:17]:
        page.keys("y" if Path(hit["file"]).name.startswith(sought) else "n")
    table = saved(page, tmp_path)
    ran = Result("teach", table, "--index", index, "-o", tmp_path / "my.labels", "-f", "json")
    assert ran.code == 0, ran
    after = Result("search", "--taught", tmp_path / "my.labels", "--index", index, *found).objects[0]["hits"]
    assert all(Path(hit["file"]).name.startswith(sought) for hit in after[:5])
    again = Result("search", "--taught", tmp_path / "my.labels", "--index", index, "--review", html, "--overwrite")
    assert again.code == 0, again
