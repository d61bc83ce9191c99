"""Maps of tags: bounded in size, and true to the results."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from drawings import png_pixels, svg_texts

from pe_audio_cli.plots.heatmap import TagMap
from pe_audio_cli.results import Recording, Tag, TagResult


def tagged(file: str, tags: dict[str, float]) -> TagResult:
    ranked = sorted(tags.items(), key=lambda item: -item[1])
    return TagResult(Recording(file, 1.0, 48_000, 1), "mini", 1, tuple(Tag(*item) for item in ranked))


def drawn(files: list[str], labels: list[str], rows: list[dict[str, float] | None], kind: str = "svg") -> bytes:
    """The map of a run whose results are ``rows``; None stands for a recording that failed."""
    tag_map = TagMap(files, labels)
    for place, (file, tags) in enumerate(zip(files, rows, strict=True)):
        if tags is not None:
            tag_map.add(place, tagged(file, tags))
    stream = io.BytesIO()
    tag_map.draw(stream, kind)
    return stream.getvalue()


def numbers(svg: bytes) -> list[float]:
    return [float(text) for text in svg_texts(svg) if re.fullmatch(r"\d\.\d\d", text)]


def test_each_cell_says_its_probability_in_the_order_of_files_and_labels():
    rows = [{"rain": 0.25, "wind": 0.75}, {"rain": 1.0, "wind": 0.5}]
    svg = drawn(["in/a.wav", "in/b.wav"], ["rain", "wind"], rows)
    assert numbers(svg) == [0.25, 0.75, 1.0, 0.5]
    shown = svg_texts(svg)
    assert {"rain", "wind", "a.wav", "b.wav", "2 recordings", "2 labels · mini · in/"} <= set(shown)
    assert "failed, or left out" not in shown


def test_what_failed_or_was_left_out_is_empty():
    svg = drawn(["a.wav", "b.wav", "c.wav"], ["rain", "wind"], [{"rain": 0.5}, None, {"wind": 0.25}])
    assert numbers(svg) == [0.5, 0.25]
    assert "failed, or left out" in svg_texts(svg)


def test_a_run_in_which_all_failed_has_an_empty_map():
    assert numbers(drawn(["a.wav"], ["rain"], [None])) == []


def test_many_recordings_share_rows_that_show_the_highest():
    files = [f"in/{index:04}.wav" for index in range(150)]
    values = np.random.default_rng(0).uniform(0, 1, (150, 2)).round(2)
    svg = drawn(files, ["rain", "wind"], [{"rain": rain, "wind": wind} for rain, wind in values.tolist()])
    assert numbers(svg) == values.reshape(50, 3, 2).max(axis=1).ravel().tolist()
    assert "0147.wav to 0149.wav" in svg_texts(svg)
    assert any("3 in a row" in text for text in svg_texts(svg))


def test_of_many_labels_the_most_probable_are_shown_in_their_order():
    labels = [f"label {index}" for index in range(100)]
    svg = drawn(["a.wav"], labels, [{label: index / 100 for index, label in enumerate(labels)}])
    assert [text for text in svg_texts(svg) if text in labels] == labels[60:]
    assert any("the 40 most probable of 100 labels" in text for text in svg_texts(svg))


def test_labels_that_no_result_holds_have_no_column():
    svg = drawn(["a.wav", "b.wav"], ["hail", "rain", "snow", "wind"], [{"wind": 0.5}, {"rain": 0.0}])
    assert [text for text in svg_texts(svg) if text in ("hail", "rain", "snow", "wind")] == ["rain", "wind"]
    assert any("the 2 most probable of 4 labels" in text for text in svg_texts(svg))


@pytest.mark.parametrize("n_labels", [1, 5, 12, 40])
def test_no_word_of_a_label_is_cut_into_pieces(n_labels):
    labels = [f"a helicopter {index}" for index in range(n_labels)]
    svg = drawn(["a.wav"], labels, [dict.fromkeys(labels, 0.5)])
    assert sum("helicopter" in text for text in svg_texts(svg)) == n_labels


@pytest.mark.parametrize(("n_files", "n_labels"), [(1, 1), (7, 4), (61, 12), (5_000, 300)])
def test_a_picture_has_a_size_that_can_be_looked_at(n_files, n_labels):
    labels = [f"a rather long label with the number {index}" for index in range(n_labels)]
    pixels = png_pixels(drawn([f"{i}.wav" for i in range(n_files)], labels, [None] * n_files, "png"))
    height, width, _ = pixels.shape
    assert 720 <= width <= 1_200
    assert height <= 1_800


def test_awkward_names_keep_to_the_picture():
    files = ["/" + "in/" * 200 + name for name in ("\udcff.wav", "$x$\n.wav", "犬" * 80 + ".wav", "-")]
    labels = ["$\\frac{", "x " * 200, "\x1b🐶"]
    rows = [dict.fromkeys(labels, 0.5)] * 4
    assert len(numbers(drawn(files, labels, rows))) == 12
    pixels = png_pixels(drawn(files, labels, rows, "png"))
    assert (pixels[:, :18] == 255).all()
    assert (pixels[:, -10:] == 255).all()
