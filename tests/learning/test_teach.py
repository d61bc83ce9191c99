"""Teaching: figures of recordings that were held out, words kept where examples do not help, learning curves."""

from __future__ import annotations

import numpy as np
import pytest

from pe_audio_cli.learning.examples import Examples
from pe_audio_cli.learning.fit import Words
from pe_audio_cli.learning.teach import teach

DIM = 8


def drawn(n: int, seed: int = 0, noise: float = 1.0, rows: int = 1) -> tuple[Examples, np.ndarray]:
    """Recordings of one label, half of them examples, whose embeddings differ along one direction."""
    rng = np.random.default_rng(seed)
    direction = np.zeros(DIM)
    direction[0] = 1
    owners = np.repeat(np.arange(n), rows)
    truth = (owners % 2 == 0).astype(np.int8)
    audio = rng.normal(size=(len(owners), DIM)) * noise + np.outer(np.where(truth, 2, -2), direction)
    examples = Examples(
        ("klaxo",), tuple(f"{i}.wav" for i in range(n)), audio.astype(np.float16), owners, truth[:, None]
    )
    return examples, direction


def words(vector: np.ndarray) -> Words:
    return Words(vector[None].astype(np.float32), 1.0, 0.0)


def test_examples_help_where_the_words_mean_nothing() -> None:
    examples, direction = drawn(40)
    outcome = teach(examples, words(np.roll(direction, 3)), 0.5).outcomes[0]
    assert outcome.learned and outcome.n_examples == outcome.n_counter_examples == 20
    assert outcome.words is not None and outcome.examples is not None
    assert outcome.examples.average_precision.value > 0.95 > outcome.words.average_precision.value
    low, high = outcome.examples.average_precision.low, outcome.examples.average_precision.high
    assert low is not None and high is not None and low <= outcome.examples.average_precision.value <= high


def test_a_label_that_examples_make_worse_keeps_its_words() -> None:
    rng = np.random.default_rng(1)
    owners = np.arange(12)
    truth = (owners % 2).astype(np.int8)
    audio = rng.normal(size=(12, 200))
    audio[:, 0] = np.where(truth, 0.1, -0.1)  # what the words know; all else is noise, and there is a lot of it
    examples = Examples(("klaxo",), tuple(map(str, owners)), audio.astype(np.float16), owners, truth[:, None])
    before = words(np.eye(1, 200)[0] / 50)
    taught = teach(examples, before, 0.5)
    assert not taught.outcomes[0].learned
    assert np.array_equal(taught.learned.embeddings, before.embeddings) and taught.learned.biases.tolist() == [0.0]


def test_one_recording_with_an_example_is_learned_from_but_not_measured() -> None:
    examples, direction = drawn(10)
    examples = Examples(examples.labels, examples.recordings, examples.embeddings, examples.owners, examples.truth * 0)
    examples.truth[0] = 1
    taught = teach(examples, words(direction), 0.37)
    outcome = taught.outcomes[0]
    assert outcome.learned and outcome.words is None and outcome.examples is None and outcome.threshold == 0.37
    assert not np.array_equal(taught.learned.embeddings[0], words(direction).embeddings[0])


def test_figures_are_of_other_recordings_than_those_learned_from() -> None:
    """Windows of a recording resemble each other: what tells recordings apart must not count as knowing the label."""
    rng = np.random.default_rng(0)
    n, rows = 16, 12
    owners = np.repeat(np.arange(n), rows)
    truth = (owners % 2).astype(np.int8)
    own = rng.normal(size=(n, 64)) * 5  # each recording has a sound of its own, and the label has none
    audio = own[owners] + rng.normal(size=(n * rows, 64)) * 0.1
    examples = Examples(("klaxo",), tuple(map(str, range(n))), audio.astype(np.float16), owners, truth[:, None])
    outcome = teach(examples, words(np.zeros(64)), 0.5).outcomes[0]
    assert outcome.examples is not None and outcome.examples.auroc.value < 0.85  # windows drawn at random give 1.0


def test_more_examples_rank_better() -> None:
    examples, direction = drawn(120, noise=3.0, rows=2)
    curve = teach(examples, words(np.roll(direction, 2)), 0.5, curve=True).outcomes[0].curve
    assert set(curve) == {1, 2, 5, 10, 20}  # 48 examples are left where a fold is held out
    assert curve[20] > curve[1]


@pytest.mark.parametrize("value", [0, 1])
def test_a_label_with_only_one_side_keeps_its_words(value: int) -> None:
    examples, direction = drawn(6)
    examples.truth[:] = value
    taught = teach(examples, words(direction), 0.5)
    assert not taught.outcomes[0].learned
    assert np.array_equal(taught.learned.embeddings, words(direction).embeddings)
