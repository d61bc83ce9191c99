import numpy as np
import pytest

from pe_audio_cli import EventOptions
from pe_audio_cli.audio.framing import SAMPLE_RATE
from pe_audio_cli.detection.label_settings import carried_settings
from training import choose, events
from training.strangers import (
    FIRST_LABELS,
    SCENE_SECONDS,
    Stranger,
    by_sound,
    clip_figures,
    make_scenes,
    references,
    scene_figures,
)

DOG, RAIN = FIRST_LABELS.index("a dog barking"), FIRST_LABELS.index("rain falling")


def scores(*rows: dict[int, float]) -> np.ndarray:
    table = np.full((len(rows), len(FIRST_LABELS)), 0.01, np.float32)
    for row, values in enumerate(rows):
        for index, value in values.items():
            table[row, index] = value
    return table


def test_figures_of_clips_count_what_their_names_say():
    table = scores({DOG: 0.9}, {DOG: 0.2, RAIN: 0.7}, {RAIN: 0.6}, {DOG: 0.4}, {RAIN: 0.8})
    figures = clip_figures(table, ["a dog barking", "a dog barking", "rain falling", "x:whale", "bg"])
    assert figures == pytest.approx(
        {
            "top-1": 2 / 3,
            "top-1, macro": 3 / 4,
            "top-5": 1,
            "a wrong label above 0.5": 1 / 3,
            "the right label above 0.3": 2 / 3,
            "unknown sounds with anything above 0.5": 0,
            "backgrounds with anything above 0.5": 1,
        }
    )
    assert by_sound(table[:3], ["a dog barking", "a dog barking", "rain falling"]) == [
        ("a dog barking", 2, 0.5, 0.5, "rain falling 1"),
        ("rain falling", 1, 1.0, 1.0, ""),
    ]


def test_a_short_rest_does_not_end_a_reference():
    heard = np.zeros(100, bool)
    heard[[*range(10, 20), *range(25, 30), *range(60, 70)]] = True
    np.testing.assert_allclose(references(heard), [(0.4, 1.2), (2.4, 2.8)])
    assert references(np.zeros(5, bool)).shape == (0, 2)


@pytest.fixture(scope="module")
def scenes():
    rng = np.random.default_rng(0)
    noise = [Stranger(0.01 * rng.standard_normal(SAMPLE_RATE).astype(np.float32), "bg", "noise")]
    tone = 0.5 * np.sin(np.arange(2 * SAMPLE_RATE) / 20).astype(np.float32)
    return make_scenes([*noise, *(Stranger(tone, label, label) for label in FIRST_LABELS[:5])], count=4)


def test_scenes_say_when_a_sound_is_louder_than_the_background(scenes):
    for scene in scenes:
        assert len(scene.samples) == SCENE_SECONDS * SAMPLE_RATE and len(scene.labels) == 3
        assert np.abs(scene.samples).max() <= 1
        for label in scene.labels:
            assert 40 <= scene.truth[label].sum() <= 51  # two seconds


def test_who_hears_what_is_there_finds_its_events_and_prints_no_others(scenes):
    perfect = [scene.truth.T.astype(np.float32) for scene in scenes]
    figures = scene_figures(scenes, perfect, {})
    assert figures["event F1, labels of the scene"] == figures["segment F1, labels of the scene"] == 1
    assert figures["events printed for each true one, all labels"] == 1
    assert figures["frame AUROC among active frames"] == 1


def test_the_rules_that_are_chosen_bridge_gaps_and_are_carried(scenes, tmp_path):
    ragged = [scene.truth.T.astype(np.float32) * 0.9 for scene in scenes]
    for score in ragged:
        score[::5] *= 0.1
    chosen = events.choose(scenes, ragged)
    plain = scene_figures(scenes, ragged, {})["event F1, labels of the scene"]
    ruled = scene_figures(scenes, ragged, dict.fromkeys(FIRST_LABELS, chosen))["event F1, labels of the scene"]
    assert ruled > plain
    events.write(tmp_path, chosen)
    assert carried_settings(tmp_path, "localize").event_options(EventOptions()).of("any label") == chosen


def test_an_origin_lies_in_one_half():
    recordings = [Stranger(np.zeros(2, np.float32), "bg", f"origin {index // 3}") for index in range(60)]
    chosen, measured = events.halves(recordings)
    assert chosen and measured and len(chosen) + len(measured) == 60
    assert not {it.group for it in chosen} & {it.group for it in measured}


def test_a_sound_is_advertised_where_it_met_the_bar_and_an_old_one_always():
    heard = [
        choose.Heard("saxophone", 5, 3, 0.97, 0.8),
        choose.Heard("whale", 5, 2, 0.99, 0.9),
        choose.Heard("harp", 5, 4, 0.99, 0.3),
        choose.Heard("dog_bark", 5, 4, 0.5, 0.1),
        choose.Heard("noise", 9, 9, 1.0, 1.0),
    ]
    ids = choose.advertised(heard)
    assert ids[0] == "dog_bark" and ids[-1] == "saxophone" and len(ids) == len(FIRST_LABELS) + 1


def test_the_figures_of_a_ranking():
    values = np.array([0.9, 0.8, 0.7, 0.1])
    assert choose.rank_figures(values, np.array([True, False, True, False])) == pytest.approx((0.75, 5 / 6))
    assert choose.rank_figures(values, np.array([True, True, False, False])) == (1.0, 1.0)
