"""Text embeddings on disk: believed only when whole, shared by any number of processes."""

import hashlib
import multiprocessing
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_writer import write_often
from support import REFERENCE

from pe_audio_cli.models.backends.torch_encoder import PeEncoder
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.encoder import DeviceOptions
from pe_audio_cli.models.text_cache import LabelCache

WIDTH = 64
CHECKPOINT = REFERENCE / "pe-a-frame-tiny"


@pytest.fixture
def cache(tmp_path):
    return LabelCache(tmp_path, "one", WIDTH)


def files(cache):
    return [path for path in cache.folder.rglob("*") if path.is_file()]


@given(st.dictionaries(st.text(), st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=8))
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


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_neither_kept_nor_believed(cache, number, monkeypatch):
    wrong = np.ones(WIDTH, np.float32)
    wrong[5] = number
    cache.put("rain", wrong)
    assert files(cache) == []
    with monkeypatch.context() as patch:
        patch.setattr(np, "isfinite", np.ones_like)  # as of a program that does not look
        cache.put("rain", wrong)
    assert len(files(cache)) == 1 and cache.get("rain") is None
    assert_rebuilt(cache)


def assert_rebuilt(cache):
    """The next run asks the model, and keeps what it says."""
    right = np.full(WIDTH, 2, np.float32)
    for load in (lambda: lambda label: right, lambda: pytest.fail("it was kept")):
        np.testing.assert_array_equal(cache.embed(["rain"], load), [right])


def other_label(cache):
    """A whole entry, under the name of another label's."""
    cache.put("wind", np.zeros(WIDTH, np.float32))
    wind, rain = (cache._file(cache._key(label)) for label in ("wind", "rain"))
    rain.parent.mkdir(exist_ok=True)
    wind.replace(rain)


def other_type(cache):
    """As many bytes, in another type of number."""
    file = entry(cache)
    numbers = np.ones(WIDTH // 2, np.float64).tobytes()
    file.write_bytes(hashlib.sha256(numbers).digest() + numbers)


def link(cache):
    file = entry(cache)
    file.rename(cache.folder / "elsewhere")
    file.symlink_to(cache.folder / "elsewhere")


def pipe(cache):
    file = entry(cache)
    file.unlink()
    os.mkfifo(file)  # nobody writes to it: reading would wait for ever


def writable(place):
    def prepare(cache):
        place(cache, entry(cache)).chmod(0o777)

    return prepare


def entry(cache):
    cache.put("rain", np.zeros(WIDTH, np.float32))
    return files(cache)[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no owners, modes and pipes here")
@pytest.mark.parametrize(
    "prepare",
    [
        other_label,
        other_type,
        link,
        pipe,
        writable(lambda cache, file: file),
        writable(lambda cache, file: file.parent),
        writable(lambda cache, file: cache.folder),
    ],
    ids=["another label's", "another type", "link", "pipe", "open file", "open folder", "open cache"],
)
def test_an_entry_that_others_could_have_put_there_is_made_anew(cache, prepare):
    prepare(cache)
    assert cache.get("rain") is None
    assert_rebuilt(cache)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no owners here")
@pytest.mark.parametrize("owned", ["file", "folder", "cache"])
def test_an_entry_of_another_user_is_not_believed(cache, owned, monkeypatch):
    file = entry(cache)
    place = {"file": file, "folder": file.parent, "cache": cache.folder}[owned]
    if os.geteuid() == 0:
        os.chown(place, 12_345, 12_345)
    else:  # only root can give files away: another user looks at ours
        uid = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    assert cache.get("rain") is None


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no modes here")
def test_the_cache_is_for_its_user_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        cache = LabelCache(tmp_path / "peaudio" / "labels", "one", WIDTH)
        file = entry(cache)
    finally:
        os.umask(before)
    assert all(not place.stat().st_mode & 0o022 for place in (file, file.parent, cache.folder))
    assert cache.get("rain") is not None


def test_a_place_that_cannot_be_written_stops_nobody(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = LabelCache(tmp_path / "file" / "labels", "one", WIDTH)
    cache.put("rain", np.ones(WIDTH, np.float32))
    assert cache.get("rain") is None


def test_many_writers_at_once_leave_one_whole_entry(cache):
    context = multiprocessing.get_context("spawn")
    embeddings = [np.full(WIDTH, number, np.float32) for number in range(3)]
    writers = [context.Process(target=write_often, args=(cache, embedding)) for embedding in embeddings]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        found = cache.get("rain")
        if found is not None:
            assert len(set(found)) == 1
            seen.add(found[0])
        time.sleep(0.0005)
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
    """The content of the text tower's tensors does not matter, as long as the fingerprint is the same."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pe_audio_cli.models.checkpoint import Checkpoint\n"
        "from pe_audio_cli.models.backends.torch_encoder import PeEncoder\n"
        "from pe_audio_cli.models.encoder import DeviceOptions\n"
        f"encoder = PeEncoder(Checkpoint.open(Path({str(CHECKPOINT)!r}), 'tiny'), DeviceOptions(device='cpu'))\n"
        "encoder.encode_text(['rain'])\n"
        "print(*sorted({'transformers', 'tokenizers'} & set(sys.modules)))\n"
    )
    loaded = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    assert loaded == [["tokenizers", "transformers"], []]
