from __future__ import annotations

import io
import itertools
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from training import sources
from training.sources import Library, Package, Rule

FREE = Package("farm", "CC0", "nobody", "")
RATE = 24_000


def write(path: Path, seconds: float = 1.0, level: float = 0.25, pitch: float = 440.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = level * np.sin(2 * np.pi * pitch * np.arange(round(seconds * RATE)) / RATE)
    soundfile.write(path, np.stack([tone, tone], axis=1), RATE)


def rule(pattern: str, concepts: str, limit: str = "", joined: str = "", group: str = "") -> Rule:
    return Rule("farm", pattern, concepts, limit, joined, group)


@pytest.fixture
def farm(tmp_path: Path) -> Path:
    return tmp_path / "unpacked" / "farm"


def labels(library: Library) -> dict[str, tuple[str, str]]:
    return {Path(clip.clip).name: (clip.concepts, clip.group) for clip in library.clips}


def test_the_first_rule_that_holds_labels_a_file_and_the_rest_is_left_out(tmp_path: Path, farm: Path) -> None:
    for pitch, name in enumerate(("cow_desc.wav", "cow2.wav", "tractor.wav", "readme.wav"), start=4):
        write(farm / name, pitch=100 * pitch)
    library = Library(tmp_path)
    rules = [rule("_desc", "speech"), rule("cow", "cow"), rule("tractor", sources.NOT_TAKEN), rule("tractor", "engine")]
    sources.add_recordings(library, FREE, rules)
    assert sorted(labels(library).values()) == [("cow", "farm:cow"), ("speech", "farm:cow_desc")]


def test_takes_share_a_group_and_copies_are_one(tmp_path: Path, farm: Path) -> None:
    write(farm / "dog1.wav", pitch=300)
    write(farm / "dog2.wav", pitch=400)
    write(farm / "hound.wav", pitch=400)
    library = Library(tmp_path)
    sources.add_recordings(library, FREE, [rule("dog|hound", "dog_bark")])
    assert [clip.group for clip in library.clips] == ["farm:dog", "farm:dog"]


def test_who_names_the_group_and_the_limit_holds_for_each(tmp_path: Path, farm: Path) -> None:
    for number in range(6):
        write(farm / f"{'ab'[number % 2]}/word{number}.wav", pitch=100 * (number + 1))
    library = Library(tmp_path)
    sources.add_recordings(library, FREE, [rule("(?P<who>[ab])/", "speech", limit="2")])
    assert sorted(clip.group for clip in library.clips) == ["farm:a", "farm:a", "farm:b", "farm:b"]


def test_a_group_of_the_table_overrules_the_pattern(tmp_path: Path, farm: Path) -> None:
    write(farm / "fire.wav")
    library = Library(tmp_path)
    sources.add_recordings(library, FREE, [rule("(?P<who>fire)", "crackling_fire", group="freesound:4211")])
    assert library.clips[0].group == "freesound:4211"


def test_a_clip_is_48_khz_mono_flac_at_the_level_of_its_recording(tmp_path: Path, farm: Path) -> None:
    write(farm / "cow.wav", seconds=2, level=0.1)
    library = Library(tmp_path)
    sources.add_recordings(library, FREE, [rule("cow", "cow;animal")])
    (clip,) = library.clips
    assert clip.clip.startswith("clips/cow/farm-")
    info = soundfile.info(tmp_path / clip.clip)
    assert (info.samplerate, info.channels, info.format, info.subtype) == (48_000, 1, "FLAC", "PCM_16")
    assert clip.seconds == info.duration == 2
    samples, _ = soundfile.read(tmp_path / clip.clip)
    assert np.abs(samples).max() == pytest.approx(0.1, rel=0.02)


def test_a_long_recording_is_cut_and_its_pauses_are_left_out(tmp_path: Path, farm: Path) -> None:
    write(farm / "song.wav", seconds=30)
    samples, _ = soundfile.read(farm / "song.wav")
    samples[10 * RATE : 20 * RATE] = 0
    soundfile.write(farm / "song.wav", samples, RATE)
    library = Library(tmp_path)
    sources.add_recordings(library, FREE, [rule("song", "music")])
    assert [clip.seconds for clip in library.clips] == [10, 10]
    assert {clip.group for clip in library.clips} == {"farm:song"}


def test_a_second_run_writes_nothing_and_says_the_same(tmp_path: Path, farm: Path) -> None:
    write(farm / "key1.wav", seconds=0.2, pitch=300)
    write(farm / "key2.wav", seconds=0.3, pitch=500)
    write(farm / "song.wav", seconds=12)
    rules = [rule("(?P<who>key)", "typing", limit="3", joined="1"), rule("song", "music")]
    first, second = Library(tmp_path), Library(tmp_path)
    sources.add_recordings(first, FREE, rules)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "clips").rglob("*.flac")}
    sources.add_recordings(second, FREE, rules)
    assert second.clips == first.clips
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "clips").rglob("*.flac")} == before


@given(seconds=st.floats(0.1, 5000))
def test_pieces_lie_in_the_recording_and_do_not_overlap(seconds: float) -> None:
    starts = sources.piece_starts(seconds)
    assert 1 <= len(starts) <= 3
    assert starts[0] == 0
    assert all(later - earlier >= 10 for earlier, later in itertools.pairwise(starts))
    assert starts[-1] == 0 or starts[-1] + 10 <= seconds


@given(lengths=st.lists(st.integers(100, 100_000), min_size=1, max_size=4), seed=st.integers(0, 100))
def test_joined_notes_last_three_to_ten_seconds(lengths: list[int], seed: int) -> None:
    notes = [np.full(length, 0.5, np.float32) for length in lengths]
    joined = sources.join(notes, np.random.default_rng(seed))
    assert 3 * 48_000 <= joined.size <= 10 * 48_000
    assert all((note == 0.5).all() for note in notes), "the notes themselves are left as they were"


def test_esc10_keeps_its_folds_sources_and_authors(tmp_path: Path) -> None:
    folder = tmp_path / "esc10"
    write(folder / "fire_crackling" / "3-4211-A.ogg", seconds=5)
    line = "- [3-4211-A.ogg]: clip derived from FireBurning.wav (http://www.freesound.org/) by dobroide [CC-BY]\n"
    (folder / "ATTRIBUTION.txt").write_text(line, "utf-8")
    library = Library(tmp_path)
    sources.add_esc10(library, folder)
    (clip,) = library.clips
    assert (clip.concepts, clip.group, clip.fold) == ("crackling_fire", "freesound:4211", "3")
    assert clip.author.startswith("dobroide") and clip.licence.endswith("CC-BY")
    assert clip.seconds == pytest.approx(5, abs=0.01)


def test_held_packages_are_marked(tmp_path: Path, farm: Path) -> None:
    write(farm / "voice.wav")
    library = Library(tmp_path)
    sources.add_recordings(library, Package("farm", "CC0", "nobody", "1"), [rule("voice", "speech")])
    assert library.clips[0].held == 1


def test_the_tables_agree_and_name_no_licence_that_forbids_use() -> None:
    packages = sources.packages() | sources.packages("npm.csv")
    rules = [Rule(**row) for row in sources.read_rows("recordings.csv")]
    assert {rule.package for rule in rules} <= packages.keys()
    assert {package for package, *_ in sources.SOUNDFONTS} <= packages.keys()
    for one in rules:
        re.compile(one.pattern)
    for package in packages.values():
        assert package.licence and package.attribution
        assert not re.search("NC|ND|non-?commercial", package.licence)


def packed(folder: Path, files: dict[str, bytes]) -> None:
    """An npm package as ``npm pack`` leaves it in ``folder``."""
    folder.mkdir(parents=True)
    with tarfile.open(folder / "someone-sounds-1.2.0.tgz", "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_an_npm_package_is_unpacked_once_and_nothing_lands_outside(tmp_path: Path) -> None:
    said = b'{"version": "1.2.0", "homepage": "https://example.org"}'
    packed(tmp_path / "npm", {"package/A4.mp3": b"note", "package/package.json": said, "../outside": b"no"})
    sources.fetch_npm(tmp_path, ["@someone/sounds"])
    folder = tmp_path / "unpacked" / "@someone" / "sounds"
    assert (folder / "package" / "A4.mp3").read_bytes() == b"note"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file() and "npm" not in path.parts) == [
        "A4.mp3",
        "package.json",
    ]
    (folder / "package" / "A4.mp3").write_bytes(b"kept")
    sources.fetch_npm(tmp_path, ["@someone/sounds"])
    assert (folder / "package" / "A4.mp3").read_bytes() == b"kept"
    (row,) = sources.npm_licences(tmp_path, [Package("@someone/sounds", "CC0", "someone", "")])
    assert (row["version"], row["homepage"], row["licence"]) == ("1.2.0", "https://example.org", "CC0")
