"""PSDS, events and segments: the numbers of sed_scores_eval on random scenes, and some worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from scenes import sets
from support import REFERENCE

from pe_audio_cli.evaluation.metrics.counts import event_counts, hits, segment_counts
from pe_audio_cli.evaluation.metrics.psds import PSDS1, PSDS2, psds
from pe_audio_cli.evaluation.metrics.scored import StrongRecording
from pe_audio_cli.options import EventOptions

KNOWN = json.loads((REFERENCE / "detection_metrics.json").read_text(encoding="utf-8"))
ONCE = np.ones((1, 1), np.int64)
HOUR = 3600.0


def recorded(scene: dict) -> StrongRecording:
    references = [np.array(spans, float).reshape(-1, 2) for spans in scene["references"]]
    return StrongRecording(np.array(scene["scores"]), scene["duration"], references)


@pytest.mark.parametrize("known", KNOWN["sets"], ids=range(len(KNOWN["sets"])))
def test_the_numbers_of_sed_scores_eval(known: dict) -> None:
    recordings, expected = [recorded(scene) for scene in known["scenes"]], known["expected"]
    weights = np.ones((1, len(recordings)), np.int64)
    for name, scenario in (("psds1", PSDS1), ("psds2", PSDS2)):
        overall, own = psds(recordings, replace(scenario, max_rate=KNOWN["max_rate"]), weights)
        assert overall == pytest.approx([expected[name]["overall"]])
        assert own[0] == pytest.approx(expected[name]["labels"])
    for name, count in (("events", event_counts), ("segments", segment_counts)):
        for threshold, f1 in expected[name].items():
            counts = [count(recordings, label, EventOptions(float(threshold))).sum(axis=0) for label in range(3)]
            assert hits(np.array(counts)).f1 == pytest.approx(f1)


def steps(*levels: float, references: list, duration: float | None = None) -> StrongRecording:
    """A recording of one label whose score has these levels for a second each."""
    scores = np.repeat(levels, 25)[None]
    return StrongRecording(scores, duration or float(len(levels)), [np.array(references, float).reshape(-1, 2)])


def test_a_perfect_detection_scores_1_and_silence_0() -> None:
    perfect = steps(0.1, 0.9, 0.1, references=[(1, 2)])
    assert psds([perfect], PSDS1, ONCE)[0] == pytest.approx([1.0])
    silent = steps(0.1, 0.1, 0.1, references=[(1, 1.5)])
    assert psds([silent], PSDS1, ONCE)[0] == pytest.approx([0.0])


def test_the_area_begins_where_false_positives_come_before_the_reference() -> None:
    """Above it stands one false positive in two minutes: 30 an hour, so that 70 of 100 are left."""
    before = steps(0.9, 0.1, 0.8, *[0.1] * 117, references=[(2, 3)])
    assert before.duration == 120
    assert psds([before], PSDS1, ONCE)[0] == pytest.approx([0.7])


def test_cross_triggers_cost_half_and_spread_costs_all_of_it() -> None:
    """In an hour label 0 is found, with one false positive within the 10 s of label 1, which is never found."""
    seconds = 3600
    one, other = np.full(seconds, 0.1), np.full(seconds, 0.1)
    one[10], one[20] = 0.8, 0.9
    scores = np.repeat(np.stack([one, other]), 25, axis=1)
    references = [np.array([[10.0, 11.0]]), np.array([[20.0, 30.0]])]
    recording = StrongRecording(scores, float(seconds), references)
    overall, own = psds([recording], PSDS2, ONCE)
    rate = 1 + 0.5 * 1 / 10 * HOUR
    assert own[0] == pytest.approx([0.0, 0.0]) and rate > 100
    plain = replace(PSDS2, max_rate=1000.0)
    overall, own = psds([recording], plain, ONCE)
    assert own[0] == pytest.approx([1 - rate / 1000, 0.0])
    assert overall == pytest.approx([0.0])  # of found shares 1 and 0, mean and spread are 0.5 both


def test_a_label_without_a_reference_is_not_in_the_score() -> None:
    scores = np.repeat([[0.1, 0.9, 0.1], [0.9, 0.9, 0.9]], 25, axis=1)
    recording = StrongRecording(scores, 3.0, [np.array([[1.0, 2.0]]), np.empty((0, 2))])
    overall, own = psds([recording], PSDS2, ONCE)
    assert overall == pytest.approx([1.0])
    assert np.isnan(own[0, 1]) and own[0, 0] == 1


@given(sets(2))
@settings(deadline=None, max_examples=50)
def test_a_recording_twice_is_a_weight_of_two(recordings: list[StrongRecording]) -> None:
    weights = np.arange(1, len(recordings) + 1)
    repeated = [each for each, times in zip(recordings, weights, strict=True) for _ in range(times)]
    scenario = replace(PSDS2, max_rate=20_000.0)
    weighted = psds(recordings, scenario, weights[None])
    for one, other in zip(weighted, psds(repeated, scenario, np.ones((1, len(repeated)), np.int64)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_a_long_recording_of_many_scores_needs_few_thresholds() -> None:
    rng = np.random.default_rng(0)
    n_frames = 25 * 600
    level = np.convolve(rng.normal(size=n_frames + 24), np.ones(25) / 5, "valid")
    references = np.arange(10, 590, 20, float)[:, None] + [0.0, 3.0]
    for start, stop in references:
        level[int(start * 25) : int(stop * 25)] += 2
    exact = StrongRecording(np.round(1 / (1 + np.exp(-level)), 2)[None], 600.0, [references])
    fine = StrongRecording((1 / (1 + np.exp(-level)))[None], 600.0, [references])
    assert psds([fine], PSDS2, ONCE)[0] == pytest.approx(psds([exact], PSDS2, ONCE)[0], abs=0.02)
