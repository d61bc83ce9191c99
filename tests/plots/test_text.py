"""Labels and file names of any text can be drawn, in their place and without a warning."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from drawings import pdf_texts, png_pixels, svg_texts
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pe_audio_cli.plots.figure import pixel_figure
from pe_audio_cli.plots.text import fit, measure, printable

AWKWARD = [
    "$x_1$ and \\frac{",
    "a\tb\nc\x1b[31m",
    "犬の鳴き声",
    "🐶 👩‍👩‍👧",
    "שלום",
    "كلب",
    "\udcff",
    "é" * 3,
    "",
    " ",
    "%^_&~#",
]


@settings(max_examples=60)
@given(text=st.text(max_size=40))
@example(text="$x_1$")
def test_any_text_is_drawn_without_a_warning(text):
    with pixel_figure(300, 40) as figure:
        shown = fit(text, 280)
        figure.text(10, 20, shown)
        pictures = {kind: io.BytesIO() for kind in ("png", "svg", "pdf")}
        for kind, stream in pictures.items():
            figure.save(stream, kind)
    assert png_pixels(pictures["png"].getvalue()).shape == (40, 300, 3)
    in_a_comment = re.sub("-(?=-)", "- ", shown)  # where XML has no two hyphens together
    assert "".join(svg_texts(pictures["svg"].getvalue())).strip() == in_a_comment.strip()
    assert len(pdf_texts(pictures["pdf"].getvalue())) <= 1


def test_the_warning_for_a_missing_glyph_is_an_error_here():
    with pytest.warns(UserWarning, match="missing from font"), pixel_figure(300, 40) as figure:
        figure.text(10, 20, "\U0010fffd")
        figure.save(io.BytesIO(), "png")


@given(text=st.text(max_size=40))
def test_texts_that_differ_look_different(text):
    shown = printable(text)
    assert shown == printable(shown)
    assert len(shown) >= len(text)
    if text.isascii() and text.isprintable():
        assert shown == text


@settings(max_examples=50)
@given(
    text=st.text(max_size=80), width=st.floats(60, 300), lines=st.integers(1, 3), keep=st.sampled_from(["start", "end"])
)
@example(text="x " * 300, width=290.0, lines=2, keep="start")
@example(text="y" * 10_000, width=290.0, lines=1, keep="end")
def test_text_keeps_to_its_width_and_number_of_lines(text, width, lines, keep):
    rows = fit(text, width, lines=lines, keep=keep).split("\n")
    assert len(rows) <= lines
    assert all(measure(row) <= width for row in rows)
    if measure(printable(text)) <= width:
        assert rows == [printable(text)]


def test_what_is_too_long_keeps_its_start_or_its_end():
    assert fit("recordings/2026/night.wav", 100, keep="end").endswith("night.wav")
    assert fit("a dog that barks at the moon", 100).startswith("a dog")
    assert fit("a dog that barks at the moon", 115, lines=3) == "a dog that barks\nat the moon"


@pytest.mark.parametrize("text", ["illlll" * 8, "x " * 30, "WWWWW" * 5, "a dog barking, far away"])
@pytest.mark.parametrize("size", [11, 13, 16])
def test_text_is_as_wide_as_it_was_measured(text, size):
    stream = io.BytesIO()
    with pixel_figure(900, 60) as figure:
        figure.text(100, 30, text, size)
        figure.save(stream, "png")
    dark = png_pixels(stream.getvalue())[..., 0] < 128
    columns = np.flatnonzero(dark.any(axis=0))
    assert columns[-1] - columns[0] == pytest.approx(measure(text.strip(), size), abs=6)


@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_texts_are_on_one_line_without_controls(text):
    shown = printable(text)
    assert "\n" not in shown
    assert "\x1b" not in shown
    assert shown.encode("utf-8").decode("utf-8") == shown


def test_dollars_are_not_mathematics():
    def ink(text: str) -> int:
        stream = io.BytesIO()
        with pixel_figure(300, 40) as figure:
            figure.text(10, 20, text)
            figure.save(stream, "png")
        return int((png_pixels(stream.getvalue())[..., 0] < 128).sum())

    assert ink("$a$") > ink("a") + 20
