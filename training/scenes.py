"""Scenes of recordings as samples, heard by the codec and by the teacher: the student is to answer as the teacher does.

A teacher that hears the very mixture that its student hears, and many of them, is what distillation gains by: Beyer et
al., "Knowledge distillation: a good teacher is patient and consistent", 2022. :mod:`training.mixtures` is a hundred
times as fast and adds up what was heard in each recording by itself, which is not what is heard in a mixture.

``python -m training.scenes WORK TEACHER`` leaves shards ``WORK/scenes/N.pt`` of

    energies    log band energies ``(scenes, bands, time)`` at 100 Hz
    scores      the teacher's, ``(scenes, patches, 521)``
    embeddings  what it makes them of, ``(scenes, patches, 1024)``
    levels      of each source and at last of the noise, in each frame of 40 ms, ``(scenes, SOURCES + 1, frames)`` in dB
    clips       which recordings the sources are, as the manifest names them

in float16. Scenes of a shard are equally long. A shard depends on its number and the recordings alone, so that a
stopped run goes on and several processes share the work.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from transformers.models.pe_audio.modeling_pe_audio import PeAudioDacEncoder

from training import bands, codec
from training.features import Recordings, log_energies, read
from training.hear import LOWEST_RATE, PHONE, resampled, through_mp3
from training.logarithm import LogNetwork
from training.teacher import Teacher, class_names

__all__ = ["HOP", "SOURCES", "SceneOptions", "Sounds", "make"]

HOP = 1_920  # samples in a frame
SOURCES = 3  # at most
SHARDS = 160  # which is 18,000 scenes
PER_SHARD = {5: 128, 10: 64}  # scenes of so many seconds
QUIETEST = -120.0  # dB
NOISES, NOISE_SECONDS = 40, 12  # of as many colours, from which each scene takes a stretch

Array = NDArray[np.float32]


@dataclass(frozen=True)
class SceneOptions:
    """The variety of the scenes; levels in dB."""

    sources: tuple[float, ...] = (0.45, 0.37, 0.18)  # chance of 1, 2, 3 sources
    softer: float = 30.0  # by which the second and the third are softer than the first at most
    brief: float = 0.35  # share of sounds of which no more than a moment is heard
    moment: tuple[float, float] = (0.5, 4.0)  # seconds that it lasts
    speed: float = 0.3  # octaves by which speed and pitch change at most, on half of the sounds
    tilt: float = 9.0  # random filters raise and lower frequencies by up to about this
    narrow: float = 0.25  # share of sounds that lack what is below or above some frequency
    room: float = 0.33  # share of sounds that are heard in a room
    noisy: float = 0.7  # share of scenes with noise
    noise: tuple[float, float] = (5.0, 60.0)  # below the loudest moment
    dull: float = 0.2  # share of scenes of which nothing is left above some frequency
    phone: float = 0.1  # share of scenes sampled at 8 kHz
    mp3: float = 0.06  # share of scenes that were an MP3 of 32 kbit/s


class Sounds:
    """The material of scenes: files below ``work``, and how often each is drawn."""

    def __init__(self, work: Path, clips: Sequence[str], weights: Sequence[float], options: SceneOptions) -> None:
        self.work, self.clips, self.options = work, clips, options
        self.chance = np.asarray(weights, np.float64) / np.sum(weights)
        rng = np.random.default_rng(0)
        self.noises = [_noise(NOISE_SECONDS * bands.SAMPLE_RATE, rng) for _ in range(NOISES)]

    def draw(self, rng: np.random.Generator, seconds: int) -> tuple[Array, Array, list[str]]:
        """A scene: samples at 48 kHz with their peak at a half; ``levels`` and ``clips`` as in a shard."""
        size = seconds * bands.SAMPLE_RATE
        layers = np.zeros((SOURCES + 1, size), np.float32)
        count = 1 + int(rng.choice(len(self.options.sources), p=self.options.sources))
        clips = []
        for layer in range(count):
            clip = self.clips[int(rng.choice(len(self.clips), p=self.chance))]
            sound = self._changed(read(self.work / clip).numpy(), size, rng)
            gain = 0.0 if layer == 0 else -rng.uniform(0, self.options.softer)
            start = int(rng.integers(0, size - len(sound) + 1))
            layers[layer, start : start + len(sound)] = sound * (10 ** (gain / 20) / _loudest(sound))
            clips.append(clip)
        if rng.random() < self.options.noisy:
            low, high = self.options.noise
            gain = 10 ** (-(low + (high - low) * rng.random() ** 2) / 20)
            noise = self.noises[int(rng.integers(len(self.noises)))]
            layers[SOURCES] = np.take(noise, np.arange(size) + int(rng.integers(len(noise))), mode="wrap") * gain
        mixed = self._worn(layers.sum(0), rng)
        power = (layers.reshape(SOURCES + 1, -1, HOP) ** 2).mean(2)
        levels = 10 * np.log10(power + 10 ** (QUIETEST / 10))
        return mixed * np.float32(0.5 / max(1e-5, np.abs(mixed).max())), levels, clips

    def _changed(self, samples: Array, size: int, rng: np.random.Generator) -> Array:
        """Some of a recording, at most ``size`` samples, at another speed, filtered, and perhaps in a room."""
        if rng.random() < 0.5:
            pace = 2 ** rng.uniform(-self.options.speed, self.options.speed)
            samples = resampled(samples, round(bands.SAMPLE_RATE * pace), bands.SAMPLE_RATE)
        length = min(len(samples), size)
        if rng.random() < self.options.brief:
            low, high = (math.log(seconds) for seconds in self.options.moment)
            length = min(length, round(math.exp(rng.uniform(low, high)) * bands.SAMPLE_RATE))
        start = int(rng.integers(0, len(samples) - length + 1))
        samples = samples[start : start + length]
        tail = self._tail(rng)
        padded = fft.next_fast_len(length + len(tail), real=True)
        spectrum = fft.rfft(samples, padded) * self._filter(padded, rng)
        if len(tail):
            spectrum *= fft.rfft(tail, padded)
        return np.asarray(fft.irfft(spectrum, padded), np.float32)[: min(size, length + len(tail))]

    def _tail(self, rng: np.random.Generator) -> Array:
        """A room's answer to a click: 60 dB in 0.1 to 1 s, 3 to 15 dB below the click in all; often none."""
        if rng.random() >= self.options.room:
            return np.zeros(0, np.float32)
        length = round(10 ** rng.uniform(-1, 0) * bands.SAMPLE_RATE)
        tail = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
        tail *= 10 ** (-rng.uniform(3, 15) / 20) / np.sqrt((tail**2).sum())
        tail[0] = 1
        return tail.astype(np.float32)

    def _filter(self, size: int, rng: np.random.Generator) -> Array:
        """A smooth random curve of gains over the frequencies of a transform of ``size``, some with an edge."""
        knots = rng.standard_normal(6) * self.options.tilt / 2 * rng.random()
        octave = np.log2(np.maximum(20.0, fft.rfftfreq(size, 1 / bands.SAMPLE_RATE)) / 20)
        gain = np.interp(octave, np.linspace(0, 10, 6), knots)
        if rng.random() < self.options.narrow:
            if rng.random() < 0.5:
                gain = gain - 24 * np.maximum(0, rng.uniform(2, 5.5) - octave)  # octaves above 20 Hz
            else:
                gain = gain - 24 * np.maximum(0, octave - rng.uniform(5.5, 9.5))
        return (10 ** (gain / 20)).astype(np.float32)

    def _worn(self, mixed: Array, rng: np.random.Generator) -> Array:
        """A scene after a low rate, a telephone or an MP3; most are unchanged."""
        chance = rng.random()
        if chance < self.options.phone:
            return resampled(resampled(mixed, bands.SAMPLE_RATE, PHONE), PHONE, bands.SAMPLE_RATE)[: len(mixed)]
        if chance < self.options.phone + self.options.mp3:
            loudest = np.abs(mixed).max() + 1e-9
            return through_mp3(mixed / loudest, bands.SAMPLE_RATE, LOWEST_RATE) * loudest
        if chance < self.options.phone + self.options.mp3 + self.options.dull:
            spectrum = fft.rfft(mixed)
            spectrum[round(len(spectrum) * 2 ** rng.uniform(-3.5, -0.5)) :] = 0
            return np.asarray(fft.irfft(spectrum, len(mixed)), np.float32)
        return mixed


def _loudest(samples: Array) -> float:
    """The root mean square of the loudest 80 ms."""
    whole = np.pad(samples, (0, -len(samples) % (2 * HOP))).reshape(-1, 2 * HOP)
    return float(np.sqrt((whole**2).mean(1).max())) + 1e-9


def _noise(size: int, rng: np.random.Generator) -> Array:
    """Noise of a random colour, with a root mean square of 1."""
    white = rng.standard_normal(size, np.float32)
    spectrum = fft.rfft(white)
    frequency = np.maximum(50.0, fft.rfftfreq(size, 1 / bands.SAMPLE_RATE)) / 1_000
    shaped = np.asarray(fft.irfft(spectrum * frequency ** -rng.uniform(-0.1, 1.0), size), np.float32)
    return shaped / np.float32(np.sqrt((shaped**2).mean()) + 1e-9)


def seconds_of(shard: int) -> int:
    """The length of the scenes of a shard: every fifth has long ones."""
    return 10 if shard % 5 == 4 else 5


def make(sounds: Sounds, shard: int, teacher: Teacher, dac: PeAudioDacEncoder, network: LogNetwork) -> dict[str, Any]:
    """All scenes of a shard."""
    seconds = seconds_of(shard)
    rows: dict[str, list[Any]] = {name: [] for name in ("energies", "scores", "embeddings", "levels", "clips")}
    for index in range(PER_SHARD[seconds]):
        samples, levels, clips = sounds.draw(np.random.default_rng([shard, index]), seconds)
        scores, embeddings = teacher.hear(samples, bands.SAMPLE_RATE)
        energies = log_energies(dac, network, torch.from_numpy(samples))
        arrays = {"scores": scores, "embeddings": embeddings, "levels": levels}
        rows["energies"].append(energies.half())
        rows["clips"].append(clips)
        for name, value in arrays.items():
            rows[name].append(torch.from_numpy(value.astype(np.float16)))
    return {name: value if name == "clips" else torch.stack(value) for name, value in rows.items()}


def fill(
    work: Path, teacher: Teacher, names: Sequence[str], shards: Sequence[int], folds: Sequence[int] = (1, 2, 3)
) -> int:
    """Make what is missing of ``shards``, from what may be trained on; how many that was."""
    missing = [shard for shard in shards if not (work / "scenes" / f"{shard}.pt").is_file()]
    if not missing:
        return 0
    recordings = Recordings.load(work, names)
    clips = [item.file for item in recordings.train(folds)]
    sounds = Sounds(work, clips, recordings.weights(folds).tolist(), SceneOptions())
    del recordings
    dac, network = codec.filter_bank(), codec.fitted_network(work)
    (work / "scenes").mkdir(exist_ok=True)
    for shard in missing:
        file = work / "scenes" / f"{shard}.pt"
        torch.save(make(sounds, shard, teacher, dac, network), file.with_suffix(".part"))
        file.with_suffix(".part").rename(file)
    return len(missing)


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m training.scenes WORK TEACHER``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("teacher", type=Path, help="a folder with yamnet.tflite and yamnet_class_map.csv")
    parser.add_argument("--shards", type=int, default=SHARDS, help="how many there are to be, of 128 or 64 scenes")
    parser.add_argument("--part", type=int, default=0, help="which of --parts to do")
    parser.add_argument("--parts", type=int, default=1, help="among how many processes the shards are shared out")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    shards = range(chosen.part, chosen.shards, chosen.parts)
    made = fill(chosen.work, Teacher(chosen.teacher), class_names(chosen.teacher), shards)
    print(f"made {made} shards of scenes more", flush=True)


if __name__ == "__main__":
    main()
