"""Lessons: batches of the scenes that codec and teacher have heard (:mod:`training.scenes`), and what is to be learned.

What a labelled source holds is heard where the source is audible; all else is what the teacher hears in the scene.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training import bands
from training.audioset import CLASSES, as_kinds
from training.concepts import INSTRUMENTS, KNOWN
from training.features import ALONE, NOBODY_KNOWS, PARENTS, SUPPOSED, open_questions
from training.logarithm import DECADES, FLOOR, log_energy
from training.mixtures import (
    ACTIVE_RANGE,
    AUDIBLE,
    FRAME,
    NEAR_RANGE,
    PATCH_CENTRE,
    PATCH_HOP,
    RATE,
    SURE,
    Scenes,
    clip_targets,
)
from training.refined import Refined, evened
from training.scenes import SOURCES

__all__ = ["Imitation", "Lesson", "Lessons"]

PATCH_FRAMES = 24  # of the student that a patch of the teacher spans
HOP_FRAMES = round(PATCH_HOP) // FRAME
NEAR_FRAMES = 25  # a second
GAIN = (-45.0, 5.0)  # dB by which a scene's level differs from the one it was heard at, its peak at a half
TILT = 6.0  # dB by which its highest band is raised against its lowest, or lowered, at most
DETAIL = 128  # numbers that an embedding is cut down to: its principal components
SCORES_SHARE, DETAIL_SHARE = 0.5, 10.0  # of the loss of imitation
EXAMPLES = 4  # shards that the principal components are taken from

_IDS = [concept.id for concept in KNOWN]
_INSTRUMENTS = [_IDS.index(id) for id in INSTRUMENTS]
_MUSIC, _SILENCE, _NOISE = (_IDS.index(id) for id in ("music", "silence", "noise"))


@dataclass(frozen=True)
class Lesson:
    """Scenes, and the teacher's ``scores`` ``(n, patches, 521)`` and cut down embeddings, ``detail``
    ``(n, patches, DETAIL)``, of them.
    """

    scenes: Scenes
    scores: torch.Tensor
    detail: torch.Tensor


class Lessons:
    """Draws from all shards below ``work``, those too that come to be meanwhile."""

    def __init__(self, work: Path, names: Sequence[str], teacher: Refined, seed: int) -> None:
        self.folder, self.names, self.teacher = work / "scenes", names, teacher
        self.generator = torch.Generator().manual_seed(seed)
        self.shards: dict[int, dict[str, Any]] = {}
        self.labels = _labels(work)
        self.look()
        if not self.shards:
            raise FileNotFoundError(f"no scenes in {self.folder}: python -m training.scenes makes them")
        examples = [self.shards[key]["embeddings"] for key in sorted(self.shards)[:EXAMPLES]]
        self.mean, self.directions = _components(torch.cat([it.flatten(0, 1) for it in examples]).float())

    def look(self) -> None:
        """Open what is new."""
        for file in self.folder.glob("*.pt"):
            if int(file.stem) not in self.shards:
                self.shards[int(file.stem)] = torch.load(file, mmap=True)

    def draw(self, size: int, seconds: float) -> Lesson:
        """A batch of stretches of scenes; each begins with a patch of the teacher's."""
        length = round(seconds * RATE)
        long = sorted(key for key, it in self.shards.items() if it["energies"].shape[2] >= length)
        picked = [self._pick(long, length) for _ in range(size)]
        energies, scores, embeddings, levels = (torch.stack(it).float() for it in list(zip(*picked, strict=True))[:4])
        concepts = [it[4] for it in picked]
        scenes = self._scenes(energies, self._heard(scores, embeddings, concepts), levels, concepts)
        return Lesson(scenes, scores, (evened(embeddings) - self.mean) @ self.directions)

    def _pick(self, long: Sequence[int], length: int) -> tuple[Any, ...]:
        shard = self.shards[long[self._below(len(long))]]
        row = self._below(len(shard["energies"]))
        patches = 1 + int((length - 2 * PATCH_CENTRE) // PATCH_HOP)
        first = self._below(1 + int((shard["energies"].shape[2] - length) // PATCH_HOP))
        start, own = first * round(PATCH_HOP), slice(first, first + patches)
        frames = slice(start // FRAME, (start + length) // FRAME)
        return (
            shard["energies"][row, :, start : start + length],
            shard["scores"][row, own],
            shard["embeddings"][row, own],
            shard["levels"][row, :, frames],
            [self.labels.get(clip) for clip in shard["clips"][row]],
        )

    def _below(self, count: int) -> int:
        return int(torch.randint(count, (1,), generator=self.generator))

    def _heard(
        self, scores: torch.Tensor, embeddings: torch.Tensor, concepts: list[list[tuple[str, ...] | None]]
    ) -> torch.Tensor:
        """The teacher's beliefs, ``(n, patches, concepts)``; where all is labelled, it has no more than a say."""
        mapped = torch.from_numpy(as_kinds(scores.numpy(), self.names, _IDS))
        heard = self.teacher(mapped, embeddings)
        for row, sources in enumerate(concepts):
            if None in sources:
                continue
            heard[row] = heard[row].clamp_max(SUPPOSED)
            if any(set(ids or ()) & set(INSTRUMENTS) for ids in sources):
                heard[row][:, _INSTRUMENTS] *= 0.3
                heard[row][:, _MUSIC] = heard[row][:, _MUSIC].clamp_max(ALONE)
        return heard

    def _scenes(
        self,
        energies: torch.Tensor,
        heard: torch.Tensor,
        levels: torch.Tensor,
        concepts: list[list[tuple[str, ...] | None]],
    ) -> Scenes:
        count = energies.shape[2] // FRAME
        frames = _between_patches(heard, count).transpose(1, 2)
        total = torch.pow(10.0, levels / 10).sum(1)
        frames = frames * _loud(10 * torch.log10(total))[:, None]
        unknown = torch.zeros_like(frames)
        for row, sources in enumerate(concepts):
            for source, ids in enumerate(sources[:SOURCES]):
                own = torch.pow(10.0, levels[row, source] / 10)
                audible = _loud(levels[row, source][None])[0] * (own > (total[row] - own) * 10 ** (AUDIBLE / 10))
                unknown[row] = torch.maximum(unknown[row], open_questions(ids)[:, None] * audible)
                for column in _columns(ids):
                    frames[row, column] = torch.maximum(frames[row, column], audible)
        unknown[:, [_SILENCE, _NOISE]] = 1  # these are learned from other scenes
        unknown = unknown * (frames < SURE)
        clip = clip_targets(frames)
        return Scenes(self._level(energies), clip, frames, unknown.amax(2) * (clip < SURE), unknown)

    def _level(self, energies: torch.Tensor) -> torch.Tensor:
        """Log energies at another level and with another tilt, neither of which changes what is heard."""
        size = len(energies)
        low, high = GAIN
        gain = low + (high - low) * torch.rand(size, 1, 1, generator=self.generator)
        slope = TILT * (2 * torch.rand(size, 1, 1, generator=self.generator) - 1)
        gain = gain + slope * torch.linspace(-0.5, 0.5, bands.N_BANDS)[:, None]
        power = (torch.pow(10.0, (energies - 1) * DECADES) - FLOOR).clamp_min(0)
        return log_energy(power * torch.pow(10.0, gain / 10))


class Imitation(nn.Module):
    """The student's predictions of the teacher's scores and embeddings, by frames; falls away when training is done."""

    def __init__(self, hidden: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.scores = nn.Linear(hidden, classes)
        self.detail = nn.Linear(hidden, DETAIL)
        nn.init.constant_(self.scores.bias, -5.0)  # hardly any class is heard

    def forward(self, frames: torch.Tensor, lesson: Lesson) -> torch.Tensor:
        """The loss, of frames ``(n, frames, hidden)``: each patch is what the mean of its frames says."""
        patches = self.norm(frames.unfold(1, PATCH_FRAMES, HOP_FRAMES).mean(-1)[:, : lesson.scores.shape[1]])
        scores = nn.functional.binary_cross_entropy_with_logits(self.scores(patches), lesson.scores, reduction="none")
        detail = nn.functional.mse_loss(self.detail(patches), lesson.detail)
        return SCORES_SHARE * scores.sum(-1).mean() + DETAIL_SHARE * detail


def _components(embeddings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean, and ``(1024, DETAIL)`` of the first principal components, half whitened, with a mean variance of 1."""
    values = evened(embeddings)
    mean = values.mean(0)
    variance, directions = torch.linalg.eigh(torch.cov((values - mean).T))
    variance, directions = variance[-DETAIL:].clamp_min(1e-6), directions[:, -DETAIL:]
    scaled = directions * variance.pow(-0.25)
    return mean, scaled / variance.pow(0.5).mean().sqrt()


def _labels(work: Path) -> dict[str, tuple[str, ...] | None]:
    """Of each clip of the manifest, its concepts; None where nobody knows."""
    with open(work / "manifest.csv", newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    known = {row["clip"]: row["concepts"] for row in rows}
    return {clip: None if ids in ("", NOBODY_KNOWS) else tuple(ids.split(";")) for clip, ids in known.items()}


def _columns(ids: Sequence[str] | None) -> list[int]:
    """Of concepts, and of what they are a kind of."""
    return [_IDS.index(own) for id in ids or () for own in (id, *PARENTS.get(id, ())) if own in CLASSES]


def _between_patches(heard: torch.Tensor, count: int) -> torch.Tensor:
    """Patches ``(n, patches, concepts)`` to ``count`` frames, ``(n, frames, concepts)``."""
    middle = torch.arange(count) * FRAME + FRAME / 2
    place = ((middle - PATCH_CENTRE) / PATCH_HOP).clamp(0, heard.shape[1] - 1)
    before = place.floor().long()
    after = (before + 1).clamp_max(heard.shape[1] - 1)
    return torch.lerp(heard[:, before], heard[:, after], (place - before)[None, :, None])


def _loud(levels: torch.Tensor) -> torch.Tensor:
    """1 where ``levels`` ``(n, frames)`` in dB are near their highest, of all and of the second about it."""
    near = nn.functional.max_pool1d(levels[:, None], NEAR_FRAMES, 1, NEAR_FRAMES // 2)[:, 0]
    loudest = levels.amax(1, keepdim=True)
    return ((levels > loudest - ACTIVE_RANGE) & (levels > near - NEAR_RANGE) & (levels > -100)).float()
