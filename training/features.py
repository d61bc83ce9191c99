"""Recordings to log band energies, by the codec itself, cached on disk."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from transformers.models.pe_audio.modeling_pe_audio import PeAudioDacEncoder

from training import bands, codec
from training.concepts import ESC10, KNOWN
from training.logarithm import DECADES, LogNetwork
from training.mixtures import FRAME, RATE, Bank

SECONDS = 10  # of a recording are kept
WHITE_NOISE = "signals:white"  # the group of recordings that backgrounds are made of

# What recordings are full of is drawn more often than other sounds; what is made by rule needs no great number of
# sources, since it is never twice the same.
SHARES = {"speech": 2.5, "music": 0.8, "noise": 1.5, "silence": 1.0, "beep": 0.25, "dtmf": 0.25}

# A recording labelled with the first may well hold the others, and may well be described by them: nothing is learned
# from their absence.
MAY_HOLD: dict[str, tuple[str, ...]] = {
    "music": ("piano", "guitar", "strings", "brass", "flute", "organ", "drums", "bell", "mallets", "singing"),
    "singing": ("music", "speech"),
    "rooster": ("bird_song",),
    "crow": ("bird_song",),
    "owl": ("bird_song",),
    "duck": ("bird_song", "water"),
    "rain": ("water", "wind", "noise"),
    "sea_waves": ("water", "wind", "noise"),
    "water": ("rain", "noise"),
    "wind": ("noise",),
    "crying_baby": ("speech",),
    "laughter": ("speech",),
    "coughing": ("speech",),
    "sneezing": ("speech", "coughing"),
    "applause": ("speech", "noise"),
    "helicopter": ("engine",),
    "chainsaw": ("engine",),
    "train": ("engine", "bell", "whistle"),
    "dtmf": ("beep", "telephone"),
    "telephone": ("beep", "bell"),
    "siren": ("beep",),
    "clock_tick": ("camera", "bell"),
    "bell": ("music",),
    "thunder": ("rain", "explosion"),
    "explosion": ("thunder", "noise"),
    "whistle": ("bird_song",),
    "airplane": ("engine", "wind"),
    "scream": ("speech", "laughter"),
    "car_horn": ("engine", "beep", "brass"),
}


@dataclass(frozen=True)
class Recording:
    """One cached recording: log energies ``(bands, time)`` in float16, concept ids, fold of ESC-10 (0: not from it)."""

    file: str
    energies: torch.Tensor
    concepts: tuple[str, ...]
    group: str
    fold: int
    held: bool


@dataclass(frozen=True)
class Recordings:
    """All recordings of a manifest."""

    items: list[Recording]

    @classmethod
    def load(cls, work: Path) -> Recordings:
        """From ``WORK/features.pt``, computed from ``WORK/manifest.csv`` where it isn't there yet."""
        cached = work / "features.pt"
        if not cached.is_file():
            torch.save([vars(item) for item in _compute(work)], cached)
        return cls([Recording(**item) for item in torch.load(cached)])

    def train(self, folds: Sequence[int]) -> list[Recording]:
        """What may be trained on: everything that is not held out, with these folds of ESC-10."""
        return [item for item in self.items if not item.held and (item.fold == 0 or item.fold in folds)]

    def bank(self, folds: Sequence[int]) -> Bank:
        """The recordings to draw scenes from."""
        items = self.train(folds)
        longest = max(item.energies.shape[1] for item in items)
        energies = torch.full((len(items), bands.N_BANDS, longest), -1.0, dtype=torch.float16)
        for row, item in enumerate(items):
            energies[row, :, : item.energies.shape[1]] = item.energies
        lengths = torch.tensor([float(item.energies.shape[1]) for item in items])
        column = {concept.id: index for index, concept in enumerate(KNOWN)}
        concepts, ignored = torch.zeros(2, len(items), len(column))
        for row, item in enumerate(items):
            for id in item.concepts:
                if id in column:
                    concepts[row, column[id]] = 1
                for other in MAY_HOLD.get(id, ()):
                    if other in column and other not in item.concepts:
                        ignored[row, column[other]] = 1
            if set(item.concepts) & {*MAY_HOLD["music"]}:
                ignored[row, column["music"]] = 1 - concepts[row, column["music"]]
        return Bank(energies, lengths, concepts, ignored, column["silence"], column["noise"], _hiss(items))

    def weights(self, folds: Sequence[int]) -> torch.Tensor:
        """How often to draw each: half of all from ESC-10's classes, the other half evenly from the other concepts.

        Within a concept every group, that is every original recording, counts alike.
        """
        items = self.train(folds)
        keys = [(item.concepts[0] if item.concepts else "", item.group) for item in items]
        groups: dict[str, set[str]] = {}
        for id, group in keys:
            groups.setdefault(id, set()).add(group)
        size: dict[tuple[str, str], int] = {}
        for key in keys:
            size[key] = size.get(key, 0) + 1
        share = {id: _share(id, len(found)) for id, found in groups.items()}
        return torch.tensor([share[id] / len(groups[id]) / size[id, group] for id, group in keys])


def _hiss(items: Sequence[Recording]) -> torch.Tensor:
    """Energies of all white noise there is, ``(bands, time)``, each recording brought to the same level."""
    found = [torch.pow(10.0, (item.energies.float() - 1) * DECADES) for item in items if item.group == WHITE_NOISE]
    return torch.cat([energy / energy.sum(0).mean() for energy in found], 1)


def _share(id: str, sources: int) -> float:
    """How often a concept is drawn, beside 1 for a class of ESC-10."""
    if id in ESC10:
        return 1.0
    if id in SHARES:
        return SHARES[id]
    # One with few sources would be learned by heart.
    return 0.25 * min(1.0, sources / 8)


def read(file: Path) -> torch.Tensor:
    """At most ten seconds of a recording as mono samples at 48 kHz."""
    samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    mono = samples.mean(1)[: SECONDS * rate]
    return torch.from_numpy(soxr.resample(mono, rate, bands.SAMPLE_RATE).astype(np.float32))


@torch.no_grad()
def log_energies(dac: PeAudioDacEncoder, network: LogNetwork, samples: torch.Tensor) -> torch.Tensor:
    """``(bands, time)`` at 100 Hz, for whole frames of 40 ms; what is missing to a whole one is silence."""
    short = -len(samples) % (FRAME * bands.SAMPLE_RATE // RATE)
    energies: torch.Tensor = network(codec.levels(dac, torch.nn.functional.pad(samples, (0, short))))
    return energies


def _compute(work: Path) -> list[Recording]:
    dac, network = codec.filter_bank(), codec.fitted_network(work)
    items = []
    with open(work / "manifest.csv", newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table):
            energies = log_energies(dac, network, read(work / row["clip"])).half()
            concepts = tuple(id for id in row["concepts"].split(";") if id)
            fold, held = int(row["fold"] or 0), row["held"] == "1"
            items.append(Recording(row["clip"], energies, concepts, row["group"], fold, held))
    return items
