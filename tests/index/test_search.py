"""Search: in the very order of tag, and with nothing loaded that is not needed."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import duckdb
import numpy as np
import pytest
import soundfile
from support import REFERENCE, logged

from pe_audio_cli import Index, TagOptions, load
from pe_audio_cli.audio.find import find_recordings
from pe_audio_cli.errors import CheckpointError, InputError, StoreError, UsageError
from pe_audio_cli.index.builder import IndexBuilder
from pe_audio_cli.index.search import SearchOptions
from pe_audio_cli.index.vectors import vectors_path
from pe_audio_cli.inference.runner import embed
from pe_audio_cli.inference.tasks.base import EncodeOptions
from pe_audio_cli.models import hub
from pe_audio_cli.models.checkpoint import Checkpoint

MODEL = REFERENCE / "pe-av-tiny"
LABELS = ["a dog barking", "rain", "a siren", "someone is typing", "glass breaking"]
ALL = SearchOptions(k=None)
N_SOUNDS = 16

Tags: TypeAlias = dict[tuple[str, float], dict[str, float]]


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    """Sixteen different noises; the last is longer than two windows."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for index in range(N_SOUNDS):
        seconds = 25.0 if index == N_SOUNDS - 1 else 0.2 + 0.1 * index
        noise = rng.standard_normal(round(seconds * 16_000))
        noise = np.cumsum(noise) if index % 2 else noise
        soundfile.write(folder / f"{index:02}.wav", 0.01 * (index + 1) * noise / np.abs(noise).max(), 16_000)
    return folder


def build(index: Path, model: Path, *paths: Path) -> Path:
    checkpoint = Checkpoint.open(model, "mine")
    encoder = load(model, device="cpu").encoder("tag")
    names = list(map(str, paths))
    with IndexBuilder(index, checkpoint) as builder:
        plan = builder.plan(names, find_recordings(names))
        builder.begin(encoder)
        for result in embed(plan.todo, encoder, "window", EncodeOptions(builder.windows)):
            builder.write(result)
        builder.finish()
    return index


@pytest.fixture(scope="module")
def index(sounds, tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("index") / "sounds.index", MODEL, sounds)


@pytest.fixture(scope="module")
def tagged(sounds) -> Tags:
    return tags_of(MODEL, sounds)


def tags_of(model: Path, sounds: Path) -> Tags:
    """Return the tags of each window, by its recording and its start."""
    return {
        (result.recording.file, window.start): {tag.label: tag.probability for tag in window.tags}
        for result in load(model, device="cpu").tag(sounds, LABELS, TagOptions(per_window=True), window=10.0)
        for window in result.per_window
    }


def test_the_order_and_the_numbers_are_those_of_tag(reference, sounds, tmp_path):
    with Index(build(tmp_path / "i", reference.folder, sounds)) as opened:
        results = opened.search(LABELS, ALL)
    assert [result.query for result in results] == LABELS
    tagged = tags_of(reference.folder, sounds)
    for result in results:
        by_tag = {window: tags[result.query] for window, tags in tagged.items()}
        assert len(set(by_tag.values())) == len(by_tag) == N_SOUNDS + 2, "a tie would leave the order open"
        assert result.measure == "probability"
        assert [(hit.file, hit.start) for hit in result.hits] == sorted(by_tag, key=by_tag.get, reverse=True)
        assert [hit.score for hit in result.hits] == sorted(by_tag.values(), reverse=True)


def test_the_first_of_all_are_the_first(index):
    with Index(index) as opened:
        everything = opened.search(LABELS, ALL)
        for k in (1, 5, 100):
            for few, all_ in zip(opened.search(LABELS, SearchOptions(k=k)), everything, strict=True):
                assert few.hits == all_.hits[:k]
        assert opened.search(LABELS[0]) == opened.search([LABELS[0]] * 2, SearchOptions(k=10))


def test_what_must_not_be_heard_pushes_windows_away(index, tagged):
    with Index(index) as opened:
        (result,) = opened.search("rain", ALL, without=["a siren", "glass breaking"])
    wanted = {
        window: tags["rain"] * (1 - tags["a siren"]) * (1 - tags["glass breaking"]) for window, tags in tagged.items()
    }
    assert [(hit.file, hit.start) for hit in result.hits] == sorted(wanted, key=wanted.get, reverse=True)
    np.testing.assert_allclose([hit.score for hit in result.hits], sorted(wanted.values(), reverse=True), rtol=1e-5)


def test_a_sound_is_most_like_itself(index, sounds):
    file = sounds / "05.wav"
    embedded = {
        result.recording.file: result.embeddings.astype(np.float64)
        for result in load(MODEL, device="cpu").embed(sounds, "window", window=10.0)
    }
    (own,) = embedded[str(file)]
    with Index(index) as opened:
        result = opened.like(file, ALL)
    assert (result.query, result.measure) == (str(file), "similarity")
    assert (result.hits[0].file, result.hits[0].score) == (str(file), pytest.approx(1, abs=1e-9))
    cosines = [
        float(own @ row / np.linalg.norm(own) / np.linalg.norm(row)) for rows in embedded.values() for row in rows
    ]
    np.testing.assert_allclose([hit.score for hit in result.hits], sorted(cosines, reverse=True), atol=1e-6)


def test_a_condition_leaves_windows_out(index):
    with Index(index) as opened:
        (everything,), (long,) = opened.search("rain", ALL), opened.search("rain", SearchOptions(None, "duration > 20"))
        assert long.hits == tuple(hit for hit in everything.hits if hit.duration > 20)
        assert sorted((hit.start, hit.end) for hit in long.hits) == [(0, 10), (10, 20), (15, 25)]
        assert opened.search("rain", SearchOptions(where="duration > 99"))[0].hits == ()


@pytest.mark.parametrize("queries", ["", " ", [], ["rain", ""]])
def test_nothing_to_search_for_is_refused(index, queries):
    with Index(index) as opened, pytest.raises(UsageError, match="what to search for"):
        opened.search(queries)


@pytest.mark.parametrize("k", [0, -1])
def test_no_hits_at_all_is_refused(k):
    with pytest.raises(UsageError, match="k must be 1 or more"):
        SearchOptions(k=k)


def test_a_query_of_600_words_is_refused(index):
    with Index(index) as opened, pytest.raises(UsageError, match=r"602 tokens.*at most 512: shorten it"):
        opened.search("dog " * 600)


def test_a_sound_that_cannot_be_read_is_refused(index, tmp_path):
    (tmp_path / "no.wav").write_text("no recording")
    with Index(index) as opened, pytest.raises(InputError):
        opened.like(tmp_path / "no.wav")


def test_an_empty_index_is_refused(index, sounds, tmp_path):
    from pe_audio_cli.index.database import Database

    empty = shutil.copy(index, tmp_path / "empty")
    with Database.open(empty, read_only=False) as database:
        database.drop([str(file) for file in sounds.iterdir()])
    with pytest.raises(StoreError, match="holds no recording: add some"):
        Index(empty)


def test_a_copy_that_names_windows_which_are_not_there_is_made_anew(index, tmp_path):
    mine = Path(shutil.copy(index, tmp_path))
    with logged() as said, Index(mine) as opened:
        before = opened.search("rain")
        copy = vectors_path(mine)
        whole, n = copy.read_bytes(), opened.n_windows
        copy.write_bytes(whole[: -12 * n] + bytes(8 * n) + whole[-4 * n :])
        assert opened.search("rain") == before
    assert said == [f"{copy} is damaged: it is made anew from the index"]
    assert copy.read_bytes() == whole


def test_a_checkpoint_that_has_changed_is_refused_for_new_words(checkpoint_copy, sounds, tmp_path):
    index = build(tmp_path / "i", checkpoint_copy, sounds / "00.wav")
    with Index(index) as opened:
        (before,) = opened.search("a word that is kept")
    config = checkpoint_copy / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "comment": "another"}))
    with Index(index) as opened:
        assert opened.search("a word that is kept") == [before]
        with pytest.raises(StoreError, match="was made with mine, and mine is another checkpoint now"):
            opened.search("a word that was never asked")
    with pytest.raises(StoreError, match="was made with mine"):
        Index(index, str(checkpoint_copy))


@pytest.mark.parametrize("model", ["base", "somebody/something", "facebook/pe-av-base"])
def test_a_checkpoint_that_only_the_index_names_is_not_fetched(index, tmp_path, monkeypatch, model):
    mine = Path(shutil.copy(index, tmp_path))
    with duckdb.connect(mine) as connection:
        connection.execute("UPDATE about SET model = ?, folder = '/no/such/folder', fingerprint = '1'", [model])
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(hub, "_fetch", lambda *arguments: pytest.fail("it was fetched"))
    monkeypatch.setattr(socket, "create_connection", lambda *arguments, **more: pytest.fail("the network was asked"))
    with Index(mine) as opened:
        for ask in (lambda: opened.search("never asked of this one"), lambda: opened.like("x.wav")):
            with pytest.raises(
                CheckpointError, match=f"made with {model}, which is not on this machine: fetch it with -m"
            ):
                ask()


def test_threads_search_one_index_at_once(index, tmp_path):
    mine = Path(shutil.copy(index, tmp_path))
    with Index(index) as opened:
        expected = opened.search(LABELS, SearchOptions(None, "duration > 1"))
    with Index(mine) as opened, ThreadPoolExecutor(6) as pool:
        found = pool.map(lambda _: opened.search(LABELS, SearchOptions(None, "duration > 1")), range(18))
        for results in found:
            assert [result.hits for result in results] == [result.hits for result in expected]
    assert sorted(path.name for path in tmp_path.iterdir()) == [mine.name, vectors_path(mine).name]


def test_an_index_that_has_been_closed_says_so(index):
    opened = Index(index)
    opened.close()
    with pytest.raises(StoreError, match="has been closed: open it again"):
        opened.search("rain")


def test_a_checkpoint_that_has_moved_can_be_named(checkpoint_copy, sounds, tmp_path):
    index = build(tmp_path / "i", checkpoint_copy, sounds / "00.wav")
    moved = shutil.move(checkpoint_copy, tmp_path / "moved")
    with Index(index) as opened, pytest.raises(CheckpointError, match="unknown model 'mine'"):
        opened.search("never asked before")
    with Index(index, str(moved)) as opened:
        (result,) = opened.search("never asked before")
        assert len(result.hits) == 1


def test_words_that_were_asked_before_are_searched_without_torch(index):
    question = "search('a query that is new once', without='rain')"
    assert "torch" in run(index, question)
    heavy = {"torch", "transformers", "tokenizers", "pyarrow", "pandas", "av", "soundfile", "soxr"}
    assert run(index, question) & heavy == set()


def test_words_never_load_the_audio_tower(index):
    assert "pe_audio_cli.models.backends.torch_encoder" not in run(index, "search('words that are new')")


def test_a_sound_never_loads_the_text_tower(index, sounds, monkeypatch):
    from pe_audio_cli.models.backends import labels as text

    monkeypatch.setattr(text, "load_text", lambda checkpoint: pytest.fail("the text tower was loaded"))
    with Index(index) as opened:
        assert len(opened.like(sounds / "03.wav").hits) == 10


def run(index: Path, question: str) -> set[str]:
    """The modules that a process has loaded after a search."""
    code = (
        "import sys\n"
        "from pe_audio_cli import Index\n"
        f"with Index({str(index)!r}) as index:\n"
        f"    assert index.{question}[0].hits\n"
        "print(*sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())
