"""Timelines of recordings, read back and compared with the results."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest
from drawings import pdf_texts, png_pixels, svg_texts
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pe_audio_cli.plots.timeline import draw_timeline

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
PIXELS_PER_POINT = 100 / 72


def drawn(result, kind="png") -> bytes:
    stream = io.BytesIO()
    draw_timeline(result, stream, kind)
    return stream.getvalue()


def image(result) -> np.ndarray:
    return png_pixels(drawn(result)).astype(int)


class Svg:
    """An SVG picture, read as XML."""

    def __init__(self, data: bytes) -> None:
        self.root = ElementTree.fromstring(data)
        self.left, self.right, self.top, self.bottom = self.box("bands")[0]

    def box(self, name: str) -> list[tuple[float, float, float, float]]:
        """Left, right, top and bottom of each shape of the group of this name, in pixels."""
        (group,) = (group for group in self.root.iter(f"{SVG}g") if group.get("id") == name)
        paths = list(group.iter(f"{SVG}path"))
        by_name = {f"#{path.get('id')}": path for path in paths}
        uses = [(by_name[use.get(LINK)], float(use.get("x")), float(use.get("y"))) for use in group.iter(f"{SVG}use")]
        return [box_of(path.get("d"), x, y) for path, x, y in uses or [(path, 0.0, 0.0) for path in paths]]

    def bars(self, band: int, duration: float) -> list[tuple[float, float]]:
        """Start and end, in seconds, of the bars of a band."""
        scale = duration / (self.right - self.left)
        boxes = self.box(f"events-{band}")
        return [((left - self.left) * scale, (right - self.left) * scale) for left, right, _, _ in boxes]


def box_of(path: str, x: float, y: float) -> tuple[float, float, float, float]:
    numbers = [float(word) for word in path.split() if not word.isalpha()]
    across = [(x + number) * PIXELS_PER_POINT for number in numbers[::2]]
    down = [(y + number) * PIXELS_PER_POINT for number in numbers[1::2]]
    return min(across), max(across), min(down), max(down)


@pytest.fixture(scope="module")
def empty(localized) -> Svg:
    """The picture of a recording in which nothing is heard."""
    return Svg(drawn(localized(2.0, [(1, 0)]), "svg"))


@pytest.mark.parametrize(
    ("n_labels", "duration"), [(1, 2.0), (4, 30.0), (12, 600.0), (12, 7_200.0), (1, 0.03), (3, 400_000.0)]
)
def test_a_picture_is_1200_pixels_wide_however_long_the_recording(localized, n_labels, duration):
    height, width, _ = png_pixels(drawn(localized(duration, [(0, 0)] * n_labels))).shape
    assert width == 1_200
    assert 480 <= height <= 900


def test_bars_stand_where_the_events_are(localized):
    result = localized(4.0, [(10, 19), (50, 50), (0, 99)])
    svg = Svg(drawn(result, "svg"))
    for band, label in enumerate(result.labels):
        events = [(event.start, event.end) for event in result.events if event.label == label]
        assert svg.bars(band, 4.0) == [pytest.approx(event, abs=1e-3) for event in events]
        ((_, _, top, bottom),) = svg.box(f"events-{band}")
        height = (svg.bottom - svg.top) / 3
        assert svg.top + band * height < top < bottom < svg.top + (band + 1) * height


def test_a_label_without_events_has_a_band_and_no_bar(localized):
    svg = Svg(drawn(localized(4.0, [(5, 4), (10, 19)]), "svg"))
    assert svg.bars(0, 4.0) == []
    assert len(svg.bars(1, 4.0)) == 1


@settings(max_examples=8)
@given(frame=st.integers(0, 180_000 - 1))
@example(frame=180_000 - 1)
def test_one_frame_of_two_hours_is_seen_as_a_bar(localized, frame):
    svg = Svg(drawn(localized(7_200.0, [(frame, frame)]), "svg"))
    ((start, end),) = svg.bars(0, 7_200.0)
    assert start == pytest.approx(frame / 25, abs=0.1)
    assert end - start >= 1.4 * 7_200 / (svg.right - svg.left)


@settings(max_examples=8)
@given(duration=st.sampled_from([60.0, 7_200.0]), place=st.floats(0, 1, exclude_max=True))
@example(duration=60.0, place=0.0)
@example(duration=7_200.0, place=1 - 1e-9)
def test_one_frame_is_seen_in_the_heat_however_long_the_recording(localized, empty, duration, place):
    frame = int(place * duration * 25)
    row = image(localized(duration, [(frame, frame)]))[round(empty.top) + 12]
    dark = np.flatnonzero(row.sum(axis=1) < 250)
    expected = empty.left + (frame + 0.5) / 25 / duration * (empty.right - empty.left)
    assert any(abs(column - expected) <= 2.5 for column in dark if empty.left <= column < empty.right)


def test_what_is_above_the_threshold_is_blue_and_what_is_below_is_grey(localized):
    for threshold, is_blue in ((0.04, True), (0.06, False)):
        result = localized(4.0, [(5, 4)], threshold=threshold)
        svg = Svg(drawn(result, "svg"))
        red, _, blue = image(result)[round(svg.top + 12), round((svg.left + svg.right) / 2)]
        assert (blue - red > 20) == is_blue


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.999, 1.0])
def test_any_threshold_can_be_marked(localized, threshold):
    assert f"threshold {threshold:g}" in svg_texts(drawn(localized(threshold=threshold), "svg"))


@pytest.mark.parametrize(
    ("duration", "unit", "ticks"),
    [
        (2.0, "s", ["0", "0.2", "1.8", "2"]),
        (30.0, "s", ["0", "2", "28", "30"]),
        (600.0, "min:s", ["0:00", "1:00", "9:00", "10:00"]),
        (7_200.0, "h:min", ["0:00", "0:10", "1:50", "2:00"]),
    ],
)
def test_the_time_axis_counts_in_what_fits(localized, duration, unit, ticks):
    assert {f"time, {unit}", *ticks} <= set(svg_texts(drawn(localized(duration, [(0, 0)]), "svg")))


def test_frequencies_end_where_the_recording_does(localized):
    high, low = (svg_texts(drawn(localized(sample_rate=rate), "svg")) for rate in (48_000, 8_000))
    assert "16 kHz" in high
    assert "4 kHz" in low
    assert "8 kHz" not in low


def test_of_many_labels_the_most_probable_are_drawn_in_their_order(localized):
    result = localized(4.0, [(0, 9) if index % 3 else (1, 0) for index in range(61)])
    svg = Svg(drawn(result, "svg"))
    assert "the 40 most probable of 61 labels" in drawn(result, "svg").decode()
    assert [len(svg.bars(band, 4.0)) for band in range(40)] == [1] * 40
    with pytest.raises(ValueError, match="not enough values"):
        svg.box("events-40")


def test_long_and_awkward_names_leave_the_picture_whole(localized):
    labels = ["x " * 400, "$\\frac$", "\x1b\n\udcff", "犬🐶", "W" * 400]
    result = localized(4.0, [(0, 9)] * 5, labels, file="/in/" * 200 + "\udcff$.wav")
    svg = Svg(drawn(result, "svg"))
    assert svg.left < 340
    pixels = image(result)
    assert pixels.shape[1] == 1_200
    assert (pixels[:, :20] == 255).all()  # the margins are white: nothing runs over them
    assert (pixels[:60, -20:] == 255).all()


def test_a_pdf_can_be_searched(localized):
    texts = pdf_texts(drawn(localized(labels=["$a_1$", "rain"]), "pdf"))
    assert {"in/x.wav", "$a_1$", "rain", "threshold 0.3"} <= set(texts)


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_same_result_makes_the_same_file_whatever_the_users_style(localized, kind):
    before = drawn(localized(), kind)
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30, "savefig.dpi": 10, "text.color": "red"}):
        style = dict(matplotlib.rcParams)
        assert drawn(localized(), kind) == before
        assert dict(matplotlib.rcParams) == style


def test_pyplot_is_never_loaded():
    code = (
        "import sys, pe_audio_cli.plots.timeline, pe_audio_cli.plots.heatmap; print('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_what_is_missing_is_refused(localized):
    result = localized()
    with pytest.raises(ValueError, match="frame probabilities"):
        drawn(dataclasses.replace(result, frames=None))
    bare = dataclasses.replace(result.recording, spectrogram=None)
    with pytest.raises(ValueError, match="spectrogram"):
        drawn(dataclasses.replace(result, recording=bare))
