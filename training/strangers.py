"""Measures a checkpoint on recordings by strangers, through the tool itself: what its model card begins with.

``python -m training.strangers FOLDER CHECKPOINT`` prints the figures. FOLDER holds ``labels.csv`` (file, label, group)
and the recordings. A label is one of the checkpoint's, ``x:`` and a sound that `mini` 1 did not know, or ``bg``,
a background. Nothing in it was ever trained on; what is fitted on it (:mod:`training.calibrate`) is fitted group by
group, on all others than those that it is measured on.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pe_audio_cli.audio.framing import FRAMES_PER_SECOND, HOP, SAMPLE_RATE
from pe_audio_cli.detection.label_settings import read_settings
from pe_audio_cli.evaluation.metrics.counts import Counts, event_counts, hits, segment_counts
from pe_audio_cli.evaluation.metrics.scored import StrongRecording
from pe_audio_cli.options import EventOptions
from training.concepts import FIRST
from training.evaluate import Array, Judge, auroc, loudest_stretch
from training.features import read
from training.hear import LOWEST_RATE, PHONE, resampled, through_mp3

FIRST_LABELS = tuple(concept.label for concept in FIRST)
UNKNOWN, BACKGROUND = "x:", "bg"
SURE, LIKELY = 0.5, 0.3

# What is done to a recording, under which its first label should stay.
CHANGES = {
    "20 dB quieter": lambda samples: samples * np.float32(0.1),
    "at 8 kHz": lambda samples: resampled(resampled(samples, SAMPLE_RATE, PHONE), PHONE, SAMPLE_RATE),
    "as MP3 of 32 kbit/s": partial(through_mp3, rate=SAMPLE_RATE, compression=LOWEST_RATE),
}

SCENES, SCENE_SECONDS, SOUNDS, LONGEST = (
    60,
    20,
    3,
    4.0,
)  # how many, how long, sounds in each, of at most so many seconds
ABOVE = (5.0, 20.0)  # dB by which a sound's loudest moment is above the background
AUDIBLE = -6.0  # dB against the background from which on a moment of a sound counts as heard
GAP = 0.5  # seconds of rest that do not end an event


@dataclass(frozen=True)
class Stranger:
    """A recording, and what is said to be heard in it."""

    samples: Array
    label: str
    group: str


@dataclass(frozen=True)
class Scene:
    """Sounds over a background, and which of :data:`FIRST_LABELS` is heard in which frame ``(n_labels, frames)``."""

    samples: Array
    truth: NDArray[np.bool_]

    @property
    def labels(self) -> list[int]:
        """Those that are heard."""
        return np.nonzero(self.truth.any(1))[0].tolist()


def load(folder: Path) -> list[Stranger]:
    """All recordings of ``labels.csv``."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    return [Stranger(read(folder / row["file"]).numpy(), row["label"], row["group"]) for row in rows]


def clip_figures(scores: Array, labels: Sequence[str]) -> dict[str, float]:
    """Shares, of probabilities ``(n, n_labels)`` of :data:`FIRST_LABELS` for recordings said to hold ``labels``."""
    truth = np.array([FIRST_LABELS.index(label) if label in FIRST_LABELS else -1 for label in labels])
    known = truth >= 0
    own, right = scores[known], truth[known]
    order = np.argsort(-own, 1, kind="stable")
    first = order[:, 0] == right
    rows = np.arange(len(own))
    others = own.copy()
    others[rows, right] = 0
    figures = {
        "top-1": first.mean(),
        "top-1, macro": np.mean([first[right == index].mean() for index in np.unique(right)]),
        "top-5": (order[:, :5] == right[:, None]).any(1).mean(),
        "a wrong label above 0.5": (others.max(1) > SURE).mean(),
        "the right label above 0.3": (own[rows, right] > LIKELY).mean(),
    }
    for name, chosen in (("unknown sounds", UNKNOWN), ("backgrounds", BACKGROUND)):
        rest = np.array([label.startswith(chosen) for label in labels])
        if rest.any():
            figures[f"{name} with anything above 0.5"] = (scores[rest].max(1) > SURE).mean()
    return {name: float(value) for name, value in figures.items()}


def by_sound(scores: Array, labels: Sequence[str]) -> list[tuple[str, int, float, float, str]]:
    """Of each label: recordings, the share in which it comes first, in which it is above 0.3, what else is first."""
    first = scores.argmax(1)
    rows = []
    for index, label in enumerate(FIRST_LABELS):
        own = np.array([it == label for it in labels])
        if own.any():
            wrong = Counter(FIRST_LABELS[other] for other in first[own] if other != index).most_common(2)
            heard = float((scores[own, index] > LIKELY).mean())
            taken = ", ".join(f"{name} {count}" for name, count in wrong)
            rows.append((label, int(own.sum()), float((first[own] == index).mean()), heard, taken))
    return rows


def make_scenes(strangers: Sequence[Stranger], count: int = SCENES, seed: int = 0) -> list[Scene]:
    """Scenes of recordings that hold a label, over recordings of backgrounds."""
    rng = np.random.default_rng(seed)
    backgrounds = [it for it in strangers if it.label == BACKGROUND]
    sounds: dict[str, list[Stranger]] = {}
    for it in strangers:
        if it.label in FIRST_LABELS:
            sounds.setdefault(it.label, []).append(it)
    size = SCENE_SECONDS * SAMPLE_RATE // HOP
    scenes = []
    for _ in range(count):
        background = np.resize(backgrounds[int(rng.integers(len(backgrounds)))].samples, size * HOP)
        power = float((background**2).mean()) + 1e-9
        mixed, truth = background.copy(), np.zeros((len(FIRST_LABELS), size), bool)
        for label in rng.choice(sorted(sounds), SOUNDS, replace=False):
            takes = sounds[label]
            sound = loudest_stretch(takes[int(rng.integers(len(takes)))].samples, round(LONGEST * FRAMES_PER_SECOND))
            frames = sound.reshape(-1, HOP)
            loudest = float((frames**2).mean(1).max()) + 1e-12
            frames = frames * np.float32(np.sqrt(power / loudest) * 10 ** (rng.uniform(*ABOVE) / 20))
            heard = 10 * np.log10((frames**2).mean(1) / power + 1e-9) > AUDIBLE
            start = int(rng.integers(0, size - len(frames)))
            mixed[start * HOP : (start + len(frames)) * HOP] += frames.ravel()
            truth[FIRST_LABELS.index(label), start : start + len(frames)] |= heard
        scenes.append(Scene(mixed / max(1.0, float(np.abs(mixed).max())), truth))
    return scenes


def references(heard: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Events ``(n, 2)`` in seconds of a label's frames; a short rest does not end one."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], heard, [False]]).astype(int))).reshape(-1, 2)
    found: list[list[float]] = []
    for onset, offset in edges / FRAMES_PER_SECOND:
        if found and onset - found[-1][1] <= GAP:
            found[-1][1] = offset
        else:
            found.append([onset, offset])
    return np.array(found).reshape(-1, 2)


def recorded(scenes: Sequence[Scene], scores: Sequence[Array]) -> list[StrongRecording]:
    """Scenes with the probabilities of their frames, ``(frames, n_labels)`` each."""
    return [
        StrongRecording(score.T, float(SCENE_SECONDS), [references(heard) for heard in scene.truth])
        for scene, score in zip(scenes, scores, strict=True)
    ]


def scene_figures(
    scenes: Sequence[Scene], scores: Sequence[Array], options: Mapping[str, EventOptions]
) -> dict[str, float]:
    """The metrics of events with the labels of the scene alone, and the number printed with all of them."""
    found = recorded(scenes, scores)
    events, segments = np.zeros(3, np.int64), np.zeros(3, np.int64)
    printed = 0
    for index, label in enumerate(FIRST_LABELS):
        own = options.get(label, EventOptions())
        counts: Counts = event_counts(found, index, own)
        here = np.array([index in scene.labels for scene in scenes])
        events += counts[here].sum(0)
        segments += segment_counts(found, index, own)[here].sum(0)
        printed += int(counts[:, 1].sum())
    score, truth = np.concatenate(list(scores)), np.concatenate([scene.truth.T for scene in scenes])
    active = truth.any(1)
    return {
        "event F1, labels of the scene": float(hits(events).f1),
        "segment F1, labels of the scene": float(hits(segments).f1),
        "events printed for each true one, labels of the scene": float(events[1] / events[2]),
        "events printed for each true one, all labels": float(printed / events[2]),
        "frame AUROC among active frames": auroc(score[active], truth[active]),
    }


def measure(judge: Judge, strangers: Sequence[Stranger], options: Mapping[str, EventOptions]) -> dict[str, float]:
    """All figures of a checkpoint as it is."""
    labels = [it.label for it in strangers]
    scores = judge.score(np.stack([judge.embed(it.samples)[0] for it in strangers]), FIRST_LABELS)
    figures = clip_figures(scores, labels)
    known = [index for index, label in enumerate(labels) if label in FIRST_LABELS]
    for name, change in CHANGES.items():
        changed = judge.score(
            np.stack([judge.embed(change(strangers[index].samples))[0] for index in known]), FIRST_LABELS
        )
        figures[f"same first label, {name}"] = float((changed.argmax(1) == scores[known].argmax(1)).mean())
    scenes = make_scenes(strangers)
    frames = [judge.score(judge.embed(scene.samples)[1], FIRST_LABELS) for scene in scenes]
    return figures | scene_figures(scenes, frames, options)


def event_rules(checkpoint: Path) -> dict[str, EventOptions]:
    """The settings of the labels in a checkpoint's ``settings.toml``; empty without one."""
    file = checkpoint / "settings.toml"
    if not file.is_file():
        return {}
    options = read_settings(file, "localize").event_options(EventOptions())
    return {label: options.of(label) for label in FIRST_LABELS}


def main() -> None:
    """``python -m training.strangers FOLDER CHECKPOINT``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("checkpoint", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    strangers = load(chosen.folder)
    for name, value in measure(Judge(chosen.checkpoint), strangers, event_rules(chosen.checkpoint)).items():
        print(f"{name}: {value:.3f}")


if __name__ == "__main__":
    main()
