"""Sounds that a formula makes: silence, noise, tones, alarms, sirens and the sounds of the telephone network.

Each kind is a function ``(rng, t)`` of a generator and the times of the samples in seconds; :func:`generate` names it.
The level is drawn too, so that none goes with a kind, except for silence.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["CONCEPTS", "HELD", "SAMPLE_RATE", "generate"]

SAMPLE_RATE = 48_000  # hertz
LEVELS = (-40.0, -3.0)  # peak of a sound, dB below full scale
SILENCE = (-96.0, -70.0)  # RMS of what counts as silence, dB below full scale

Signal = NDArray[np.float64]


def generate(kind: str, rng: np.random.Generator, seconds: float) -> NDArray[np.float32]:
    """``(round(seconds * 48000),)`` samples of a sound of ``kind``, one of :data:`CONCEPTS`; KeyError for any other."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    signal = KINDS[kind](rng, t)
    if kind not in QUIET:
        signal = signal / np.abs(signal).max() * _decibels(rng.uniform(*LEVELS))
    return signal.astype(np.float32)


def _decibels(level: float) -> float:
    return float(10 ** (level / 20))


def _phase(frequency: Signal | float, t: Signal) -> Signal:
    """Radians after each sample of a sound of that many hertz, constant or changing."""
    return 2 * np.pi * np.cumsum(np.broadcast_to(frequency, t.shape)) / SAMPLE_RATE


def _voice(rng: np.random.Generator, frequency: Signal | float, t: Signal) -> Signal:
    """A pitch with some overtones: a sine, something like a square wave, or something like a sawtooth."""
    partials = rng.choice(np.array([1, 5, 9]))
    odd_only = rng.random() < 0.5
    phase = _phase(frequency, t)
    return np.sum([np.sin(n * phase) / n for n in range(1, partials + 1, 2 if odd_only else 1)], axis=0)


def _gate(t: Signal, on: float, off: float, edge: float = 0.004) -> Signal:
    """1 for ``on`` seconds, 0 for ``off`` seconds, over and over, with edges that do not click."""
    place = t % (on + off)
    return np.clip(np.minimum(place, on - place) / edge, 0, 1)


def _coloured(rng: np.random.Generator, t: Signal, slope: float) -> Signal:
    """Noise whose power falls by ``slope`` times 3 dB an octave: 0 white, 1 pink, 2 brown, -1 blue."""
    spectrum = np.fft.rfft(rng.standard_normal(t.size))
    frequency = np.fft.rfftfreq(t.size, 1 / SAMPLE_RATE)
    shape = np.maximum(frequency, 20.0) ** (-slope / 2)
    return np.fft.irfft(spectrum * shape, t.size)


# --- silence ---


def _zero(rng: np.random.Generator, t: Signal) -> Signal:
    return np.zeros_like(t)


def _dither(rng: np.random.Generator, t: Signal) -> Signal:
    one_bit = 2.0**-15
    return one_bit * (rng.random(t.size) - rng.random(t.size))


def _quiet_room(rng: np.random.Generator, t: Signal) -> Signal:
    noise = _coloured(rng, t, rng.uniform(0, 2))
    return noise / np.sqrt(np.mean(noise**2)) * _decibels(rng.uniform(*SILENCE))


def _offset(rng: np.random.Generator, t: Signal) -> Signal:
    return np.full_like(t, rng.uniform(-0.01, 0.01)) + _dither(rng, t)


def _quiet_hum(rng: np.random.Generator, t: Signal) -> Signal:
    hum = _voice(rng, rng.choice([50.0, 60.0]), t)
    return hum / np.sqrt(np.mean(hum**2)) * _decibels(rng.uniform(*SILENCE)) + _dither(rng, t)


# --- noise ---


def _white(rng: np.random.Generator, t: Signal) -> Signal:
    return rng.standard_normal(t.size)


def _pink(rng: np.random.Generator, t: Signal) -> Signal:
    return _coloured(rng, t, 1)


def _brown(rng: np.random.Generator, t: Signal) -> Signal:
    return _coloured(rng, t, 2)


def _blue(rng: np.random.Generator, t: Signal) -> Signal:
    return _coloured(rng, t, -1)


def _uniform_noise(rng: np.random.Generator, t: Signal) -> Signal:
    return rng.uniform(-1, 1, t.size)


def _band_noise(rng: np.random.Generator, t: Signal) -> Signal:
    low = 10 ** rng.uniform(2, 3.5)
    spectrum = np.fft.rfft(rng.standard_normal(t.size))
    frequency = np.fft.rfftfreq(t.size, 1 / SAMPLE_RATE)
    return np.fft.irfft(spectrum * ((frequency > low) & (frequency < 4 * low)), t.size)


def _vinyl(rng: np.random.Generator, t: Signal) -> Signal:
    crackle = (rng.random(t.size) < rng.uniform(5, 30) / SAMPLE_RATE) * rng.standard_normal(t.size)
    return _coloured(rng, t, 0.5) / 3 + np.convolve(crackle, 40 * np.exp(-np.arange(96) / 16), mode="same")


# --- tones ---


def _tone(rng: np.random.Generator, t: Signal) -> Signal:
    return np.sin(_phase(10 ** rng.uniform(2, 3.9), t))


def _beeps(rng: np.random.Generator, t: Signal) -> Signal:
    return _voice(rng, 10 ** rng.uniform(2.5, 3.5), t) * _gate(t, rng.uniform(0.05, 0.5), rng.uniform(0.05, 0.8))


def _sweep(rng: np.random.Generator, t: Signal) -> Signal:
    first, last = 10 ** rng.uniform(2, 3.9, 2)
    return np.sin(_phase(first * (last / first) ** (t / t[-1]), t))


def _alarm_clock(rng: np.random.Generator, t: Signal) -> Signal:
    """Bursts of short beeps, as digital clocks make."""
    beep = rng.uniform(0.05, 0.1)
    burst = _gate(t, 8 * beep, rng.uniform(0.3, 0.7))
    return _voice(rng, rng.uniform(1800, 4100), t) * _gate(t, beep, beep) * burst


def _chirp_alarm(rng: np.random.Generator, t: Signal) -> Signal:
    """Two pitches in quick turn, as smoke and burglar alarms make."""
    turn = rng.uniform(0.08, 0.3)
    low = rng.uniform(700, 2500)
    pitch = np.where(t % (2 * turn) < turn, low, low * rng.uniform(1.1, 1.6))
    return _voice(rng, pitch, t)


# --- sirens: the pitch between about 500 and 1600 Hz, slowly (wail), quickly (yelp), or in two steps (hi-lo) ---


def _wail(rng: np.random.Generator, t: Signal) -> Signal:
    return _rise_and_fall(rng, t, rng.uniform(2.5, 6))


def _yelp(rng: np.random.Generator, t: Signal) -> Signal:
    return _rise_and_fall(rng, t, rng.uniform(0.2, 0.5))


def _rise_and_fall(rng: np.random.Generator, t: Signal, period: float) -> Signal:
    low, high = rng.uniform(400, 750), rng.uniform(1000, 1700)
    swing = 0.5 - 0.5 * np.cos(2 * np.pi * (t / period + rng.random()))
    return _voice(rng, low * (high / low) ** swing, t)


def _hi_lo(rng: np.random.Generator, t: Signal) -> Signal:
    step = rng.uniform(0.4, 0.8)
    low = rng.uniform(380, 600)
    return _voice(rng, np.where(t % (2 * step) < step, low, low * rng.uniform(1.2, 1.5)), t)


# --- telephone (pitches: ITU-T Q.23 for the keys; E.180 and its supplement for the lines) ---

KEYS = [(row, column) for row in (697.0, 770.0, 852.0, 941.0) for column in (1209.0, 1336.0, 1477.0, 1633.0)]


def _dialling(rng: np.random.Generator, t: Signal) -> Signal:
    on, off = rng.uniform(0.07, 0.25), rng.uniform(0.05, 0.2)
    key = (t // (on + off)).astype(int)
    pressed = rng.integers(len(KEYS), size=key[-1] + 1)
    row, column = np.array(KEYS)[pressed][key].T
    return (np.sin(_phase(row, t)) + np.sin(_phase(column, t))) * _gate(t, on, off)


def _busy(rng: np.random.Generator, t: Signal) -> Signal:
    half = rng.choice([0.25, 0.375, 0.5])
    return _line(rng, t) * _gate(t, half, half)


def _ringback(rng: np.random.Generator, t: Signal) -> Signal:
    return _line(rng, t) * _gate(t + rng.uniform(0, 0.5), rng.uniform(1, 2), rng.uniform(2, 4))


def _dial_tone(rng: np.random.Generator, t: Signal) -> Signal:
    return _line(rng, t)


def _line(rng: np.random.Generator, t: Signal) -> Signal:
    first, second = ((425.0, 425.0), (480.0, 620.0), (440.0, 480.0), (350.0, 440.0))[rng.integers(4)]
    return np.sin(_phase(first, t)) + np.sin(_phase(second, t))


# --- clicks, which are none of the concepts ---


def _clicks(rng: np.random.Generator, t: Signal) -> Signal:
    clicks = np.zeros_like(t)
    clicks[:: round(SAMPLE_RATE * rng.uniform(0.07, 1.3))] = 1
    length = rng.integers(4, 200)
    return np.convolve(clicks, rng.standard_normal(length) * np.exp(-5 * np.arange(length) / length))[: t.size]


KINDS: dict[str, Callable[[np.random.Generator, Signal], Signal]] = {
    "zero": _zero,
    "dither": _dither,
    "quiet_room": _quiet_room,
    "offset": _offset,
    "quiet_hum": _quiet_hum,
    "white": _white,
    "pink": _pink,
    "brown": _brown,
    "blue": _blue,
    "uniform_noise": _uniform_noise,
    "band_noise": _band_noise,
    "vinyl": _vinyl,
    "tone": _tone,
    "beeps": _beeps,
    "sweep": _sweep,
    "alarm_clock": _alarm_clock,
    "chirp_alarm": _chirp_alarm,
    "wail": _wail,
    "yelp": _yelp,
    "hi_lo": _hi_lo,
    "dialling": _dialling,
    "busy": _busy,
    "ringback": _ringback,
    "dial_tone": _dial_tone,
    "clicks": _clicks,
}
QUIET = ("zero", "dither", "quiet_room", "offset", "quiet_hum")  # whose level is part of what they are

# What a tagger should say of each kind: a concept, or "" for none of those it knows.
CONCEPTS = {
    **dict.fromkeys(QUIET, "silence"),
    **dict.fromkeys(("white", "pink", "brown", "blue", "uniform_noise", "band_noise", "vinyl"), "noise"),
    **dict.fromkeys(("tone", "beeps", "sweep", "alarm_clock", "chirp_alarm"), "beep"),
    **dict.fromkeys(("busy", "ringback", "dial_tone"), "beep"),
    **dict.fromkeys(("wail", "yelp", "hi_lo"), "siren"),
    "dialling": "dtmf",
    "clicks": "",
}

# Kept from training, to measure silence and noise on other signals than those trained on.
HELD = frozenset({"offset", "quiet_hum", "uniform_noise"})
