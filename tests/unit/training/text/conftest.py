"""A language model of a few thousand weights, as `save_pretrained` writes one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from tests.small_backbone import small_backbones


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory, marketplace: Path) -> Path:
    """Its directory; it knows the sample's words."""
    folder = tmp_path_factory.mktemp("encoder")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=800, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    )
    tokenizer.train([str(marketplace / "Products.csv")], trainer)
    ends = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, ends)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=64, max_position_embeddings=128,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def text_run(workshop: Path, data: Path, run: Path, encoder: Path) -> Path:
    """A complete text run of seconds."""
    from training.text.config import TextConfig
    from training.text.train import train_text

    config = TextConfig(
        str(encoder), epochs=12, batch_size=4, learning_rate=2e-3, head_rate=1e-2, max_tokens=48
    )
    with small_backbones():
        train_text(data, run, workshop / "text", config)
    return workshop / "text"
