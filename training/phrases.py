"""The texts that the text tower reads: the concepts' wordings in many frames, and phrases that name no concept.

Everything is drawn from the word lists in this file and from WordNet by a seeded generator.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from training.concepts import CONCEPTS, HELD_OUT, HYPERNYMS, Concept
from training.wordnet import WordNet

__all__ = ["UNKNOWN", "CorpusOptions", "Phrase", "corpus", "expand"]

HEADLESS = 0.35  # share of a concept's phrases that are a wording alone


@dataclass(frozen=True)
class CorpusOptions:
    """The greatest number of phrases of each kind."""

    per_concept: int = 90
    per_hypernym: int = 6  # for each wording that stands for several concepts
    others: int = 4_000  # that name a sound, a thing or an event of which none is a concept
    mixed: int = 4_000  # of any words, with and without sense
    meanings: int = 1_000  # drawn from all of WordNet, two texts each


@dataclass(frozen=True, slots=True)
class Phrase:
    """A text and the ids of the concepts that it names: none, one or several, or None where nobody has looked."""

    text: str
    concepts: tuple[str, ...] | None


# Frames around a wording that leave its meaning alone.
FRAMES = (
    "the sound of {}",
    "sound of {}",
    "{} sound",
    "sounds of {}",
    "the noise of {}",
    "a recording of {}",
    "recording of {}",
    "an audio clip of {}",
    "audio of {}",
    "a clip of {}",
    "this is {}",
    "this is the sound of {}",
    "this is a sound of {}",
    "I can hear {}",
    "we hear {}",
    "you can hear {}",
    "listen to {}",
    "there is {}",
    "field recording: {}",
    "sound effect: {}",
    "sfx {}",
    "{} sfx",
    "{} sound effect",
    "{} in the distance",
    "{} in the background",
    "{} far away",
    "{} nearby",
    "{} close to the microphone",
    "{} outdoors",
    "{} outside",
    "{} indoors",
    "{} in a room",
    "{} at night",
    "{} in the morning",
    "{} in the park",
    "{} in the street",
    "{} in the city",
    "{} in the countryside",
    "{} for a while",
    "{} again and again",
    "{} once",
    "{} and nothing else",
    "{}, mono recording",
    "{} heard from a distance",
    "loud {}",
    "faint {}",
    "something like {}",
    "somewhere {}",
    "a short sample of {}",
    "an example of {}",
    "the unmistakable sound of {}",
    "suddenly {}",
    "it sounds like {}",
    "what you hear is {}",
)

ANIMALS = """lion, tiger, bear, dolphin, snake, fox, deer, hyena, camel, kangaroo, turkey, peacock, penguin, rat,
    hamster, squirrel, chimpanzee, gorilla, zebra, giraffe, rhinoceros, hippopotamus, crocodile, lizard, turtle, spider,
    ant, snail, rabbit, hedgehog, badger, otter, beaver, moose, panda, leopard, ostrich, flamingo, fish, shark, octopus,
    crab, worm, butterfly, llama, antelope, porcupine, raccoon, skunk, weasel, mole, vulture, eagle, stork, pelican,
    lobster, jellyfish, scorpion, caterpillar, gecko, iguana, chameleon, baboon, lemur, sloth, anteater, armadillo,
    bison, hare, mouse, polar bear, sea lion"""
DOINGS = """roaring, eating, drinking, sleeping, digging, chewing, hunting, climbing, hiding, yawning, breathing,
    scratching, sniffing the ground, crossing the road, looking for food, swimming, feeding its young, resting"""
MACHINES = """blender, washing machine, dishwasher, drill, lawn mower, printer, fan, air conditioner, refrigerator,
    electric toothbrush, electric shaver, elevator, escalator, crane, cash register, photocopier, sander, lathe, welding
    torch, robot, spaceship, rocket, airplane, jet fighter, sailing boat, rowing boat, bicycle, hot air balloon,
    toaster, coffee machine, food processor, tumble dryer, scanner, conveyor belt, hydraulic press, water pump,
    wheelchair, shopping trolley, cement mixer, nail gun, air compressor, turbine, power plant, projector, game console,
    slot machine, stapler, paper shredder, pencil sharpener, pinball machine, electric drill, ventilator, centrifuge,
    printing press, loom, windmill, milling machine, forklift, cable car, parking meter, ticket gate, juicer, hot plate,
    cooker hood, humidifier, router, satellite, radar, telescope, X-ray machine, dialysis machine, wind turbine,
    electric fence, paint sprayer, pressure washer, rivet gun, drone, kayak, canoe, rickshaw, zeppelin, glider,
    snowmobile, bulldozer, excavator, road roller, combine harvester, milking machine, leaf blower, hot tub, massage
    chair, treadmill, exercise bike, ski lift, merry-go-round, barcode scanner, label printer, film projector, glue gun,
    soldering iron, bottle opener, can crusher, pepper mill, salad spinner"""
STATES = """, running, being switched on, being repaired, in a factory, in the kitchen, in a workshop, out of order,
    slowing down, humming, at full speed, in the basement, next door, in an office, on display"""
ACTIONS = """frying eggs, chewing gum, drinking tea, slicing vegetables, stirring soup, opening a can, uncorking a
    bottle, peeling potatoes, breathing heavily, yawning, burping, hiccups, snapping fingers, kissing, brushing teeth,
    gargling, swallowing, scratching an itch, washing dishes, setting the table, cutting paper with scissors, counting
    coins, jangling keys, writing with a pencil, erasing, turning the pages of a book, drawing the curtains, sweeping
    the floor, flicking a light switch, folding laundry, packing a suitcase, moving chairs, shuffling cards, rolling
    dice, tearing adhesive tape, crumpling paper, unwrapping a present, ironing a shirt, hammering a nail, sanding wood,
    painting a wall, laying bricks, digging a hole, raking leaves, shovelling snow, mowing the lawn, planting flowers,
    playing tennis, hitting a golf ball, bowling, skiing downhill, boxing, fencing, playing table tennis, playing
    billiards, lifting weights, ice skating, throwing darts, doing push-ups, riding a bicycle, rowing, jumping rope,
    wrestling, chopping vegetables, grinding coffee, shaving, combing hair, spraying perfume, inflating a balloon,
    popping a balloon, stapling documents, stamping a passport, opening a drawer, unrolling a carpet, stretching a
    rubber band, sharpening a knife, striking a match, spray painting, scraping a plate, biting an apple, slurping
    noodles, whispering, stomach rumble, bones cracking, sniffing, gasping, groaning, panting, grating cheese, kneading
    dough, whisking eggs, boiling an egg, toasting bread, cracking nuts, sucking a lollipop, spitting, licking,
    tickling, hugging, slapping a face, cracking knuckles, grinding teeth, dragging a box, sliding a chair, pushing a
    trolley, rolling a barrel, bouncing on a trampoline, swinging a bat, catching a ball, kicking a football, dribbling
    a ball, pulling a rope, rustling a plastic bag, opening a parcel, shearing wool, weaving a basket, spinning wool,
    carving wood, chiselling stone, welding steel, filing metal, tightening a screw, pumping up a tyre, changing a tyre,
    scrubbing a pot, wiping a table, polishing shoes, making the bed, hanging up clothes, dropping a coin, spinning a
    top, stacking plates, flipping a pancake, shaking a box, scratching a blackboard, cutting hair, filing nails, taking
    a pulse, vomiting, giving birth, meditating, fishing, climbing a rope, surfing the internet, signing a contract,
    voting, reading a novel"""
THINGS = """bread, a blue shirt, the quarterly tax report, a wooden table, my uncle, the president, an old map, a
    contract, three tickets, the mathematics exam, a bottle of milk, a red scarf, the new museum, a birthday cake, a
    letter from the bank, a bag of apples, the theory of relativity, a pair of shoes, the hospital, a novel, the city
    council, some cheese, a garden chair, the weather forecast, a cup of coffee, a doctor, a lawyer, our teacher, the
    football team, an island, the mountain, a desert, a castle, the bridge, an elevator, a vegetable soup, the library,
    a credit card, the election, a lamp, a carpet, a mirror, a pillow, the moon, a galaxy, chemistry, an atom, a plant,
    a rose, the roots of a tree, a stone, a diamond, gold, a sandwich, a jacket, a hat, the constitution, a spoon, a
    fork, a knife, a plate of pasta, a tomato, lemon juice, a newspaper, a painting, a statue, the universe, a passport,
    a hotel room, a swimming lesson, a tent, a ladder, a rope, a brick wall, a church roof, a chimney, the cellar, a
    balcony, the neighbours, a wedding, a funeral, an insurance policy, a software update, a spreadsheet, a password, a
    vaccine, a headache, a broken leg, a dream, justice, freedom, an eclipse, a drought, fog, snowfall, a rainbow, a
    sunset, an oil spill, a nuclear reactor, magnetism, gravity, a chemical reaction, radioactivity, inflation, a
    mortgage, philosophy, a haircut, a recipe, a diet, a suntan, a tattoo, perfume, toothpaste, a mattress, a curtain,
    wallpaper, a parking lot, a runway, a warehouse, a laboratory, a supermarket, a gym, a casino, an aquarium, a
    playground, a shipyard, a quarry, a gold mine, a refinery, a construction site, a courtroom, a prison cell"""
DEEDS = """bought, sold, forgot, found, wanted, painted, described, lost, opened, carried, measured, cleaned, invented,
    ignored, explained, visited, borrowed, photographed, refused, repaired, drew, admired, delivered, hid, needed"""
# Names of classes in the usual data sets.
CLASSES = """vacuum cleaner, toilet flush, washing machine, snoring, brushing teeth, airplane, can opening, drinking and
    sipping, breathing, hand tool, air conditioner, drilling, jackhammer, blender, frying food,
    sizzle, chopping food, cutlery and silverware, dishes pots and pans, zipper, scissors, coin dropping, keys jangling,
    writing, tearing paper, crumpling and crinkling, bicycle, hammer, filing and rasping, sanding, boiling, squeak,
    scratch, thump, thud, clatter, rub, whoosh, swish, gasp, sigh, yawn, burping and eructation, hiccup, fart, chewing
    and mastication, gargling, heart sounds, heart murmur, finger snapping, packing tape, mechanical fan, ratchet and
    pawl, printer, gears, pulleys, air brake, rowboat and kayak, jet engine, fixed-wing aircraft, lawn mower, electric
    shaver, electric toothbrush, shuffling cards, biting, roaring cats, fox, mouse, rodents, rattle, gobble, bouncing,
    basketball bounce, slap and smack, crushing, boing, stomach rumble, cap gun toy, spray, pump, cash register, sliding
    drawer, power drill, vibration, effects unit"""
NONSENSE = """狗, 雨, 音楽, собака, дождь, музыка, كلب, مطر, σκύλος, 개, ?, ???, 12345, 0, xkcd, qwrtp, asdf, zzyzx,
    foo, lorem ipsum, foobar, blah blah, test, untitled, label, class 7, item 3, unknown, other, something else,
    miscellaneous"""
WHO = """she, he, we, they, the manager, a student, my mother, the committee, an engineer, a farmer, nobody, the king, a
    tourist, the scientist, our neighbour, the police officer, a child, the author, an artist, the company"""
WHEN = """, yesterday, last year, in the afternoon, on Monday, before lunch, without asking, for the first time, in a
    hurry, at the market, on holiday, by mistake, in Paris, with great care, for ten euros, after the meeting"""
QUALITIES = """old, new, red, green, large, tiny, heavy, expensive, broken, beautiful, strange, modern, cheap,
    dirty, warm, cold, soft, famous, useful, empty, invisible, ancient, quick, sweet, sour, round, electric,
    plastic, metal"""

# Labels of sounds that `mini` was never told of; they judge the sense of familiarity, and nothing is trained on them.
UNKNOWN = (
    "a submarine sonar",
    "popcorn popping",
    "a parachute opening",
    "a cassette being ejected",
    "bubble wrap",
    "a garbage disposal",
    "an arcade game",
    "a light sabre",
    "a seal at the zoo",
    "a pneumatic wrench",
    "an mri scanner",
    "a geiger counter",
    "velcro",
    "a rollercoaster",
    "a sled on snow",
    "a stethoscope",
    "an elephant trumpeting",
    "a monkey screeching",
    "a bat's echolocation",
    "a hedge trimmer",
    "an angle grinder",
    "sandpaper",
    "an espresso machine",
    "a microscope",
    "a fax machine",
    "a hard disk spinning up",
    "a lightbulb flickering",
    "a mousetrap",
    "an umbrella being opened",
    "a swing creaking in the playground",
    "a skateboard trick",
    "a cricket bat hitting a ball",
    "an ice hockey match",
    "a wrestling match",
    "a volcano",
    "an earthquake",
    "an avalanche",
    "a landslide",
    "a meteor",
    "a laser",
    "a ghost",
    "the big bang",
    "income tax",
    "a green jacket",
    "the capital of france",
    "chocolate ice cream",
    "a mathematical proof",
    "the stock market",
    "a bunch of flowers",
    "quantum mechanics",
    "yoga",
    "a whip",
    "a crossbow",
)

JUDGING = {text.lower() for texts in (UNKNOWN, *(wordings.values() for wordings in HELD_OUT)) for text in texts}


WORDINGS = {
    re.sub(r"[^a-z]+", " ", wording.lower().removeprefix("a ").removeprefix("an "))
    for it in CONCEPTS
    for wording in it.wordings
}


def corpus(
    seed: int, near: Sequence[str], common: Sequence[str], wordnet: WordNet, options: CorpusOptions | None = None
) -> list[Phrase]:
    """All phrases to train on, without repetitions.

    ``near`` are single words whose meaning comes close to a concept's, ``common`` the most frequent ones; both go into
    phrases in which nobody has looked for concepts. Nothing in :data:`UNKNOWN` or in the held-out wordings is used.
    """
    options = CorpusOptions() if options is None else options
    rng = random.Random(seed)
    phrases = [Phrase(text, (it.id,)) for it in CONCEPTS for text in expand(it, options.per_concept, rng)]
    for wording, ids in HYPERNYMS.items():
        if ids:
            phrases += [Phrase(text, ids) for text in _varied((wording,), options.per_hypernym, rng)]
    phrases += _synonyms(wordnet, rng)
    others = _distinct(lambda: _styled(_other(rng), rng), options.others)
    phrases += [Phrase(text, None if _may_name(text) else ()) for text in others]
    phrases += [Phrase(text, None) for text in wordnet.other_texts(options.meanings, rng)]
    phrases += [Phrase(word, None) for word in near]
    pool = [*near, *common, *(word for words in (QUALITIES, DEEDS, ACTIONS, MACHINES) for word in _split(words))]
    wordings = [wording for concept in CONCEPTS for wording in concept.wordings]
    phrases += [Phrase(text, None) for text in _distinct(lambda: _mixed(pool, wordings, rng), options.mixed)]
    # Of phrases that come twice the first is kept: it is the one that says more.
    unique = {phrase.text: phrase for phrase in reversed(phrases) if not _judges(phrase.text)}
    return list(reversed(unique.values()))


def _may_name(text: str) -> bool:
    """True if a wording of a concept is in the text: the lists below are older than many a concept."""
    words = f" {re.sub(r'[^a-z]+', ' ', text.lower())} "
    return any(f" {wording} " in words for wording in WORDINGS)


def _judges(text: str) -> bool:
    """True if a text is among those that a finished tower is judged by."""
    return text.lower() in JUDGING


def _synonyms(wordnet: WordNet, rng: random.Random) -> list[Phrase]:
    """The names in WordNet of each concept, as it stands and in frames and styles, where it has it for no other."""
    texts = {it.id: [text for text in wordnet.texts(it.id) if not _judges(text)] for it in CONCEPTS}
    claims = Counter(text for own in texts.values() for text in own)
    found = []
    for id, own in texts.items():
        for text in own:
            phrase = Phrase(text, (id,)) if claims[text] == 1 else Phrase(text, None)
            found += [phrase, Phrase(_styled(_framed(text, rng), rng), phrase.concepts)]
    return found


def expand(concept: Concept, count: int, rng: random.Random) -> list[str]:
    """The concept's wordings as they are, then in frames and styles: up to ``count`` texts, none of them twice."""
    plain = list(concept.wordings[:count])
    return list(dict.fromkeys(plain + _varied(concept.wordings, count, rng)))[:count]


def _varied(wordings: Sequence[str], count: int, rng: random.Random) -> list[str]:
    return _distinct(lambda: _styled(_framed(rng.choice(wordings), rng), rng), count)


def _framed(wording: str, rng: random.Random) -> str:
    return wording if rng.random() < HEADLESS else rng.choice(FRAMES).format(wording)


def _styled(text: str, rng: random.Random) -> str:
    """The text in one of the ways in which people write labels: capitals, full stops, underscores, no article."""
    if rng.random() < 0.15:
        text = text.removeprefix("a ").removeprefix("an ").removeprefix("the ")
    styles: tuple[Callable[[str], str], ...] = (
        str,
        str,
        str,
        str.lower,
        str.capitalize,
        str.upper,
        lambda text: f"{text}.",
        lambda text: f"{text.capitalize()}.",
        lambda text: f"{text}!",
        lambda text: text.replace(" ", "_"),
        lambda text: text.replace(" ", "-"),
    )
    return rng.choice(styles)(text)


def _other(rng: random.Random) -> str:
    def one(words: str) -> str:
        return rng.choice(_split(words))

    def article(phrase: str) -> str:
        return f"an {phrase}" if phrase[0] in "aeiou" else f"a {phrase}"

    phrases = (
        article(f"{one(ANIMALS)} {one(DOINGS)}"),
        article(one(ANIMALS)),
        article(f"{one(MACHINES)} {one(STATES)}".strip()),
        article(f"{one(QUALITIES)} {one(MACHINES)}"),
        one(ACTIONS),
        one(CLASSES),
        f"a person {one(ACTIONS)}",
        one(THINGS),
        f"{one(WHO)} {one(DEEDS)} {one(THINGS)} {one(WHEN)}".strip(),
    )
    return rng.choice(_split(NONSENSE)) if rng.random() < 0.03 else _framed(rng.choice(phrases), rng)


def _mixed(words: Sequence[str], wordings: Sequence[str], rng: random.Random) -> str:
    """Loose words, or a wording with something else beside it: only the teacher can say what it means."""
    loose = " ".join(rng.choice(words) for _ in range(rng.randint(1, 4)))
    return rng.choice((loose, f"{loose} {rng.choice(wordings)}", f"{rng.choice(wordings)} and {rng.choice(wordings)}"))


def _distinct(draw: Callable[[], str], count: int) -> list[str]:
    """``count`` different draws, or fewer where hardly any new ones come."""
    found: dict[str, None] = {}
    for _ in range(4 * count):
        found[draw()] = None
        if len(found) == count:
            break
    return list(found)


def _split(words: str) -> list[str]:
    return [" ".join(word.split()) for word in words.split(",")]
