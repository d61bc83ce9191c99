from __future__ import annotations

import random
import re

import pytest
from tiny_wordnet import write_tiny_wordnet

from training.concepts import CONCEPTS, ESC10, FIRST, HELD_OUT, HYPERNYMS
from training.phrases import UNKNOWN, corpus, expand
from training.wordnet import WordNet

IDS = [concept.id for concept in CONCEPTS]
EMPTY_WORDS = {"a", "an", "and", "at", "by", "from", "his", "in", "into", "is", "it", "its", "my", "of", "on"}
EMPTY_WORDS |= {"over", "s", "the", "to", "with"}


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work") / "wordnet"
    write_tiny_wordnet(folder)
    return WordNet(folder)


@pytest.fixture(scope="module")
def phrases(wordnet):
    return corpus(0, ["hound", "storm"], ["government", "purple"], wordnet)


def core(text: str) -> frozenset[str]:
    """The words of a text that carry meaning, without their endings."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return frozenset(re.sub(r"(ing|es|s|ed)$", "", word) for word in words if word not in EMPTY_WORDS)


def test_no_wording_names_two_concepts():
    wordings = [wording.lower() for concept in CONCEPTS for wording in concept.wordings] + list(HYPERNYMS)
    assert len(set(wordings)) == len(wordings)


def test_every_concept_is_called_by_its_label_and_enough_else():
    for concept in CONCEPTS:
        assert concept.wordings[0] == concept.label
        assert len(concept.wordings) > (20 if concept in FIRST else 3)


def test_a_hypernym_stands_for_known_concepts():
    assert all(set(ids) <= set(IDS) for ids in HYPERNYMS.values())
    assert set(HYPERNYMS["a pet"]) == {"dog_bark", "cat_meow"}


def test_held_out_wordings_cover_every_concept_and_are_no_rearranged_training_wordings():
    trained = {core(wording) for concept in CONCEPTS for wording in concept.wordings} | {core(w) for w in HYPERNYMS}
    for wordings in HELD_OUT:
        assert list(wordings)[:10] == list(ESC10)
        assert {concept.id for concept in FIRST} <= set(wordings) <= set(IDS)
        assert {id: text for id, text in wordings.items() if core(text) in trained} == {}


def test_held_out_and_unknown_texts_are_not_in_the_corpus(phrases):
    texts = {core(phrase.text) for phrase in phrases if phrase.concepts is not None}
    judging = [text for wordings in HELD_OUT for text in wordings.values()] + list(UNKNOWN)
    assert [text for text in judging if core(text) in texts] == []


def test_what_wordnet_says_of_a_concept_names_it(phrases):
    concepts = {phrase.text: phrase.concepts for phrase in phrases}
    assert concepts["odd rotor 3"] == concepts["noun 1 of helicopter"] == ("helicopter",)


def test_a_corpus_repeats_nothing_but_its_seed(phrases, wordnet):
    texts = [phrase.text for phrase in phrases]
    assert len(set(texts)) == len(texts)
    assert corpus(0, ["hound", "storm"], ["government", "purple"], wordnet) == phrases
    assert corpus(1, ["hound", "storm"], ["government", "purple"], wordnet) != phrases


def test_phrases_of_other_things_hold_no_concept(phrases):
    labels = {wording for concept in CONCEPTS for wording in concept.wordings if " " in wording}
    others = [phrase.text.lower() for phrase in phrases if phrase.concepts == ()]
    assert len(others) > 3000
    assert [text for text in others if any(f" {label} " in f" {text} " for label in labels)] == []


def test_expansions_keep_the_words_of_a_wording():
    dog = CONCEPTS[0]
    cores = [core(wording) for wording in dog.wordings]
    expanded = expand(dog, 150, random.Random(3))
    assert len(set(expanded)) == 150
    assert set(dog.wordings) <= set(expanded)
    assert all(any(wording <= core(text) for wording in cores) for text in expanded)
