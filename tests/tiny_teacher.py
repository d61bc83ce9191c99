"""A sentence encoder that has learned nothing, in place of the one that the text tower is distilled from."""

from __future__ import annotations

import string
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_tiny_teacher(work: Path) -> None:
    """Put it where training looks for the teacher."""
    characters = list(string.ascii_lowercase + string.digits + string.punctuation)
    pieces = SPECIAL + characters + [f"##{character}" for character in characters] + ["the", "dog", "##ing", "é", "zq"]
    vocabulary = {piece: id for id, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(piece, vocabulary[piece]) for piece in ("[CLS]", "[SEP]")]
    )
    tokenizer.add_special_tokens(SPECIAL)
    (work / "teacher").mkdir()
    tokenizer.save(str(work / "teacher" / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=16,
        num_attention_heads=2,
        num_hidden_layers=3,
        intermediate_size=32,
        initializer_range=0.3,
    )
    BertModel(config).save_pretrained(work / "teacher")
