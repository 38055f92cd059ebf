"""A text tower of a few words and random weights."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openvino
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from torch import Tensor, nn

from lookalike.model.bundle import Output, TextTower
from lookalike.model.engines.torch_text_network import TextNetwork
from lookalike.model.text_tower import OPENVINO_TEXT_MODEL, OPENVINO_TEXT_WEIGHTS, TOKENIZER
from training.text.export import to_openvino

WORDS = ("[PAD]", "[UNK]", "green", "velvet", "armchair", "oak", "table", "lamp", "bicycle")
MOST_TOKENS = 16


class _Encoder(nn.Module):
    """A vector for each word, as a model of `transformers` gives it."""

    config = SimpleNamespace(hidden_size=8)

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(len(WORDS), 8)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        return SimpleNamespace(last_hidden_state=self.words(input_ids))


def untrained_tower(outputs: tuple[Output, ...], folder: Path) -> tuple[TextTower, dict[str, Path]]:
    """Returns a tower with these outputs, and the source of each of its files."""
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    with torch.random.fork_rng():
        torch.manual_seed(2)
        network = TextNetwork(_Encoder(), outputs)
    openvino.save_model(to_openvino(network), folder / "text.xml", compress_to_fp16=False)
    tower = TextTower(
        encoder="words",
        weights_sha256="",
        max_tokens=MOST_TOKENS,
        temperature=0.5,
        photos_weight=0.5,
        words_weight=1.5,
        photos_alone_weight=0.75,
    )
    files = {
        TOKENIZER: folder / "tokenizer.json",
        OPENVINO_TEXT_MODEL: folder / "text.xml",
        OPENVINO_TEXT_WEIGHTS: folder / "text.bin",
    }
    return tower, files
