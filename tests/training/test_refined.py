import torch

from training.audioset import CLASSES
from training.concepts import KNOWN
from training.features import Recording
from training.mixtures import SURE
from training.refined import HIGHEST, Refined, weights

IDS = [concept.id for concept in KNOWN]
OWL, FROG, SILENCE = (IDS.index(id) for id in ("owl", "frog", "silence"))


def recording(id: str | None, direction: int, origin: int) -> Recording:
    """The teacher hears both owl and frog a little, and its embedding points in one of four directions."""
    scores = torch.full((2, len(IDS)), 0.02)
    scores[:, [OWL, FROG]] = 0.2
    embedding = torch.zeros(4)
    embedding[direction] = 1
    concepts = None if id is None else (id,)
    nothing = torch.zeros(0)
    return Recording(str(origin), nothing, nothing, scores, embedding.expand(2, -1), concepts, str(origin), 0, False)


def items(*ids: str | None) -> list[Recording]:
    return [recording(id, index % 4, index) for index, id in enumerate(ids)]


def heard(refined: Refined, direction: int) -> torch.Tensor:
    it = recording(None, direction, 0)
    return refined(it.scores, it.embeddings)[0]


def test_labels_teach_it_to_tell_apart_what_the_scores_cannot():
    assert "owl" in CLASSES and "frog" in CLASSES
    refined = Refined.fit(items(*["owl", "frog"] * 8))
    owl, frog = heard(refined, 0), heard(refined, 1)
    assert owl[OWL] > owl[FROG] and frog[FROG] > frog[OWL]


def test_without_labels_nothing_is_told_apart():
    refined = Refined.fit(items(*[None] * 8))
    it = heard(refined, 0)
    torch.testing.assert_close(it[OWL], it[FROG], rtol=1e-4, atol=1e-5)


def test_it_is_never_as_sure_as_a_label_and_says_nothing_of_silence():
    it = heard(Refined.fit(items(*["owl", "frog"] * 8)), 0)
    assert it.max() <= HIGHEST < SURE and it[SILENCE] == 0


def test_origins_of_a_concept_count_alike():
    found = weights([recording("owl", 0, origin) for origin in (0, 0, 0, 1)])
    torch.testing.assert_close(found[:3].sum(), found[3])
