"""Fits the codec's network that takes logarithms, on recordings at all levels, on tones and on noise.

``python -m training.fit_codec WORK`` writes ``WORK/logarithm.pt``.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import torch

from training import bands, codec
from training.features import read
from training.logarithm import LogNetwork, fit, log_energy, true_energies

RECORDINGS = 140
SECONDS = 2  # of each
TONES = 0.15  # share of excerpts that are tones instead
STEPS = 5000


def fit_codec(work: Path, steps: int = STEPS, seed: int = 0) -> Path:
    """Fit the network and write it, with the share of the variance of unseen log energies that it explains."""
    target = work / "logarithm.pt"
    if target.is_file():
        return target
    torch.manual_seed(seed)
    measured, energies = _pairs(work, np.random.default_rng(seed))
    held = len(measured) // 5
    network = LogNetwork()
    for step, loss in enumerate(fit(network, measured[held:].flatten(0, 1), energies[held:].flatten(0, 1), steps), 1):
        if step % 1000 == 0:
            print(f"logarithm: step {step} of {steps}, loss {loss:.4f}", flush=True)
    with torch.no_grad():
        truth = log_energy(energies[:held].flatten(0, 1))
        error = network(measured[:held].flatten(0, 1)) - truth
        print(f"logarithm: explains {1 - error.square().mean() / truth.var():.1%} of unseen log energies")
    torch.save(network.state_dict(), target)
    return target


@torch.no_grad()
def _pairs(work: Path, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """The codec's measurements ``(n, bands, 2, time)`` and true energies ``(n, bands, time)`` of random excerpts."""
    dac = codec.filter_bank()
    filters = torch.tensor(np.stack([bands.filters(), bands.filters(np.pi / 2)]), dtype=torch.float32)
    with open(work / "manifest.csv", newline="", encoding="utf-8") as table:
        files = [work / row["clip"] for row in csv.DictReader(table) if float(row["seconds"]) > SECONDS]
    measured, energies = [], []
    for index in rng.permutation(len(files))[:RECORDINGS]:
        samples = _excerpt(files[index], rng)
        pair, energy = codec.levels(dac, samples), true_energies(samples, filters)
        steps = min(pair.shape[-1], energy.shape[-1])
        measured.append(pair[..., :steps])
        energies.append(energy[:, :steps])
    return torch.stack(measured), torch.stack(energies)


def _excerpt(file: Path, rng: np.random.Generator) -> torch.Tensor:
    """Two seconds, somewhere between full scale and 50 dB below, over noise at 80 to 115 dB below full scale."""
    size = SECONDS * bands.SAMPLE_RATE
    if rng.random() < TONES:
        time = np.arange(size) / bands.SAMPLE_RATE
        steady, pulsed = (np.sin(2 * np.pi * np.exp(rng.uniform(4, 9.5)) * time) for _ in range(2))
        samples = steady * (rng.random() < 0.8) + 0.3 * pulsed * (np.sin(2 * np.pi * rng.uniform(0.5, 6) * time) > 0)
    else:
        samples = read(file).numpy()
        start = rng.integers(0, max(1, len(samples) - size))
        samples = np.resize(samples[start : start + size], size)
    samples = samples / (np.abs(samples).max() + 1e-9) * 10 ** (rng.uniform(-50, 0) / 20)
    samples = samples + rng.standard_normal(size) * 10 ** (rng.uniform(-115, -80) / 20)
    return torch.from_numpy(samples.astype(np.float32))


def main() -> None:
    """``python -m training.fit_codec WORK``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    fit_codec(parser.parse_args().work)


if __name__ == "__main__":
    main()
