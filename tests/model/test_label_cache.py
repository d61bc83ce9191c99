"""Text embeddings on disk: believed only when whole, shared by any number of processes."""

import multiprocessing
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import REFERENCE

from pe_audio_cli.model.checkpoint import Checkpoint
from pe_audio_cli.model.encoder import DeviceOptions, PeEncoder
from pe_audio_cli.model.label_cache import LabelCache

WIDTH = 64
CHECKPOINT = REFERENCE / "pe-a-frame-tiny"


@pytest.fixture
def cache(tmp_path):
    return LabelCache(tmp_path, "one", WIDTH)


def files(cache):
    return [path for path in cache.folder.rglob("*") if path.is_file()]


@given(st.dictionaries(st.text(), st.floats(width=32, allow_nan=False), max_size=8))
def test_every_label_has_its_own_place(tmp_path_factory, entries):
    cache = LabelCache(tmp_path_factory.mktemp("cache"), "one", WIDTH)
    for label, number in entries.items():
        cache.put(label, np.full(WIDTH, number, np.float32))
    for label, number in entries.items():
        np.testing.assert_array_equal(cache.get(label), np.full(WIDTH, number, np.float32))
    assert cache.get("a label that was never asked") is None


def test_another_checkpoint_finds_nothing(cache):
    cache.put("rain", np.ones(WIDTH, np.float32))
    assert LabelCache(cache.folder, "two", WIDTH).get("rain") is None


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-4], lambda c: b"", lambda c: c[:40] + b"\xff" + c[41:], lambda c: c * 2]
)
def test_a_damaged_entry_is_not_believed(cache, damage):
    cache.put("rain", np.ones(WIDTH, np.float32))
    (file,) = files(cache)
    file.write_bytes(damage(file.read_bytes()))
    assert cache.get("rain") is None
    cache.put("rain", np.ones(WIDTH, np.float32))
    assert cache.get("rain") is not None


def test_a_place_that_cannot_be_written_stops_nobody(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = LabelCache(tmp_path / "file" / "labels", "one", WIDTH)
    cache.put("rain", np.ones(WIDTH, np.float32))
    assert cache.get("rain") is None


def write_often(cache, number):
    for _ in range(200):
        cache.put("rain", np.full(WIDTH, number, np.float32))


def test_many_writers_at_once_leave_one_whole_entry(cache):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_often, args=(cache, number)) for number in range(3)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        found = cache.get("rain")
        if found is not None:
            assert len(set(found)) == 1
            seen.add(found[0])
    for writer in writers:
        writer.join()
    assert seen <= {0.0, 1.0, 2.0} and len(files(cache)) == 1


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_an_embedding_is_the_same_from_the_cache(empty_cache):
    encoder = PeEncoder(Checkpoint.open(CHECKPOINT, "tiny"), DeviceOptions(device="cpu"))
    first = encoder.encode_text(["rain", "a dog barking"])
    assert len(list(empty_cache.rglob("labels/*/*"))) == 2
    np.testing.assert_array_equal(encoder.encode_text(["a dog barking", "rain"]), first[::-1])


def test_with_every_label_cached_neither_text_tower_nor_transformers_is_loaded(empty_cache):
    """What the text tower's tensors hold does not even matter, as long as the fingerprint is the same."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pe_audio_cli.model.checkpoint import Checkpoint\n"
        "from pe_audio_cli.model.encoder import DeviceOptions, PeEncoder\n"
        f"encoder = PeEncoder(Checkpoint.open(Path({str(CHECKPOINT)!r}), 'tiny'), DeviceOptions(device='cpu'))\n"
        "encoder.encode_text(['rain'])\n"
        "print(*sorted({'transformers', 'tokenizers'} & set(sys.modules)))\n"
    )
    loaded = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    assert loaded == [["tokenizers", "transformers"], []]
