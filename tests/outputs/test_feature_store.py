"""Codec features that outlive a run which is cut short: the same numbers, found again, and never wrong ones."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import LEVEL_FACTS, LevelEncoder, write_tone

from pe_audio_cli.audio.framing import WindowOptions
from pe_audio_cli.inference.pipeline import encode
from pe_audio_cli.inference.tasks.embedding import Embedding
from pe_audio_cli.outputs.feature_store import FeatureStore
from pe_audio_cli.results import FileError

SECONDS = 65.0  # seven chunks of ten seconds


@dataclass
class CountingEncoder(LevelEncoder):
    """Counts the calls of its codec; the one after ``last`` is interrupted."""

    calls: list[int] = field(default_factory=list)
    last: int = 1_000_000

    def encode_codec(self, frames: np.ndarray) -> np.ndarray:
        if len(self.calls) == self.last:
            raise KeyboardInterrupt
        self.calls.append(len(frames))
        return super().encode_codec(frames)


def embedded(file: Path, encoder: CountingEncoder, store: FeatureStore | None) -> np.ndarray:
    options = WindowOptions(4.0, 1.0)
    task = Embedding("frame")
    (result,) = encode([str(file)], encoder, options, lambda: task.reducer(encoder), store=store)
    assert not isinstance(result, FileError), result
    return result.embeddings


def noise(path: Path, seconds: float = SECONDS, seed: int = 0) -> Path:
    import soundfile

    samples = np.random.default_rng(seed).normal(0, 0.1, round(seconds * 48_000)).astype(np.float32)
    soundfile.write(path, samples, 48_000, "FLOAT")
    return path


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "out.jsonl")


@pytest.mark.parametrize("last", [1, 2, 5, 6])
def test_a_recording_goes_on_where_it_was_cut_short(tmp_path: Path, store: FeatureStore, last: int) -> None:
    file = noise(tmp_path / "long.wav")
    plain = embedded(file, CountingEncoder(), None)
    with pytest.raises(KeyboardInterrupt):
        embedded(file, CountingEncoder(last=last), store)
    again = CountingEncoder()
    np.testing.assert_array_equal(embedded(file, again, store), plain)
    assert len(again.calls) == 7 - (last - 1), "all but the first chunk were kept"


def test_nothing_is_kept_of_recordings_of_one_chunk(tmp_path: Path, store: FeatureStore) -> None:
    embedded(write_tone(tmp_path / "short.wav", seconds=9.0), CountingEncoder(), store)
    assert store.is_empty
    assert os.listdir(tmp_path) == ["short.wav"]


def test_what_is_forgotten_is_gone_and_what_is_cleared_too(tmp_path: Path, store: FeatureStore) -> None:
    files = [noise(tmp_path / name, 25.0) for name in ("a.wav", "b.wav", "c.wav")]
    stranger = tmp_path / "out.jsonl.0123456789ab.features"
    stranger.write_bytes(b"a stranger's")
    for file in files:
        embedded(file, CountingEncoder(), store)
    store.forget(str(files[0]))
    encoder = CountingEncoder()
    embedded(files[0], encoder, store)
    embedded(files[1], encoder, store)
    assert len(encoder.calls) == 3 + 1
    store.clear()
    assert sorted(os.listdir(tmp_path)) == ["a.wav", "b.wav", "c.wav", stranger.name]


def test_a_changed_recording_or_another_model_is_encoded_anew(tmp_path: Path, store: FeatureStore) -> None:
    file = noise(tmp_path / "long.wav")
    embedded(file, CountingEncoder(), store)
    noise(file, seed=1)
    changed = CountingEncoder()
    np.testing.assert_array_equal(embedded(file, changed, store), embedded(file, CountingEncoder(), None))
    assert len(changed.calls) == 7
    for facts in (replace(LEVEL_FACTS, fingerprint="4567"), replace(LEVEL_FACTS, backend="bfloat16 on cpu")):
        other = CountingEncoder(facts)
        embedded(file, other, store)
        assert len(other.calls) == 7


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_costs_time_and_never_changes_a_number(tmp_path_factory: pytest.TempPathFactory, data) -> None:
    folder = tmp_path_factory.mktemp("kept")
    file, store = noise(folder / "long.wav", 35.0), FeatureStore(folder / "out.jsonl")
    plain = embedded(file, CountingEncoder(), store)
    (kept,) = folder.glob("*.features")
    content = bytearray(kept.read_bytes())
    if data.draw(st.booleans(), label="cut"):
        del content[data.draw(st.integers(0, len(content)), label="at") :]
    else:
        headers = [8, 8 + 32, 8 + 36, 8 + 40]
        at = data.draw(st.sampled_from(headers) | st.integers(0, len(content) - 1), label="at")
        content[at] ^= data.draw(st.integers(1, 255), label="bits")
    kept.write_bytes(content)
    np.testing.assert_array_equal(embedded(file, CountingEncoder(), store), plain)
    twice = CountingEncoder()
    np.testing.assert_array_equal(embedded(file, twice, store), plain)


def test_what_is_in_the_way_is_not_touched(tmp_path: Path, store: FeatureStore) -> None:
    file = noise(tmp_path / "long.wav")
    embedded(file, CountingEncoder(), store)
    (kept,) = tmp_path.glob("*.features")
    target = tmp_path / "precious"
    target.write_bytes(kept.read_bytes())
    kept.unlink()
    kept.symlink_to(target)
    encoder = CountingEncoder()
    embedded(file, encoder, store)
    store.clear()
    assert len(encoder.calls) == 7
    assert kept.is_symlink()
    assert target.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_disk_without_room_keeps_nothing_and_hurts_nobody(
    tmp_path: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = noise(tmp_path / "long.wav")
    monkeypatch.setattr("pe_audio_cli.outputs.feature_store.create", lambda path: open("/dev/full", "r+b", buffering=0))  # noqa: SIM115
    encoder = CountingEncoder()
    np.testing.assert_array_equal(embedded(file, encoder, store), embedded(file, CountingEncoder(), None))
    assert store.is_empty
