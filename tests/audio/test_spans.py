"""Spans of recordings: the same samples as in the whole, whatever the blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_audio_cli.audio.decoding import open_audio
from pe_audio_cli.audio.spans import read_spans
from pe_audio_cli.errors import InputError

SECONDS = 4.0


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> tuple[str, np.ndarray]:
    """A recording, and all of its samples as they are decoded."""
    file = tmp_path_factory.mktemp("spans") / "noise.wav"
    soundfile.write(file, np.random.default_rng(0).uniform(-0.5, 0.5, round(SECONDS * 44_100)), 44_100)
    with open_audio(str(file)) as stream:
        return str(file), np.concatenate(list(stream.blocks()))


times = st.floats(0, SECONDS + 2).map(lambda value: round(value, 2))


@settings(max_examples=40, deadline=None)
@given(
    spans=st.lists(st.tuples(times, times).map(sorted).map(tuple).filter(lambda span: span[0] < span[1]), max_size=6)
)
def test_a_span_is_the_part_of_the_whole(recording: tuple[str, np.ndarray], spans: list[tuple[float, float]]) -> None:
    file, whole = recording
    found = dict(read_spans(file, spans))
    assert sorted(found) == list(range(len(spans)))
    for number, (start, end) in enumerate(spans):
        assert np.array_equal(found[number], whole[round(start * 48_000) : round(end * 48_000)])


def test_spans_come_in_the_order_of_their_ends(recording: tuple[str, np.ndarray]) -> None:
    order = [number for number, _ in read_spans(recording[0], [(0, 3), (1, 2), (0.5, 1), (3, 9)])]
    assert order == [2, 1, 0, 3]


def test_nothing_is_decoded_beyond_the_last_span(recording: tuple[str, np.ndarray], tmp_path: Path) -> None:
    content = Path(recording[0]).read_bytes()
    (tmp_path / "cut.wav").write_bytes(content[: len(content) // 2])  # what is missing would be an error or a warning
    ((_, samples),) = read_spans(str(tmp_path / "cut.wav"), [(0.5, 1.0)])
    assert len(samples) == 24_000


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("no recording")
    with pytest.raises(InputError):
        list(read_spans(str(tmp_path / "x.wav"), [(0, 1)]))
