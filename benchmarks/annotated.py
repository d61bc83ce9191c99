"""Mixtures with strong labels, made of a folder for each class, to try ``peaudio eval`` and its tuning on.

``python -m benchmarks.annotated ESC10 OUT`` writes two sets of recordings of 10 s, ``OUT/one`` and ``OUT/other``, with
``OUT/one.tsv`` and ``OUT/other.tsv`` beside them. No source is heard in both, so that what is tuned on one can be
measured on the other.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from pe_audio_cli.audio.decoding import open_audio
from pe_audio_cli.audio.find import RECORDING_EXTENSIONS
from pe_audio_cli.audio.framing import FRAME_SECONDS, HOP, SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MixtureOptions", "main", "write_set"]

SETS = ("one", "other")
HEADER = ("filename", "onset", "offset", "event_label")
ACTIVE_RANGE = 30.0  # dB below its loudest frame within which a sound counts as heard
SHORTEST_GAP = 8  # frames of silence that part two events
SHORTEST_EVENT = 3  # frames


@dataclass(frozen=True)
class MixtureOptions:
    """Options of the mixtures; levels are in dB."""

    n_mixtures: int = 50
    seconds: float = 10.0
    sounds: tuple[int, int] = (1, 4)  # fewest and most
    longest: float = 4.0  # seconds of one
    noise: tuple[float, float] = (-60.0, -40.0)  # against full scale
    above: tuple[float, float] = (5.0, 30.0)  # the loudest frame of a sound, against the noise
    seed: int = 0


def write_set(sources: Sequence[tuple[str, Path]], folder: Path, table: Path, options: MixtureOptions) -> None:
    """Mixtures of ``sources``, each a label and a recording of it, and the table of what is heard in them when."""
    rng = np.random.default_rng(options.seed)
    folder.mkdir(parents=True, exist_ok=True)
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(HEADER)
        for number in range(options.n_mixtures):
            path = folder / f"{number:03}.flac"
            samples, events = mixture(sources, rng, options)
            soundfile.write(path, samples, SAMPLE_RATE, subtype="PCM_16")
            for onset, offset, label in sorted(events):
                writer.writerow((f"{folder.name}/{path.name}", f"{onset:.3f}", f"{offset:.3f}", label))


def mixture(
    sources: Sequence[tuple[str, Path]], rng: np.random.Generator, options: MixtureOptions
) -> tuple[NDArray[np.float64], list[tuple[float, float, str]]]:
    """Samples, and the onset, offset and label of each event. Of each label there is one sound at most."""
    n_frames = round(options.seconds / FRAME_SECONDS)
    level = 10 ** (rng.uniform(*options.noise) / 20)
    samples = level * pink_noise(n_frames * HOP, rng)
    n_sounds = int(rng.integers(options.sounds[0], options.sounds[1] + 1))
    events = []
    for label in rng.permutation(sorted({label for label, _ in sources}))[:n_sounds].tolist():
        files = [path for other, path in sources if other == label]
        sound = excerpt(read(files[rng.integers(len(files))]), round(options.longest / FRAME_SECONDS), rng)
        first = int(rng.integers(0, n_frames - len(sound) + 1))
        gain = level * 10 ** (rng.uniform(*options.above) / 20) / np.sqrt(power(sound).max())
        samples[first * HOP : (first + len(sound)) * HOP] += gain * sound.ravel()
        events += [
            (round((first + start) * FRAME_SECONDS, 3), round((first + stop) * FRAME_SECONDS, 3), label)
            for start, stop in heard(sound)
        ]
    return samples / max(1.0, np.abs(samples).max()), events


def read(path: Path) -> NDArray[np.float64]:
    """A recording in whole frames, ``(n_frames, HOP)``, without the silence before its first sound."""
    with open_audio(str(path)) as stream:
        samples = np.concatenate(list(stream.blocks())).astype(np.float64)
    frames = samples[: len(samples) // HOP * HOP].reshape(-1, HOP)
    return frames[heard(frames)[0][0] :]


def excerpt(frames: NDArray[np.float64], longest: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """At most so many frames from the beginning, at least a quarter of them where there are as many."""
    n_frames = int(rng.integers(longest // 4, longest + 1))
    return frames[:n_frames]


def heard(frames: NDArray[np.float64]) -> list[tuple[int, int]]:
    """The stretches in which a sound is heard: its first frame, and the one after its last."""
    level = 10 * np.log10(power(frames) / max(power(frames).max(), 1e-12) + 1e-12)
    edges = np.flatnonzero(np.diff(level > -ACTIVE_RANGE, prepend=False, append=False)).reshape(-1, 2)
    joined: list[tuple[int, int]] = []
    for start, stop in edges.tolist():
        if joined and start - joined[-1][1] < SHORTEST_GAP:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return [(start, stop) for start, stop in joined if stop - start >= SHORTEST_EVENT] or [(0, len(frames))]


def power(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean square of each frame."""
    mean: NDArray[np.float64] = (frames**2).mean(axis=1)
    return mean


def pink_noise(n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise that falls by 3 dB an octave, of standard deviation 1."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 20)), n_samples)
    return np.asarray(noise / noise.std())


def halves(folder: Path) -> Iterator[list[tuple[str, Path]]]:
    """The recordings of each class, by turns in one half and the other; takes of one source stay together.

    ESC-50 calls them FOLD-SOURCE-TAKE.
    """
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    for side in range(len(SETS)):
        half = []
        for of_class in classes:
            files = sorted(path for path in of_class.rglob("*") if path.suffix.lower() in RECORDING_EXTENSIONS)
            origins = sorted({_origin(path) for path in files})
            half += [(of_class.name, path) for path in files if origins.index(_origin(path)) % len(SETS) == side]
        yield half


def _origin(path: Path) -> str:
    return path.stem.rpartition("-")[0] or path.stem


def main(arguments: Sequence[str] | None = None) -> None:
    """Write both sets."""
    parser = argparse.ArgumentParser("python -m benchmarks.annotated", description=__doc__)
    parser.add_argument("classes", type=Path, help="a folder with a folder of recordings for each class")
    parser.add_argument("out", type=Path)
    parser.add_argument("--mixtures", type=int, default=MixtureOptions.n_mixtures, help="in both sets together")
    given = parser.parse_args(arguments)
    for seed, (name, sources) in enumerate(zip(SETS, halves(given.classes), strict=True)):
        options = MixtureOptions(n_mixtures=given.mixtures // len(SETS), seed=seed)
        write_set(sources, given.out / name, given.out / f"{name}.tsv", options)


if __name__ == "__main__":
    main()
