"""Make the recordings in ``examples/recordings``: short, our own, and in the formats that people have.

Usage: ``python examples/make_recordings.py [FOLDER]``

The signals are seeded numpy: every run gives the same samples. ``speech.opus`` is spoken by espeak-ng, and stays as it
is where that program is not installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Signal: TypeAlias = NDArray[np.float64]  # (n_samples,) mono or (n_samples, n_channels), in [-1, 1]

HERE = Path(__file__).parent
PEAK = 0.7  # of full scale, which leaves lossy codecs room to overshoot
SPEECH = "speech.opus"
SENTENCE = "Good evening. There was a knock at the door, and then the telephone rang."


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "recordings"
    folder.mkdir(parents=True, exist_ok=True)
    for recording in RECORDINGS:
        recording.write(folder)
    if not speak(folder / SPEECH):
        print(f"espeak-ng is not installed: {SPEECH} was left as it is", file=sys.stderr)


def clock(rate: int, seconds: float) -> Signal:
    """The time of each sample, in seconds."""
    return np.arange(round(seconds * rate)) / rate


def bell(rate: int) -> Signal:
    """A church bell struck once: the five partials that bells are tuned by, the higher the sooner gone."""
    t = clock(rate, 3.0)
    prime = 520.0  # Hz
    partials = {0.5: 0.6, 1.0: 1.0, 1.2: 0.7, 1.5: 0.4, 2.0: 0.8}  # ratio to the prime -> level
    return sum(
        (level * np.exp(-1.5 * ratio * t) * np.sin(2 * np.pi * prime * ratio * t) for ratio, level in partials.items()),
        start=np.zeros_like(t),
    )


def knocks(rate: int) -> Signal:
    """Three knocks on a wooden door: each a thud with a click at its front."""
    rng = np.random.default_rng(3)
    t = clock(rate, 0.3)
    click = rng.standard_normal(len(t)) * np.exp(-400 * t)
    thud = np.sin(2 * np.pi * 170 * t) * np.exp(-35 * t)
    return np.tile(thud + 0.4 * click, 3)


def rain(rate: int) -> Signal:
    """A steady hiss with single drops that stand out of it."""
    rng = np.random.default_rng(4)
    t = clock(rate, 4.0)
    hiss = np.diff(rng.standard_normal(len(t) + 1))
    drops = np.zeros_like(t)
    drops[rng.choice(len(t), size=80, replace=False)] = rng.uniform(5, 15, size=80)
    drop = np.exp(-300 * clock(rate, 0.02)) * np.sin(2 * np.pi * 2200 * clock(rate, 0.02))
    return hiss + np.convolve(drops, drop)[: len(t)]


def siren(rate: int) -> Signal:
    """A tone that sweeps between 600 and 1400 Hz, up and down in two seconds."""
    t = clock(rate, 4.0)
    phase = 2 * np.pi * np.cumsum(1000 - 400 * np.cos(np.pi * t)) / rate
    return np.sin(phase) + 0.3 * np.sin(2 * phase) + 0.15 * np.sin(3 * phase)


def phone(rate: int) -> Signal:
    """An old telephone: two strikes of an electric bell, with a pause between them."""
    t = clock(rate, 0.8)
    clapper = 0.5 + 0.5 * np.sin(2 * np.pi * 22 * t)
    ring = clapper * (np.sin(2 * np.pi * 1150 * t) + 0.7 * np.sin(2 * np.pi * 1480 * t))
    return np.concatenate([ring, np.zeros(round(0.4 * rate)), ring])


def bird(rate: int) -> Signal:
    """Five chirps, each falling from 5 to 3 kHz."""
    t = clock(rate, 0.15)
    phase = 2 * np.pi * np.cumsum(5000 - 2000 * t / t[-1]) / rate
    chirp = np.sin(phase) * np.hanning(len(t))
    return np.tile(np.concatenate([chirp, np.zeros(round(0.15 * rate))]), 5)


SCENE_SECONDS = 8.0
SCENE: tuple[tuple[float, Callable[[int], Signal]], ...] = ((0.6, knocks), (2.6, phone), (6.0, bird))  # onsets, seconds


def scene(rate: int) -> Signal:
    """An evening at home: a knock, a telephone and a bird, at the times that ``SCENE`` gives."""
    samples = np.zeros(round(SCENE_SECONDS * rate))
    for onset, sound in SCENE:
        start, event = round(onset * rate), normalized(sound(rate))
        samples[start : start + len(event)] += event
    return samples


def knocks_from_the_left(rate: int) -> Signal:
    """The knocks in stereo, as heard by someone to the right of the door."""
    return np.outer(knocks(rate), [1.0, 0.4])


def normalized(samples: Signal) -> Signal:
    return samples * (PEAK / float(np.abs(samples).max()))


@dataclass(frozen=True)
class Recording:
    """A file to make: its format is told by its name, its rate is in hertz."""

    name: str
    rate: int
    sound: Callable[[int], Signal]

    def write(self, folder: Path) -> None:
        """Write the sound into a folder, over what may be there."""
        soundfile.write(folder / self.name, normalized(self.sound(self.rate)), self.rate)


RECORDINGS = (
    Recording("bell.flac", 48_000, bell),
    Recording("door_knock.wav", 44_100, knocks_from_the_left),
    Recording("rain.ogg", 32_000, rain),
    Recording("scene.mp3", 44_100, scene),
    Recording("siren.wav", 16_000, siren),
)


def speak(path: Path) -> bool:
    """Have espeak-ng say ``SENTENCE`` into a file; False where it is not installed."""
    program = shutil.which("espeak-ng")
    if program is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        spoken = Path(folder, "speech.wav")
        subprocess.run([program, "-v", "en-gb", "-s", "160", "-w", str(spoken), SENTENCE], check=True)
        samples, rate = soundfile.read(spoken)
    opus_rate = 48_000  # Hz; Opus takes few rates, and espeak-ng's 22,050 is not among them
    samples = normalized(soxr.resample(samples, rate, opus_rate))
    soundfile.write(path, samples, opus_rate, format="OGG", subtype="OPUS")
    return True


if __name__ == "__main__":
    main()
