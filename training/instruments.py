"""Short phrases on General MIDI instruments, and the sound effects of soundfonts, rendered by FluidSynth.

All presets of a soundfont are played one after the other in slots of six seconds, from one MIDI file, so that the
soundfont is loaded once.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = [
    "EFFECTS",
    "GS_EFFECTS",
    "INSTRUMENTS",
    "KITS",
    "ONLY_KIT",
    "SLOT_SECONDS",
    "Note",
    "Preset",
    "midi",
    "phrase",
    "render",
]

SAMPLE_RATE = 48_000  # hertz
SLOT_SECONDS = 6  # the last one and a half of which belong to what rings on
PLAYED_SECONDS = 4.5
TICKS = 960  # a second, at 480 a beat and the 120 beats a minute that MIDI assumes
DRUM_CHANNEL = 9
PERCUSSION = 128  # the bank that soundfonts keep for the drum channel
MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)


@dataclass(frozen=True)
class Preset:
    """A sound of a soundfont: the ``concepts`` it belongs to, and the ``lowest`` key on which a phrase of it starts."""

    concepts: str
    bank: int
    program: int
    lowest: int = 48
    drums: bool = False
    effect: bool = False


@dataclass(frozen=True)
class Note:
    """One key, struck at ``onset`` and released at ``offset`` seconds."""

    onset: float
    offset: float
    key: int
    velocity: int


def _presets(concepts: str, programs: Sequence[int], lowest: int = 48) -> list[Preset]:
    return [Preset(concepts, 0, program, lowest) for program in programs]


INSTRUMENTS = [
    *_presets("piano", range(6)),
    *_presets("harpsichord", (6, 7)),
    *_presets("mallets", (9, 11, 12, 13), lowest=55),
    *_presets("bell", (14,), lowest=60),
    *_presets("organ", range(16, 21)),
    *_presets("accordion", (21, 23)),
    *_presets("harmonica", (22,), lowest=55),
    *_presets("guitar", range(24, 27), lowest=43),
    *_presets("electric_guitar;guitar", range(27, 31), lowest=43),
    *_presets("bass_guitar;guitar", (32, 33, 34, 35, 36), lowest=30),
    *_presets("synthesizer", (38, 80, 81, 88, 89, 90, 92, 95), lowest=40),
    *_presets("violin;strings", (40,), lowest=55),
    *_presets("cello;strings", (42,), lowest=36),
    *_presets("strings", (41, 44, 45, 48, 49), lowest=55),
    *_presets("strings", (43,), lowest=30),
    *_presets("harp", (46,)),
    *_presets("timpani;drums", (47,), lowest=36),
    *_presets("choir;singing", (52, 53), lowest=52),
    *_presets("trumpet;brass", (56, 59)),
    *_presets("trombone;brass", (57,), lowest=40),
    *_presets("brass", (58,), lowest=34),
    *_presets("brass", (60, 61)),
    *_presets("saxophone", (64, 65, 66, 67)),
    *_presets("clarinet", (68, 69, 70, 71)),
    *_presets("flute", (72, 73, 74, 75), lowest=64),
    *_presets("whistle", (78,), lowest=67),
    *_presets("sitar", (104,)),
    *_presets("banjo", (105,)),
    *_presets("bagpipes", (109,)),
    *_presets("steelpan", (114,)),
]

KITS = [Preset("drums", PERCUSSION, kit, drums=True) for kit in (0, 8, 16, 24, 25, 32, 40)]
ONLY_KIT = [Preset("drums", 0, 0, drums=True)]  # of a soundfont that holds nothing else


def _effects(*presets: tuple[str, int, int]) -> list[Preset]:
    return [Preset(concepts, bank, program, 60, effect=True) for concepts, bank, program in presets]


EFFECTS = _effects(
    ("bird_song", 0, 123),
    ("telephone", 0, 124),
    ("helicopter", 0, 125),
    ("applause", 0, 126),
    ("explosion", 0, 127),
)

# The variations that Roland's GS adds. Its rain, wind and dog are left out: soundfonts make them of plain noise.
GS_EFFECTS = _effects(
    ("horse", 2, 123),
    ("bird_song", 3, 123),
    ("telephone", 1, 124),
    ("door", 2, 124),
    ("door", 3, 124),
    ("engine", 1, 125),
    ("engine", 3, 125),
    ("siren", 5, 125),
    ("train", 6, 125),
    ("airplane", 7, 125),
    ("laughter", 1, 126),
    ("screaming", 2, 126),
    ("footsteps", 5, 126),
    ("explosion", 1, 127),
    ("explosion", 3, 127),
    ("water", 4, 122),
    ("water", 5, 122),
)


def phrase(preset: Preset, rng: np.random.Generator) -> list[Note]:
    """A seeded phrase of at most 4.5 s: a rhythm, an effect, or chords, a scale, an arpeggio or a melody."""
    if preset.effect:
        return [Note(0.0, PLAYED_SECONDS, preset.lowest + int(rng.integers(-4, 5)), int(rng.integers(80, 127)))]
    if preset.drums:
        return _rhythm(rng)
    return _tune(rng, preset.lowest + int(rng.integers(0, 18)))


def _rhythm(rng: np.random.Generator) -> list[Note]:
    if rng.random() < 0.35:
        return _hits(rng)
    step = rng.uniform(0.12, 0.25)
    kick, snare, hat = 36, int(rng.choice([38, 40])), int(rng.choice([42, 46, 51]))
    notes = []
    for place in range(int(PLAYED_SECONDS / step)):
        hits = [hat] if rng.random() < 0.8 else []
        hits += [kick] if place % 8 in (0, 3, 4) and rng.random() < 0.8 else []
        hits += [snare] if place % 8 in (2, 6) else []
        hits += [int(rng.integers(41, 60))] if rng.random() < 0.15 else []
        notes += [Note(place * step, place * step + 0.1, hit, int(rng.integers(60, 120))) for hit in hits]
    return notes


def _hits(rng: np.random.Generator) -> list[Note]:
    """One drum or cymbal alone, struck once or a few times."""
    key, step = int(rng.choice([35, 36, 38, 40, 41, 42, 45, 46, 48, 49, 50, 51, 57])), rng.uniform(0.4, 3.0)
    count = int(rng.integers(1, max(2, int(PLAYED_SECONDS / step))))
    return [Note(place * step, place * step + 0.1, key, int(rng.integers(40, 125))) for place in range(count)]


def _tune(rng: np.random.Generator, tonic: int) -> list[Note]:
    """Loud or soft, legato or detached; now and then single notes, as collections of samples hold them."""
    scale = [tonic + 12 * octave + step for octave in range(2) for step in (MAJOR, MINOR)[rng.integers(2)]]
    kind = str(rng.choice(["chords", "scale", "arpeggio", "melody", "single", "single"]))
    step = rng.uniform(*{"chords": (0.6, 1.4), "single": (1.2, PLAYED_SECONDS)}.get(kind, (0.15, 0.6)))
    held = rng.uniform(0.3, 0.98)
    softest, span = int(rng.integers(30, 90)), int(rng.integers(8, 38))
    notes = []
    for place in range(max(1, int(PLAYED_SECONDS / step))):
        first = int(rng.integers(0, 7))
        degrees = {
            "chords": (first, first + 2, first + 4),
            "scale": (place % len(scale),),
            "arpeggio": ((0, 2, 4, 7)[place % 4],),
            "melody": (int(rng.integers(0, 10)),),
            "single": (first,),
        }[kind]
        velocity = softest + int(rng.integers(0, span))
        notes += [Note(place * step, (place + held) * step, scale[degree], velocity) for degree in degrees]
    return notes


def midi(slots: Sequence[tuple[Preset, list[Note]]]) -> bytes:
    """A Standard MIDI File (format 0) that plays one phrase after the other, each in a slot of its own."""
    events: list[tuple[int, int, bytes]] = []
    for index, (preset, notes) in enumerate(slots):
        channel = DRUM_CHANNEL if preset.bank == PERCUSSION else 0
        start = index * SLOT_SECONDS * TICKS
        bank = b"" if preset.bank == PERCUSSION else bytes((0xB0 | channel, 0, preset.bank, 0))
        events.append((start, 0, bank + bytes((0xC0 | channel, preset.program))))
        for note in notes:
            events.append((start + round(note.onset * TICKS), 2, bytes((0x90 | channel, note.key, note.velocity))))
            events.append((start + round(note.offset * TICKS), 1, bytes((0x80 | channel, note.key, 0))))
        silence = bytes((0xB0 | channel, 120, 0))
        events.append((start + SLOT_SECONDS * TICKS - 1, 3, silence))
    track, now = b"", 0
    for time, _, message in sorted(events):
        track += _variable_length(time - now) + message
        now = time
    track += b"\x00\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480) + b"MTrk" + struct.pack(">I", len(track)) + track


def _variable_length(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(0x80 | value & 0x7F)
    return bytes(reversed(groups))


def render(soundfont: Path, slots: Sequence[tuple[Preset, list[Note]]], target: Path) -> None:
    """Play the slots into ``target``, a WAV of two channels at 48 kHz; CalledProcessError if FluidSynth fails."""
    score, unfinished = target.with_suffix(".mid"), target.with_suffix(".part")
    score.write_bytes(midi(slots))
    options = ["-ni", "-q", "-g", "0.5", "-r", str(SAMPLE_RATE), "-T", "wav", "-O", "s16", "-F", str(unfinished)]
    subprocess.run(["fluidsynth", *options, str(soundfont), str(score)], check=True, stdout=subprocess.DEVNULL)
    unfinished.rename(target)
