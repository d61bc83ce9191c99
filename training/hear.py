"""The training data of each clip: the codec's measurements and the teacher's scores.

``python -m training.hear WORK TEACHER`` leaves, for each clip below ``WORK/clips``, a file below ``WORK/heard`` with

    energies    log band energies ``(bands, time)`` at 100 Hz
    worn        the same of the clip after a telephone's band or a low-rate MP3, which change what no filter changes
    scores      the teacher's, ``(patches, 521)``
    embeddings  what it makes them of, ``(patches, 1024)``

all in float16. What is there is not made again, so that a stopped run goes on; it may run beside what writes clips.
"""

from __future__ import annotations

import argparse
import io
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray

from training import bands, codec
from training.features import log_energies, read
from training.teacher import Teacher

PHONE = 8_000  # samples a second
LOWEST_RATE = 0.999  # libsndfile's level of compression for 32 kbit/s at 48 kHz

Array = NDArray[np.float32]


def hear(work: Path, teacher: Teacher, part: int = 0, parts: int = 1) -> int:
    """Make what is missing of every ``parts``-th file, counted from ``part``; how many that was."""
    dac, network = codec.filter_bank(), codec.fitted_network(work)
    done = 0
    for clip in sorted((work / "clips").rglob("*.flac"), key=_by_chance):
        target = work / "heard" / clip.relative_to(work / "clips").with_suffix(".npz")
        if zlib.crc32(clip.name.encode()) // 8 % parts != part or target.exists():
            continue
        samples = read(clip)
        if len(samples) < bands.SAMPLE_RATE // 20:
            continue
        energies = log_energies(dac, network, samples)
        worn = wear(samples.numpy(), zlib.crc32(clip.name.encode()))
        scores, embeddings = teacher.hear(samples.numpy(), bands.SAMPLE_RATE)
        found = {
            "energies": energies.numpy(),
            "worn": (energies if worn is None else log_energies(dac, network, torch.from_numpy(worn))).numpy(),
            "scores": scores,
            "embeddings": embeddings,
        }
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(".part")
        with unfinished.open("wb") as file:
            np.savez(file, **{name: value.astype(np.float16) for name, value in found.items()})
        unfinished.rename(target)
        done += 1
    return done


def _by_chance(clip: Path) -> int:
    return zlib.crc32(clip.name.encode())


def wear(samples: Array, seed: int) -> Array | None:
    """Samples at 48 kHz after a telephone's band of 4 kHz or an MP3 of 24 or 32 kbit/s; None for every second."""
    kind = seed % 6
    if kind > 2:
        return None
    if kind == 0:
        return resampled(resampled(samples, bands.SAMPLE_RATE, PHONE), PHONE, bands.SAMPLE_RATE)
    rate = bands.SAMPLE_RATE if kind == 1 else 24_000
    return through_mp3(samples, rate, LOWEST_RATE if kind == 1 else 0.9)


def through_mp3(samples: Array, rate: int, compression: float) -> Array:
    """There and back; ``compression`` is in [0, 1): the more, the fewer bits."""
    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        np.clip(resampled(samples, bands.SAMPLE_RATE, rate), -1, 1),
        rate,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=compression,
        bitrate_mode="CONSTANT",
    )
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    back = resampled(decoded, rate, bands.SAMPLE_RATE)[: len(samples)]
    return np.pad(back, (0, len(samples) - len(back)))


def resampled(samples: Array, rate: int, wanted: int) -> Array:
    """At ``wanted`` samples a second."""
    return samples if rate == wanted else np.asarray(soxr.resample(samples, rate, wanted), np.float32)


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m training.hear WORK TEACHER``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("teacher", type=Path, help="a folder with yamnet.tflite and yamnet_class_map.csv")
    parser.add_argument("--part", type=int, default=0, help="which of --parts to do")
    parser.add_argument("--parts", type=int, default=1, help="among how many processes the clips are shared out")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(f"heard {hear(chosen.work, Teacher(chosen.teacher), chosen.part, chosen.parts)} clips more", flush=True)


if __name__ == "__main__":
    main()
