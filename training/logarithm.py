"""The small network that takes logarithms with Snake activations, the same for every band, and how it is fitted.

It is one band's share of the three residual units at 100 Hz: see :mod:`training.codec`.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from training import bands

PER_BAND = 4  # channels that serve one band

FLOOR = 1e-10  # energy below which a band counts as silent: -100 dB
DECADES = 5.0  # a log energy of 1 stands for 0 dB, of -1 for -100 dB


def log_energy(energy: torch.Tensor) -> torch.Tensor:
    """The function that the codec is to compute: -1 at -100 dB and below, 1 at 0 dB."""
    return torch.log10(energy + FLOOR) / DECADES + 1


def decibels(gain: float) -> float:
    """The shift of a log energy by a gain in dB."""
    return gain / (10 * DECADES)


class LogUnit(nn.Module):
    """One residual unit of the network that takes logarithms, for a single band: ``PER_BAND`` channels."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.alpha1 = nn.Parameter(torch.rand(PER_BAND) * 3 + 0.3)
        self.conv1 = nn.Conv1d(PER_BAND, PER_BAND, kernel, padding=kernel // 2)
        self.alpha2 = nn.Parameter(torch.rand(PER_BAND) * 3 + 0.3)
        self.conv2 = nn.Conv1d(PER_BAND, PER_BAND, 1)
        with torch.no_grad():
            self.conv1.weight.mul_(0.3)
            self.conv1.weight[:, :, kernel // 2] += torch.randn(PER_BAND, PER_BAND) * 0.7
            self.conv2.weight.mul_(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(n, PER_BAND, time)`` to the same."""
        return x + self.conv2(snake(self.conv1(snake(x, self.alpha1)), self.alpha2))


class LogNetwork(nn.Module):
    """Two saturating measures of a band's level, ``(n, 2, time)`` at 100 Hz, to its log energy ``(n, time)``."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(2, PER_BAND, 1)
        self.units = nn.ModuleList([LogUnit(7), LogUnit(1), LogUnit(1)])
        self.alpha = nn.Parameter(torch.rand(PER_BAND) + 0.3)
        self.last = nn.Conv1d(PER_BAND, 1, 1)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor([[3.0, 0], [0, 3], [1, 1], [-1, 1]])[..., None])
            self.first.bias.zero_()  # type: ignore[union-attr]

    def forward(self, levels: torch.Tensor) -> torch.Tensor:
        """Log energies, as :func:`log_energy` gives them."""
        hidden = self.first(levels)
        for unit in self.units:
            hidden = unit(hidden)
        energies: torch.Tensor = self.last(snake(hidden, self.alpha))[:, 0]
        return energies


def snake(x: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """The activation of the DAC encoder, for ``(n, channels, time)`` and one ``alpha`` a channel."""
    return x + torch.sin(alpha[:, None] * x).square() / (alpha[:, None] + 1e-9)


def true_energies(samples: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """Band energies as a filter bank without a codec's limits would give them, ``(bands, time)`` at 100 Hz.

    ``filters`` are the bank and its quadrature, ``(2, bands, taps)``; the squared envelope is smoothed over 20 ms.
    """
    hop = 24  # 2 kHz
    size = samples.shape[-1] // bands.BLOCK * bands.BLOCK
    bank = filters.reshape(-1, 1, bands.TAPS)
    parts = nn.functional.conv1d(samples[None, None, :size], bank, stride=hop, padding=(bands.TAPS - hop) // 2)
    energy = parts[0].reshape(2, bands.N_BANDS, -1).square().sum(0) / 2
    window = torch.hann_window(42, periodic=False)[1:-1]
    return nn.functional.conv1d(energy[:, None], window[None, None] / window.sum(), stride=20, padding=10)[:, 0]


def fit(
    network: LogNetwork, measured: torch.Tensor, energies: torch.Tensor, steps: int, seed: int = 0
) -> Iterable[float]:
    """Regress ``network`` onto log energies, yielding the loss of each step.

    ``measured`` has shape ``(n, 2, time)`` and ``energies`` ``(n, time)``, one row a band of a recording.
    """
    target = log_energy(energies)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, steps)
    for _ in range(steps):
        rows = torch.randint(0, len(measured), (192,), generator=generator)
        loss = (network(measured[rows]) - target[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        yield loss.item()
