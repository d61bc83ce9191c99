"""Recordings to train on: log band energies by the codec itself, and what is heard in them.

What somebody has labelled is taken for true; everything else is what the teacher hears (:mod:`training.hear`).
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from transformers.models.pe_audio.modeling_pe_audio import PeAudioDacEncoder

from training import bands, codec
from training.audioset import CLASSES, as_kinds
from training.concepts import ESC10, FIRST, INSTRUMENTS, KNOWN
from training.logarithm import DECADES, LogNetwork
from training.mixtures import FRAME, RATE, Bank

KEPT_BACK = 10  # one group in so many
SECONDS = 10  # of a recording are kept
WHITE_NOISE = "signals:white"  # the group of recordings that backgrounds are made of
NOBODY_KNOWS = "?"  # in place of concepts

# How often a concept's recordings are drawn, beside 0.5 for others. What recordings are full of is drawn more often;
# what is made by rule needs no great number of sources, since it is never twice the same.
SHARES = {
    "speech": 2.0,
    "music": 1.0,
    "noise": 1.0,
    "silence": 0.7,
    "beep": 0.4,
    "dtmf": 0.25,
    **dict.fromkeys(ESC10, 0.7),
}
FIRST_SHARE = 1.0  # of those that `mini` 1 had: they are what most people ask for
SHARE, ENOUGH = 0.5, 6  # sources, below which a concept is drawn less: it would be learned by heart
UNLABELLED_SHARE, NOTHING_SHARE = 0.35, 6.0  # for each concept that the teacher hears most; where it hears none

# The teacher's numbers are shares of 10 s clips of YouTube: what is rare there never gets a high one. This much is
# added to their logits, but for what it says all too often.
SHIFT = 1.0
SHIFTS = {
    "speech": 0.0,
    "music": -0.5,
    "bird_song": 0.0,
    "engine": 0.3,
    "water": 0.3,
    "silence": -1.0,
    "explosion": 0.3,
}
SUPPOSED = 0.45  # the most that the teacher may add to what somebody has labelled
ALONE = 0.15  # how much music a single instrument is

# What a concept is a kind of: where the first is heard, the others are too.
PARENTS: dict[str, tuple[str, ...]] = {
    "violin": ("strings",),
    "cello": ("strings",),
    "trumpet": ("brass",),
    "trombone": ("brass",),
    "electric_guitar": ("guitar",),
    "bass_guitar": ("guitar",),
    "cymbal": ("drums",),
    "snare_drum": ("drums",),
    "bass_drum": ("drums",),
    "timpani": ("drums",),
    "choir": ("singing",),
    "church_bell": ("bell",),
    "machine_gun": ("gunshot",),
    "dripping": ("water",),
    "stream": ("water",),
    "waterfall": ("water",),
    "race_car": ("engine",),
    "motorcycle": ("engine",),
    "truck": ("engine",),
    "cricket": ("insects",),
    "rock_music": ("music",),
    "electronic_music": ("music",),
    "orchestra": ("music",),
}

# A recording labelled with the first may well hold the others, and may well be described by them: nothing is learned
# from their absence.
MAY_HOLD: dict[str, tuple[str, ...]] = {
    "music": ("piano", "guitar", "strings", "brass", "flute", "organ", "drums", "bell", "mallets", "singing"),
    "singing": ("music", "speech", "choir"),
    "strings": ("violin", "cello", "orchestra"),
    "brass": ("trumpet", "trombone"),
    "guitar": ("electric_guitar", "bass_guitar", "banjo", "harp"),
    "flute": ("clarinet", "saxophone"),
    "organ": ("accordion", "harmonica", "synthesizer"),
    "piano": ("harpsichord", "synthesizer"),
    "drums": ("cymbal", "snare_drum", "bass_drum", "timpani", "gong", "tambourine"),
    "mallets": ("steelpan", "bell"),
    "rooster": ("bird_song", "chicken"),
    "crow": ("bird_song",),
    "owl": ("bird_song",),
    "duck": ("bird_song", "water"),
    "dog_bark": ("growling", "howling"),
    "rain": ("water", "wind", "noise", "dripping"),
    "sea_waves": ("water", "wind", "noise", "splash"),
    "water": ("rain", "noise", "stream", "waterfall", "splash", "dripping", "bubbling"),
    "wind": ("noise", "rustling"),
    "crying_baby": ("speech", "screaming"),
    "laughter": ("speech",),
    "coughing": ("speech",),
    "sneezing": ("speech", "coughing"),
    "applause": ("speech", "noise", "crowd", "cheering"),
    "helicopter": ("engine", "airplane"),
    "chainsaw": ("engine", "lawn_mower"),
    "train": ("engine", "bell", "whistle", "train_horn"),
    "engine": ("car_passing", "truck", "motorcycle", "race_car", "engine_starting", "machine"),
    "dtmf": ("beep", "telephone"),
    "telephone": ("beep", "bell", "alarm_clock"),
    "siren": ("beep", "alarm_clock", "car_alarm", "smoke_alarm"),
    "beep": ("alarm_clock", "smoke_alarm", "buzzer"),
    "clock_tick": ("camera", "bell", "clicking"),
    "camera": ("clicking",),
    "bell": ("music", "church_bell", "doorbell", "wind_chime", "clang"),
    "thunder": ("rain", "explosion"),
    "explosion": ("thunder", "noise", "gunshot", "fireworks", "crash", "thump"),
    "gunshot": ("explosion", "machine_gun", "fireworks"),
    "whistle": ("bird_song",),
    "insects": ("cricket", "bee"),
    "sheep": ("speech",),
    "horse": ("horse_hooves",),
    "footsteps": ("rustling", "thump", "clicking"),
    "door": ("creaking", "thump", "door_knock", "clicking"),
    "glass": ("crash", "dishes"),
    "typing": ("clicking", "typewriter"),
    "thump": ("slap", "crash", "door", "footsteps", "explosion"),
}


@dataclass(frozen=True)
class Recording:
    """One recording: log energies ``(bands, time)`` as they are and worn, in float16; the teacher's scores
    ``(patches, n_concepts)`` and embeddings ``(patches, 1024)``; concept ids, or None where nobody has labelled it;
    fold of ESC-10 (0: not from it).
    """

    file: str
    energies: torch.Tensor
    worn: torch.Tensor
    scores: torch.Tensor
    embeddings: torch.Tensor
    concepts: tuple[str, ...] | None
    group: str
    fold: int
    held: bool


@dataclass(frozen=True)
class Recordings:
    """All recordings of a manifest."""

    items: list[Recording]

    @classmethod
    def load(cls, work: Path, names: Sequence[str]) -> Recordings:
        """From ``WORK/manifest.csv`` and ``WORK/heard``; ``names`` are those of the teacher's classes."""
        items = []
        with open(work / "manifest.csv", newline="", encoding="utf-8") as table:
            for row in csv.DictReader(table):
                file = work / "heard" / Path(row["clip"]).relative_to("clips").with_suffix(".npz")
                if not file.is_file():
                    continue
                parts = np.load(file)
                scores = as_kinds(parts["scores"].astype(np.float32), names, [concept.id for concept in KNOWN])
                labelled = row["concepts"] not in ("", NOBODY_KNOWS)
                items.append(
                    Recording(
                        row["clip"],
                        torch.from_numpy(parts["energies"]),
                        torch.from_numpy(parts["worn"]),
                        torch.from_numpy(scores),
                        torch.from_numpy(parts["embeddings"]),
                        tuple(row["concepts"].split(";")) if labelled else None,
                        row["group"],
                        int(row["fold"] or 0),
                        row["held"] == "1" or kept_back(row["group"], row["fold"]),
                    )
                )
        return cls(items)

    def train(self, folds: Sequence[int]) -> list[Recording]:
        """The recordings for training: everything that is not held out, with these folds of ESC-10."""
        return [item for item in self.items if not item.held and (item.fold == 0 or item.fold in folds)]

    def kept(self) -> list[Recording]:
        """The recordings that are kept from training, to measure on."""
        return [item for item in self.items if item.held]

    def bank(self, folds: Sequence[int]) -> Bank:
        """The recordings to draw scenes from."""
        items = self.train(folds)
        longest = max(item.energies.shape[1] for item in items)
        patches = max(len(item.scores) for item in items)
        energies = torch.full((len(items), bands.N_BANDS, longest), -1.0, dtype=torch.float16)
        worn = energies.clone()
        heard = torch.zeros(len(items), patches, len(KNOWN), dtype=torch.float16)
        ignored = torch.zeros(len(items), len(KNOWN))
        for row, item in enumerate(items):
            energies[row, :, : item.energies.shape[1]] = item.energies
            worn[row, :, : item.worn.shape[1]] = item.worn
            targets = believed(item.scores, item.concepts)
            heard[row, : len(targets)] = targets
            heard[row, len(targets) :] = targets[-1]
            ignored[row] = open_questions(item.concepts)
        lengths = torch.tensor([float(item.energies.shape[1]) for item in items])
        return Bank(energies, worn, lengths, heard, ignored, _column("silence"), _column("noise"), _hiss(items))

    def weights(self, folds: Sequence[int]) -> torch.Tensor:
        """The weight of each: even over concepts, and even over what the teacher hears where nobody knows.

        Within a concept every group, that is every original recording, counts alike.
        """
        items = self.train(folds)
        keys = [(_first(item), item.group) for item in items]
        groups: dict[str, set[str]] = {}
        for id, group in keys:
            groups.setdefault(id, set()).add(group)
        size: dict[tuple[str, str], int] = {}
        for key in keys:
            size[key] = size.get(key, 0) + 1
        share = {id: _share(id, len(found)) for id, found in groups.items()}
        return torch.tensor([share[id] / len(groups[id]) / size[id, group] for id, group in keys])


def kept_back(group: str, fold: str) -> bool:
    """True if a group is kept from training, to measure on: one in ten, but for ESC-10 and what is made by rule."""
    return not fold and not group.startswith("signals:") and zlib.crc32(group.encode()) % KEPT_BACK == 0


_IDS = [concept.id for concept in KNOWN]
_FIRST_IDS = {concept.id for concept in FIRST}


def _column(id: str) -> int:
    return _IDS.index(id)


def believed(scores: torch.Tensor, concepts: Sequence[str] | None) -> torch.Tensor:
    """The confidence in each concept, ``(patches, n_concepts)``, by the teacher and by whoever labelled it."""
    shift = torch.tensor([SHIFTS.get(id, SHIFT) for id in _IDS])
    found = torch.sigmoid(torch.logit(scores, 1e-4) + shift)
    found[:, _column("silence")] = 0  # that is read off the level
    instruments = [_column(id) for id in INSTRUMENTS]
    music = _column("music")
    if concepts is None:
        found[:, music] *= 1 - 0.5 * found[:, instruments].amax(1)
        return found
    found = found.clamp_max(SUPPOSED)
    if set(concepts) & set(INSTRUMENTS):
        found[:, instruments] *= 0.3
        found[:, music] = ALONE
    for id in concepts:
        for own in (id, *PARENTS.get(id, ())):
            if own in CLASSES:
                found[:, _column(own)] = 1
    return found


def open_questions(concepts: Sequence[str] | None) -> torch.Tensor:
    """``(n_concepts,)``: 1 for what a recording with these labels may hold as well."""
    ignored = torch.zeros(len(_IDS))
    for id in concepts or ():
        for other in MAY_HOLD.get(id, ()):
            if other not in (concepts or ()):
                ignored[_column(other)] = 1
    return ignored


def _first(item: Recording) -> str:
    """The concept of a recording for the weights: its first label, else what the teacher hears most, else nothing."""
    if item.concepts is not None:
        return item.concepts[0]
    loudest = believed(item.scores, None).amax(0)
    loudest[[_column("music"), _column("speech")]] *= 0.5  # they are everywhere
    return f"{NOBODY_KNOWS}{_IDS[int(loudest.argmax())]}" if loudest.max() > 0.3 else NOBODY_KNOWS


def _share(id: str, sources: int) -> float:
    if id == NOBODY_KNOWS:
        return NOTHING_SHARE
    if id.startswith(NOBODY_KNOWS):
        return UNLABELLED_SHARE * min(1.0, sources / ENOUGH)
    if id in SHARES:
        return SHARES[id]
    return (FIRST_SHARE if id in _FIRST_IDS else SHARE) * min(1.0, sources / ENOUGH)


def _hiss(items: Sequence[Recording]) -> torch.Tensor:
    """Energies of all white noise there is, ``(bands, time)``, each recording brought to the same level."""
    found = [torch.pow(10.0, (item.energies.float() - 1) * DECADES) for item in items if item.group == WHITE_NOISE]
    return torch.cat([energy / energy.sum(0).mean() for energy in found], 1)


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
