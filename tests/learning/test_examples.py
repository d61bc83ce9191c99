"""The evidence of recordings about labels, window by window and frame by frame."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.evaluation.annotations.folder import Annotated, Marked, Reference
from pe_audio_cli.learning.examples import (
    COUNTER,
    EXAMPLE,
    UNKNOWN,
    Examples,
    examples_of_frames,
    examples_of_windows,
    joined,
)
from pe_audio_cli.learning.fit import Words
from pe_audio_cli.results import EmbedResult, Recording

LABELS = ("dog", "rain")
WORDS = Words(np.eye(2, 3, dtype=np.float32), 1.0, 0.0)


def embedded(
    spans: list[tuple[float, float]], embeddings: np.ndarray | None = None, file: str = "a.wav"
) -> EmbedResult:
    starts, ends = np.array(spans).T
    if embeddings is None:
        embeddings = np.random.default_rng(0).normal(size=(len(spans), 3)).astype(np.float32)
    return EmbedResult(Recording(file, float(ends[-1]), 48000, 1), "m", "f", starts, ends, embeddings)


def frames(seconds: float) -> EmbedResult:
    n = round(seconds * 25)
    return embedded([(i / 25, (i + 1) / 25) for i in range(n)])


def strong(*references: tuple[str, float, float]) -> Annotated:
    labels = tuple(sorted({label for label, *_ in references}))
    return Annotated("a.wav", labels, tuple(sorted(Reference(*each) for each in references)))


def test_a_window_is_an_example_if_enough_of_an_event_lies_in_it() -> None:
    windows = embedded([(0, 10), (10, 20), (20, 30)])
    found = examples_of_windows(windows, strong(("dog", 9.7, 12), ("rain", 29.9, 30)), LABELS, WORDS)
    assert found.truth[:, 0].tolist() == [UNKNOWN, EXAMPLE, COUNTER]  # 0.3 s of 2.3 s in the first
    assert found.truth[:, 1].tolist() == [COUNTER, COUNTER, EXAMPLE]  # short, but all of it


def test_without_times_the_likeliest_window_stands_for_the_recording() -> None:
    audio = np.array([[0, 5, 0], [3, 1, 0], [1, 0, 0]], np.float32)
    found = examples_of_windows(
        embedded([(0, 10), (10, 20), (20, 30)], audio), Annotated("a.wav", ("dog",)), LABELS, WORDS
    )
    assert found.truth.tolist() == [[UNKNOWN, COUNTER], [EXAMPLE, COUNTER], [UNKNOWN, COUNTER]]


def test_a_recording_without_labels_is_a_counter_example_of_all() -> None:
    for annotated in (None, Annotated("a.wav", ()), Annotated("a.wav", ("other",))):
        assert (examples_of_windows(embedded([(0, 5)]), annotated, LABELS, WORDS).truth == COUNTER).all()
        assert (examples_of_frames(frames(2), annotated, LABELS, WORDS).truth == COUNTER).all()


def test_frames_near_an_edge_say_nothing() -> None:
    result = frames(2)
    found = examples_of_frames(result, strong(("dog", 0.5, 1.0)), ("dog",), WORDS)
    kept = {tuple(row): value for row, value in zip(found.embeddings.tolist(), found.truth[:, 0].tolist(), strict=True)}
    for start, row in zip(result.starts, result.embeddings.astype(np.float16).tolist(), strict=True):
        middle = start + 0.02
        near = min(abs(middle - 0.5), abs(middle - 1.0)) < 0.08
        assert kept.get(tuple(row)) == (None if near else int(0.5 <= middle < 1.0))


def test_an_event_shorter_than_its_edges_is_an_example_all_the_same() -> None:
    found = examples_of_frames(frames(2), strong(("dog", 1.0, 1.05)), ("dog",), WORDS)
    assert (found.truth == EXAMPLE).sum() == 1


@given(
    st.lists(st.tuples(st.sampled_from(LABELS), st.floats(0, 9), st.floats(0.01, 5)), max_size=5),
    st.floats(0.1, 60),
)
def test_no_frame_is_both_kept_and_says_nothing_of_any_label(events: list, seconds: float) -> None:
    references = [(label, onset, onset + length) for label, onset, length in events]
    found = examples_of_frames(frames(max(seconds, 0.04)), strong(*references), LABELS, WORDS)
    assert (found.truth != UNKNOWN).any(axis=1).all()
    assert len(found.owners) == len(found.embeddings) == len(found.truth)
    _, counts = np.unique(found.truth, axis=0, return_counts=True)
    assert (counts <= 100).all()


def plain(labels: tuple[str, ...], files: tuple[str, ...], truth: list[list[int]]) -> Examples:
    n = len(truth)
    return Examples(
        labels, files, np.arange(n * 3, dtype=np.float16).reshape(n, 3), np.arange(n), np.array(truth, np.int8)
    )


def test_parts_join_and_a_later_one_replaces_what_an_earlier_one_says_of_its_labels() -> None:
    first = plain(("dog", "rain"), ("a.wav", "b.wav"), [[1, 0], [0, 1]])
    second = plain(("dog", "owl"), ("b.wav", "c.wav"), [[1, 0], [0, 1]])
    both = joined([first, second])
    assert both.labels == ("dog", "rain", "owl") and both.recordings == ("a.wav", "b.wav", "c.wav")
    assert both.truth.tolist() == [[1, 0, -1], [-1, 1, -1], [1, -1, 0], [0, -1, 1]]
    assert both.owners.tolist() == [0, 1, 1, 2]
    assert [both.n_recordings(label, EXAMPLE) for label in range(3)] == [2, 1, 1]


def test_chosen_recordings_keep_their_own_rows() -> None:
    all_of_it = joined([plain(("dog",), ("a.wav", "b.wav", "c.wav"), [[1], [0], [1]])])
    kept = all_of_it.chosen(np.array([True, False, True]))
    assert kept.recordings == ("a.wav", "c.wav") and kept.owners.tolist() == [0, 1]
    assert kept.truth.tolist() == [[1], [1]]


def marked(*marks: tuple[str, float, float, bool]) -> Annotated:
    return Annotated("a.wav", tuple(sorted({label for label, *_ in marks})), marks=tuple(Marked(*m) for m in marks))


def test_a_mark_tells_of_the_windows_that_hold_it_or_that_it_holds() -> None:
    windows = embedded([(0, 10), (10, 20), (20, 30), (0, 30)])
    found = examples_of_windows(
        windows, marked(("dog", 0, 10, True), ("dog", 10, 20, False), ("rain", 12, 14, False)), LABELS, WORDS
    )
    # The long window holds the dog. Of the third nothing is known, nor is there rain in a whole window.
    assert found.truth.tolist() == [[EXAMPLE, UNKNOWN], [COUNTER, UNKNOWN], [EXAMPLE, UNKNOWN]]
    assert np.array_equal(found.embeddings, windows.embeddings[[0, 1, 3]].astype(np.float16))


def test_a_mark_tells_of_frames_within_its_excerpt() -> None:
    found = frames(20.0)
    audio = found.embeddings
    truth = examples_of_frames(found, marked(("dog", 0, 10, True), ("rain", 10, 12, False)), LABELS, WORDS)
    likeliest = np.argsort(-audio[:250, 0].astype(np.float64))[:25]
    dogs = truth.embeddings[truth.truth[:, 0] == EXAMPLE]
    assert {row.tobytes() for row in dogs} == {row.tobytes() for row in audio[likeliest].astype(np.float16)}
    assert (truth.truth[:, 0] != COUNTER).all()
    assert (truth.truth[:, 1] == COUNTER).sum() == 50 and (truth.truth[:, 1] != EXAMPLE).all()


def test_later_marks_replace_what_was_said_of_the_same_window_and_label() -> None:
    audio = np.eye(4, 3, dtype=np.float32)
    earlier = examples_of_windows(
        embedded([(0, 10), (10, 20), (20, 30), (30, 40)], audio),
        marked(("dog", 0, 10, True), ("dog", 10, 20, True), ("rain", 10, 20, True)),
        LABELS,
        WORDS,
    )
    later = examples_of_windows(
        embedded([(10, 20), (20, 30)], audio[1:3]), marked(("dog", 10, 20, False), ("dog", 20, 30, True)), LABELS, WORDS
    )
    both = joined([earlier, later], by_row=True)
    said = {
        (row.tobytes(), label): {int(t) for t in both.truth[(both.embeddings == row).all(axis=1), label]} - {UNKNOWN}
        for row in audio[:3].astype(np.float16)
        for label in (0, 1)
    }
    rows = [row.tobytes() for row in audio[:3].astype(np.float16)]
    assert [said[row, 0] for row in rows] == [{EXAMPLE}, {COUNTER}, {EXAMPLE}]
    assert [said[row, 1] for row in rows] == [set(), {EXAMPLE}, set()]
