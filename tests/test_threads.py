"""Encoders and models called by many threads at once: each gets what it would get alone."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import pytest
from support import REFERENCE

from pe_audio_cli import load
from pe_audio_cli.audio.framing import HOP
from pe_audio_cli.models.backends.loading import load_encoder
from pe_audio_cli.models.caching import CachingEncoder
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.encoder import Encoder
from pe_audio_cli.models.registry import SHIPPED
from pe_audio_cli.models.threads import torch_alone

N_THREADS = 8
MINI = SHIPPED / "mini"
TINY = REFERENCE / "pe-a-frame-tiny"
LABELS = ["a dog barking", "rain falling", "a rooster crowing", "a person speaking"]

AnswerT = TypeVar("AnswerT")


def at_once(calls: list[Callable[[], AnswerT]]) -> list[AnswerT]:
    """What the calls return, all of which begin together."""
    together = threading.Barrier(len(calls))

    def begin(call: Callable[[], AnswerT]) -> AnswerT:
        together.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(begin, calls))


def audio(seed: int, n_frames: int) -> np.ndarray:
    return (0.05 * np.random.default_rng(seed).standard_normal((n_frames, HOP))).astype(np.float32)


@pytest.fixture(params=["onnx", "torch", "torch, narrow", "transformers"])
def encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Encoder]:
    """An encoder of each engine; the codec of mini is wide, that of the tiny one is not."""
    name, _, narrow = request.param.partition(", ")
    monkeypatch.setenv("PEAUDIO_ENGINE", name)
    folder = TINY if narrow or name == "transformers" else MINI
    yield load_encoder(Checkpoint.open(folder, folder.name))


def test_an_encoder_gives_each_thread_what_it_gives_one_alone(encoder: Encoder) -> None:
    def everything(seed: int, n_frames: int) -> list[np.ndarray]:
        features = encoder.encode_codec(audio(seed, n_frames))
        windows = encoder.encode_windows(features[None])
        return [features, windows.clips, windows.frames, encoder.encode_text(LABELS[seed % 4 :])]

    # Some lengths come twice, others once: neither shapes nor contents may get mixed up.
    lengths = [10, 25, 25, 40, 10, 25, 12, 90][:N_THREADS]
    alone = [everything(seed, n_frames) for seed, n_frames in enumerate(lengths)]
    for _ in range(2):
        together = at_once([lambda each=each: everything(*each) for each in enumerate(lengths)])
        for expected, got in zip(alone, together, strict=True):
            assert all(np.array_equal(one, other) for one, other in zip(expected, got, strict=True))


def test_torch_works_for_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number of threads, and cuDNN's flags, are the whole process's, and change within a call."""
    monkeypatch.setenv("PEAUDIO_ENGINE", "torch")
    encoder: Any = load_encoder(Checkpoint.open(TINY, "tiny"))
    codec, within, most = encoder._codec, [], []

    def noted(samples: Any) -> Any:
        within.append(samples)
        most.append(len(within))
        time.sleep(0.02)  # so that another thread comes in, if it can
        within.pop()
        return codec(samples)

    monkeypatch.setattr(encoder, "_codec", noted)
    at_once([lambda: encoder.encode_codec(audio(0, 3))] * 4)
    assert most == [1, 1, 1, 1]


@pytest.mark.parametrize("name", ["onnx", "torch"])
def test_a_model_gives_each_thread_what_it_gives_one_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEAUDIO_ENGINE", name)
    sounds = [(audio(seed, 20 + 5 * seed).reshape(-1), 48_000) for seed in range(N_THREADS)]

    def asked(model: Any, place: int) -> list[Any]:
        labels = LABELS[place % 3 :]
        return [*model.tag(sounds[place], labels), *model.localize(sounds[place], labels, threshold=0.001)]

    alone = [asked(load(), place) for place in range(N_THREADS)]
    model = load()  # loads when it is first asked, by all of them
    assert at_once([lambda place=place: asked(model, place) for place in range(N_THREADS)]) == alone


def test_a_model_is_loaded_once_whoever_asks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(TINY)
    first, *others = at_once([lambda: model.encoder("tag")] * N_THREADS)
    assert all(other is first for other in others)


def test_labels_are_remembered_up_to_a_size(encoder: Encoder) -> None:
    width = encoder.encode_text(["rain"]).nbytes
    caching = CachingEncoder(encoder, 8 * 3 * width)
    for _ in range(2):
        assert np.array_equal(
            caching.encode_text([*LABELS, "rain", "rain"]), encoder.encode_text([*LABELS, "rain", "rain"])
        )
    assert len(caching._texts._values) == 3


@pytest.mark.filterwarnings("ignore:This process")  # of forks while there are threads
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_turn_of_a_thread_that_a_fork_left_behind_keeps_nobody() -> None:
    entered, over = threading.Event(), threading.Event()

    def hold() -> None:
        with torch_alone():
            entered.set()
            over.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait()
    child = os.fork()
    if child == 0:
        with torch_alone():
            os._exit(7)
    _, status = os.waitpid(child, 0)
    over.set()
    holder.join()
    assert os.waitstatus_to_exitcode(status) == 7
