"""Random scenes, made where it is cheap: in log band energies instead of samples.

A gain adds to a log energy, a filter adds to each band its own amount, a change of pitch moves the bands, sounds that
are heard together add their energies, and a reverberating room smears energies in time. All of that is done on whole
batches of cached features; no sample is touched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from training import bands
from training.logarithm import DECADES, FLOOR

RATE = 100  # values of a band each second
FRAME = 4  # of which one frame of the model holds so many
TAIL = 60  # steps that reverberation is followed for
AUDIBLE = -10.0  # dB against the noise in all bands, below which nobody could say whether a sound is heard
ACTIVE_RANGE = 35.0  # dB below its loudest moment within which a sound counts as heard
NEAR_RANGE = 25.0  # dB below the loudest moment within half a second: what a patch holds is heard where it is loud
NEAR = 101  # steps: a second
PATCH_CENTRE, PATCH_HOP = 48.75, 48.0  # steps: where the teacher's first patch has its centre, and how far to the next
SURE = 0.99  # a concept that somebody has labelled


@dataclass(frozen=True)
class Bank:
    """Cached recordings: ``energies`` ``(n, bands, longest)`` in float16 as log energies, ``worn`` of the same shape,
    what is left of them behind a telephone or a low-rate codec, ``lengths`` ``(n,)``, ``heard``
    ``(n, patches, n_concepts)`` in float16, how surely each concept is heard around each patch's centre, ``ignored``
    ``(n, n_concepts)``, 1 where nobody knows; which columns stand for silence and for noise; and ``hiss``
    ``(bands, time)``, the energies of white noise as the codec hears it.
    """

    energies: torch.Tensor
    worn: torch.Tensor
    lengths: torch.Tensor
    heard: torch.Tensor
    ignored: torch.Tensor
    silence: int
    noise: int
    hiss: torch.Tensor


@dataclass(frozen=True)
class Scenes:
    """``energies`` ``(n, bands, time)``, ``clip`` ``(n, concepts)``, ``frames`` ``(n, concepts, time / 4)``.

    ``ignored`` and ``ignored_frames``, of the same shapes, are 1 where the truth is not known.
    """

    energies: torch.Tensor
    clip: torch.Tensor
    frames: torch.Tensor
    ignored: torch.Tensor
    ignored_frames: torch.Tensor


@dataclass(frozen=True)
class MixtureOptions:
    """The variety of the scenes; levels in dB."""

    sources: tuple[float, ...] = (0.14, 0.5, 0.27, 0.09)  # chance of 0, 1, 2, 3 sources
    brief: float = 0.35  # share of sounds of which no more than a moment is heard
    moment: tuple[float, float] = (0.5, 4.0)  # seconds that it lasts
    faint: float = 0.06  # share of scenes that are so quiet that they count as silence
    faint_gain: tuple[float, float] = (-105.0, -75.0)  # their loudest moment, against full scale
    snr: float = 12.0  # sources differ in level by up to this
    tilt: float = 9.0  # random filters raise and lower bands by up to about this
    shift: float = 3.0  # bands by which the pitch moves at most: an eighth of an octave each
    stretch: float = 0.2  # by which time is stretched or squeezed at most
    gain: tuple[float, float] = (-45.0, 5.0)  # loudest moment of the scene, against full scale
    noise: tuple[float, float] = (5.0, 60.0)  # background noise below it
    colour: tuple[float, float] = (-30.0, 5.0)  # by which background noise falls or rises from the lowest band on
    white: float = 0.2  # share of backgrounds that are white as they are
    offset: float = 0.12  # share of scenes that lie beside zero, which the lowest band shows and nobody hears
    offset_level: tuple[float, float] = (-75.0, -20.0)  # in that band
    narrow: float = 0.3  # share of sounds that lack the lowest bands, the highest, or some in between
    worn: float = 0.35  # share of sounds that come out of a telephone or a low-rate codec
    dull: float = 0.25  # share of scenes of which nothing is left above some frequency
    dull_from: int = 19  # the lowest band, 2 kHz, that may be the first to be lost


class Mixer:
    """Draws batches of scenes from a bank, all from one seed."""

    def __init__(self, bank: Bank, weights: torch.Tensor, options: MixtureOptions, seed: int) -> None:
        self.bank = bank
        self.weights = weights
        self.options = options
        self.generator = torch.Generator(bank.energies.device).manual_seed(seed)

    def draw(self, size: int, seconds: float) -> Scenes:
        """A batch of ``size`` scenes of ``seconds`` each (a multiple of 0.04)."""
        steps = round(seconds * RATE)
        chance = torch.tensor(self.options.sources)
        count = torch.multinomial(chance.expand(size, -1), 1, generator=self.generator)[:, 0]
        energy = torch.zeros(size, bands.N_BANDS, steps)
        n_concepts = self.bank.heard.shape[2]
        frames = torch.zeros(size, n_concepts, steps // FRAME)
        levels = torch.zeros_like(frames)  # of a concept's loudest source
        unknown = torch.zeros_like(levels)
        silent = torch.zeros(size, dtype=torch.bool)
        for layer in range(1, len(chance)):
            rows = torch.nonzero((count >= layer) & ~silent)[:, 0]
            if len(rows) == 0:
                break
            which = torch.multinomial(self.weights, len(rows), replacement=True, generator=self.generator)
            sound, level, heard = self._sources(which, steps)
            if layer == 1:
                silent[rows] = self._is_silence(which)
            else:  # silence and something else is something else
                sound, level, heard = (
                    it * ~self._is_silence(which).view(-1, *[1] * (it.ndim - 1)) for it in (sound, level, heard)
                )
            energy[rows] += sound
            levels[rows] = torch.maximum(levels[rows], level[:, None] * (heard > 0.1))
            frames[rows] = torch.maximum(frames[rows], heard)
            unknown[rows] = torch.maximum(unknown[rows], (level > 0)[:, None] * self.bank.ignored[which][:, :, None])
        faint = ~silent & (self._uniform(size, 0, 1) < self.options.faint)
        energy, noise = self._finish(energy, silent, faint)
        loudest = _log(energy).amax(1)
        hidden = (frames > 0.1) * (levels < noise[:, None, None] * 10 ** (AUDIBLE / 10))
        frames, unknown = frames * ~hidden, torch.maximum(unknown, hidden.float())
        frames[silent, self.bank.silence] = 1
        self._mark_quiet(frames, unknown, loudest, noise > 0)
        unknown[faint], frames[faint] = 1, 0
        frames[faint, self.bank.silence] = 1
        unknown = unknown * (frames < SURE)
        clip = clip_targets(frames)
        # Silence is a property of a whole clip only where all of it is silent.
        clip[:, self.bank.silence] = frames[:, self.bank.silence].amin(1)
        energy[:, 0] += self._offsets(size)[:, None]
        return Scenes(_log(energy), clip, frames, unknown.amax(2) * (clip < SURE), unknown)

    def _is_silence(self, which: torch.Tensor) -> torch.Tensor:
        return self.bank.heard[which, 0, self.bank.silence] > SURE

    def _mark_quiet(
        self, frames: torch.Tensor, unknown: torch.Tensor, loudest: torch.Tensor, noisy: torch.Tensor
    ) -> None:
        """Frames in which nothing is above the floor are silent; in noisy scenes, noise is neither right nor wrong.

        ``loudest``, ``(n, steps)``, is the log energy of the loudest band.
        """
        loudest = loudest[:, : frames.shape[2] * FRAME].unflatten(1, (-1, FRAME)).amax(2)
        silent = (loudest < -0.9).float()  # -95 dB in every band
        quiet = (loudest < -0.75).float()
        frames *= 1 - silent[:, None]
        frames[:, self.bank.silence] = torch.maximum(frames[:, self.bank.silence], silent)
        unknown[:, self.bank.silence] = torch.maximum(unknown[:, self.bank.silence], quiet)
        unknown[:, self.bank.noise] = torch.maximum(unknown[:, self.bank.noise], noisy[:, None].float())

    def _sources(self, which: torch.Tensor, steps: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Energies ``(n, bands, steps)``, their loudest moment near 1, and in all bands ``(n, frames)``, 0 if unheard;
        and how surely each concept is heard ``(n, concepts, frames)``.

        Silence alone keeps its level: louder, it would be a noise.
        """
        size = len(which)
        log, at = self._excerpts(which, steps)
        log = log + self._filters(size) / (10 * DECADES)
        energy = (torch.pow(10.0, (log - 1) * DECADES) - FLOOR).clamp_min(0)
        energy = self._reverberate(energy)
        level = smooth(energy.sum(1))
        loudest = level.amax(1).clamp_min(1e-12)
        relative = 10 * torch.log10(level / loudest[:, None] + 1e-9)
        near = nn.functional.max_pool1d(relative[:, None], NEAR, 1, NEAR // 2)[:, 0]
        heard = (relative > -ACTIVE_RANGE) & (relative > near - NEAR_RANGE) & (loudest > 1e-11)[:, None]
        gain = torch.pow(10.0, self._uniform(size, -self.options.snr, 0.0) / 10)
        factor = torch.where(self._is_silence(which), torch.ones(()), gain / loudest)
        level = (level * factor[:, None] * heard)[:, : steps // FRAME * FRAME].unflatten(1, (-1, FRAME)).amax(2)
        return energy * factor[:, None, None], level, self._heard(which, at) * (level > 0)[:, None]

    def _heard(self, which: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """The concepts ``(n, concepts, frames)`` around the steps ``at`` ``(n, steps)`` of the recordings ``which``."""
        last = self.bank.heard.shape[1] - 1
        middle = at[:, FRAME // 2 :: FRAME][:, : at.shape[1] // FRAME]
        patch = ((middle - PATCH_CENTRE) / PATCH_HOP).clamp(0, last)
        before = patch.floor().long()
        heard = self.bank.heard[which]
        rows = torch.arange(len(which))[:, None]
        share = (patch - before)[..., None].to(heard.dtype)
        between = torch.lerp(heard[rows, before], heard[rows, (before + 1).clamp_max(last)], share)
        return between.float().transpose(1, 2)

    def _excerpts(self, which: torch.Tensor, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Log energies of the recordings ``which``, stretched, transposed, and set somewhere into ``steps``; and which
        steps of the recordings these are, ``(n, steps)``.
        """
        size = len(which)
        longest = self.bank.energies.shape[2]
        pace = torch.pow(2.0, self._uniform(size, -self.options.stretch, self.options.stretch))
        pitch = self._uniform(size, -self.options.shift, self.options.shift) * (self._uniform(size, 0, 1) < 0.5)
        first, length = self._moments(self.bank.lengths[which])
        # A short sound lands anywhere in the scene, a long one gives any part of itself.
        onset = self._uniform(size, 0, 1) * (steps - length / pace)
        since = (torch.arange(steps) - onset[:, None]) * pace[:, None]
        inside = ((since >= 0) & (since <= length[:, None] - 1)).float()
        at = first[:, None] + since
        band = torch.arange(bands.N_BANDS) + pitch[:, None]
        grid = torch.stack(
            [
                (2 * at / (longest - 1) - 1)[:, None, :].expand(-1, bands.N_BANDS, -1),
                (2 * band / (bands.N_BANDS - 1) - 1)[:, :, None].expand(-1, -1, steps),
            ],
            -1,
        )
        worn = (self._uniform(size, 0, 1) < self.options.worn)[:, None, None]
        source = torch.where(worn, self.bank.worn[which], self.bank.energies[which]).float()[:, None]
        log = nn.functional.grid_sample(source, grid, padding_mode="border", align_corners=True)[:, 0]
        return torch.where(inside[:, None] > 0, log, torch.tensor(-1.0)), at

    def _moments(self, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The part of each recording that is used: its first step and how many, of some only a moment."""
        size = len(lengths)
        shortest, longest = (math.log(seconds * RATE) for seconds in self.options.moment)
        moment = torch.minimum(lengths, self._uniform(size, shortest, longest).exp())
        used = torch.where(self._uniform(size, 0, 1) < self.options.brief, moment, lengths)
        return self._uniform(size, 0, 1) * (lengths - used), used

    def _filters(self, size: int) -> torch.Tensor:
        """Smooth random curves over the bands in dB, some with a hole, ``(size, bands, 1)``."""
        knots = torch.randn(size, 1, 6, generator=self.generator) * self.options.tilt / 2
        knots = knots * self._uniform(size, 0, 1)[:, None, None]
        smooth = nn.functional.interpolate(knots, bands.N_BANDS, mode="linear", align_corners=True).transpose(1, 2)
        return smooth + self._holes(size)

    def _holes(self, size: int) -> torch.Tensor:
        """The attenuation by narrow microphones, telephones and compression, in dB, ``(size, bands, 1)``."""
        centre, width = self._uniform(size, 0, bands.N_BANDS), self._uniform(size, 1, 8)
        kind = torch.randint(3, (size,), generator=self.generator)
        at = torch.arange(bands.N_BANDS)
        low = at < 0.3 * centre[:, None]
        high = at > bands.N_BANDS - 0.5 * centre[:, None]
        between = (at - centre[:, None]).abs() < width[:, None] / 2
        hole = torch.where(kind[:, None] == 0, low, torch.where(kind[:, None] == 1, high, between))
        depth = self._uniform(size, 15, 60) * (self._uniform(size, 0, 1) < self.options.narrow)
        return -(hole * depth[:, None])[:, :, None]

    def _reverberate(self, energy: torch.Tensor) -> torch.Tensor:
        """A decaying tail, on a third of the sounds: 60 dB in 0.1 to 1 s, 3 to 15 dB below the sound in all."""
        chosen = torch.nonzero(self._uniform(len(energy), 0, 1) < 0.33)[:, 0]
        if len(chosen) == 0:
            return energy
        dry = energy[chosen]
        decay = torch.pow(10.0, self._uniform(len(chosen), -1.0, 0.0))[:, None] * RATE
        tail = torch.exp(-13.8 * torch.arange(TAIL) / decay)
        level = torch.pow(10.0, -self._uniform(len(chosen), 3.0, 15.0) / 10)
        tail = tail / tail.sum(1, keepdim=True) * level[:, None]
        kernel = tail.flip(1)[:, None].repeat_interleave(bands.N_BANDS, 0)
        padded = nn.functional.pad(dry, (TAIL - 1, 0))
        wet = nn.functional.conv1d(padded.reshape(1, -1, padded.shape[-1]), kernel, groups=len(kernel))
        return energy.index_copy(0, chosen, dry + wet.reshape(dry.shape))

    def _finish(
        self, energy: torch.Tensor, silent: torch.Tensor, faint: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Background noise and the level of the whole, for all but the ``silent``; also how much noise there is.

        The noise, ``(n,)``, is its energy in all bands before the level was set.
        """
        size = len(energy)
        noise = self._background(size, energy.shape[2])
        low, high = self.options.noise
        below = low + (high - low) * self._uniform(size, 0, 1).square()  # half of it within a quarter of the range
        below = torch.where(energy.amax((1, 2)) > 0, below, torch.zeros(()))
        without = silent | (self._uniform(size, 0, 1) < 0.12)
        level = torch.pow(10.0, -below / 10) * (~without)
        energy = self._dulled(energy + noise * level[:, None, None])
        gain = torch.where(
            faint, self._uniform(size, *self.options.faint_gain), self._uniform(size, *self.options.gain)
        )
        return energy * torch.pow(10.0, gain * ~silent / 10)[:, None, None], level

    def _dulled(self, energy: torch.Tensor) -> torch.Tensor:
        """Some scenes without what is above some band, as a low sampling rate leaves them."""
        size = len(energy)
        first = self._uniform(size, self.options.dull_from, bands.N_BANDS)
        lost = torch.arange(bands.N_BANDS) > first[:, None]
        chosen = self._uniform(size, 0, 1) < self.options.dull
        return energy * torch.where(lost & chosen[:, None], 1e-7, 1.0)[:, :, None]

    def _background(self, size: int, steps: int) -> torch.Tensor:
        """Noise of any colour, ``(size, bands, steps)``, on average 1 in all bands together."""
        white = self._uniform(size, 0, 1) < self.options.white
        slope = self._uniform(size, *self.options.colour)[:, None, None] * torch.linspace(0, 1, bands.N_BANDS)[:, None]
        colour = (self._filters(size) + slope) * ~white[:, None, None]
        n_hiss = self.bank.hiss.shape[1]
        first = torch.randint(n_hiss, (size,), generator=self.generator)
        hiss = self.bank.hiss[:, (first[:, None] + torch.arange(steps)) % n_hiss].transpose(0, 1)
        noise = hiss * torch.pow(10.0, colour / 10)
        return noise / noise.sum(1).mean(1)[:, None, None]

    def _offsets(self, size: int) -> torch.Tensor:
        """Energies for the lowest band, ``(n,)``."""
        level = torch.pow(10.0, self._uniform(size, *self.options.offset_level) / 10)
        return level * (self._uniform(size, 0, 1) < self.options.offset)

    def _uniform(self, size: int, low: float, high: float) -> torch.Tensor:
        return torch.rand(size, generator=self.generator) * (high - low) + low


def clip_targets(frames: torch.Tensor) -> torch.Tensor:
    """The confidence in each concept in scenes, ``(n, concepts)``, from that in frames ``(n, concepts, frames)``.

    What somebody has labelled counts in full; what the teacher believes to hear counts by its maximum and its mean.
    """
    loudest, mean = frames.amax(2), frames.mean(2)
    return torch.where(loudest > SURE, loudest, 0.75 * loudest + 0.25 * mean)


def _log(energy: torch.Tensor) -> torch.Tensor:
    return torch.log10(energy + FLOOR) / DECADES + 1


def smooth(level: torch.Tensor) -> torch.Tensor:
    """``(n, time)`` energies, each the mean of 90 ms about it."""
    return nn.functional.avg_pool1d(level[:, None], 9, 1, 4, count_include_pad=False)[:, 0]
