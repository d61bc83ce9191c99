"""Other words for the sounds that `mini` knows, from Princeton's WordNet 3.0.

:data:`SENSES` names the meanings that stand for a concept. Their words, the words for all kinds of them (a terrier is a
kind of dog), and what WordNet says that each of them means name the concept as well; words and meanings drawn at
random from the rest of WordNet show a text tower what else people talk about.

The files' format is that of the manual page wndb(5WN).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

__all__ = ["SENSES", "WordNet"]

DEPTH = 2  # kinds, and kinds of kinds
PARTS_OF_SPEECH = {"n": "noun", "v": "verb"}

# As WordNet counts them: word, part of speech, number of the meaning.
SENSES = {
    "dog_bark": "dog.n.1 bark.n.2 bark.n.4 bark.v.4",
    "rooster": "rooster.n.1 hen.n.1 chicken.n.2 crow.v.3",
    "rain": "rain.n.1 rain.n.2 rain.v.1 raindrop.n.1 rainstorm.n.1",
    "sea_waves": "wave.n.1 surf.n.1 sea.n.1 sea.n.3 swell.n.1",
    "crackling_fire": "fire.n.1 fire.n.3 fire.n.4 crackle.n.1 crackle.v.1",
    "crying_baby": "baby.n.1 crying.n.1 cry.v.2",
    "sneezing": "sneeze.n.1 sneeze.v.1",
    "clock_tick": "clock.n.1 watch.n.1 timepiece.n.1 tick.n.1",
    "helicopter": "helicopter.n.1 rotor.n.3",
    "chainsaw": "chainsaw.n.1 power_saw.n.1 lumberman.n.1",
    "speech": "speech.n.2 conversation.n.1 speaker.n.1 talk.n.4",
    "music": "music.n.1 music.n.4",
    "singing": "singing.n.1 singer.n.1 sing.v.2",
    "piano": "piano.n.1 pianist.n.1",
    "guitar": "guitar.n.1 guitarist.n.1",
    "strings": "bowed_stringed_instrument.n.1 violin.n.1",
    "brass": "brass.n.2 brass.n.6",
    "flute": "woodwind.n.1 flute.n.1",
    "organ": "organ.n.3 organ.n.5 organ.n.6 accordion.n.1",
    "drums": "drum.n.1 drum.n.2 drummer.n.1",
    "bell": "bell.n.1 bell.n.3 ring.v.1 ring.v.3",
    "mallets": "marimba.n.1 glockenspiel.n.1",
    "bird_song": "birdsong.n.1 songbird.n.1 chirp.v.1 passerine.n.1",
    "cow": "cow.n.1 cattle.n.1 moo.v.1",
    "sheep": "sheep.n.1 bleat.v.2",
    "horse": "horse.n.1 neigh.v.1 gallop.n.1",
    "insects": "cricket.n.1 bee.n.1",
    "engine": "engine.n.1 motor.n.1",
    "train": "train.n.1 locomotive.n.1 railway.n.1",
    "siren": "siren.n.3 siren.n.4 fire_engine.n.1 ambulance.n.1",
    "telephone": "telephone.n.1 phone_call.n.1",
    "applause": "applause.n.1 clap.v.3 clap.v.4",
    "laughter": "laugh.n.1 laugh.v.1",
    "coughing": "cough.n.1 cough.v.1",
    "footsteps": "footstep.n.1 footstep.n.2 walk.v.1 walk.n.1",
    "glass": "shatter.v.1 shatter.v.3",
    "explosion": "explosion.n.1 explosion.n.2 explosion.n.4 gunfire.n.1 firework.n.1 cannon.n.1 bomb.n.1",
    "water": "stream.n.1 river.n.1 waterfall.n.1 faucet.n.1 drip.v.1",
    "thunder": "thunder.n.2 thunderstorm.n.1 lightning.n.1",
    "wind": "wind.n.1",
    "typing": "typing.n.1 typewriter.n.1 type.v.1",
    "door": "door.n.1 knock.n.1 gate.n.1",
    "silence": "silence.n.2",
    "noise": "white_noise.n.1 hiss.n.1 noise.n.3",
    "beep": "beep.n.1 tone.n.7",
    "dtmf": "dial.v.2",
    "camera": "camera.n.1 photograph.v.1 shutter.n.1",
    "whistle": "whistle.n.1 whistle.n.2 whistle.n.4 whistle.v.1",
}


@dataclass(frozen=True)
class Meaning:
    """A synset: its words, what they mean, examples of their use, and the meanings that are kinds of it."""

    words: tuple[str, ...]
    definition: str
    examples: tuple[str, ...]
    kinds: tuple[str, ...]

    @classmethod
    def read(cls, line: str) -> Meaning:
        """From a line of a data file."""
        head, _, gloss = line.partition(" | ")
        fields = head.split()
        part, count = fields[2], int(fields[3], 16)
        after = 4 + 2 * count
        pointers = [fields[at : at + 4] for at in range(after + 1, after + 1 + 4 * int(fields[after]), 4)]
        examples = tuple(re.findall(r'"([^"]+)"', gloss))
        definition = re.sub(r"\([^)]*\)", "", gloss.split('; "')[0]).strip(" ;\n")
        kinds = tuple(f"{part} {offset}" for symbol, offset, *_ in pointers if symbol == "~")
        words = tuple(word.replace("_", " ") for word in fields[4:after:2])
        return cls(words, " ".join(definition.split()), examples, kinds)


@dataclass(frozen=True)
class WordNet:
    """The nouns and verbs in a folder of WordNet's database files."""

    folder: Path

    def texts(self, concept: str) -> list[str]:
        """The names of a concept, each once; empty for one without senses."""
        return list(dict.fromkeys(self._texts(concept)))

    def other_texts(self, count: int, rng: random.Random) -> list[str]:
        """A word and the definition of each of ``count`` meanings, drawn from those that name no concept."""
        own = {key for concept in SENSES for key in self._keys(concept)}
        others = sorted(self._meanings.keys() - own)
        chosen = [self._meanings[key] for key in rng.sample(others, min(count, len(others)))]
        return [text for it in chosen for text in (it.words[0], it.definition)]

    def _texts(self, concept: str) -> Iterator[str]:
        named = {self._sense(sense) for sense in SENSES.get(concept, "").split()}
        for key in self._keys(concept):
            meaning = self._meanings[key]
            # Most people who say "call" do not mean a birdcall: only a word's first meaning is taken for granted.
            yield from (word for word in meaning.words if self._means_first(word, key))
            yield meaning.definition
            if key in named:
                yield from meaning.examples

    def _keys(self, concept: str) -> list[str]:
        """Of the concept's senses, and of their kinds."""
        found = [self._sense(sense) for sense in SENSES.get(concept, "").split()]
        level = found
        for _ in range(DEPTH):
            level = [kind for key in level for kind in self._meanings[key].kinds]
            found = found + level
        return list(dict.fromkeys(found))

    def _sense(self, sense: str) -> str:
        word, part, number = sense.split(".")
        return f"{part} {self._offsets[word, part][int(number) - 1]}"

    def _means_first(self, word: str, key: str) -> bool:
        part, offset = key.split()
        return self._offsets[word.lower().replace(" ", "_"), part][0] == offset

    @cached_property
    def _meanings(self) -> dict[str, Meaning]:
        return {
            f"{part} {line.split(' ', 1)[0]}": Meaning.read(line)
            for part in PARTS_OF_SPEECH
            for line in self._lines("data", part)
        }

    @cached_property
    def _offsets(self) -> dict[tuple[str, str], list[str]]:
        """Of the meanings of each word, the first meaning first."""
        found = {}
        for part in PARTS_OF_SPEECH:
            for line in self._lines("index", part):
                fields = line.split()
                found[fields[0], part] = fields[-int(fields[2]) :]
        return found

    def _lines(self, kind: str, part: str) -> Iterator[str]:
        with open(self.folder / f"{kind}.{PARTS_OF_SPEECH[part]}", encoding="utf-8") as file:
            yield from (line for line in file if not line.startswith("  "))  # the licence
