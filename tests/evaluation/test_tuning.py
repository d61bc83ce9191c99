"""Tuning finds the best settings, with metrics of recordings that they were not chosen on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import sets

from pe_audio_cli.detection.events import find_events
from pe_audio_cli.errors import UsageError
from pe_audio_cli.evaluation.metrics.counts import event_counts, hits
from pe_audio_cli.evaluation.metrics.scored import Clips, StrongRecording
from pe_audio_cli.evaluation.tuning.threshold_search import (
    THRESHOLDS,
    ClipCandidates,
    EventCandidates,
    Goal,
    assign_folds,
    search_thresholds,
)
from pe_audio_cli.options import EventOptions

NOW = EventOptions()


def clips(scores: list[float], truth: list[bool]) -> Clips:
    return Clips(np.array(scores, np.float32)[:, None], np.array(truth)[:, None])


def test_thresholds_rise_and_can_be_read() -> None:
    assert all(0 < low < high < 1 for low, high in itertools.pairwise(THRESHOLDS))
    assert all(len(f"{threshold:g}") <= 8 for threshold in THRESHOLDS)


@given(sets(1), st.sampled_from([Goal(), Goal("precision", 0.7), Goal("recall", 0.9)]))
@settings(deadline=None, max_examples=50)
def test_no_threshold_is_better_than_the_one_that_is_chosen(recordings: list[StrongRecording], goal: Goal) -> None:
    tuned = search_thresholds(EventCandidates(recordings, 0, False), NOW, goal, assign_folds([0] * len(recordings)))
    assert tuned.counts.tolist() == event_counts(recordings, 0, tuned.options).tolist()
    if not any(len(each.references[0]) for each in recordings):
        assert tuned.options == NOW
        return
    total = tuned.counts.sum(axis=0)
    others = [event_counts(recordings, 0, EventOptions(threshold)).sum(axis=0) for threshold in THRESHOLDS]
    assert goal.merit(total[None])[0] == pytest.approx(goal.merit(np.array(others)).max())
    assert goal.reached(total) == (goal.figure == "f1" or goal.merit(total[None])[0] >= 1)


@given(sets(1))
@settings(deadline=None, max_examples=20)
def test_postprocessing_is_no_worse_and_is_the_rule_of_localize(recordings: list[StrongRecording]) -> None:
    folds = assign_folds([0] * len(recordings))
    plain = search_thresholds(EventCandidates(recordings, 0, False), NOW, Goal(), folds)
    tuned = search_thresholds(EventCandidates(recordings, 0, True), NOW, Goal(), folds)
    if any(len(each.references[0]) for each in recordings):
        assert hits(tuned.counts.sum(axis=0)).f1 >= hits(plain.counts.sum(axis=0)).f1
    for recording in recordings:
        found = find_events({"x": recording.scores[0]}, recording.duration, tuned.options)
        np.testing.assert_allclose(
            recording.detected(0, tuned.options), np.array([(e.start, e.end) for e in found]).reshape(-1, 2)
        )


def test_of_equally_good_thresholds_the_middle_one_is_chosen() -> None:
    found = search_thresholds(ClipCandidates(clips([0.1, 0.9], [False, True]), 0), 0.5, Goal(), np.array([0, 1]))
    assert found.options == 0.5


def test_held_out_counts_are_of_thresholds_that_have_not_seen_them() -> None:
    """Scores of 0.2 in one fold and 0.8 in the other: each fold's best threshold is wrong for the other."""
    scores, truth = [0.2, 0.01, 0.8, 0.5], [True, False, True, False]
    candidates = ClipCandidates(clips(scores, truth), 0)
    tuned = search_thresholds(candidates, 0.5, Goal(), np.array([0, 0, 1, 1]))
    # The threshold of the second half, between 0.5 and 0.8, misses 0.2; that of the first takes 0.5 for a positive.
    assert tuned.held_out.tolist() == [[0, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]]
    assert hits(tuned.counts.sum(axis=0)).f1 > hits(tuned.held_out.sum(axis=0)).f1


def test_a_goal_is_the_highest_recall_at_a_precision_or_the_other_way_round() -> None:
    scores = [0.9, 0.8, 0.7, 0.6, 0.3, 0.1]
    truth = [True, False, True, True, False, True]
    candidates = ClipCandidates(clips(scores, truth), 0)
    folds = np.zeros(6, np.intp)
    folds[3:] = 1

    def chosen(goal: str) -> tuple[float, float]:
        found = hits(search_thresholds(candidates, 0.5, Goal.parse(goal), folds).counts.sum(axis=0))
        return float(found.precision), float(found.recall)

    assert chosen("precision=0.95") == (1.0, 0.25)
    assert chosen("precision=0.75") == (0.75, 0.75)
    assert chosen("recall=0.5") == pytest.approx((0.75, 0.75))
    assert chosen("recall=1") == pytest.approx((4 / 6, 1.0))


def test_a_goal_out_of_reach_is_missed_by_as_little_as_can_be() -> None:
    candidates = ClipCandidates(clips([0.9, 0.8, 0.7], [False, True, True]), 0)
    goal = Goal("precision", 0.9)
    tuned = search_thresholds(candidates, 0.5, goal, np.array([0, 1, 1]))
    assert not goal.reached(tuned.counts.sum(axis=0))
    assert hits(tuned.counts.sum(axis=0)).precision == pytest.approx(2 / 3)


@pytest.mark.parametrize("text", ["precision", "precision=2", "recall=-1", "precision=x", "f1=0.5", "auc=0.9", ""])
def test_a_goal_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--for is f1, precision=P or recall=P, with P from 0 to 1"):
        Goal.parse(text)


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=40))
def test_recordings_of_a_kind_are_dealt_evenly(kinds: list[str]) -> None:
    folds = assign_folds(kinds)
    assert set(folds) == set(range(min(5, len(kinds))))
    for kind in set(kinds):
        counts = np.bincount([fold for fold, own in zip(folds, kinds, strict=True) if own == kind], minlength=5)
        assert counts.max() - counts[: min(5, len(kinds))].min() <= 1
