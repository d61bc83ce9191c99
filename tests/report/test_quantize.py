"""Ranks are equivalent to probabilities, for every threshold of a page."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pe_audio_cli.options import EventOptions
from pe_audio_cli.report.quantize import base64_text, deflated, pooled, ranks, shades, threshold_index, thresholds

probabilities = arrays(np.float32, st.integers(0, 50), elements=st.floats(0, 1, width=32))


@given(probabilities, st.floats(0, 1), st.floats(0, 1))
def test_a_rank_is_above_an_index_where_the_probability_is_above_its_threshold(row, one, other):
    levels = thresholds(EventOptions(max(one, other), min(one, other)))
    found = ranks(row, levels)
    assert found.dtype == np.uint8
    for at, level in enumerate(levels):
        np.testing.assert_array_equal(found > at, row > level)


@given(st.floats(0, 1), st.none() | st.floats(0, 1))
def test_every_half_hundredth_and_the_users_own_thresholds_have_an_index(threshold, offset):
    offset = None if offset is None else min(offset, threshold)
    levels = thresholds(EventOptions(threshold, offset))
    assert len(levels) <= 256
    assert levels == sorted(levels)
    for level in (threshold, *(() if offset is None else (offset,)), *(step / 200 for step in range(201))):
        assert np.float32(levels[threshold_index(level, levels)]) == np.float32(level)


@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 3))), st.integers(1, 50))
def test_pools_are_maxima(values, width):
    groups = [values[start : start + width].max(axis=0) for start in range(0, len(values), width)]
    np.testing.assert_array_equal(pooled(values, width), groups)


def test_the_loudest_has_the_highest_shade_and_80_decibels_less_the_lowest():
    assert shades(np.array([[-20.0, -22.0], [-100.0, -140.0]], np.float32)).tolist() == [[40, 39], [0, 0]]


def test_silence_is_not_loud():
    assert shades(np.array([[-100.0, -140.0]], np.float32)).tolist() == [[20, 0]]


@pytest.mark.parametrize("length", [0, 1, 3, 49_152, 49_153, 200_000])
def test_pieces_of_any_size_come_back(length):
    content = np.random.default_rng(0).bytes(length)
    pieces = [content[start : start + 7_001] for start in range(0, length, 7_001)]
    text = "".join(base64_text(deflated(pieces)))
    assert zlib.decompress(base64.b64decode(text, validate=True)) == content
