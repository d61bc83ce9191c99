"""Errors pass between processes: each can be pickled and copied, and says the same afterwards."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from pe_audio_cli import errors
from pe_audio_cli.errors import AnnotationError, InputError, PeAudioError


def kinds() -> list[type[PeAudioError]]:
    named = (getattr(errors, name) for name in errors.__all__)
    return [kind for kind in named if isinstance(kind, type) and issubclass(kind, PeAudioError)]


def example(kind: type[PeAudioError]) -> PeAudioError:
    if issubclass(kind, InputError):
        return kind("dog.wav", "decode", "no sound in it")
    return kind(["row 1 is bad", "row 2 too"]) if issubclass(kind, AnnotationError) else kind("what is wrong")


def sent(error):
    return pickle.loads(pickle.dumps(error))


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("duplicate", [sent, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"])
def test_every_error_can_be_duplicated(kind, duplicate):
    error = example(kind)
    other = duplicate(error)
    assert type(other) is kind
    assert (str(other), list(other.lines), vars(other)) == (str(error), list(error.lines), vars(error))


def refuse(file):
    raise InputError(file, "decode", "no sound in it")


def test_an_error_comes_back_from_a_pool_of_processes():
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        error = pool.submit(refuse, "dog.wav").exception(timeout=60)
    assert isinstance(error, InputError)
    assert (error.file, error.kind, str(error)) == ("dog.wav", "decode", "dog.wav: no sound in it")
