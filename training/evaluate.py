"""Measures a checkpoint, through the tool itself, and writes the figures of its model card.

``python -m training.evaluate WORK CHECKPOINT --folds 4`` takes the named folds of ESC-10 as unseen; the other figures
come from recordings of packages that were held out, and from signals made here, and are those of ``--shipped``, which
may have met all folds. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from pe_audio_cli.audio.framing import HOP, SAMPLE_RATE
from pe_audio_cli.detection.scoring import logits, probabilities
from pe_audio_cli.models.backends.torch_encoder import PeEncoder
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.encoder import DeviceOptions
from training.concepts import ESC10, HELD_OUT
from training.features import read

Array = NDArray[np.float32]

USUAL = {  # the names in the data set, in words
    "dog_bark": "dog",
    "rooster": "rooster",
    "rain": "rain",
    "sea_waves": "sea waves",
    "crackling_fire": "crackling fire",
    "crying_baby": "crying baby",
    "sneezing": "sneezing",
    "clock_tick": "clock tick",
    "helicopter": "helicopter",
    "chainsaw": "chainsaw",
}
# Runs the command line and says its peak in KiB, as Linux does; getrusage would count the parent's too.
PEAK_MEMORY = """
import sys
from pathlib import Path
from pe_audio_cli.cli.app import main
try:
    main()
finally:
    print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0], file=sys.stderr)
"""


@dataclass(frozen=True)
class Clip:
    """A recording of the manifest, decoded."""

    samples: Array
    concepts: tuple[str, ...]
    fold: int
    held: bool


@dataclass(frozen=True)
class Figures:
    """The measured figures, by name, with those that were asked for."""

    rows: list[tuple[str, str, str]]

    def add(self, name: str, value: str, wanted: str = "") -> None:
        """One more row."""
        self.rows.append((name, value, wanted))

    def markdown(self) -> str:
        """As a table."""
        lines = ["| figure | measured | wanted |", "| --- | --- | --- |"]
        return "\n".join(lines + [f"| {name} | {value} | {wanted} |" for name, value, wanted in self.rows])


FOLD = 4  # of ESC-10, which is measured on


class Judge:
    """The checkpoint, and the embeddings of what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.checkpoint = Checkpoint.open(folder, folder.name)
        self.encoder = PeEncoder(self.checkpoint, DeviceOptions(device="cpu", threads=1))

    def embed(self, samples: Array) -> tuple[Array, Array]:
        """Clip embedding ``(dim,)`` and frame embeddings ``(frames, dim)``, as ``peaudio`` computes them."""
        padded = np.pad(samples, (0, -len(samples) % HOP))
        features = self.encoder.encode_codec(padded.reshape(-1, HOP))
        out = self.encoder.encode_windows(features[None])
        return out.clips[0], out.frames[0]

    def score(self, embeddings: Array, labels: Sequence[str]) -> Array:
        """Probabilities ``(..., n_labels)``."""
        text = self.encoder.encode_text(labels)
        return probabilities(logits(embeddings, text, self.encoder.facts.logit_scale, self.encoder.facts.logit_bias))


def clips(work: Path) -> Iterator[Clip]:
    """The manifest's recordings that are of use here: ESC-10, and what was held out."""
    with open(work / "manifest.csv", newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table):
            if row["fold"] or row["held"] == "1":
                concepts = tuple(id for id in row["concepts"].split(";") if id)
                samples = read(work / row["clip"]).numpy()
                yield Clip(samples, concepts, int(row["fold"] or 0), row["held"] == "1")


def accuracy(judge: Judge, unseen: Sequence[Clip], figures: Figures) -> None:
    """Top-1 of 10 for each way of naming the classes; by class, confusions and calibration for the usual names."""
    embeddings = np.stack([judge.embed(clip.samples)[0] for clip in unseen])
    truth = np.array([ESC10.index(clip.concepts[0]) for clip in unseen])
    wordings = {"usual names": [USUAL[id] for id in ESC10]}
    wordings |= {f"paraphrases, set {n}": [words[id] for id in ESC10] for n, words in enumerate(HELD_OUT, 1)}
    shares = {}
    for name, labels in wordings.items():
        right = judge.score(embeddings, labels).argmax(1) == truth
        shares[name] = right.mean()
        figures.add(f"top-1 of 10, {name}", f"{shares[name]:.1%}", "90 %" if name == "usual names" else "")
    figures.add("top-1 of 10, mean of the paraphrases", f"{np.mean(list(shares.values())[1:]):.1%}", "80 %")
    scores = judge.score(embeddings, wordings["usual names"])
    figures.add("expected calibration error", f"{calibration_error(scores, truth):.3f}", "at most 0.1")
    guessed = scores.argmax(1)
    for index, id in enumerate(ESC10):
        own = truth == index
        wrong = [ESC10[other] for other in guessed[own] if other != index]
        confused = ", ".join(sorted(set(wrong))) if wrong else "nothing"
        figures.add(f"recall of {USUAL[id]}", f"{(guessed[own] == index).mean():.0%}", f"taken for {confused}")
    quiet = np.stack([judge.embed(clip.samples * np.float32(0.1))[0] for clip in unseen])
    quieter = judge.score(quiet, wordings["usual names"])
    figures.add("mean change of a probability, 20 dB quieter", f"{np.abs(quieter - scores).mean():.3f}", "")
    figures.add("same first label, 20 dB quieter", f"{(quieter.argmax(1) == guessed).mean():.1%}", "")


def calibration_error(scores: Array, truth: NDArray[np.int64], bins: int = 10) -> float:
    """Over all labels of all clips: mean distance between probability and share of truth, in ten equal bins."""
    hit = np.zeros_like(scores)
    hit[np.arange(len(truth)), truth] = 1
    probability, hit = scores.ravel(), hit.ravel()
    bin_of = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = [
        (bin_of == index).mean() * abs(probability[bin_of == index].mean() - hit[bin_of == index].mean())
        for index in range(bins)
        if (bin_of == index).any()
    ]
    return float(sum(gaps))


def loudest_stretch(samples: Array, n_frames: int) -> Array:
    """The whole frames, at most ``n_frames`` of them in a row, in which there is most energy."""
    whole = samples[: len(samples) // HOP * HOP]
    power = (whole.astype(np.float64).reshape(-1, HOP) ** 2).mean(1)
    until = np.concatenate([[0.0], np.cumsum(power)])
    n_frames = min(n_frames, len(power))
    start = int((until[n_frames:] - until[:-n_frames]).argmax())
    return whole[start * HOP : (start + n_frames) * HOP]


def auroc(scores: Array, truth: NDArray[np.bool_]) -> float:
    """Mean over labels of the chance that a frame with the label scores above one without (Mann-Whitney)."""
    values = []
    for score, right in zip(scores.T, truth.T, strict=True):
        if right.any() and not right.all():
            ranks = np.empty(len(score))
            ranks[np.argsort(score, kind="stable")] = np.arange(1, len(score) + 1)
            positives = right.sum()
            values.append(
                (ranks[right].sum() - positives * (positives + 1) / 2) / (positives * (len(right) - positives))
            )
    return float(np.mean(values))


def kinds(judge: Judge, held: Sequence[Clip], figures: Figures) -> None:
    """Speech, music and silence told apart; nothing heard in digital silence and white noise."""
    ids = ("speech", "music", "silence")
    chosen = [(clip, [id for id in ids if id in clip.concepts]) for clip in held]
    chosen = [(clip, found) for clip, found in chosen if len(found) == 1]
    scores = judge.score(np.stack([judge.embed(clip.samples)[0] for clip, _ in chosen]), ids)
    right = [ids[row.argmax()] == found[0] for row, (_, found) in zip(scores, chosen, strict=True)]
    figures.add(f"speech, music, silence told apart ({len(right)} clips)", f"{np.mean(right):.1%}", "95 %")
    rng = np.random.default_rng(0)
    labels = judge.checkpoint.default_labels
    for name, levels in (("digital silence", (0.0,)), ("white noise", (1e-3, 1e-2, 0.1, 0.3))):
        signals = [(level * rng.standard_normal(5 * SAMPLE_RATE)).astype(np.float32) for level in levels]
        worst = max(float(judge.score(judge.embed(signal)[0], labels).max()) for signal in signals)
        figures.add(f"highest default label in {name}", f"{worst:.2f}", "at most 0.3")


def resources(judge: Judge, folder: Path, figures: Figures) -> None:
    """Size on disk; speed of the encoder on one core; memory of the command, on half a minute of noise."""
    size = sum(file.stat().st_size for file in folder.iterdir())
    figures.add("size on disk", f"{size / 1e6:.1f} MB", "at most 20 MB")
    samples = (0.01 * np.random.default_rng(0).standard_normal(30 * SAMPLE_RATE)).astype(np.float32)
    times = []
    for _ in range(6):
        start = time.perf_counter()
        judge.embed(samples)
        times.append(time.perf_counter() - start)
    figures.add("times real time, one core", f"{30 / float(np.median(times[1:])):.0f}", "25")
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "noise.wav"
        soundfile.write(file, samples, SAMPLE_RATE)
        command = [sys.executable, "-c", PEAK_MEMORY, "tag", "-q", "-m", str(folder), "--threads", "1", str(file)]
        peak = subprocess.run(command, capture_output=True, text=True, check=True).stderr.split()[-1]
    figures.add("peak memory of `peaudio tag`", f"{int(peak) * 1024 / 1e6:.0f} MB", "at most 400 MB")


def measure(work: Path, folder: Path) -> Figures:
    """All other figures than those on strangers: ESC-10's fourth fold, speech, music, silence, size, speed, memory."""
    figures = Figures([])
    found = list(clips(work))
    judge = Judge(folder)
    accuracy(judge, [clip for clip in found if clip.fold == FOLD], figures)
    kinds(judge, [clip for clip in found if clip.held], figures)
    resources(judge, folder, figures)
    return figures


def main() -> None:
    """``python -m training.evaluate WORK CHECKPOINT``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("checkpoint", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(measure(chosen.work, chosen.checkpoint).markdown())


if __name__ == "__main__":
    main()
