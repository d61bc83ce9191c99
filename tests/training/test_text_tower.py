from __future__ import annotations

from dataclasses import astuple, replace

import pytest
import torch
from tiny_teacher import write_tiny_teacher
from tiny_wordnet import write_tiny_wordnet
from transformers import AutoModel, AutoTokenizer, BertModel

from training.concepts import CONCEPTS
from training.phrases import CorpusOptions, Phrase
from training.text_tower import TextTower, TowerOptions, build, cut_out, read_phrases, train

SMALL = TowerOptions(
    layers=(0, 2),
    pieces=150,
    intermediate=24,
    steps=4,
    batch=16,
    near_words=2,
    common_words=2,
    corpus=CorpusOptions(per_concept=4, per_hypernym=1, others=30, mixed=30, meanings=5),
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices as small as these take many times as long where threads wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def work(tmp_path_factory, one_thread):
    """A folder with a teacher in it that has learned nothing."""
    work = tmp_path_factory.mktemp("work")
    write_tiny_teacher(work)
    write_tiny_wordnet(work / "wordnet")
    build(work, options=SMALL)
    return work


def test_transformers_reads_the_tower_without_a_word(work):
    model, loading = AutoModel.from_pretrained(work / "text", output_loading_info=True)
    assert [problem for problems in loading.values() for problem in problems] == []
    assert (model.config.num_hidden_layers, model.config.intermediate_size) == (2, 24)
    assert model.config.max_position_embeddings == AutoTokenizer.from_pretrained(work / "text").model_max_length == 128


def test_any_english_label_is_read_without_unknown_pieces(work):
    tokenizer = AutoTokenizer.from_pretrained(work / "text")
    ids = tokenizer('Dog-barking_at 7, "Café" & (co.) #1! it\'s 50% {odd} ~ \\ ^ [x] <y>')["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.convert_ids_to_tokens(ids)[:2] == ["[CLS]", "dog"]
    assert tokenizer.convert_ids_to_tokens(tokenizer("zq")["input_ids"]) == ["[CLS]", "zq", "[SEP]"]


def test_a_text_embeds_alone_as_beside_others(work):
    text_tower = TextTower.load(work / "text")
    together = text_tower.encode(["a dog", "the sound of a clock ticking in the hall", "rain"])
    assert together.shape == (3, 16)
    assert torch.allclose(text_tower.encode(["a dog"])[0], together[0], atol=1e-5)
    assert torch.equal(text_tower.head(text_tower.features(["rain"])), text_tower.encode(["rain"]))


def test_the_phrases_that_it_read_are_written(work):
    phrases = read_phrases(work / "text")
    assert {concepts for _, concepts in map(astuple, phrases)} >= {None, (), *((concept.id,) for concept in CONCEPTS)}
    assert all(Phrase(concept.label, (concept.id,)) in phrases for concept in CONCEPTS)


def test_a_finished_tower_is_left_alone_and_another_run_gives_the_same(work, tmp_path):
    weights = work / "text" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    build(work, seed=1, options=SMALL)
    assert weights.stat().st_mtime_ns == before
    for name in ("teacher", "wordnet"):
        (tmp_path / name).symlink_to(work / name)
    build(tmp_path, options=SMALL)
    assert (tmp_path / "text" / "model.safetensors").read_bytes() == weights.read_bytes()


def test_what_is_cut_out_is_the_teachers(work):
    teacher = BertModel.from_pretrained(work / "teacher").eval()
    everything = replace(SMALL, layers=(0, 1, 2), intermediate=32)
    student = cut_out(work / "teacher", [Phrase("dog", ("dog_bark",))], everything).eval()
    tokenizer = AutoTokenizer.from_pretrained(work / "teacher")
    with torch.inference_mode():
        expected = teacher(**tokenizer("the dog barks", return_tensors="pt")).last_hidden_state[:, 0]
    assert torch.allclose(student.features(["the dog barks"]), expected, atol=1e-5)


def test_training_teaches(work):
    phrases = [Phrase(text, (concept.id,)) for concept in CONCEPTS[:3] for text in concept.wordings[:5]]
    phrases += [Phrase("bread", ()), Phrase("dog bread", None)]
    text_tower = cut_out(work / "teacher", phrases, SMALL)
    targets = torch.nn.functional.normalize(torch.randn(len(phrases), 16), dim=-1)
    losses = list(train(text_tower, phrases, targets, replace(SMALL, steps=60, rate=1e-2), seed=0))
    assert sum(losses[-5:]) < sum(losses[:5]) / 2
