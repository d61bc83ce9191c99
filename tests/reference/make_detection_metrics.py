"""Writes ``detection_metrics.json``: random scenes, and what sed_scores_eval 0.0.4 measures on them.

``PYTHONPATH=. python tests/reference/make_detection_metrics.py``, where sed-scores-eval-np2, pandas below 3 and
setuptools below 82 are installed, for which this project's own environment is too new.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import sed_scores_eval
from sed_scores_eval.base_modules.scores import create_score_dataframe

LABELS = ("0", "1", "2")
FRAME = 0.04  # seconds
THRESHOLDS = (0.25, 0.5, 0.75)
SCENARIOS = {
    "psds1": {"dtc_threshold": 0.7, "gtc_threshold": 0.7, "alpha_st": 1.0},
    "psds2": {"dtc_threshold": 0.1, "gtc_threshold": 0.1, "cttc_threshold": 0.3, "alpha_ct": 0.5, "alpha_st": 1.0},
}
MAX_RATE = 2000.0  # false positives per hour: at 100, there is next to nothing in scenes as short as these


def scene(rng: np.random.Generator) -> dict:
    """Scores ``(n_labels, n_frames)`` that tell of the references, more or less."""
    n_frames = int(rng.integers(60, 126))
    duration = round((n_frames - rng.choice([0.0, 0.4])) * FRAME, 3)
    references, scores = [], []
    for _ in LABELS:
        edges = np.unique(np.round(rng.uniform(0, duration, 2 * int(rng.integers(0, 3))), 2))
        spans = edges[: len(edges) // 2 * 2].reshape(-1, 2)
        middle = (np.arange(n_frames) + 0.5) * FRAME
        heard = ((middle[:, None] > spans[:, 0]) & (middle[:, None] < spans[:, 1])).any(axis=1)
        noise = np.convolve(rng.normal(size=n_frames + 8), np.ones(9) / 3, "valid")
        scores.append(np.round(1 / (1 + np.exp(-(3 * heard - 1.5 + noise))), 3).tolist())
        references.append(spans.tolist())
    return {"duration": duration, "scores": scores, "references": references}


def measured(scenes: list[dict]) -> dict:
    """The scores of all scenes together."""
    scores, truth, durations = {}, {}, {}
    for index, each in enumerate(scenes):
        name = f"r{index:03}"
        edges = np.minimum(np.arange(len(each["scores"][0]) + 1) * FRAME, each["duration"])
        scores[name] = create_score_dataframe(np.array(each["scores"]).T.copy(), edges, list(LABELS))
        truth[name] = [
            (*span, label) for label, spans in zip(LABELS, each["references"], strict=True) for span in spans
        ]
        durations[name] = each["duration"]
    told = {}
    for name, scenario in SCENARIOS.items():
        overall, own, *_ = sed_scores_eval.intersection_based.psds(
            scores, truth, durations, max_efpr=MAX_RATE, **scenario
        )
        told[name] = {"overall": overall, "labels": [own[label] for label in LABELS]}
    for name, module, more in (
        (
            "events",
            sed_scores_eval.collar_based,
            {"onset_collar": 0.2, "offset_collar": 0.2, "offset_collar_rate": 0.2},
        ),
        ("segments", sed_scores_eval.segment_based, {"audio_durations": durations, "segment_length": 1.0}),
    ):
        told[name] = {}
        for threshold in THRESHOLDS:
            f1, *_ = module.fscore(scores, truth, threshold=threshold, **more)
            told[name][str(threshold)] = [f1[label] for label in LABELS]
    return told


def main() -> None:
    """Write the file."""
    rng = np.random.default_rng(0)
    sets = []
    while len(sets) < 4:
        scenes = [scene(rng) for _ in range(5)]
        if all(any(each["references"][label] for each in scenes) for label in range(len(LABELS))):
            sets.append({"scenes": scenes, "expected": measured(scenes)})
    content = {"max_rate": MAX_RATE, "sets": sets}
    path = Path(__file__).with_name("detection_metrics.json")
    path.write_text(json.dumps(content, default=float) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
