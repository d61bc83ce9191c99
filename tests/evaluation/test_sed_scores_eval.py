"""The same numbers as sed_scores_eval's, which the field uses, on random scenes.

It needs an older pandas and setuptools than this project is pinned to, so that its numbers on some scenes are kept in
``tests/reference`` too.
"""

from __future__ import annotations

import pytest

sed_scores_eval = pytest.importorskip("sed_scores_eval", exc_type=ImportError)

from dataclasses import replace  # noqa: E402

import numpy as np  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from scenes import sets  # noqa: E402

from pe_audio_cli.evaluation.metrics.counts import event_counts, hits, segment_counts  # noqa: E402
from pe_audio_cli.evaluation.metrics.psds import PSDS1, PSDS2, PsdsOptions, psds  # noqa: E402
from pe_audio_cli.evaluation.metrics.ranking import ranking  # noqa: E402
from pe_audio_cli.evaluation.metrics.scored import StrongRecording  # noqa: E402
from pe_audio_cli.options import EventOptions  # noqa: E402

RATE = 20_000.0  # false positives per hour: in scenes this short, a few
LABELS = ["0", "1", "2"]


# sed_scores_eval takes no label without a reference.
heard = sets(3).filter(lambda scenes: all(any(len(each.references[label]) for each in scenes) for label in range(3)))


def told(recordings: list[StrongRecording]) -> tuple[dict, dict, dict]:
    """Scores, ground truth and durations as sed_scores_eval wants them."""
    from sed_scores_eval.base_modules.scores import create_score_dataframe

    named = {f"r{index:03}": each for index, each in enumerate(recordings)}
    scores = {name: create_score_dataframe(each.scores.T.copy(), each.edges, LABELS) for name, each in named.items()}
    truth = {
        name: [(*span, label) for label, spans in zip(LABELS, each.references, strict=True) for span in spans.tolist()]
        for name, each in named.items()
    }
    return scores, truth, {name: each.duration for name, each in named.items()}


@pytest.mark.parametrize("options", [replace(PSDS1, max_rate=RATE), replace(PSDS2, max_rate=RATE)], ids=["1", "2"])
@given(recordings=heard)
@settings(deadline=None, max_examples=200)
def test_psds(options: PsdsOptions, recordings: list[StrongRecording]) -> None:
    overall, own = psds(recordings, options, np.ones((1, len(recordings)), np.int64))
    expected, expected_own, *_ = sed_scores_eval.intersection_based.psds(
        *told(recordings),
        dtc_threshold=options.detection_tolerance,
        gtc_threshold=options.reference_intersection,
        cttc_threshold=options.cross_trigger_tolerance,
        alpha_ct=options.cross_trigger_weight,
        alpha_st=options.spread_weight,
        max_efpr=options.max_rate,
    )
    np.testing.assert_allclose(overall, [expected], atol=1e-9)
    np.testing.assert_allclose(own[0], [expected_own[label] for label in LABELS], atol=1e-9)


@given(recordings=heard, threshold=st.integers(0, 9).map(lambda tenths: tenths / 10 + 0.017))
@settings(deadline=None, max_examples=200)
def test_events_and_segments(recordings: list[StrongRecording], threshold: float) -> None:
    scores, truth, durations = told(recordings)
    event_based = sed_scores_eval.collar_based.fscore(
        scores, truth, threshold, onset_collar=0.2, offset_collar=0.2, offset_collar_rate=0.2
    )
    segment_based = sed_scores_eval.segment_based.fscore(scores, truth, durations, threshold, segment_length=1.0)
    for count, (expected, _, _, statistics) in ((event_counts, event_based), (segment_counts, segment_based)):
        for label, name in enumerate(LABELS):
            right, found, wanted = count(recordings, label, EventOptions(threshold)).sum(axis=0)
            assert (right, found - right, wanted) == tuple(statistics[name][key] for key in ("tps", "fps", "n_ref"))
            if wanted > 0:
                np.testing.assert_allclose(hits(np.array([right, found, wanted])).f1, expected[name])


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # its rates of labels without a negative
@given(recordings=heard)
@settings(deadline=None, max_examples=100)
def test_frames_are_segments_of_40_ms(recordings: list[StrongRecording]) -> None:
    scores, truth, durations = told(recordings)
    # It takes 1.12 / 0.04, which is a little more than 28 in floating point, for 29 segments.
    durations = {name: seconds - 1e-9 for name, seconds in durations.items()}
    for label, name in enumerate(LABELS):
        frames = np.concatenate([each.truth(label) for each in recordings])
        if not frames.any() or frames.all():
            continue
        values = np.concatenate([each.scores[label] for each in recordings])
        area, _ = sed_scores_eval.segment_based.auroc(scores, truth, durations, segment_length=0.04)
        precision, _ = sed_scores_eval.segment_based.average_precision(scores, truth, durations, segment_length=0.04)
        owners = np.repeat(np.arange(len(recordings)), [each.scores.shape[1] for each in recordings])
        ours = ranking(values, frames, owners, np.ones((1, len(recordings)), np.int64))
        np.testing.assert_allclose([each[0] for each in ours], [area[name], precision[name]])
