"""Mixtures with strong labels: what their tables say is what is heard in them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks import annotated
from pe_audio_cli.audio.framing import HOP
from pe_audio_cli.evaluation.annotations.folder import check_durations, read_annotations

RATE = 48_000


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Two classes of four sources each, of two takes: silence, then a beep of 0.8 s."""
    for label in ("beep", "boop"):
        for source in range(4):
            for take in "AB":
                path = tmp_path / "in" / label / f"1-{source}-{take}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                samples = np.zeros(RATE)
                samples[RATE // 10 : RATE * 9 // 10] = 0.5
                soundfile.write(path, samples, RATE)
    return tmp_path / "in"


def test_two_sets_that_eval_can_read_of_different_sources(classes: Path, tmp_path: Path) -> None:
    annotated.main([str(classes), str(tmp_path / "out"), "--mixtures", "6"])
    one, other = (list(half) for half in annotated.halves(classes))
    assert {path.stem[:3] for _, path in one}.isdisjoint({path.stem[:3] for _, path in other})
    assert len(one) == len(other) == 8
    for name in annotated.SETS:
        read = read_annotations(str(tmp_path / "out" / f"{name}.tsv"))
        assert len(read.recordings) == 3 and set(read.labels) <= {"beep", "boop"}
        check_durations(read, {each.file: soundfile.info(each.file).duration for each in read.recordings})


def test_the_table_says_when_each_sound_is_heard(classes: Path, tmp_path: Path) -> None:
    options = annotated.MixtureOptions(n_mixtures=3, sounds=(1, 1), noise=(-80.0, -80.0), above=(40.0, 40.0))
    sources = next(iter(annotated.halves(classes)))
    annotated.write_set(sources, tmp_path / "set", tmp_path / "set.tsv", options)
    with (tmp_path / "set.tsv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert len(rows) == 3
    for row in rows:
        samples, _ = soundfile.read(tmp_path / row["filename"])
        level = np.sqrt((samples.reshape(-1, HOP) ** 2).mean(axis=1))
        onset, offset = (round(float(row[name]) / 0.04) for name in ("onset", "offset"))
        assert offset - onset == pytest.approx(0.8 / 0.04, abs=2)
        assert level[onset:offset].min() > 3 * np.delete(level, range(onset, offset)).max()


def test_the_same_seed_makes_the_same_mixtures(classes: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        annotated.main([str(classes), str(tmp_path / name), "--mixtures", "2"])
    for path in (tmp_path / "a").rglob("*.flac"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
