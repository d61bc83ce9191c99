import random

import pytest
from tiny_wordnet import write_tiny_wordnet

from training.concepts import FIRST
from training.wordnet import SENSES, WordNet


@pytest.fixture
def wordnet(tmp_path):
    write_tiny_wordnet(tmp_path / "wordnet")
    return WordNet(tmp_path / "wordnet")


def test_a_concept_has_the_words_of_its_senses_and_of_their_kinds_and_what_they_mean(wordnet):
    texts = wordnet.texts("helicopter")  # helicopter.n.1 rotor.n.3
    assert {"helicopter", "odd helicopter 1", "odd rotor 3"} <= set(texts)
    assert {"noun 1 of helicopter", "noun 3 of rotor", "kind of noun 3 of rotor"} <= set(texts)
    assert "an example of rotor 3" in texts
    assert len(set(texts)) == len(texts)


def test_a_word_names_a_concept_only_by_its_first_meaning(wordnet):
    assert "rotor" not in wordnet.texts("helicopter")
    assert "helicopter" in wordnet.texts("helicopter")


def test_other_texts_name_no_concept_and_are_the_same_each_time(wordnet):
    own = {text for concept in SENSES for text in wordnet.texts(concept)}
    others = wordnet.other_texts(10, random.Random(1))
    assert others == wordnet.other_texts(10, random.Random(1))
    definitions = set(others[1::2])
    assert len(definitions) == 10 and not definitions & own


def test_every_concept_of_the_first_version_has_senses():
    assert set(SENSES) == {concept.id for concept in FIRST} | {"silence", "noise"}
