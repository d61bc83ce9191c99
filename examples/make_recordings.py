"""Make the recordings in ``examples/recordings`` that are not field recordings: a scene of three of these, and speech.

Usage: ``python examples/make_recordings.py [FOLDER]``, where FOLDER holds the field recordings that README.md lists.

``speech.opus`` is spoken by espeak-ng, and stays as it is where that program is not installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TypeAlias

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Signal: TypeAlias = NDArray[np.float64]  # (n_samples,), in [-1, 1]

HERE = Path(__file__).parent
PEAK = 0.7  # of full scale, which leaves lossy codecs room to overshoot
SPEECH, SCENE = "speech.opus", "scene.mp3"
SENTENCE = "Good morning. The rooster has crowed, the dog is awake, and it is going to rain all day."

SCENE_RATE = 44_100  # Hz
SCENE_SECONDS = 10.0
ROOM = 0.001  # root mean square of the room's own noise
# What is heard in the scene: the file, the stretch of it, and the onset in the scene, all in seconds.
EVENTS = (("rooster.wav", (0.0, 2.6), 0.6), ("rain.ogg", (0.0, 4.0), 4.0), ("dog.flac", (0.3, 1.9), 8.2))


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "recordings"
    soundfile.write(folder / SCENE, scene(folder), SCENE_RATE)
    if not speak(folder / SPEECH):
        print(f"espeak-ng is not installed: {SPEECH} was left as it is", file=sys.stderr)


def scene(folder: Path) -> Signal:
    """An early morning on a farm: each of ``EVENTS``, as loud as the others, in a quiet room."""
    samples = ROOM * np.random.default_rng(0).standard_normal(round(SCENE_SECONDS * SCENE_RATE))
    for name, (start, stop), onset in EVENTS:
        event, rate = soundfile.read(folder / name, start=0)
        event = normalized(soxr.resample(event[round(start * rate) : round(stop * rate)], rate, SCENE_RATE))
        at = round(onset * SCENE_RATE)
        samples[at : at + len(event)] += faded(event)
    return normalized(samples)


def faded(samples: Signal, seconds: float = 0.02) -> Signal:
    """Without a click at either end."""
    edge = np.linspace(0, 1, round(seconds * SCENE_RATE))
    envelope = np.ones_like(samples)
    envelope[: len(edge)], envelope[-len(edge) :] = edge, edge[::-1]
    return samples * envelope


def normalized(samples: Signal) -> Signal:
    return samples * (PEAK / float(np.abs(samples).max()))


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
